"""Verification over HTTP: what a version's state does to answers, tags, searches and pages."""

import numpy as np

from registry.work import ModuleVerdict, VerifyResult
from tests.api.serving import Service
from tests.api.test_modules import publish
from tests.api.test_queries import events
from tests.api.worker import claim, do, finish, working
from tests.numpy_worker import linear_module, output_module, png, quadrant_module, quadrant_zip

WHY = "its outputs are <b>not finite</b>"


def settle(service: Service, *, refused: str | None = None) -> None:
    """Do the one verify job that waits."""
    job = claim(service.http, "verify")
    assert job is not None
    verdict = ModuleVerdict(module=job.work.module, refused=refused)
    finish(service.http, job, VerifyResult(verdict=verdict)).raise_for_status()


def test_publishing_asks_a_worker_and_the_tag_follows_the_state(fresh: Service) -> None:
    http = fresh.http
    made = publish(http, "ada/seeing", quadrant_module())
    assert made.json()["verification"] == {"state": "unverified", "at": None, "reason": None}
    path = made.headers["location"]
    seen = http.get(path)
    assert seen.headers["etag"] == made.headers["etag"]
    held = {"If-None-Match": seen.headers["etag"]}
    assert http.get(path, headers=held).status_code == 304
    settle(fresh)
    now = http.get(path, headers=held)
    assert (now.status_code, now.json()["verification"]["state"]) == (200, "verified")
    assert now.headers["etag"] != seen.headers["etag"]
    assert publish(http, "ada/seeing", quadrant_module()).headers["etag"] == now.headers["etag"]
    assert http.get("/modules/ada/seeing").json()["versions"][0]["verification"] == now.json()["verification"]
    assert http.get(f"{path}/file").headers["etag"] == f'"{made.json()["digest"]}"'


def test_a_search_narrows_to_what_is_verified(fresh: Service) -> None:
    publish(fresh.http, "ada/seeing", quadrant_module())
    settle(fresh)
    publish(fresh.http, "ada/new", linear_module(1))
    for verified, names in {"true": ["seeing"], "false": ["new"]}.items():
        items = fresh.http.get("/modules", params={"verified": verified}).json()["items"]
        assert [item["name"] for item in items] == names
    assert fresh.http.get("/modules", params={"verified": "perhaps"}).status_code == 422


def test_verify_jobs_are_listed_and_followed(fresh: Service) -> None:
    digest = publish(fresh.http, "ada/seeing", quadrant_module()).json()["digest"]
    (job,) = fresh.http.get("/jobs", params={"kind": "verify"}).json()["items"]
    assert job["work"] == {"kind": "verify", "module": digest}
    settle(fresh, refused=WHY)
    ((name, last),) = events(fresh.http, f"/jobs/{job['id']}/events")
    assert (name, last["result"]["verdict"]) == ("done", {"module": digest, "refused": WHY})
    assert fresh.http.get("/jobs", params={"kind": "verify", "status": "failed"}).json()["items"] == []


def test_publishing_and_ranking_at_once_gives_a_ranking_of_a_verified_module(fresh: Service) -> None:
    publish(fresh.http, "ada/seeing", quadrant_module())
    with working(fresh):
        answer = fresh.http.post("/transferability", files={"data": quadrant_zip()})
    assert [row["module"]["ref"] for row in answer.json()["ranking"]] == ["ada/seeing@1"]
    assert fresh.http.get("/modules/ada/seeing/versions/1").json()["verification"]["state"] == "verified"


def test_a_question_about_a_new_version_waits_for_no_other_job(fresh: Service) -> None:
    publish(fresh.http, "ada/seeing", quadrant_module())
    dataset = fresh.http.post("/datasets", content=quadrant_zip()).json()["digest"]
    asked = fresh.http.post("/transferability", json={"task": dataset}, headers={"Prefer": "wait=0"})
    job = claim(fresh.http, "score")
    assert job is not None
    do(fresh, job).raise_for_status()
    assert fresh.http.get(asked.headers["location"]).json()["status"] == "done"


def test_a_refused_module_is_told_wherever_it_would_be_used(fresh: Service) -> None:
    http = fresh.http
    below = publish(http, "ada/seeing", quadrant_module()).json()["digest"]
    settle(fresh)
    publish(http, "ada/mouth", output_module(below))
    body = {"name": "both", "modules": ["ada/seeing@1", "ada/mouth@1"]}
    pipeline = http.post("/pipelines", json=body).json()["id"]
    settle(fresh, refused=WHY)
    for path in ("/pipelines/check", "/pipelines"):
        told = http.post(path, json=body).json()
        (fault,) = told.get("errors") or told["faults"]
        assert (fault["pointer"], fault["code"], WHY in fault["detail"]) == ("/modules/1", "refused", True)
    predicted = http.post(f"/pipelines/{pipeline}/predict", content=png(np.zeros((8, 8), dtype=np.uint8)))
    assert (predicted.status_code, predicted.json()["code"]) == (409, "conflict")
    assert predicted.json()["errors"][0]["pointer"] == "/modules/1"
    assert WHY in predicted.json()["detail"]


def test_pages_tell_the_state_and_escape_the_reason(fresh: Service) -> None:
    http = fresh.http
    publish(http, "ada/seeing", quadrant_module())
    assert "No worker has built and run this version yet" in http.get("/ui/modules/ada/seeing").text
    assert '<span class="chip">unverified</span>' in http.get("/").text
    settle(fresh, refused=WHY)
    shown = http.get("/ui/modules/ada/seeing").text
    assert "its outputs are &lt;b&gt;not finite&lt;/b&gt;" in shown
    assert "refused by a worker on 20" in shown
    publish(http, "ada/seeing", quadrant_module())
    settle(fresh)
    shown = http.get("/ui/modules/ada/seeing").text
    assert "by a worker on 20" in shown
    assert "refused" not in shown
    assert "unverified" not in http.get("/").text
