import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import structlog
from tensorboardX.proto.event_pb2 import Event

from client.cache import digest_of_file
from kernel_methods.pairs import draw_partners
from registry.module_file import read_module
from registry.recipes import TrainingRecipe
from tests.trainer.examples import digit_arrays, recipe
from tests.trainer.serving import digits_file
from trainer.__main__ import main

ROOT = Path(__file__).parents[2]
KILLS = 2


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "digits.npz").write_bytes(digits_file())
    return tmp_path


def command(folder: Path, planned: TrainingRecipe, *more: str, out: str = "out") -> list[str]:
    (folder / "recipe.json").write_text(planned.model_dump_json())
    files = ["--recipe", str(folder / "recipe.json"), "--data", str(folder / "digits.npz")]
    return ["train", *files, "--out", str(folder / out), *more]


def here(folder: Path, planned: TrainingRecipe, monkeypatch: pytest.MonkeyPatch, *more: str, out: str = "out") -> int:
    monkeypatch.setattr(sys, "argv", ["trainer", *command(folder, planned, *more, out=out)])
    try:
        main()
    except SystemExit as left:
        return int(left.code or 0)
    finally:
        structlog.reset_defaults()
    return 0


def files_of(folder: Path) -> dict[str, str]:
    return {path.name: digest_of_file(path) for path in folder.iterdir()}


