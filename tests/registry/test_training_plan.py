import subprocess
import sys
from pathlib import Path

import pytest

from registry.architectures.contracts import TensorType
from registry.errors import InvalidRecipeError
from registry.recipes import TaskSpec, TrainingRecipe
from registry.training_plan import default_k_min, default_pooling, plan_modules, training_shape
from tests.builders import digest_of

ROOT = Path(__file__).parents[2]
CIFAR = TensorType(shape=(3, 32, 32))


def recipe(**changes: object) -> TrainingRecipe:
    return TrainingRecipe.model_validate({"task": TaskSpec(dataset=digest_of("d")), "family": "mlp"} | changes)


def test_a_plan_is_made_without_torch():
    code = "import sys, registry.training_plan; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


@pytest.mark.parametrize(
    ("shape", "same_shape", "image_size", "trained"),
    [
        ((10, 12, 1), True, None, (1, 10, 12)),
        ((128, 128, 3), True, None, (3, 128, 128)),
        ((129, 9, 3), True, None, (3, 32, 32)),
        ((10, 12, 1), False, None, (1, 32, 32)),
        ((10, 12, 3), False, 16, (3, 16, 16)),
        ((10, 12, 3), True, 16, (3, 16, 16)),
    ],
)
def test_training_keeps_the_one_size_of_small_images_and_else_takes_squares(shape, same_shape, image_size, trained):
    assert training_shape(recipe(image_size=image_size), shape=shape, same_shape=same_shape) == trained


def test_modules_of_a_plan_stand_on_each_other():
    plan = plan_modules(recipe(family="resnet18", width=8, modules=4), takes=CIFAR, classes=10)
    assert len(plan.hidden) == 4
    assert plan.hidden[0].takes == CIFAR
    for below, above in zip(plan.hidden, (*plan.hidden[1:], plan.output), strict=True):
        assert above.takes == below.gives
    assert plan.output.gives == TensorType(shape=(10,))


def test_a_recipe_without_an_output_module_plans_none():
    assert plan_modules(recipe(output=None), takes=CIFAR, classes=2).output is None


@pytest.mark.parametrize(
    ("shape", "pooling"),
    [
        ((64, 4, 4), "average"),
        ((16, 8, 8), "average-2x2"),
        ((6, 8, 8), "average-4x4"),
        ((6, 3, 3), "average-2x2"),
        ((6, 1, 1), "average"),
    ],
)
def test_images_are_averaged_as_coarsely_as_leaves_enough_features(shape, pooling):
    assert default_pooling(TensorType(shape=shape)) == pooling


def test_flat_outputs_are_not_pooled_whatever_the_recipe_says():
    plan = plan_modules(recipe(family="lenet5", modules=2, pooling="average"), takes=CIFAR, classes=2)
    assert [part.feature_map.pooling for part in plan.hidden] == ["average", "none"]


@pytest.mark.parametrize(
    ("activation", "classes", "k_min"),
    [("relu", 2, 0.0), ("sigmoid", 5, 0.0), ("tanh", 2, -1.0), ("tanh", 5, -0.25)],
)
def test_k_min_is_what_all_pairs_can_reach(activation, classes, k_min):
    assert default_k_min(activation, classes=classes) == k_min
    plan = plan_modules(recipe(activation=activation), takes=CIFAR, classes=classes)
    assert plan.hidden[0].feature_map.k_min == k_min


def test_a_k_min_of_the_recipe_is_kept_and_must_be_attainable():
    plan = plan_modules(recipe(activation="tanh", k_min=-0.5), takes=CIFAR, classes=3)
    assert plan.hidden[0].feature_map.k_min == -0.5
    with pytest.raises(InvalidRecipeError, match=r"relu features have kernel values in \[0.0, 1\]"):
        plan_modules(recipe(k_min=-0.5), takes=CIFAR, classes=3)
