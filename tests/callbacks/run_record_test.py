import json

import pytest

from keras_isd import callbacks

pytestmark = pytest.mark.one_backend("a record is the same under any backend")


class Resumed:
    """The attributes of a `Resume` that show where a run resumes."""

    def __init__(self, epoch, step=0):
        self.initial_epoch, self.initial_step = epoch, step


def facts(**changed):
    given = {
        "flags": {"seed": 0, "epochs": 5},
        "settings": {"views": ("strong", "weak")},
        "data": 7,
    }
    return callbacks.run_facts(**{**given, **changed})


def test_facts_are_json_and_include_backend_and_versions():
    found = facts()
    assert found["settings"] == {"views": ["strong", "weak"]}
    assert found["backend"] == "tensorflow"
    assert set(found["versions"]) == {"keras", "keras_isd", "numpy", "tensorflow"}


def test_a_new_run_overwrites_the_record(tmp_path):
    path = tmp_path / "run.json"
    path.write_text(json.dumps(facts(data=8)))
    callbacks.record_run(path, facts(), Resumed(0))
    assert json.loads(path.read_text()) == facts()


@pytest.mark.parametrize("resume", [Resumed(1), Resumed(0, 3)])
def test_a_run_resumes_only_with_its_own_settings(resume, tmp_path):
    path = tmp_path / "run.json"
    callbacks.record_run(path, facts())
    longer = facts(flags={"seed": 0, "epochs": 9}, versions=None)
    callbacks.record_run(path, longer, resume, ignore=["flags.epochs"])
    assert json.loads(path.read_text())["flags"]["epochs"] == 9
    for changed, expected in (
        ({"flags": {"seed": 1, "epochs": 9}}, "flags.seed=1, not 0"),
        (
            {"settings": {"views": ("weak", "weak")}},
            r"settings.views=\['weak', 'weak'\], not \['strong'",
        ),
        ({"data": 8}, "data=8, not 7"),
        ({"flags": {"seed": 0, "epochs": 9, "width": 4}}, "flags.width=4, not None"),
    ):
        with pytest.raises(ValueError, match=f"Received: {expected}.*run.json"):
            callbacks.record_run(path, facts(**changed), resume, ignore=["flags.epochs"])
    assert json.loads(path.read_text())["flags"]["epochs"] == 9  # unchanged


def test_checkpoints_without_a_record_are_resumed(tmp_path):
    callbacks.record_run(tmp_path / "run.json", facts(), Resumed(2))
    assert (tmp_path / "run.json").is_file()


def test_facts_of_one_name_in_two_dicts_are_two_facts(tmp_path):
    path = tmp_path / "run.json"
    callbacks.record_run(path, {"model": {"seed": 1}, "data": {"seed": 2}})
    with pytest.raises(ValueError, match=r"Received: model.seed=9, not 1, according to"):
        callbacks.record_run(path, {"model": {"seed": 9}, "data": {"seed": 2}}, Resumed(1))
    callbacks.record_run(path, {"model": {"seed": 9}, "data": {"seed": 2}}, Resumed(1), ["model"])


def test_facts_are_compared_as_json(tmp_path):
    for resume in (None, Resumed(1)):
        callbacks.record_run(tmp_path / "run.json", {"views": ("strong", "weak")}, resume)
