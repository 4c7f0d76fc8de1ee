"""The report in a browser."""

import json
import subprocess

import numpy as np
import pytest
from PIL import Image

from keras_isd import visualization
from tests.support.browser import QUIET, chromium


@pytest.fixture(scope="module")
def browser():
    return chromium()


def open_in_browser(browser, page, folder):
    """Console messages of a page in a browser, the addresses that it requests, and a screenshot."""
    log, picture = folder / "net.json", folder / "page.png"
    arguments = [f"--log-net-log={log}", f"--screenshot={picture}", "--window-size=1000,1400"]
    profile = f"--user-data-dir={folder / 'profile'}"
    result = subprocess.run(
        [browser, *QUIET, profile, *arguments, page.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
    )
    console = [line for line in result.stderr.splitlines() if "CONSOLE" in line]
    events = (event.get("params", {}) for event in json.loads(log.read_text())["events"])
    # The browser's own requests, such as those for updates, have no page as their origin.
    page_requests = (
        p["url"] for p in events if p.get("initiator", "not an origin") != "not an origin"
    )
    outside = {address for address in page_requests if address.startswith(("http", "ws"))}
    return console, outside, np.asarray(Image.open(picture).convert("L"))


def test_report_opens_without_error_or_request_and_shows_table_and_figure(browser, tmp_path):
    figure = visualization.plot_history({"loss": [3.0, 2.0], "knn_student": [0.2, 0.4]})
    tables = {"Accuracy": [["", "student", "teacher"], ["1-NN", 0.5, 0.75]]}
    page = tmp_path / "report.html"
    visualization.write_report(page, "Features", {"seed": 0}, tables, {"Course": figure})
    console, outside, picture = open_in_browser(browser, page, tmp_path)
    assert console == []
    assert outside == set()
    assert picture.shape[1] == 1000
    # Title, facts and table above, the figure below: dark marks on white in both.
    assert (picture > 250).mean() > 0.8
    for part in (picture[:450], picture[450:900]):
        assert (part < 120).sum() > 500


def test_an_error_and_a_request_of_a_page_are_detected(browser, tmp_path):
    page = tmp_path / "bad.html"
    page.write_text(
        '<img src="http://localhost:9/x.png"><script>console.error("broken")</script>', "utf-8"
    )
    console, outside, _ = open_in_browser(browser, page, tmp_path)
    assert any("broken" in line for line in console)
    assert outside == {"http://localhost:9/x.png"}
