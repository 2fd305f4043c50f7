"""`zoo alias` and `zoo yank` against a real service."""

import json

import pytest
from typer.testing import CliRunner

from client.cli.app import application, main
from client.zoo import Zoo
from tests.api.serving import Service
from tests.numpy_worker import linear_module, publish

pytestmark = pytest.mark.usefixtures("no_logs_of_the_service", "zoo")


@pytest.fixture(autouse=True, scope="module")
def versions(service: Service) -> None:
    for seed in (1, 2):
        publish(service.zoo, "ada/digits", linear_module(seed))


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(application(arguments), list(arguments))
    return result.exit_code, result.output


def test_an_alias_is_set_shown_moved_and_removed(zoo: Zoo, capsys: pytest.CaptureFixture[str]) -> None:
    digests = [zoo.modules.show(f"ada/digits@{n}").digest for n in (1, 2)]
    assert run("alias", "ada/digits", "best", "1") == (0, f"ada/digits@best -> 1 {digests[0]} (revision 1)\n")
    assert run("alias", "ada/digits", "best", "2") == (0, f"ada/digits@best -> 2 {digests[1]} (revision 2)\n")
    assert json.loads(run("alias", "ada/digits", "best", "--json")[1])["version"] == 2
    assert run("alias", "ada/digits", "best", "--remove") == (0, "ada/digits has no alias best any more\n")
    moves = json.loads(run("alias", "ada/digits", "best", "--history", "--json")[1])["items"]
    assert [move["version"] for move in moves] == [1, 2, None]
    assert "removed" in run("alias", "ada/digits", "best", "--history")[1]
    with pytest.raises(SystemExit):
        main(["alias", "ada/digits", "best"])
    assert "no alias 'best'" in capsys.readouterr().err


def test_what_an_alias_was_on_a_day_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    run("alias", "ada/digits", "dated", "2")
    assert (
        json.loads(run("alias", "ada/digits", "dated", "--at", "2999-01-01", "--json")[1])["items"][0]["version"] == 2
    )
    with pytest.raises(SystemExit) as left:
        main(["alias", "ada/digits", "dated", "--at", "2020-01-01"])
    assert left.value.code == 1
    assert "it was set first at" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ("alias", "digits", "best"),
        ("alias", "ada/digits", "latest", "1"),
        ("alias", "ada/digits", "best", "1", "--remove"),
        ("alias", "ada/digits", "best", "--at", "yesterday"),
        ("alias", "ada/digits", "best", "0"),
        ("yank", "ada/digits@best", "why"),
        ("yank", "ada/digits@1"),
        ("yank", "ada/digits@1", "why", "--undo"),
    ],
)
def test_wrong_use_ends_with_2(arguments: tuple[str, ...]) -> None:
    assert run(*arguments)[0] == 2


def test_a_yanked_version_is_fetched_with_a_warning(zoo: Zoo, tmp_path) -> None:
    assert run("yank", "ada/digits@1", "blurred [images]")[1] == "ada/digits@1 is yanked: blurred [images]\n"
    target = str(tmp_path / "file")
    result = CliRunner().invoke(application(["fetch"]), ["fetch", "ada/digits@1", "-o", target])
    assert (result.exit_code, "warning: ada/digits@1 was yanked: blurred [images]" in result.stderr) == (0, True)
    assert "warning" not in result.stdout
    assert run("yank", "ada/digits@1", "--undo")[1] == "ada/digits@1 is shown again\n"
    assert "warning" not in CliRunner().invoke(application(["fetch"]), ["fetch", "ada/digits@1", "-o", target]).stderr
