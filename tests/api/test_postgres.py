"""The whole service on PostgreSQL: what a user does in a day, over HTTP."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from registry.records import ModuleSearch
from registry.settings import Settings
from storage.wiring import open_zoo
from tests.api.serving import Service, serving
from tests.api.worker import claim, working
from tests.numpy_worker import linear_module, quadrant_module, quadrant_zip
from tests.postgres import Postgres

pytestmark = pytest.mark.postgres


@pytest.fixture
def service(postgres: Postgres, tmp_path: Path) -> Iterator[Service]:
    """A service whose database was empty before it started; its address is written as people write it."""
    with postgres.database() as url:
        plain = url.replace("postgresql+psycopg://", "postgres://")
        with serving(tmp_path, database=plain) as running:
            yield running
        running.zoo.close()


def test_modules_datasets_and_rankings_are_kept_in_postgresql(service: Service) -> None:
    http = service.http
    assert http.get("/readyz").status_code == 200
    files = {"seeing": quadrant_module(), "blind": quadrant_module(blind=True), "drawn": linear_module(1)}
    for name, file in files.items():
        assert http.post(f"/modules/ada/{name}/versions", content=file).status_code == 201
    assert http.post("/modules/ada/drawn/versions", content=linear_module(2)).json()["version"] == 2
    assert http.post("/modules/ada/drawn/versions", content=linear_module(1)).status_code == 200
    found = http.get("/modules", params={"q": "RAW", "facets": True, "sort": "name"}).json()
    assert [(each["name"], each["version"]) for each in found["items"]] == [("drawn", 2)]
    assert found["facets"]["role"] == [{"value": "input", "count": 1}]
    alias = http.put("/modules/ada/drawn/aliases/best", json={"version": 1}, headers={"If-None-Match": "*"})
    assert alias.is_success, alias.text
    assert http.get("/modules/ada/drawn/versions/best").json()["version"] == 1
    data = http.post("/datasets", content=quadrant_zip()).json()
    with working(service):
        ranking = http.post("/transferability", json={"task": data["digest"]}, headers={"Prefer": "wait=60"})
        assert ranking.status_code == 200, ranking.text
    assert ranking.json()["ranking"][0]["module"]["ref"] == "ada/seeing@1"
    assert claim(http, "train") is None


def test_what_one_process_keeps_another_finds(service: Service) -> None:
    service.http.post("/modules/ada/kept/versions", content=linear_module(3))
    database = service.zoo.settings.database_url
    other = open_zoo(Settings(home=service.zoo.settings.home, database=database))
    found = other.modules.search(ModuleSearch(), limit=9, cursor=None, facets=False)
    assert [module.name for module in found.items] == ["kept"]
    other.close()


def test_a_word_with_nul_is_a_wrong_value_wherever_it_stands(service: Service) -> None:
    http = service.http
    tus = {"Tus-Resumable": "1.0.0"}
    for path in (
        "/modules?tag=%00",
        "/modules?task=%00",
        "/modules?namespace=%00",
        "/?tag=%00",
        "/pipelines/%00",
        "/queries/%00",
        "/tasks/%00",
        "/uploads/%00",
        "/webhooks/%00",
        "/rank/%00",
    ):
        assert http.get(path, headers=tus).status_code == 422, path
    assert http.delete("/tokens/%00").status_code == 422
    asked = http.post("/reusability", json={"module": "ada/none", "task": "\x00"})
    assert (asked.status_code, asked.json()["code"]) == (422, "invalid_input")
    assert "NUL" in asked.json()["detail"]


def test_the_reason_of_a_failure_may_quote_anything(service: Service) -> None:
    http = service.http
    data = http.post("/datasets", content=quadrant_zip()).json()["digest"]
    asked = {"name": "ada/m", "recipe": {"task": {"dataset": data}, "family": "mlp"}}
    number = http.post("/jobs", json=asked).json()["id"]
    job = claim(http, "train")
    assert job is not None
    failed = http.post(f"/jobs/{number}/fail", json={"attempt": job.attempt, "error": "no\x00memory"})
    assert (failed.status_code, failed.json()["error"]) == (200, "no\ufffdmemory")
