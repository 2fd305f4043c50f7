"""`zoo token` and `zoo login` against a service with tokens."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from typer.testing import CliRunner, Result

from client.cli.app import application
from registry.errors import ForbiddenError, InvalidTokenError, NotFoundError
from registry.tokens import is_well_formed
from tests.api.serving import Service, serving

TOKEN = "the-operator-of-this-test"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with serving(tmp_path_factory.mktemp("zoo"), token=TOKEN) as service:
        yield service


@pytest.fixture(autouse=True)
def as_operator(guarded: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    monkeypatch.setenv("ZOO_URL", str(guarded.http.base_url).rstrip("/"))
    monkeypatch.setenv("ZOO_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("ZOO_TOKEN", TOKEN)
    yield
    structlog.reset_defaults()


def run(*arguments: str, typed: str | None = None) -> Result:
    return CliRunner().invoke(application(arguments), list(arguments), input=typed)


def test_a_token_is_made_listed_and_revoked() -> None:
    made = run("token", "create", "for ci", "--role", "publisher", "--owner", "ci", "--namespace", "ci", "--days", "7")
    assert made.exit_code == 0, made.output
    secret = made.stdout.strip()
    assert is_well_formed(secret)
    listed = run("token", "list").stdout
    line = next(line for line in listed.splitlines() if "for ci" in line)
    assert "ci, as publisher in ci" in line
    assert secret not in listed
    identity = line.split()[0]
    assert run("token", "revoke", identity).stdout == f"{identity} lets nobody in any more.\n"
    assert identity not in run("token", "list").stdout
    assert isinstance(run("token", "revoke", identity).exception, NotFoundError)


def test_as_json_every_verb_says_what_it_did() -> None:
    made = json.loads(run("token", "create", "x", "--role", "reader", "--days", "0", "--json").stdout)
    assert (made["owner"], made["role"], made["expires_at"]) == ("admin", "reader", None)
    listed = json.loads(run("token", "list", "--json").stdout)
    assert made["id"] in [each["id"] for each in listed["items"]]
    assert json.loads(run("token", "revoke", made["id"], "--json").stdout) == {"id": made["id"]}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["create", "--role", "reader"], "give the token a name"),
        (["create", "x"], "--role"),
        (["create", "x", "--role", "root"], "root"),
        (["create", "x", "--role", "reader", "--owner", "Ada Lovelace"], "Ada Lovelace"),
        (["create", "x", "--role", "reader", "--namespace", "UP"], "UP"),
        (["create", "x", "--role", "reader", "--days", "-1"], "-1"),
        (["revoke"], "name the token by its id"),
        (["forget"], "forget"),
    ],
)
def test_wrong_use_of_tokens_ends_with_2(arguments: list[str], told: str) -> None:
    result = run("token", *arguments)
    assert (result.exit_code, told in result.output) == (2, True), result.output


def test_login_tells_who_one_is_and_keeps_the_token_for_later(monkeypatch: pytest.MonkeyPatch) -> None:
    secret = run("token", "create", "laptop", "--role", "reader", "--owner", "ada").stdout.strip()
    monkeypatch.delenv("ZOO_TOKEN")
    assert "You are ada, as reader." in run("login", typed=f"{secret}\n").stdout
    assert isinstance(run("token", "list").exception, ForbiddenError)
    assert run("search").exit_code == 0


def test_login_with_a_token_that_is_none_keeps_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ZOO_TOKEN")
    assert isinstance(run("login", "--token", "zoo_nonsense").exception, InvalidTokenError)
    assert not (tmp_path / "config").exists()
