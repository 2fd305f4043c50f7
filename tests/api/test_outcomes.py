"""Outcomes and calibration over HTTP: 201, 200, 404, 409, 422, a list in pages, and who may look."""

import pytest

from registry.outcome_records import Calibration
from tests.api.serving import Service, serving
from tests.api.test_modules import publish
from tests.api.worker import working
from tests.numpy_worker import linear_module, quadrant_module, quadrant_zip

ROWS = ("ada/seeing@1", "ada/one@1", "ada/two@1")


@pytest.fixture(scope="module")
def query(service: Service) -> str:
    publish(service.http, "ada/seeing", quadrant_module())
    for seed, name in ((1, "one"), (2, "two")):
        publish(service.http, f"ada/{name}", linear_module(seed))
    return ranked(service, seed=0)


def ranked(service: Service, *, seed: int) -> str:
    """The id of a ranking that is done, on data of its own."""
    data = service.http.post("/datasets", content=quadrant_zip(seed=seed)).json()["digest"]
    with working(service):
        answer = service.http.post("/transferability", json={"task": data})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["query"])


def body(*values: float, **changes: object) -> dict[str, object]:
    outcomes = [{"module": ref, "value": value, **changes} for ref, value in zip(ROWS, values, strict=False)]
    return {"outcomes": outcomes}


def test_a_new_outcome_is_201_the_same_or_another_value_200(service: Service, query: str) -> None:
    path = f"/queries/{query}/outcomes"
    new = service.http.post(path, json=body(0.9, metric="first"))
    assert (new.status_code, new.headers["location"]) == (201, path)
    assert new.json()["outcomes"][0]["predicted"]["centred_alignment"] is not None
    same = service.http.post(path, json=body(0.9, metric="first"))
    assert (same.status_code, same.json()["outcomes"]) == (200, new.json()["outcomes"])
    other = service.http.post(path, json=body(0.8, metric="first"))
    assert (other.status_code, other.json()["replaced"]) == (200, 1)
    mixed = service.http.post(path, json=body(0.7, 0.6, metric="first"))
    assert (mixed.status_code, mixed.json()["created"], mixed.json()["replaced"]) == (201, 1, 1)


def test_outcomes_are_listed_in_pages(service: Service, query: str) -> None:
    service.http.post(f"/queries/{query}/outcomes", json=body(0.9, 0.8, 0.7, metric="listed")).raise_for_status()
    found: list[dict[str, dict[str, str]]] = []
    cursor = None
    while not found or cursor is not None:
        params = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = service.http.get(f"/queries/{query}/outcomes", params=params).json()
        found += page["items"]
        cursor = page["next_cursor"]
    assert {one["module"]["ref"] for one in found if one["metric"] == "listed"} == set(ROWS)
    assert len({(one["module"]["digest"], one["metric"], one["how"]) for one in found}) == len(found)


def test_a_module_that_was_not_ranked_is_422_with_its_place_and_nothing_is_kept(service: Service, query: str) -> None:
    sent = body(0.9, metric="wrong")
    sent["outcomes"] += [{"module": "ada/nobody@1", "value": 0.5}]  # type: ignore[operator]
    answer = service.http.post(f"/queries/{query}/outcomes", json=sent)
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (422, "invalid_input")
    assert [(fault["pointer"], fault["code"]) for fault in problem["errors"]] == [("/outcomes/1/module", "not_ranked")]
    assert "ada/nobody@1" in problem["detail"]
    listed = service.http.get(f"/queries/{query}/outcomes", params={"limit": 200}).json()["items"]
    assert not any(one["metric"] == "wrong" for one in listed)


