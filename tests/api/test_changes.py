"""The change feed over HTTP: nothing is missed, whoever reads and however many publish meanwhile."""

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.api.serving import Service
from tests.api.test_modules import publish
from tests.builders import digest_of
from tests.numpy_worker import linear_module, quadrant_zip

PUBLISHERS, EACH = 8, 6


def serial(http: httpx.Client) -> int:
    """Where the feed is now."""
    found, more = {"serial": 0}, True
    while more:
        found = http.get("/changes", params={"since": found["serial"], "limit": 200}).json()
        more = found["more"]
    return int(found["serial"])


def test_what_is_done_to_a_module_is_told_in_order(http: httpx.Client) -> None:
    before = serial(http)
    made = publish(http, "feed/told", linear_module(1)).json()
    http.put("/modules/feed/told/aliases/best", json={"version": 1}, headers={"If-None-Match": "*"})
    http.put("/modules/feed/told/versions/1/yank", json={"reason": "blurred"})
    http.delete("/modules/feed/told/versions/1/yank")
    answer = http.get("/changes", params={"since": before}).json()
    told = [(each["kind"], each["ref"], each["detail"]) for each in answer["items"]]
    assert told == [
        ("publish", "feed/told@1", made["digest"]),
        ("alias", "feed/told@best", "1"),
        ("yank", "feed/told@1", "blurred"),
        ("unyank", "feed/told@1", ""),
    ]
    assert answer["serial"] == answer["items"][-1]["serial"]
    assert answer["more"] is False


def test_what_is_private_is_not_told(http: httpx.Client) -> None:
    before = serial(http)
    data = http.post("/datasets", content=quadrant_zip()).json()["digest"]
    http.post("/tasks", json={"dataset": data, "classes": {"x": ["a", "b"], "y": ["c"]}})
    assert http.get("/changes", params={"since": before}).json()["items"] == []


def test_publishing_the_same_bytes_again_is_no_change(http: httpx.Client) -> None:
    publish(http, "feed/same", linear_module(2))
    before = serial(http)
    assert publish(http, "feed/same", linear_module(2)).status_code == 200
    assert serial(http) == before


def test_a_namespace_can_be_followed_alone(http: httpx.Client) -> None:
    before = serial(http)
    publish(http, "feed-one/a", linear_module(3))
    publish(http, "feed-two/a", linear_module(3))
    answer = http.get("/changes", params={"since": before, "namespace": "feed-two"}).json()
    assert [each["ref"] for each in answer["items"]] == ["feed-two/a@1"]


def test_pages_follow_each_other(http: httpx.Client) -> None:
    before = serial(http)
    for seed in range(3):
        publish(http, "feed/pages", linear_module(10 + seed))
    first = http.get("/changes", params={"since": before, "limit": 2}).json()
    rest = http.get("/changes", params={"since": first["serial"], "limit": 2}).json()
    assert ([len(first["items"]), first["more"]], [len(rest["items"]), rest["more"]]) == ([2, True], [1, False])


def test_who_waits_is_told_as_soon_as_there_is_something(service: Service) -> None:
    before = serial(service.http)
    timer = threading.Timer(0.3, publish, args=(service.http, "feed/waited", linear_module(20)))
    timer.start()
    began = time.monotonic()
    answer = service.http.get("/changes", params={"since": before}, headers={"Prefer": "wait=20"})
    timer.join()
    assert [each["ref"] for each in answer.json()["items"]] == ["feed/waited@1"]
    assert (answer.headers["preference-applied"], time.monotonic() - began < 15) == ("wait=20", True)


def test_waiting_in_vain_ends(http: httpx.Client) -> None:
    before = serial(http)
    answer = http.get("/changes", params={"since": before}, headers={"Prefer": "wait=1"}).json()
    assert answer == {"items": [], "serial": before, "more": False}


def test_who_waits_for_one_namespace_goes_on_after_what_happened_in_others(http: httpx.Client) -> None:
    before = serial(http)
    publish(http, "feed/elsewhere", linear_module(91))
    quiet = {"since": before, "namespace": "quiet"}
    for prefer in ({}, {"Prefer": "wait=1"}):
        answer = http.get("/changes", params=quiet, headers=prefer).json()
        assert answer == {"items": [], "serial": serial(http), "more": False}
    assert answer["serial"] > before


@pytest.mark.parametrize(
    "params", [{"since": -1}, {"since": 2**63}, {"since": "x"}, {"limit": 201}, {"namespace": "A"}, {"cursor": "x"}]
)
def test_a_wrong_question_is_refused(http: httpx.Client, params: dict[str, str]) -> None:
    assert http.get("/changes", params=params).status_code == 422


def followed(http: httpx.Client, wanted: int, **request: object) -> list[dict[str, object]]:
    """So many events of the stream, each with its id."""
    found: list[dict[str, object]] = []
    with http.stream("GET", "/changes/events", **request) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        for event in _events(stream):
            found.append(event)
            if len(found) == wanted:
                return found
    return found


def _events(stream: httpx.Response) -> Iterator[dict[str, object]]:
    fields: dict[str, str] = {}
    for line in stream.iter_lines():
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
        elif "data" in fields:
            yield {**json.loads(fields["data"]), "id": int(fields["id"]), "event": fields["event"]}
            fields = {}


