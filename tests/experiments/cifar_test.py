"""The experiment runner `experiments/cifar.py`, and tables of its runs."""

import json
import os
import pathlib
import re

import keras
import numpy as np
import pytest

import keras_isd  # noqa: F401, registers the classes of saved models
from tests.support.processes import ROOT, run_python

pytestmark = pytest.mark.slow
CIFAR = pathlib.Path(os.environ.get("KERAS_ISD_DATA", ROOT.parent / "shared/data/tfds"))

once = pytest.mark.one_backend("model and data are tested on each backend")
flags_only = pytest.mark.one_backend("tests flags only; the runner is tested on each backend")


def table(output, row):
    found = re.search(rf"^{re.escape(row)}\s+([\d. ]+)$", output, re.MULTILINE)
    assert found, output[-2000:]
    return [float(value) for value in found.group(1).split()]


@pytest.mark.nightly
@pytest.mark.data
@pytest.mark.skipif(not CIFAR.is_dir(), reason=f"CIFAR-10 is not in {CIFAR}")
@once
def test_cifar_runs_on_real_images_and_saves(tmp_path):
    saved = tmp_path / "models" / "cifar.keras"
    arguments = ("--preset=smoke", f"--data_dir={CIFAR}", f"--output={saved}")
    views = tmp_path / "views.png"
    output = run_python("experiments/cifar.py", *arguments, f"--plot_views={views}", quiet=True)
    assert views.stat().st_size > 10_000
    run = json.loads(saved.with_suffix(".json").read_text())
    for row in ("1-NN", "20-NN", "200-NN, weighted"):
        values = table(output, row)
        assert [round(run["accuracies"][c][row], 3) for c in run["accuracies"]] == values
        assert all(0.05 < value < 0.5 for value in values)
    assert run["flags"]["preset"] == "smoke"
    assert run["settings"]["model"]["teacher_momentum"] == 0.95  # the recipe's
    assert (
        saved.with_suffix(".csv")
        .read_text()
        .startswith("epoch,embedding_std,images_per_second,loss")
    )
    assert saved.is_file()


def arrays_of_images(path):
    """Flags of a file for `--arrays`, and of features of its 300 training images."""
    random = np.random.RandomState(0)
    arrays = {"x_train": (300, 32, 32, 3), "x_test": (64, 32, 32, 3)}
    arrays = {name: random.randint(0, 256, shape, "uint8") for name, shape in arrays.items()}
    np.savez(path / "a.npz", y_train=np.arange(300) % 10, y_test=np.arange(64) % 10, **arrays)
    np.save(path / "features.npy", random.rand(300, 20).astype("float32"))
    return f"--arrays={path / 'a.npz'}", f"--teacher_features={path / 'features.npy'}"


@pytest.mark.nightly
@pytest.mark.parametrize(
    "options",
    [
        ("--set=query_views=2", "--student_heads=predictor"),
        ("--views_on=device", "--anchors=all", "--student_heads=mlp"),
    ],
)
@once
def test_cifar_distils_and_then_starts_from_the_student(tmp_path, options):
    arrays, features = arrays_of_images(tmp_path)
    command = ("experiments/cifar.py", "--preset=smoke", arrays)
    output = run_python(
        *command, "--method=distillation", features, *options, f"--output={tmp_path / 'a.keras'}"
    )
    assert "256 training and 64 test images of cifar10, distillation" in output
    assert len(table(output, "20-NN")) == 2  # there is no second network
    run = json.loads((tmp_path / "a.json").read_text())
    assert run["settings"]["teacher_features"] > 0
    model = keras.models.load_model(tmp_path / "a.keras")
    np.testing.assert_allclose(
        model.center.mean, np.load(tmp_path / "features.npy")[:256].mean(axis=0), rtol=1e-4
    )
    output = run_python(
        *command, f"--backbone_of={tmp_path / 'a.keras'}", f"--output={tmp_path / 'b.keras'}"
    )
    assert table(output, "20-NN")[0] == round(run["accuracies"]["student"]["20-NN"], 3)


