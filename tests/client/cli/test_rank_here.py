"""`zoo rank --here`: wrong use, and a machine without torch. The ranking itself: tests/trainer/test_at_home.py."""

import json
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from client.cli.app import application, main
from client.cli.rank_here import ranker_command
from tests.registry.dataset_samples import folders, zip_bytes


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--noise", "1"], "--here"),
        (["--here", "--noise", "0"], "epsilon must be above 0"),
        (["--here", "--noise", "101"], "100"),
        (["--here", "--noise", "nan"], "--noise"),
        (["--here", "--noise", "1", "--noise-delta", "0"], "delta must be above 0"),
        (["--here", "--noise", "1", "--noise-delta", "0.5"], "below 0.1"),
    ],
)
def test_noise_that_cannot_be_added_is_wrong_use(options: list[str], told: str) -> None:
    result = CliRunner().invoke(application(["rank"]), ["rank", __file__, *options])
    assert (result.exit_code, told in result.output) == (2, True), result.output


@pytest.mark.parametrize("data", ["task-abc", "sha256:" + "a" * 64])
def test_what_is_ranked_here_must_be_here(data: str) -> None:
    result = CliRunner().invoke(application(["rank"]), ["rank", data, "--here"])
    assert (result.exit_code, "there is no file or folder" in result.output) == (2, True), result.output


def test_without_torch_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("client.cli.work.find_spec", lambda name: None)
    with pytest.raises(SystemExit) as left:
        main(["rank", __file__, "--here", "--json"])
    told = json.loads(capsys.readouterr().err)
    assert left.value.code == 1
    assert "pip install '.[train]'" in told["detail"]


def test_the_token_is_not_on_the_command_line(tmp_path: Path) -> None:
    command = ranker_command(tmp_path / "request.json")
    assert command == [sys.executable, "-m", "trainer", "rank", "--request", str(tmp_path / "request.json")]


@pytest.mark.parametrize("more", [[], ["--json"]])
def test_broken_images_are_told_here_as_the_service_tells_them(
    more: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "data.zip"
    data.write_bytes(zip_bytes({**folders(), "cat/bad.png": b"bad"}))
    with pytest.raises(SystemExit) as left:
        main(["rank", str(data), "--here", "--url", "http://127.0.0.1:9", *more])
    out, err = capfd.readouterr()
    assert (left.value.code, out) == (1, "")
    if more:
        assert json.loads(err)["errors"][0]["pointer"] == "/cat/bad.png"
    else:
        assert "--leave-out-broken" in err