def killed(folder: Path, planned: TrainingRecipe) -> None:
    """Begin, or go on, and be killed once there is another checkpoint."""
    checkpoint = folder / "out" / ".network.checkpoint"
    before = checkpoint.read_bytes() if checkpoint.exists() else b""
    arguments = [sys.executable, "-m", "trainer", *command(folder, planned, "--checkpoint-seconds", "0")]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(arguments, cwd=ROOT, env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and process.poll() is None:
            if checkpoint.exists() and checkpoint.read_bytes() != before:
                break
            time.sleep(0.02)
        assert process.poll() is None, process.stderr.read().decode()
    finally:
        process.kill()
        process.communicate()


def test_a_process_that_is_killed_again_and_again_ends_with_the_same_files(folder, monkeypatch, capsys):
    planned = recipe(modules=2, epochs=400)
    for _ in range(KILLS):
        killed(folder, planned)
    assert here(folder, planned, monkeypatch) == 0
    assert "the run goes on from a checkpoint" in capsys.readouterr().err
    assert here(folder, planned, monkeypatch, out="undisturbed") == 0
    assert files_of(folder / "out") == files_of(folder / "undisturbed")


def half_done(folder: Path, planned: TrainingRecipe, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run that was ended in its output module."""
    with monkeypatch.context() as broken:
        broken.setattr("trainer.run.train_output", interrupted)
        with pytest.raises(KeyboardInterrupt):
            here_raising(folder, planned, broken, "--checkpoint-seconds", "0")
    return folder / "out" / ".network.checkpoint"


def interrupted(*_: object) -> None:
    raise KeyboardInterrupt


def here_raising(folder: Path, planned: TrainingRecipe, monkeypatch: pytest.MonkeyPatch, *more: str) -> None:
    if here(folder, planned, monkeypatch, *more) == 130:
        raise KeyboardInterrupt


@pytest.mark.parametrize(("more", "goes_on"), [((), True), (("--fresh",), False)])
def test_a_checkpoint_is_taken_up_unless_a_fresh_run_is_asked_for_and_goes_at_the_end(
    more, goes_on, folder, monkeypatch, capsys
):
    checkpoint = half_done(folder, recipe(), monkeypatch)
    assert checkpoint.exists()
    assert here(folder, recipe(), monkeypatch, *more) == 0
    assert ("the run goes on from a checkpoint" in capsys.readouterr().err) == goes_on
    assert sorted(files_of(folder / "out")) == ["network-input.safetensors", "network-output.safetensors"]


def test_the_checkpoint_of_another_recipe_is_said_and_left_alone(folder, monkeypatch, capsys):
    half_done(folder, recipe(), monkeypatch)
    assert here(folder, recipe(seed=1), monkeypatch) == 0
    assert "checkpoint is of another run, this one starts anew" in capsys.readouterr().err


def test_a_checkpoint_that_cannot_be_written_does_not_end_the_run(folder, monkeypatch, capsys):
    (folder / "out" / ".network.checkpoint.part").mkdir(parents=True)
    monkeypatch.setattr("trainer.here.forget", lambda _: None)
    assert here(folder, recipe(), monkeypatch, "--checkpoint-seconds", "0") == 0
    assert "checkpoint not written, the run goes on" in capsys.readouterr().err
    assert (folder / "out" / "network-output.safetensors").exists()


def table(folder: Path, *, count: int = 300) -> Path:
    """Known pairs of the first digits, as a file."""
    _, labels = digit_arrays()
    drawn = draw_partners(labels[:count], 10, np.random.default_rng(0))
    rows = zip(drawn.first.tolist(), drawn.second.tolist(), drawn.same.tolist(), strict=True)
    path = folder / "pairs.csv"
    path.write_text("i,j,same\n" + "".join(f"{i},{j},{int(same)}\n" for i, j, same in rows))
    return path


def test_hidden_modules_are_trained_from_a_table_and_images_of_one_class(folder, monkeypatch, capsys):
    images, _ = digit_arrays()
    np.savez(folder / "digits.npz", images=images[:300, :, :, 0], labels=np.zeros(300, dtype=np.int64))
    pairs = table(folder)
    assert here(folder, recipe(output=None, epochs=10), monkeypatch, "--pairs", str(pairs), "--json") == 0
    (row,) = json.loads(capsys.readouterr().out)["modules"]
    manifest = read_module(Path(row["file"])).manifest
    assert manifest.recipe.pairs.table == digest_of_file(pairs)
    assert (manifest.task.labels_known, manifest.task.examples) == (0, 225)
    assert 0 < manifest.task.pairs_known < 3000
    assert row["objective"] > 0.5


def test_the_baseline_of_a_run_on_pairs_has_labels(folder, monkeypatch, capsys):
    assert here(folder, recipe(), monkeypatch, "--pairs", str(table(folder)), "--baseline", "--json") == 0
    rows = json.loads(capsys.readouterr().out)["modules"]
    manifests = [read_module(Path(row["file"])).manifest for row in rows]
    assert [manifest.recipe.pairs is None for manifest in manifests] == [False, False, True, True]
    assert [manifest.task.labels_known for manifest in manifests] == [0, 225, 225, 225]


def test_a_baseline_needs_an_output_module(folder, monkeypatch, capsys):
    assert here(folder, recipe(output=None), monkeypatch, "--baseline") == 2
    assert "end-to-end training needs an output module" in capsys.readouterr().err


def curves(folder: Path) -> dict[str, list[int]]:
    """Every curve in a folder of event files, and its steps."""
    found: dict[str, list[int]] = {}
    for file in sorted(folder.iterdir()):
        data = file.read_bytes()
        while data:
            size = int.from_bytes(data[:8], "little")
            event, data = Event.FromString(data[12 : 12 + size]), data[16 + size :]
            for value in event.summary.value:
                found.setdefault(value.tag, []).append(event.step)
    return found


def test_epochs_are_told_in_event_files(folder, monkeypatch):
    planned = recipe(modules=2, schedule="at-once", epochs=3)
    assert here(folder, planned, monkeypatch, "--tensorboard", str(folder / "events")) == 0
    found = curves(folder / "events" / "network")
    both = {f"{what}/module_{index}" for what in ("objective", "alignment") for index in (1, 2)}
    of_stage = {f"{what}/2_modules_at_once" for what in ("learning_rate", "images_per_second")}
    of_output = {f"{what}/output_module" for what in ("objective", "learning_rate", "images_per_second")}
    assert found.keys() == both | of_stage | of_output
    assert all(found[name] == [1, 2, 3] for name in both | of_stage)
    assert all(found[name] == list(range(1, 11)) for name in of_output)
