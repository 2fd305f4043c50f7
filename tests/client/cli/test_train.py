"""`zoo train`: options become a recipe and the trainer's command line; the files of a run are found."""

import sys
from pathlib import Path

import numpy as np
import pytest
import typer

from client.cli.train import TrainOptions, trainer_command
from client.trained_files import trained_files
from registry.architectures.contracts import tensors
from registry.errors import NotFoundError
from registry.manifest import Role
from registry.module_file import write_module_file
from registry.names import Digest
from registry.recipes import TaskSpec, TrainingRecipe
from tests.builders import digest_of, module_manifest

DATA = digest_of("data")


def options(**changes: object) -> TrainOptions:
    return TrainOptions(data=__file__, name="ada/digits", **changes)  # type: ignore[arg-type]


def test_without_options_the_recipe_is_the_recipes_own_default() -> None:
    assert options().recipe(DATA) == TrainingRecipe(task=TaskSpec(dataset=DATA))


def test_every_option_reaches_the_recipe() -> None:
    recipe = options(
        classes=["low=0+1", "high=2"],
        family="mlp",
        width=16,
        modules=2,
        objective="contrastive",
        labels_per_class=5,
        learning_rate=0.5,
        optimiser="sgd",
        seed=7,
    ).recipe(DATA)
    assert recipe.task.classes == {"low": ("0", "1"), "high": ("2",)}
    assert (recipe.family, recipe.width, recipe.modules, recipe.objective) == ("mlp", 16, 2, "contrastive")
    assert recipe.output is not None
    assert (recipe.output.labels_per_class, recipe.optimiser.name, recipe.optimiser.learning_rate) == (5, "sgd", 0.5)
    assert recipe.seed == 7


def test_a_recipe_that_cannot_be_is_wrong_use() -> None:
    for changes in ({"epochs": 0}, {"method": "end-to-end", "output": False}, {"learning_rate": 1e9}):
        with pytest.raises(typer.BadParameter):
            options(**changes).recipe(DATA)


def test_the_trainer_is_told_where_everything_is() -> None:
    command = trainer_command(options(baseline=True), recipe=Path("r.json"), data=Path("d.zip"), out=Path("runs"))
    where = ["--recipe", "r.json", "--data", "d.zip", "--name", "digits", "--out", "runs"]
    assert command == [sys.executable, "-m", "trainer", "train", *where, "--baseline"]


def write(path: Path, role: Role, *, below: Digest | None = None, value: float = 1.0) -> Digest:
    manifest = module_manifest(role, **({"below": below} if below else {}))
    weights = {name: np.full(entry.shape, value, np.float32) for name, entry in tensors(manifest.architecture).items()}
    return write_module_file(path, manifest, weights).digest


def test_the_files_of_the_newest_run_are_found_and_older_ones_are_not(tmp_path: Path) -> None:
    first = write(tmp_path / "d-input.safetensors", Role.INPUT)
    write(tmp_path / "d-hidden-2.safetensors", Role.HIDDEN, below=digest_of("older run"))
    hidden = write(tmp_path / "d-hidden-1.safetensors", Role.HIDDEN, below=first)
    write(tmp_path / "d-output.safetensors", Role.OUTPUT, below=hidden)
    write(tmp_path / "d-end-to-end-input.safetensors", Role.INPUT, value=2.0)
    names = [path.name for path in trained_files(tmp_path, "d")]
    assert names == ["d-input.safetensors", "d-hidden-1.safetensors", "d-output.safetensors"]


def test_a_folder_without_a_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"d-input\.safetensors"):
        trained_files(tmp_path, "d")
