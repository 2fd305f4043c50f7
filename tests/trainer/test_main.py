import json
import os
import signal
import sys
from pathlib import Path

import pytest
import structlog

from client.cache import digest_of_file
from client.home_rankings import HomeRanking
from registry.module_file import read_module
from tests.registry.dataset_samples import folders, zip_bytes
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
    ],
)
def test_wrong_use_is_told_and_exits_with_2(files, monkeypatch, capsys, text, words):
    (files / "recipe.json").write_text(text)
    assert run(files, monkeypatch) == 2
    assert words in capsys.readouterr().err


def test_what_cannot_be_trained_on_these_images_is_a_failure(files, monkeypatch, capsys):
    (files / "recipe.json").write_text(recipe(modules=9).model_dump_json())
    assert run(files, monkeypatch) == 1
    assert "not 9" in capsys.readouterr().err


def test_data_that_are_no_dataset_exit_with_1(files, monkeypatch, capsys):
    (files / "digits.npz").write_bytes(b"no data")
    assert run(files, monkeypatch) == 1
    assert capsys.readouterr().err.startswith("error: the upload is of no known format")
    assert run(files, monkeypatch, "--json") == 1
    assert json.loads(capsys.readouterr().err)["code"] == "invalid_dataset"


def ranked(folder: Path, monkeypatch: pytest.MonkeyPatch, *more: str) -> int:
    """Rank beside images of which one is broken; no zoo is asked, for they are looked at first."""
    (folder / "data.zip").write_bytes(zip_bytes({**folders(), "cat/bad.png": b"bad"}))
    request = HomeRanking(url="http://127.0.0.1:9", data=str(folder / "data.zip"))
    (folder / "request.json").write_text(request.model_dump_json())
    monkeypatch.setattr(sys, "argv", ["trainer", "rank", "--request", str(folder / "request.json"), *more])
    with pytest.raises(SystemExit) as left:
        main()
    structlog.reset_defaults()
    return int(left.value.code or 0)


def test_broken_images_at_home_are_told_as_the_service_tells_them(tmp_path, monkeypatch, capsys):
    assert ranked(tmp_path, monkeypatch) == 1
    first, *_, last = capsys.readouterr().err.splitlines()
    assert first.startswith("error: 1 images cannot be read: 'cat/bad.png'")
    assert last == "--leave-out-broken leaves out images that cannot be read"
    assert ranked(tmp_path, monkeypatch, "--json") == 1
    problem = json.loads(capsys.readouterr().err)
    assert (problem["code"], problem["errors"][0]["pointer"]) == ("invalid_dataset", "/cat/bad.png")


def test_broken_images_are_dropped_from_training_only_where_that_is_asked_for(files, monkeypatch, capsys):
    data = files / "data.zip"
    data.write_bytes(zip_bytes({**folders(), "cat/bad.png": b"bad"}))
    (files / "recipe.json").write_text(recipe(image_size=8, epochs=1).model_dump_json())
    monkeypatch.setattr("trainer.here.train", stopped)
    assert run(files, monkeypatch, "--data", str(data)) == 1
    assert "error: 1 images cannot be read: 'cat/bad.png'" in capsys.readouterr().err
    assert run(files, monkeypatch, "--data", str(data), "--leave-out-broken") == 130
    assert "1 of the items in data.zip were left out:\n  cat/bad.png: " in capsys.readouterr().err


def stopped(*_: object, **named: object) -> None:
    raise KeyboardInterrupt


def test_a_folder_that_cannot_be_written_is_told_before_training(files, monkeypatch, capsys):
    monkeypatch.setattr("trainer.here.train", None)
    below_a_file = files / "digits.npz" / "out"
    assert run(files, monkeypatch, "--out", str(below_a_file)) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"error: --out: the folder {below_a_file} cannot be written (")
    assert len(told.splitlines()) == 1


def test_a_disk_that_refuses_is_one_sentence(files, monkeypatch, capsys):
    monkeypatch.setattr("trainer.here._write", refused)
    assert run(files, monkeypatch) == 1
    assert capsys.readouterr().err.splitlines()[-1] == "error: [Errno 28] No space left on device"


def refused(*_: object, **named: object) -> None:
    raise OSError(28, "No space left on device")


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
