"""Open items: as many as fit, each opened once, and others in a forked process."""

import os
import threading
import time

import pytest

from keras_isd.data.sources.recent_items import RecentItems

pytestmark = pytest.mark.one_backend("opens items without a backend")


def test_the_last_used_items_are_kept_within_the_limit():
    opened = []
    items = RecentItems(lambda key: opened.append(key) or 10 * key, lambda item: 1, limit=2)
    assert [items(key) for key in (1, 2, 1, 3, 1, 2)] == [10, 20, 10, 30, 10, 20]
    assert opened == [1, 2, 3, 2]
    assert items.keys() == [1, 2]


def test_a_single_item_may_exceed_the_limit():
    items = RecentItems(lambda key: key, lambda item: item, limit=5)
    assert [items(9), items.keys(), items(1), items.keys()] == [9, [9], 1, [1]]


def test_threads_open_an_item_once():
    opened = []
    items = RecentItems(lambda key: time.sleep(0.05) or opened.append(key) or key, len, limit=9)
    threads = [threading.Thread(target=items, args=("a",)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert opened == ["a"]


def test_an_item_that_cannot_be_opened_is_tried_again():
    answers = iter([ValueError("damaged"), 7])

    def load(key):
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    items = RecentItems(load, lambda item: 1, 1)
    with pytest.raises(ValueError, match="damaged"):
        items("a")
    assert items("a") == 7


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:.*fork")
def test_a_forked_process_opens_its_own_items():
    items = RecentItems(lambda key: os.getpid(), lambda item: 1, 1)
    assert items("a") == os.getpid()
    child = os.fork()
    if child == 0:
        os._exit(0 if items("a") == os.getpid() else 1)
    assert os.waitpid(child, 0)[1] == 0
