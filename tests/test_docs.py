"""The documents name every route, setting, error and command, and their commands run."""

import inspect
import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from api.actions import EVERY
from api.app import create_app
from api.problems import FRAMEWORK_CODES, OTHER_CODE
from client.cli.app import COMMANDS
from registry import errors
from registry.access import ALLOWED, MEANINGS, Action, TokenRole
from registry.rankings import RankingRow
from registry.settings import Settings
from storage.wiring import open_zoo

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
DATA = Path(os.environ.get("ZOO_DATA", ROOT.parent / "shared" / "data"))
GUIDE_SECONDS = 280


def text(name: str) -> str:
    return (ROOT / name).read_text()


def test_every_setting_is_documented() -> None:
    documented = set(re.findall(r"^\| `(ZOO_[A-Z0-9_]+)`", text("docs/settings.md"), flags=re.MULTILINE))
    assert documented == {f"ZOO_{name.upper()}" for name in Settings.model_fields}


def test_every_error_is_documented_with_its_status() -> None:
    documented = set(re.findall(r"^\| `([a-z_]+)` \| (\d+) \|", text("docs/errors.md"), flags=re.MULTILINE))
    every = [each for _, each in inspect.getmembers(errors, inspect.isclass) if issubclass(each, errors.ZooError)]
    assert {(each.code, str(each.status)) for each in every} <= documented


def test_every_code_of_the_framework_is_documented() -> None:
    documented = set(re.findall(r"^\| `([a-z_]+)` \| (\d+|other) \|", text("docs/errors.md"), flags=re.MULTILINE))
    assert {(code, str(status)) for status, code in FRAMEWORK_CODES.items()} | {(OTHER_CODE, "other")} <= documented


def test_every_route_is_documented_and_every_documented_route_is_there(tmp_path: Path) -> None:
    app = create_app(open_zoo(Settings(home=tmp_path)))
    served = {
        f"{method.upper()} {path}"
        for path, methods in app.openapi()["paths"].items()
        for method in methods
        if method in ("get", "post", "put", "patch", "delete")
    }
    documented = set(re.findall(r"`((?:GET|POST|PUT|PATCH|DELETE) /[^`]*)`", text("docs/api.md")))
    assert documented == served


def test_every_field_of_a_ranking_is_documented() -> None:
    assert [name for name in RankingRow.model_fields if f"`{name}`" not in text("docs/api.md")] == []


def test_every_command_is_documented() -> None:
    assert [command.name for command in COMMANDS if f"`zoo {command.name}" not in text("docs/guide.md")] == []


def test_who_may_do_what_is_documented() -> None:
    for action in Action:
        routes = "".join(f", `{route}`" for route, each in EVERY.items() if each is action)[2:]
        roles = ", ".join(role for role in TokenRole if action in ALLOWED[role])
        assert f"| `{action}` | {routes} |" in text("docs/access.md")
        assert f"| `{action}` | {MEANINGS[action]} | {roles} |" in text("docs/access.md")


def test_links_between_documents_lead_somewhere() -> None:
    broken = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in (*DOCS.rglob("*.md"), ROOT / "README.md")
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text())
        if not (page.parent / target).exists()
    ]
    assert broken == []


def commands(page: str) -> list[str]:
    """What a reader would type: the lines after `$ ` in the console blocks of a page, with their continuations."""
    blocks = re.findall(r"^```console\n(.*?)^```", text(page), flags=re.MULTILINE | re.DOTALL)
    return [found for block in blocks for found in re.findall(r"^\$ ((?:.*\\\n)*.*)$", block, flags=re.MULTILINE)]


@pytest.mark.timeout(GUIDE_SECONDS + 20)
@pytest.mark.skipif(
    not (DATA / "cifar10-train.parquet").exists(), reason="needs CIFAR-10 in ZOO_DATA or ../shared/data"
)
def test_every_command_of_the_guide_runs_as_it_is_written(tmp_path: Path) -> None:
    port = free_port()
    script = "\n".join(["set -eu", *commands("docs/guide.md")]).replace("127.0.0.1:8000", f"127.0.0.1:{port}")
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "ZOO_HOME": str(tmp_path / "home"),
        "ZOO_DATA": str(DATA.resolve()),
        "ZOO_PORT": str(port),
        "ZOO_URL": f"http://127.0.0.1:{port}",
        "PYTHONWARNINGS": "default",
    }
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=GUIDE_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert '"decision"' in done.stdout


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