def test_a_stream_goes_on_where_the_last_one_ended(http: httpx.Client) -> None:
    before = serial(http)
    for seed in range(3):
        publish(http, "feed/stream", linear_module(30 + seed))
    first = followed(http, 2, params={"since": before})
    assert [event["ref"] for event in first] == ["feed/stream@1", "feed/stream@2"]
    assert all(event["id"] == event["serial"] and event["event"] == event["kind"] for event in first)
    rest = followed(http, 1, params={"since": 0}, headers={"Last-Event-ID": str(first[-1]["id"])})
    assert [event["ref"] for event in rest] == ["feed/stream@3"]


def test_without_a_beginning_a_stream_tells_what_happens_from_now_on(service: Service) -> None:
    publish(service.http, "feed/now", linear_module(40))
    timer = threading.Timer(0.5, publish, args=(service.http, "feed/now", linear_module(41)))
    timer.start()
    assert [event["ref"] for event in followed(service.http, 1)] == ["feed/now@2"]
    timer.join()


def test_a_mirror_has_all_that_is_published_by_many_at_once(fresh: Service) -> None:
    """A mirror only ever asks for what comes after the serial it was given; it never looks back."""
    done, mirrored, serials = threading.Event(), set(), []

    def mirror() -> None:
        since = 0
        while True:
            ended = done.is_set()
            feed = fresh.http.get("/changes", params={"since": since, "limit": 7}).json()
            for change in feed["items"]:
                version = fresh.http.get("/modules/{}/versions/{}".format(*change["ref"].split("@")))
                assert version.json()["digest"] == change["detail"], "what is told of is there, whole"
                mirrored.add(change["ref"])
                serials.append(change["serial"])
            since = feed["serial"]
            if ended and not feed["items"]:
                return

    def publisher(number: int) -> list[str]:
        names = [f"many/of-{number % 3}"] * EACH
        made = [publish(fresh.http, name, linear_module(1000 * number + n)) for n, name in enumerate(names)]
        return [f"{each.json()['namespace']}/{each.json()['name']}@{each.json()['version']}" for each in made]

    with ThreadPoolExecutor(PUBLISHERS + 1) as pool:
        reader = pool.submit(mirror)
        published = [ref for refs in pool.map(publisher, range(PUBLISHERS)) for ref in refs]
        done.set()
        reader.result()
    assert mirrored == set(published)
    assert len(published) == PUBLISHERS * EACH
    assert serials == sorted(set(serials))
    assert fresh.zoo.audit.verify().whole


WRITES = ["add_dataset", "add_task", "submit", "cancel", "remove_dataset"]


def test_every_write_is_in_the_audit_with_who_asked_and_in_which_request(fresh: Service) -> None:
    http = fresh.http
    named = {"X-Request-Id": "of-this-test"}
    data = http.post("/datasets", content=quadrant_zip(), headers=named).json()["digest"]
    http.post("/tasks", json={"dataset": data, "classes": {"x": ["a", "b"], "y": ["c"]}}, headers=named)
    recipe = {"task": {"dataset": data}, "family": "mlp"}
    job = http.post("/jobs", json={"name": "ada/digits", "recipe": recipe}, headers=named).json()["id"]
    http.delete(f"/jobs/{job}", headers=named)
    http.delete(f"/datasets/{data}", headers=named)
    entries = http.get("/audit").json()["items"]
    assert [entry["kind"] for entry in reversed(entries)] == WRITES
    assert {(entry["by"], entry["request"]) for entry in entries} == {("admin", "of-this-test")}
    assert [entry["ref"] for entry in entries if "dataset" in entry["kind"]] == [data, data]
    assert http.get("/audit", params={"ref": f"job {job}", "kind": "cancel"}).json()["items"] == [entries[1]]
    assert http.get("/audit", params={"ref": digest_of("none")}).json()["items"] == []
    assert "quadrant" not in json.dumps(entries)
    check = http.get("/audit/check").json()
    assert check == {"entries": 5, "head": entries[0]["hash"], "broken_at": None, "reason": None}


def test_entries_are_found_by_who_asked(fresh: Service) -> None:
    publish(fresh.http, "ada/one", linear_module(1))
    entry = fresh.http.get("/audit", params={"actor": "admin"}).json()["items"][0]
    assert (entry["kind"], entry["ref"]) == ("publish", "ada/one@1")


@pytest.mark.parametrize(
    "params", [{"since": "yesterday"}, {"kind": "eat"}, {"since": "2026-01-01T00:00:00"}, {"ref": "\0"}]
)
def test_a_wrong_search_of_the_audit_is_refused(http: httpx.Client, params: dict[str, str]) -> None:
    assert http.get("/audit", params=params).status_code == 422


def test_a_stream_ends_after_a_while(http: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.routes.changes.FOLLOWED_SECONDS", 0.5)
    assert followed(http, 9, params={"since": serial(http)}) == []


def test_only_a_wait_that_was_asked_for_is_said_to_be_applied(http: httpx.Client) -> None:
    for asked, applied in {
        "return=minimal": None,
        "wait=0": "wait=0",
        "return=minimal, respond-async": "wait=0",
    }.items():
        assert http.get("/changes", headers={"Prefer": asked}).headers.get("preference-applied") == applied
