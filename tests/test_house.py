"""The house rules that can be counted (HOUSE: lengths, names, docstrings, what may not be there)."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("api", "client", "kernel_methods", "registry", "storage", "trainer")
TOP_LEVEL = {
    *ROOMS,
    "tests",
    "bench",
    "examples",
    "docs",
    "docker-compose.yml",
    "Dockerfile",
    "pyproject.toml",
    "requirements.txt",
    "requirements-service.txt",
    "requirements-worker.txt",
    "README.md",
    "CHANGELOG.md",
    "LICENSE",
    "Makefile",
    ".ci",
    ".dockerignore",
    ".gitignore",
}
NO_SUCH_PLACE = {"utils", "util", "common", "helpers", "core", "misc", "base"}

COMMAND_TABLE = ROOT / "client/cli/app.py"
"""Imports a command's own file by a name from its closed table, so that `zoo` starts fast."""

FILE_LINES = 400
FUNCTION_LINES = 50
NINE_IN_TEN_LINES = 30
HALF_LINES = 10
ARGUMENTS = 6

Function = ast.FunctionDef | ast.AsyncFunctionDef


def tracked(*suffixes: str) -> list[Path]:
    """Files that git knows or would take, so that build products do not count."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    ).stdout.decode()
    paths = (ROOT / name for name in listed.split("\0") if name.endswith(suffixes))
    return sorted(path for path in paths if path.is_file())


SOURCES = tracked(".py")


def of_rooms() -> list[Path]:
    return [path for path in SOURCES if path.relative_to(ROOT).parts[0] in ROOMS]


def functions(path: Path) -> Iterator[Function]:
    tree = ast.parse(path.read_text())
    yield from (node for node in ast.walk(tree) if isinstance(node, Function))


def length(function: Function) -> int:
    return (function.end_lineno or function.lineno) - function.lineno + 1


def name(path: Path, function: Function) -> str:
    return f"{path.relative_to(ROOT)}:{function.lineno} {function.name}"


def test_no_file_is_longer_than_the_limit() -> None:
    long = {str(path.relative_to(ROOT)): lines for path in SOURCES if (lines := _lines(path)) > FILE_LINES}
    assert long == {}


def _lines(path: Path) -> int:
    return len(path.read_text().splitlines())


def test_no_function_is_longer_than_the_limit() -> None:
    long = [
        name(path, function) for path in SOURCES for function in functions(path) if length(function) > FUNCTION_LINES
    ]
    assert long == []


def test_nine_in_ten_functions_and_half_of_all_are_short() -> None:
    lengths = sorted(length(function) for path in of_rooms() for function in functions(path))
    assert lengths[len(lengths) // 2] <= HALF_LINES
    assert lengths[int(len(lengths) * 0.9)] <= NINE_IN_TEN_LINES


def test_no_function_takes_more_arguments_than_the_limit() -> None:
    many = [name(path, f) for path in of_rooms() for f in functions(path) if _arguments(f) > ARGUMENTS]
    assert many == []


def _arguments(function: Function) -> int:
    """Arguments a caller gives; an Annotated default that the framework fills in counts too."""
    given = function.args
    names = [argument.arg for argument in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
    return len([each for each in names if each not in ("self", "cls")])


def test_everything_public_has_a_docstring() -> None:
    bare = [
        name(path, function)
        for path in of_rooms()
        for function in seen_by_callers(path)
        if not function.name.startswith("_") and ast.get_docstring(function) is None
    ]
    assert bare == []


def seen_by_callers(path: Path) -> Iterator[Function]:
    """Functions and methods that are not defined inside another function."""
    found = list(functions(path))
    inside = {
        inner for outer in found for inner in ast.walk(outer) if inner is not outer and isinstance(inner, Function)
    }
    yield from (function for function in found if function not in inside)


LOADED_WHEN_NEEDED = {
    "api/pictures.py",
    "kernel_methods/intervals.py",
    "registry/calibration.py",
    "registry/dataset_file.py",
}
"""Files that load a library which most services never need: docs/decisions/0033-what-few-need-loads-late.md."""


def test_imports_stand_at_the_top() -> None:
    inside = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in of_rooms()
        if str(path.relative_to(ROOT)) not in LOADED_WHEN_NEEDED
        for function in functions(path)
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    assert inside == []


def test_only_rooms_of_the_plan_stand_at_the_top_level() -> None:
    found = {path.relative_to(ROOT).parts[0] for path in tracked("")}
    assert found - TOP_LEVEL == set()


def test_no_place_has_a_name_that_means_nothing() -> None:
    assert [path for path in of_rooms() if {path.stem, *path.relative_to(ROOT).parts} & NO_SUCH_PLACE] == []


def test_nothing_that_was_uploaded_could_run() -> None:
    forbidden = {"eval", "exec", "__import__", "import_module"}
    calls = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in of_rooms()
        if path != COMMAND_TABLE
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and _called(node) in {*forbidden, "pickle.load", "pickle.loads", "torch.load"}
    ]
    assert calls == []


def _called(call: ast.Call) -> str:
    return ast.unparse(call.func)


@pytest.mark.parametrize("room", ["registry.zoo", "storage.wiring", "api.app", "client.cli.app"])
def test_the_service_and_the_client_run_without_torch(room: str) -> None:
    code = f"import sys, {room}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_the_layers_are_kept() -> None:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_conformance_suite_knows_nothing_of_this_project_but_http() -> None:
    suite = [path for path in SOURCES if path.is_relative_to(ROOT / "tests/conformance")]
    imported = {
        f"{path.name}: {name}"
        for path in suite
        for node in ast.walk(ast.parse(path.read_text()))
        for name in _imported(node)
        if name.partition(".")[0] in (*ROOMS, "tests", "bench", "examples") and not name.startswith("tests.conformance")
    }
    assert len(suite) >= 10
    assert imported == set()


def _imported(node: ast.AST) -> list[str]:
    """The modules that a statement imports."""
    if isinstance(node, ast.ImportFrom):
        return [node.module or ""]
    return [each.name for each in node.names] if isinstance(node, ast.Import) else []
