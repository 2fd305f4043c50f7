import json
import os
import signal
import sys
from pathlib import Path

import pytest
import structlog

from client.cache import digest_of_file
from registry.module_file import read_module
from tests.trainer.examples import recipe
from tests.trainer.serving import digits_file
from trainer.__main__ import _leave, main


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "digits.npz").write_bytes(digits_file())
    (tmp_path / "recipe.json").write_text(recipe(modules=2).model_dump_json())
    return tmp_path


def run(folder: Path, monkeypatch: pytest.MonkeyPatch, *more: str) -> int:
    options = ["--recipe", str(folder / "recipe.json"), "--data", str(folder / "digits.npz")]
    monkeypatch.setattr(sys, "argv", ["trainer", "train", *options, "--out", str(folder / "out"), *more])
    try:
        main()
    except SystemExit as left:
        return int(left.code or 0)
    finally:
        structlog.reset_defaults()
    return 0


def test_training_here_writes_files_that_explain_themselves(files, monkeypatch, capsys):
    assert run(files, monkeypatch, "--name", "low", "--json") == 0
    rows = json.loads(capsys.readouterr().out)["modules"]
    assert [row["module"] for row in rows] == ["low-input", "low-hidden-1", "low-output"]
    for row in rows:
        assert digest_of_file(Path(row["file"])) == row["digest"]
        manifest = read_module(Path(row["file"])).manifest
        assert manifest.task.data == digest_of_file(files / "digits.npz")
        assert manifest.recipe.task.dataset == manifest.task.data
    assert sorted(path.name for path in (files / "out").iterdir()) == sorted(
        f"low-{ending}.safetensors" for ending in ("input", "hidden-1", "output")
    )


def test_the_baseline_of_the_same_backbone_comes_with_the_same_command(files, monkeypatch, capsys):
    assert run(files, monkeypatch, "--baseline", "--json") == 0
    rows = json.loads(capsys.readouterr().out)["modules"]
    assert [row["method"] for row in rows] == ["pairwise"] * 3 + ["end-to-end"] * 3
    assert rows[3]["module"] == "network-end-to-end-input"
    architectures = [read_module(Path(row["file"])).manifest.architecture for row in rows]
    assert architectures[:3] == architectures[3:]
    assert rows[2]["accuracy"] is not None
    assert rows[5]["accuracy"] is not None


def test_the_table_names_every_module(files, monkeypatch, capsys):
    assert run(files, monkeypatch) == 0
    told = capsys.readouterr().out
    assert all(f"network-{ending}" in told for ending in ("input", "hidden-1", "output"))


def test_a_table_that_is_piped_is_not_cut(files, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    long = "a-name-of-fifty-characters-is-what-people-do-write"
    assert run(files, monkeypatch, "--name", long) == 0
    told = capsys.readouterr().out
    assert all(f"{long}-{ending}" in told for ending in ("input", "hidden-1", "output"))
    assert all(heading in told for heading in ("objective", "alignment", "centred", "accuracy", "seconds"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"task": {}}', "/task/dataset"),
        ("{", "is not a training recipe"),
        (recipe(modules=9).model_dump_json(), "not 9"),
    ],
)
def test_wrong_use_is_told_and_exits_with_2(files, monkeypatch, capsys, text, words):
    (files / "recipe.json").write_text(text)
    assert run(files, monkeypatch) == 2
    assert words in capsys.readouterr().err


def test_data_that_are_no_dataset_exit_with_2(files, monkeypatch, capsys):
    (files / "digits.npz").write_bytes(b"no data")
    assert run(files, monkeypatch) == 2
    assert "error: the upload is of no known format" in capsys.readouterr().err


def test_a_second_signal_does_not_end_what_the_first_one_began():
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        with pytest.raises(SystemExit) as left:
            _leave(signal.SIGTERM, None)
        for number in before:
            os.kill(os.getpid(), number)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert left.value.code == 143
