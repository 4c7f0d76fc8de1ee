"""Recipes are defined next to their methods and found by name."""

import dataclasses

import pytest

import keras_isd
from keras_isd import augmentation, recipes

pytestmark = pytest.mark.one_backend("a recipe is the same under any backend")

METHODS = {
    keras_isd.ISDModel: [
        "resnet50",
        "resnet18",
        "cifar_resnet18",
        "ressl_resnet50",
        "ressl_cifar_resnet18",
    ],
    keras_isd.DistillationModel: ["distillation_resnet18", "distillation_cifar_resnet18"],
    keras_isd.baselines.MoCoModel: ["moco_resnet50", "moco_cifar_resnet18"],
    keras_isd.baselines.BYOLModel: ["byol_resnet50", "byol_cifar_resnet18"],
    keras_isd.baselines.MSFModel: ["msf_resnet50", "msf_cifar_resnet18"],
}


def test_each_method_has_its_recipes():
    found = {method: [] for method in METHODS}
    for name, recipe in recipes.RECIPES.items():
        found[recipe.method].append(name)
    assert found == METHODS


@pytest.mark.parametrize(
    ("name", "strong"), [("resnet50", (1, 0)), ("byol_cifar_resnet18", (1, 1))]
)
def test_views_are_functions_of_a_size(name, strong):
    views = [view(24) for view in recipes.get_recipe(name).views]
    for augmenter, expected in zip(views, strong, strict=True):
        kinds = {type(operation) for operation in augmenter.operations}
        assert (augmentation.ColorJitter in kinds) == bool(expected)
        assert augmenter.operations[0].size == 24


def test_a_custom_recipe_makes_models_and_optimizers(monkeypatch):
    monkeypatch.setattr(recipes, "RECIPES", dict(recipes.RECIPES))
    given = recipes.get_recipe("cifar_resnet18")
    mine = dataclasses.replace(given, model={**given.model, "queue_size": 32}, epochs=3)
    recipes.register_recipe("mine", mine)
    backbone = keras_isd.backbones.ConvNet((8, 8, 3), (4, 8))
    assert keras_isd.ISDModel.from_recipe("mine", backbone=backbone).queue.size == 32
    schedule = keras_isd.optimizers.from_recipe("mine", 10).get_config()["learning_rate"]["config"]
    assert schedule["schedule"]["config"]["decay_steps"] == 3
    with pytest.raises(ValueError, match=r"`name` must be new. Received: name='mine'"):
        recipes.register_recipe("mine", mine)


def test_a_recipe_makes_only_models_of_its_method():
    with pytest.raises(
        ValueError, match=r"`name` must .*Received: name='moco_resnet50', a recipe of MoCoModel"
    ):
        keras_isd.ISDModel.from_recipe("moco_resnet50")


def test_ressl_is_isd_without_a_predictor_and_with_a_weak_view_for_the_teacher():
    backbone = keras_isd.backbones.ConvNet((8, 8, 3), (4, 8))
    model = keras_isd.ISDModel.from_recipe("ressl_cifar_resnet18", backbone=backbone, queue_size=16)
    assert model.predictor is None
    assert model.embedding_dim == 2
    assert (model.teacher_temperature, model.student_temperature) == (0.04, 0.1)
    query, key = recipes.get_recipe("ressl_cifar_resnet18").views
    assert query is augmentation.strong
    assert key is augmentation.weak


def test_distillation_has_its_own_recipes():
    make = keras_isd.DistillationModel.from_recipe
    backbone = keras_isd.backbones.ConvNet((8, 8, 3), (4, 8))
    model = make("distillation_cifar_resnet18", backbone=backbone, teacher=20, queue_size=16)
    assert model.projector.output_shape == (None, 20)
    with pytest.raises(
        ValueError, match=r"`name` must .*Received: name='cifar_resnet18', a recipe of ISDModel"
    ):
        make("cifar_resnet18", teacher=20)