@flags_only
def test_cifar_requires_features_of_each_training_image(tmp_path):
    arrays, features = arrays_of_images(tmp_path)
    command = ("experiments/cifar.py", "--preset=smoke", "--method=distillation", arrays)
    with pytest.raises(AssertionError, match="distillation requires --teacher_features"):
        run_python(*command)
    np.save(tmp_path / "features.npy", np.zeros((299, 20), "float32"))
    with pytest.raises(AssertionError, match=r"each of the 300 training images. .*299, 20"):
        run_python(*command, features)


@pytest.mark.parametrize("method", ["msf", "ressl"])
@once
def test_cifar_trains_related_methods_on_few_images(tmp_path, method):
    arrays, _ = arrays_of_images(tmp_path)
    options = (f"--method={method}", "--train_images=128", f"--output={tmp_path / 'a.keras'}")
    output = run_python("experiments/cifar.py", "--preset=smoke", arrays, *options)
    assert f"128 training and 64 test images of cifar10, {method}" in output
    assert len(table(output, "1-NN")) == 3


@pytest.mark.nightly
@pytest.mark.data
@pytest.mark.skipif(not CIFAR.is_dir(), reason=f"CIFAR-10 is not in {CIFAR}")
@flags_only
def test_cifar_trains_the_baselines_on_unbalanced_images(tmp_path):
    saved = tmp_path / "moco.keras"
    output = run_python(
        "experiments/cifar.py",
        "--preset=smoke",
        "--method=moco",
        "--subset=long_tail",
        "--queries=validation",
        "--views=weak,strong",
        "--set=temperature=0.3,queue_size=128",
        "--set=queue_size=96",
        "--knn_every=1",
        f"--data_dir={CIFAR}",
        f"--output={saved}",
    )
    # 4,500 of the largest class or so, 1 % of that of the smallest
    assert re.search(r"11,\d\d\d training and 64 validation images of cifar10, moco", output)
    assert len(table(output, "1-NN, rare classes")) == 3
    assert "knn_student" in saved.with_suffix(".csv").read_text()
    model = keras.models.load_model(saved)
    assert (model.temperature, model.queue.size) == (0.3, 96)


@pytest.mark.nightly
def test_cifar_makes_views_on_the_device_and_resumes_without_tensorflow(tmp_path):
    random = np.random.RandomState(0)
    parts = {"train": 300, "test": 64}
    arrays = {f"x_{p}": random.randint(0, 256, (n, 32, 32, 3), "uint8") for p, n in parts.items()}
    labels = {f"y_{part}": np.arange(count)[:, None] % 10 for part, count in parts.items()}
    np.savez(tmp_path / "images.npz", **arrays, **labels)
    environment = {}
    if keras.backend.backend() != "tensorflow":
        missing = tmp_path / "missing"
        missing.mkdir()
        for name in ("tensorflow", "tensorflow_datasets"):
            (missing / f"{name}.py").write_text(f"raise ModuleNotFoundError(name={name!r})")
        environment["PYTHONPATH"] = str(missing)

    def run(epochs, name, **flags):
        output = run_python(
            "experiments/cifar.py", "--preset=smoke", "--views_on=device",
            "--policy=mixed_bfloat16", "--subset=two_large", f"--epochs={epochs}",
            f"--arrays={tmp_path / 'images.npz'}",
            f"--output={tmp_path / name}", *(f"--{flag}={value}" for flag, value in flags.items()),
            **environment,
        )  # fmt: skip
        return [table(output, row) for row in ("1-NN", "20-NN", "200-NN, weighted")]

    whole = run(2, "whole.keras")
    assert run(1, "half.keras", resume=tmp_path / "checkpoints") != whole
    assert run(2, "resumed.keras", resume=tmp_path / "checkpoints") == whole
    with pytest.raises(AssertionError, match=r"--resume must be .*flags.seed=1"):
        run(2, "other.keras", resume=tmp_path / "checkpoints", seed=1)
    with pytest.raises(AssertionError, match=r"--resume must be .*'teacher_momentum': 0.5"):
        run(2, "other.keras", resume=tmp_path / "checkpoints", set="teacher_momentum=0.5")
    model = keras.models.load_model(tmp_path / "resumed.keras")
    assert model.two_views is not None
    assert model.student_backbone.layers[-1].compute_dtype == "bfloat16"


