"""The command line as a whole: help, wrong use, failures, and what is written where."""

import json
import socket
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from typer.testing import CliRunner

from client.cli.app import COMMANDS, Command, application, main


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An address where nobody listens."""
    monkeypatch.setenv("ZOO_HOME", str(tmp_path))
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
    monkeypatch.setenv("ZOO_URL", url)
    return url


def run(*arguments: str) -> tuple[int, str]:
    """Exit code and everything written, of arguments that end before a zoo is asked."""
    result = CliRunner().invoke(application(arguments), list(arguments))
    return result.exit_code, " ".join(result.output.split())


def test_the_help_names_every_command() -> None:
    code, text = run("--help")
    assert code == 0
    for command in COMMANDS:
        assert f"{command.name} {command.summary}" in text


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_a_command_says_of_itself_what_the_help_says_of_it(command: Command) -> None:
    code, text = run(command.name, "--help")
    assert code == 0
    assert command.summary.rstrip(".") in text
    assert "--json" in text


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "Usage: zoo"),
        (["rnak"], "Did you mean 'rank'?"),
        (["rank", "no-such.zip"], "no-such.zip"),
        (["rank", ""], "no file or folder ''"),
        (["search", "--token", "caf\u00e9"], "only ASCII, on one line"),
        (["rank", "task-1", "--classes", "a"], "has its classes already"),
        (["rank", __file__, "--classes", "cat,cat"], "'cat' is given twice"),
        (["rank", __file__, "--rank-by", "luck"], "luck"),
        (["rank", __file__, "--plot", "plot.gif"], "plot.gif"),
        (["rank", __file__, "--candidates", "Bad Name"], "Bad Name"),
        (["map", "task-1"], "two tasks or more"),
        (["publish", "no-such.safetensors", "ada/digits"], "no-such.safetensors"),
        (["publish", __file__, "digits"], "'digits' is not namespace/name"),
        (["fetch", "ada/digits", "-o", "no-such-folder/x"], "no-such-folder"),
        (["fetch", "ada/digits", "-o", "/"], "is a directory"),
        (["show", "ada/digits@0"], "0"),
        (["compose", "name", "ada/digits@x@y"], "x@y"),
        (["predict", "pipeline", "no-such.png"], "no-such.png"),
        (["train", "no-such.zip", "--name", "ada/digits"], "no-such.zip"),
        (["train", __file__, "--name", "ada/digits", "--epochs", "0"], "--epochs"),
        (["train", __file__, "--name", "ada/digits", "--submit", "--baseline"], "--submit"),
        (["search", "--limit", "0"], "--limit"),
        (["serve", "--port", "70000"], "65535"),
        (["serve", "--host", "0.0.0.0"], "ZOO_TOKEN"),
        (["search", "--takes", "float32 (1, 8, 8)"], "write it as float32[1,8,8]"),
        (["search", "--gives", "wide"], "write it as float32[1,8,8]"),
        (["search", "--namespace", "Bad Name"], "Bad Name"),
        (["search", "--url", "garbage"], "'garbage' is not a zoo's address"),
        (["work", "--url", "garbage"], "'garbage' is not a zoo's address"),
        (["login", "--url", "garbage", "--token", "x"], "'garbage' is not a zoo's address"),
        (["compose", "pair", "ada/digits@1"], "two modules or more, got 'ada/digits@1' only"),
        (["compose", "Bad Name", "ada/a@1", "ada/b@1"], "Bad Name"),
        (["show", "ada/digits@0"], "there is no version 0; versions are 1 and up"),
        (["train", __file__, "--name", "ada/digits", "--epochs", "0"], "got 0"),
        (["rank", __file__, "--examples", "2"], "'--examples': must be greater than or equal to 4, got '2'"),
        (["rank", __file__, "--examples", "2000000"], "--examples must be less than or equal to 1000000, got 2000000"),
        (["rank", __file__, "--seed", "9" * 23], f"--seed must be less than 9223372036854775808, got {'9' * 23}"),
        (["rank", __file__, "--rank-by", "knn"], "'--rank-by': 'knn' is not one of"),
        (["rank", __file__, "--here", "--send"], "--here keeps them here; give one"),
        (["sets", __file__, "--examples", "2000000"], "--examples must be less than or equal to 1000000, got 2000000"),
        (["sets", __file__, "--seed", "9" * 23], f"got {'9' * 23}"),
        (["sets", __file__, "--size", "9"], "must be less than or equal to 4, got '9'"),
        (["map", "--examples", "2000000"], "--examples must be less than or equal to 1000000, got 2000000"),
        (["map", "--seed", "9" * 23], f"got {'9' * 23}"),
        (["predict", "s/animals", __file__], "a pipeline is named by its id, or by its name without a slash"),
    ],
)
def test_wrong_use_is_told_and_ends_with_2(arguments: list[str], told: str, nowhere: str) -> None:
    code, text = run(*arguments)
    assert (code, told in text) == (2, True), text


@pytest.mark.usefixtures("nowhere")
def test_a_failure_is_one_line_on_stderr_and_ends_with_1(nowhere: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["search"])
    out, err = capsys.readouterr()
    assert (left.value.code, out) == (1, "")
    assert err.startswith(f"error: no zoo answers at {nowhere} ")
    assert len(err.splitlines()) == 1


def test_a_failure_with_json_is_a_problem_on_stderr(nowhere: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["show", "ada/digits", "--json"])
    out, err = capsys.readouterr()
    assert (left.value.code, out) == (1, "")
    problem = json.loads(err)
    assert problem["code"] == "service_unreachable"
    assert nowhere in problem["detail"]


@pytest.mark.usefixtures("nowhere")
def test_an_argument_that_is_no_text_is_wrong_use(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["search", "caf\udce9"])
    assert left.value.code == 2
    assert capsys.readouterr().err == "error: 'caf\\udce9' is not UTF-8; write or rename it so\n"


@pytest.mark.parametrize("command", ["search", "serve", "work", "login"])
@pytest.mark.parametrize(
    ("setting", "value", "told"),
    [("ZOO_PORT", "many", "ZOO_PORT must be a whole number, got 'many'"), ("ZOO_HOME", "/a?b", "ZOO_HOME")],
)
def test_a_wrong_setting_is_wrong_use_and_named(
    monkeypatch: pytest.MonkeyPatch, command: str, setting: str, value: str, told: str
) -> None:
    monkeypatch.setenv(setting, value)
    code, text = run(command)
    assert (code, told in text) == (2, True), text


def test_a_home_that_cannot_be_made_is_told_before_anything_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_HOME", f"{__file__}/nope")
    code, text = run("serve", "--port", "0")
    assert code == 2
    assert "set ZOO_HOME to a folder that you may write" in text


def test_the_version_is_told() -> None:
    assert run("--version") == (0, f"zoo {version('module-zoo')}")


def test_the_help_imports_no_heavy_package() -> None:
    heavy = {"httpx", "numpy", "pyarrow", "scipy", "matplotlib", "torch", "registry.records"}
    code = f"""
import sys
from client.cli.app import main
try:
    main(["--help"])
except SystemExit:
    pass
sys.exit(", ".join({heavy} & set(sys.modules)) or None)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
