"""`zoo train`: options become a recipe and the trainer's command line; the files of a run are found."""

import sys
from pathlib import Path

import numpy as np
import pytest
import typer

from client.cache import digest_of_file
from client.cli.train import TrainOptions, trainer_command
from client.trained_files import trained_files
from registry.architectures.contracts import tensors
from registry.errors import NotFoundError
from registry.manifest import Role
from registry.module_file import write_module_file
from registry.names import Digest
from registry.recipes import PairsSpec, TaskSpec, TrainingRecipe
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


def test_the_ways_to_train_reach_the_recipe() -> None:
    recipe = options(
        method="greedy",
        cuts="1, 2,3",
        schedule="at-once",
        head="look-ahead",
        optimiser="muon",
        weight_decay=0.02,
        patience=3,
        seconds=90.0,
        augment=True,
        cutout=0.25,
        views=2,
    ).recipe(DATA)
    assert (recipe.method, recipe.cuts, recipe.schedule, recipe.head) == ("greedy", (1, 2, 3), "at-once", "look-ahead")
    assert (recipe.patience, recipe.seconds) == (3, 90.0)
    assert (recipe.augment, recipe.cutout, recipe.views) == (True, 0.25, 2)
    assert (recipe.optimiser.name, recipe.optimiser.learning_rate, recipe.optimiser.weight_decay) == (
        "muon",
        None,
        0.02,
    )


def test_targets_are_smoothed_only_where_there_are_some() -> None:
    assert options(objective="prototype", smoothing=0.1).recipe(DATA).smoothing == 0.1
    with pytest.raises(typer.BadParameter, match="greedy has no targets to smooth"):
        options(method="greedy", smoothing=0.1).recipe(DATA)
    with pytest.raises(typer.BadParameter, match="raw has no targets to smooth"):
        options(objective="raw", smoothing=0.1).recipe(DATA)


def test_pairs_are_a_table_by_its_digest_or_partners(tmp_path: Path) -> None:
    table = tmp_path / "pairs.csv"
    table.write_text("i,j,same\n0,1,1\n")
    of_table, of_partners = options(pairs=table).recipe(DATA).pairs, options(partners=4).recipe(DATA).pairs
    assert of_table == PairsSpec(table=digest_of_file(table))
    assert of_partners == PairsSpec(partners=4)
    with pytest.raises(typer.BadParameter, match="give one of the two"):
        options(pairs=table, partners=4).recipe(DATA)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"cuts": "1,,2"}, "no list of numbers"),
        ({"cuts": "one"}, "no list of numbers"),
        ({"cuts": "3,2"}, "cuts must increase"),
        ({"learning_rate": 1e9}, "--learning-rate"),
        ({"optimiser": "adam"}, "--optimiser"),
        ({"partners": 0}, "--partners"),
        ({"views": 2}, "set augment too"),
        ({"patience": 2, "held_out_share": 0.0}, "raise held_out_share"),
        ({"method": "greedy", "partners": 3}, "only pairwise can do with pairs"),
    ],
)
def test_wrong_use_names_the_option(changes: dict[str, object], words: str) -> None:
    with pytest.raises(typer.BadParameter, match=words):
        options(**({"augment": False} | changes)).recipe(DATA)


def test_a_recipe_that_cannot_be_is_wrong_use() -> None:
    for changes in ({"epochs": 0}, {"method": "end-to-end", "output": False}, {"learning_rate": 1e9}):
        with pytest.raises(typer.BadParameter):
            options(**changes).recipe(DATA)


def test_the_trainer_is_told_where_everything_is() -> None:
    command = trainer_command(options(baseline=True), recipe=Path("r.json"), data=Path("d.zip"), out=Path("runs"))
    where = ["--recipe", "r.json", "--data", "d.zip", "--name", "digits", "--out", "runs"]
    assert command == [sys.executable, "-m", "trainer", "train", *where, "--baseline"]
    more = options(pairs=Path("p.csv"), checkpoint_seconds=5.0, fresh=True, tensorboard=Path("events"))
    assert "--leave-out-broken" not in command
    assert trainer_command(
        options(leave_out_broken=True), recipe=Path("r.json"), data=Path("d.zip"), out=Path("runs")
    ) == [*command[:-1], "--leave-out-broken"]
    added = ["--fresh", "--pairs", "p.csv", "--checkpoint-seconds", "5.0", "--tensorboard", "events"]
    assert trainer_command(more, recipe=Path("r.json"), data=Path("d.zip"), out=Path("runs"))[-7:] == added


def test_what_belongs_to_training_here_does_not_go_with_submit() -> None:
    for changes in ({"fresh": True}, {"tensorboard": Path("events")}, {"baseline": True}):
        with pytest.raises(typer.BadParameter, match=f"goes without --{next(iter(changes))}"):
            options(submit=True, **changes).check()


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