@flags_only
@pytest.mark.parametrize(
    ("flag", "why"),
    [
        ("--output=runs/isd_0.05", "must end in .keras"),
        ("--set=queue_size", "must be NAME=JSON"),
        ("--epochs=0", "0 is not a positive integer"),
    ],
)
def test_cifar_refuses_before_it_trains(flag, why):
    with pytest.raises(AssertionError, match=why):
        run_python("experiments/cifar.py", "--preset=smoke", flag)


def write_run(path, accuracy, settings=(), data=None, **flags):
    run = {"flags": {"method": "isd", "set": [], **flags}, "settings": settings, "data": data}
    run["accuracies"] = {"student": {"1-NN": accuracy}, "teacher": {"1-NN": 0.0}}
    path.write_text(json.dumps(run))
    return path


def test_table_of_runs_has_means_spreads_and_differences_by_seed(tmp_path):
    tuned = {"isd": ["teacher_temperature=0.02"], "moco": []}
    paths = [
        write_run(
            tmp_path / f"{method}{seed}.json", accuracy, method=method, seed=seed, set=tuned[method]
        )
        for method, values in {"isd": (0.5, 0.54), "moco": (0.4, 0.46)}.items()
        for seed, accuracy in enumerate(values)
    ]
    output = run_python("experiments/cifar_table.py", *paths)
    assert "| method=isd set=teacher_temperature=0.02 | 2 | 52.0 ± 2.8 |" in output
    assert "| method=moco | 2 | 43.0 ± 4.2 |" in output
    output = run_python("experiments/cifar_table.py", "--minus=moco", *paths)
    assert "| method=isd set=teacher_temperature=0.02 less moco | 2 | 9.0 ± 1.4 |" in output
    assert "method=moco |" not in output


def test_table_of_an_ablation_subtracts_the_recipe_by_seed(tmp_path):
    settings = {"recipe": ([], (0.5, 0.6)), "small": (["queue_size=1024"], (0.47, 0.58))}
    paths = [
        write_run(tmp_path / f"{name}{seed}.json", accuracy, seed=seed, set=flags)
        for name, (flags, values) in settings.items()
        for seed, accuracy in enumerate(values)
    ]
    paths.append(write_run(tmp_path / "moco.json", 0.4, method="moco", seed=0))
    paths.append(write_run(tmp_path / "tail.json", 0.4, subset="long_tail", set=["a=1"], seed=0))
    rows = run_python("experiments/cifar_table.py", "--minus=recipe", *paths).splitlines()
    assert rows[2:] == ["| method=isd set=queue_size=1024 less recipe | 2 | -2.5 ± 0.7 |"]


@flags_only
def test_students_of_different_teachers_are_separate_rows(tmp_path):
    runs = enumerate([(7, 0, 0.5), (7, 1, 0.6), (8, 0, 0.7)])
    paths = [
        write_run(
            tmp_path / f"{i}.json",
            value,
            method="distillation",
            seed=seed,
            settings={"teacher_features": teacher},
            teacher_features=f"{i}.npy",
        )
        for i, (teacher, seed, value) in runs
    ]
    rows = run_python("experiments/cifar_table.py", *paths).splitlines()
    assert rows[2:] == [
        "| method=distillation teacher_features=7 | 2 | 55.0 ± 7.1 |",
        "| method=distillation teacher_features=8 | 1 | 70.0 |",
    ]


@pytest.mark.parametrize("differing", ["settings", "data"])
def test_runs_with_differing_recipes_or_images_are_refused(tmp_path, differing):
    paths = [
        write_run(tmp_path / f"{seed}.json", 0.5, seed=seed, **{differing: [seed]})
        for seed in range(2)
    ]
    with pytest.raises(AssertionError, match=f"must have the same {differing}. Received: .*1.json"):
        run_python("experiments/cifar_table.py", *paths)
