"""Each configuration sets the flags that its run was made with, and flags that its script has."""

import re
import runpy

import pytest

from tests.support.processes import ROOT, run_python

pytestmark = pytest.mark.one_backend("configurations are flags")
FULL = {"preset": "full", "views_on": "device", "policy": "mixed_bfloat16", "knn_every": "10"}
DATA = {
    "cifar10": {"dataset": "cifar10"},
    "cifar100": {"dataset": "cifar100"},
    "cifar10_long_tail": {"dataset": "cifar10", "subset": "long_tail"},
    "cifar10_two_large": {"dataset": "cifar10", "subset": "two_large"},
}
EXPECTED = {
    **{
        f"{method}_{name}": {**FULL, "method": method, **data}
        for method in ("isd", "moco", "byol")
        for name, data in DATA.items()
    },
    "comparison_isd": {"preset": "comparison", "method": "isd"},
    "comparison_moco": {
        "preset": "comparison",
        "method": "moco",
        "learning_rate": "0.05",
        "set": "shuffle_groups=1",
    },
    "comparison_byol": {
        "preset": "comparison",
        "method": "byol",
        "learning_rate": "0.15",
        "set": "teacher_momentum=0.95",
    },
    "comparison_msf": {
        "preset": "comparison",
        "method": "msf",
        "learning_rate": "0.1",
        "set": "teacher_momentum=0.95",
    },
    "comparison_ressl": {"preset": "comparison", "method": "ressl", "learning_rate": "0.02"},
    "comparison_distillation": {
        "preset": "comparison",
        "method": "distillation",
        "teacher_features": "runs/cifar10_efficientnet_lite0.npy",
    },
    "isd_imagenet_resnet18": {"recipe": "resnet18", "policy": "mixed_bfloat16"},
    "isd_imagenet_resnet50": {"recipe": "resnet50", "policy": "mixed_bfloat16"},
}


@pytest.fixture(scope="module")
def module():
    return runpy.run_path(str(ROOT / "experiments/configurations.py"))


def test_configurations_set_the_flags_of_the_published_runs(module):
    assert {*module["CONFIGURATIONS"]} == {*EXPECTED}
    for name, expected in EXPECTED.items():
        suffix = "" if "imagenet" in name else ".keras"
        found = module["resolved_flags"](name)
        assert found == {**expected, "output": f"runs/{name}{suffix}"}


def test_scripts_define_the_flags_and_the_listing_has_each_command(module, capsys):
    module["main"]([])
    listing = capsys.readouterr().out
    files = {
        "experiments/cifar.py": ("cifar.py", "cifar_model.py", "cifar_images.py"),
        "examples/imagenet.py": ("../examples/imagenet.py",),
    }
    for name, configuration in module["CONFIGURATIONS"].items():
        source = "".join(
            (ROOT / "experiments" / file).read_text() for file in files[configuration.script]
        )
        assert {*configuration.flags} <= {*re.findall(r'DEFINE_\w+\(\s*"(\w+)"', source)}
        assert f"--configuration={name}\n  expected: {configuration.expected}" in listing


def test_flags_on_the_command_line_take_precedence():
    code = """
import sys
sys.path.insert(0, "experiments")
import configurations
from absl import app, flags
for name in ("preset", "method", "output"):
    flags.DEFINE_string(name, "", "")
flags.DEFINE_float("learning_rate", None, "")
flags.DEFINE_multi_string("set", [], "")
def main(_):
    configurations.apply("comparison_byol")
    found = flags.FLAGS
    print([found.preset, found.learning_rate, found.set, found.output])
app.run(main)
"""
    assert eval(run_python("-c", code)) == [
        "comparison", 0.15, ["teacher_momentum=0.95"], "runs/comparison_byol.keras",
    ]  # fmt: skip
    given = run_python("-c", code, "--learning_rate=0.3", "--set=teacher_momentum=0.9")
    assert eval(given)[1:3] == [0.3, ["teacher_momentum=0.95", "teacher_momentum=0.9"]]