@pytest.mark.parametrize(
    ("outcome", "pointer"),
    [
        ({"module": "ada/seeing@1"}, "/outcomes/0/value"),
        ({"module": "ada/seeing@1", "value": "0.9"}, "/outcomes/0/value"),
        ({"module": "ada/seeing@1", "value": 1e13}, "/outcomes/0/value"),
        ({"module": "ada/seeing@1", "value": True}, "/outcomes/0/value"),
        ({"module": "ada/seeing@1", "value": 0.9, "how": "prayer"}, "/outcomes/0/how"),
        ({"module": "ada/seeing@1", "value": 0.9, "metric": "Top 1"}, "/outcomes/0/metric"),
        ({"module": "ada/seeing@1", "value": 0.9, "note": "x" * 501}, "/outcomes/0/note"),
        ({"module": "ada/seeing@1", "value": 0.9, "seed": 1}, "/outcomes/0/seed"),
    ],
)
def test_a_wrong_field_is_422_with_its_place(
    service: Service, query: str, outcome: dict[str, object], pointer: str
) -> None:
    answer = service.http.post(f"/queries/{query}/outcomes", json={"outcomes": [outcome]})
    assert (answer.status_code, [fault["pointer"] for fault in answer.json()["errors"]]) == (422, [pointer])


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999"])
def test_a_value_that_is_no_finite_number_is_422(service: Service, query: str, number: str) -> None:
    text = f'{{"outcomes": [{{"module": "ada/seeing@1", "value": {number}}}]}}'
    headers = {"Content-Type": "application/json"}
    answer = service.http.post(f"/queries/{query}/outcomes", content=text, headers=headers)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("count", [0, 1001])
def test_none_or_too_many_outcomes_are_422(service: Service, query: str, count: int) -> None:
    sent = {"outcomes": [{"module": "ada/seeing@1", "value": 0.5}] * count}
    answer = service.http.post(f"/queries/{query}/outcomes", json=sent)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/outcomes")


def test_an_unknown_query_is_404_and_an_unfinished_one_409(service: Service, query: str) -> None:
    for answer in (
        service.http.post("/queries/query-none/outcomes", json=body(0.9)),
        service.http.get("/queries/query-none/outcomes"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    data = service.http.post("/datasets", content=quadrant_zip(5)).json()["digest"]
    asked = service.http.post("/transferability", json={"task": data}, headers={"Prefer": "wait=0"}).json()["id"]
    answer = service.http.post(f"/queries/{asked}/outcomes", json=body(0.9))
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
    service.http.delete(f"/queries/{asked}")


def test_calibration_holds_every_estimator_and_the_static_one_against_outcomes(service: Service, query: str) -> None:
    queries = [query, *(ranked(service, seed=seed) for seed in (1, 2))]
    for asked in queries:
        sent = body(0.9, 0.6, 0.5, metric="top-1", how="fine_tuned")
        service.http.post(f"/queries/{asked}/outcomes", json=sent).raise_for_status()
    params = {"metric": "top-1", "how": "fine_tuned"}
    found = Calibration.model_validate_json(service.http.get("/calibration", params=params).content)
    (group,) = found.groups
    assert (group.queries, group.too_few, len(group.per_query)) == (3, False, 3)
    names = [each.estimator for each in group.estimators]
    assert {"static", "centred_alignment", "alignment"} <= set(names)
    every = Calibration.model_validate_json(service.http.get("/calibration").content)
    assert group in every.groups
    assert Calibration.model_validate_json(service.http.get("/calibration?metric=none").content).groups == ()
    wrong = service.http.get("/calibration", params={"how": "prayer"})
    assert (wrong.status_code, wrong.json()["errors"][0]["pointer"]) == (422, "/query/how")


def test_outcomes_go_with_their_dataset(fresh: Service) -> None:
    for seed, ref in enumerate(ROWS):
        publish(fresh.http, ref.partition("@")[0], linear_module(seed))
    asked = ranked(fresh, seed=0)
    fresh.http.post(f"/queries/{asked}/outcomes", json=body(0.9, 0.8, 0.7)).raise_for_status()
    assert fresh.http.get("/calibration").json()["outcomes"] == 3
    data = fresh.http.get(f"/queries/{asked}").json()["answer"]["data"]
    assert fresh.http.delete(f"/datasets/{data}").status_code == 204
    assert fresh.http.get("/calibration").json()["outcomes"] == 0
    assert fresh.http.get(f"/queries/{asked}/outcomes").status_code == 404


def test_with_a_token_nobody_else_reads_or_posts(tmp_path: object) -> None:
    with serving(tmp_path, token="s3cret") as guarded:  # type: ignore[arg-type]
        for answer in (
            guarded.http.get("/calibration"),
            guarded.http.get("/queries/query-1/outcomes"),
            guarded.http.post("/queries/query-1/outcomes", json=body(0.9)),
        ):
            assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
        allowed = guarded.http.get("/calibration", headers={"Authorization": "Bearer s3cret"})
        assert allowed.json()["groups"] == []
