"""What commands print of a real service's answers: published or not, tables that can be typed again, problems."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from client.cli.app import application, main
from tests.api.serving import Service
from tests.numpy_worker import linear_module
from tests.registry.dataset_samples import folders, zip_bytes

pytestmark = pytest.mark.usefixtures("no_logs_of_the_service")


@pytest.fixture(autouse=True)
def _zoo_url(service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_URL", str(service.http.base_url).rstrip("/"))
    monkeypatch.setenv("ZOO_HOME", str(tmp_path))


@pytest.fixture
def module_file(tmp_path: Path) -> Path:
    file = tmp_path / "module.safetensors"
    file.write_bytes(linear_module(1))
    return file


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(application(arguments), list(arguments))
    return result.exit_code, result.output


def failure(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[object, str]:
    """Exit code and standard error of a command that fails."""
    with pytest.raises(SystemExit) as left:
        main(arguments)
    return left.value.code, capsys.readouterr().err


def test_publishing_says_whether_the_version_is_new(module_file: Path) -> None:
    code, first = run("publish", str(module_file), "ada/said")
    _, again = run("publish", str(module_file), "ada/said")
    assert code == 0
    assert first.startswith("published ada/said@1 sha256:")
    assert again == first.replace("published", "was there already:")
    _, manifest = run("publish", str(module_file), "ada/said", "--json")
    assert json.loads(manifest)["architecture"]


def test_the_types_that_a_search_prints_can_be_searched_for(module_file: Path) -> None:
    run("publish", str(module_file), "ada/typed")
    _, table = run("search", "typed")
    printed = next(word for word in table.split() if word.startswith("float32["))
    code, found = run("search", "typed", "--takes", printed)
    assert code == 0
    assert "ada/typed@1" in found
    assert printed in run("show", "ada/typed")[1]


def test_a_search_that_is_cut_tells_from_where_it_goes_on(service: Service, tmp_path: Path) -> None:
    for value in range(3):
        file = tmp_path / f"{value}.safetensors"
        file.write_bytes(linear_module(10 + value))
        run("publish", str(file), f"ada/many-{value}")
    found = json.loads(run("search", "many", "--limit", "2", "--json")[1])
    query = {"q": "many", "cursor": found["next_cursor"], "sort": "-published_at"}
    rest = service.http.get("/modules", params=query).json()
    names = [module["name"] for page in (found, rest) for module in page["items"]]
    assert (names, rest["next_cursor"]) == (["many-2", "many-1", "many-0"], None)
    assert "There are more than 2" in run("search", "many", "--limit", "2")[1]
    assert json.loads(run("search", "many", "--limit", "3", "--json")[1])["next_cursor"] is None


def test_a_problem_of_the_service_keeps_its_type_and_request_id(capsys: pytest.CaptureFixture[str]) -> None:
    code, err = failure(capsys, "show", "ada/nobody", "--json")
    problem = json.loads(err)
    assert code == 1
    assert (problem["type"], problem["code"]) == ("/errors/not_found", "not_found")
    assert problem["request_id"]


def test_a_dataset_with_broken_images_names_the_option_that_leaves_them_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "data.zip"
    data.write_bytes(zip_bytes({**folders(), "cat/bad.png": b"bad"}))
    code, err = failure(capsys, "rank", str(data))
    assert code == 1
    assert "--leave-out-broken" in err
    assert "ask for broken images to be left out" in err
    _, machine = failure(capsys, "rank", str(data), "--json")
    assert json.loads(machine)["errors"][0]["pointer"] == "/cat/bad.png"
