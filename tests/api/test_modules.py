"""Modules over HTTP: published once, found, fetched, yanked, deleted; a refused file leaves nothing."""

import hashlib

import httpx
import pytest

from tests.api.serving import Service
from tests.builders import digest_of
from tests.numpy_worker import linear_module, output_module


def publish(http: httpx.Client, name: str, data: bytes, **params: str) -> httpx.Response:
    """Send a module file."""
    return http.post(f"/modules/{name}/versions", content=data, params=params)


def test_a_file_is_published_as_the_next_version(http: httpx.Client) -> None:
    first = publish(http, "ada/first", linear_module(1))
    assert (first.status_code, first.headers["location"]) == (201, "/modules/ada/first/versions/1")
    module = first.json()
    assert (module["version"], module["schema"], module["role"], module["yanked"]) == (1, 1, "input", None)
    assert module["digest"] == "sha256:" + hashlib.sha256(linear_module(1)).hexdigest()
    assert first.headers["etag"].startswith(f'"{module["digest"]};')
    assert publish(http, "ada/first", linear_module(2)).json()["version"] == 2
    assert http.get(first.headers["location"]).json() == module


def test_the_same_bytes_are_published_once(http: httpx.Client) -> None:
    made = publish(http, "ada/same", linear_module(3))
    again = publish(http, "ada/same", linear_module(3))
    assert (made.status_code, again.status_code) == (201, 200)
    assert again.json() == made.json()


def test_uploaded_bytes_are_published_by_digest(http: httpx.Client) -> None:
    data = linear_module(4)
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    assert http.put(f"/blobs/{digest}", content=data).status_code == 201
    made = http.post("/modules/ada/by-digest/versions", json={"digest": digest})
    assert (made.status_code, made.json()["digest"]) == (201, digest)
    missing = http.post("/modules/ada/by-digest/versions", json={"digest": digest_of("nothing")})
    assert (missing.status_code, missing.json()["code"]) == (404, "not_found")
    wrong = http.post("/modules/ada/by-digest/versions", json={"digest": digest, "name": "x"})
    assert [fault["pointer"] for fault in wrong.json()["errors"]] == ["/name"]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "invalid_module_file"),
        (b"\x80\x04pickle", "invalid_module_file"),
        (linear_module(5)[:-3], "invalid_module_file"),
        (output_module(digest_of("not here")), "invalid_manifest"),
    ],
)
def test_a_refused_file_leaves_nothing(service: Service, data: bytes, code: str) -> None:
    before = service.blobs()
    answer = publish(service.http, "ada/refused", data)
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert service.blobs() == before
    assert service.http.get("/modules/ada/refused").status_code == 404


def test_a_refused_file_stays_where_it_was_uploaded_before(service: Service) -> None:
    data = output_module(digest_of("nowhere"))
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    service.http.put(f"/blobs/{digest}", content=data)
    assert publish(service.http, "ada/kept", data).status_code == 422
    assert service.http.post("/modules/ada/kept/versions", json={"digest": digest}).status_code == 422
    assert digest in service.blobs()


def test_a_dry_run_checks_and_keeps_nothing(service: Service) -> None:
    before = service.blobs()
    answer = publish(service.http, "ada/dry", linear_module(6), dry_run="true")
    assert (answer.status_code, answer.json()["role"]) == (200, "input")
    assert "version" not in answer.json()
    assert publish(service.http, "ada/dry", output_module(digest_of("x")), dry_run="true").status_code == 422
    assert service.blobs() == before
    assert service.http.get("/modules/ada/dry").status_code == 404


def test_a_packed_body_is_refused(http: httpx.Client) -> None:
    answer = http.post("/modules/ada/z/versions", content=b"x", headers={"Content-Encoding": "gzip"})
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")


def test_a_version_is_named_by_number_digest_or_alias(http: httpx.Client) -> None:
    module = publish(http, "ada/named", linear_module(7)).json()
    for ref in ("1", module["digest"], module["digest"].replace(":", "%3A"), "latest"):
        assert http.get(f"/modules/ada/named/versions/{ref}").json()["version"] == 1
    assert http.get("/modules/ada/named/versions/0").status_code == 404


def test_a_manifest_is_revalidated_and_its_tag_follows_the_yank(http: httpx.Client) -> None:
    publish(http, "ada/tagged", linear_module(8))
    path = "/modules/ada/tagged/versions/1"
    seen = http.get(path)
    assert seen.headers["cache-control"] == "no-cache"
    held = {"If-None-Match": seen.headers["etag"]}
    unchanged = http.get(path, headers=held)
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    assert unchanged.headers["etag"] == seen.headers["etag"]
    http.put(f"{path}/yank", json={"reason": "wrong data"})
    assert http.get(path, headers=held).json()["yanked"] == "wrong data"


def test_a_yanked_version_is_hidden_but_fetched_when_named(http: httpx.Client) -> None:
    publish(http, "grace/yanked", linear_module(9))
    path = "/modules/grace/yanked/versions/1"
    assert http.put(f"{path}/yank", json={"reason": "wrong data"}).json()["yanked"] == "wrong data"
    assert http.get("/modules", params={"namespace": "grace"}).json()["items"] == []
    for path_of_latest in ("latest", "latest/file", "latest/tensors", "latest/lineage"):
        hidden = http.get(f"/modules/grace/yanked/versions/{path_of_latest}")
        assert hidden.status_code == 404
        assert "every version of grace/yanked is yanked" in hidden.json()["detail"]
        assert "wrong data" in hidden.json()["detail"]
    assert http.get(f"{path}/file").content == linear_module(9)
    assert http.delete(f"{path}/yank").json()["yanked"] is None
    assert http.put(f"{path}/yank", json={"reason": None}).json()["yanked"] is None
    assert http.put(f"{path}/yank", json={"reason": ""}).status_code == 422
    assert len(http.get("/modules", params={"namespace": "grace"}).json()["items"]) == 1


def test_a_version_is_deleted_unless_others_refer_to_it(http: httpx.Client) -> None:
    below = publish(http, "ada/below", linear_module(10)).json()["digest"]
    publish(http, "ada/above", output_module(below))
    refused = http.delete("/modules/ada/below/versions/1")
    assert (refused.status_code, refused.json()["code"]) == (409, "referenced")
    assert [fault["pointer"] for fault in refused.json()["errors"]] == ["/modules/ada/above@1"]
    lineage = http.get("/modules/ada/above/versions/1/lineage").json()
    assert lineage == {"below": ["ada/below@1"], "above": [], "pipelines": [], "next_cursor": None}
    assert http.delete("/modules/ada/above/versions/1").status_code == 204
    assert http.delete("/modules/ada/below/versions/1").status_code == 204
    assert http.get("/modules/ada/below/versions/1").status_code == 404
    assert publish(http, "ada/below", linear_module(10)).json()["version"] == 2


def test_tensors_are_listed_with_their_places(http: httpx.Client) -> None:
    data = linear_module(11)
    publish(http, "ada/tensors", data)
    answer = http.get("/modules/ada/tensors/versions/1/tensors")
    assert answer.headers["cache-control"].endswith("immutable")
    weight = answer.json()["tensors"]["1.weight"]
    assert (weight["dtype"], weight["shape"]) == ("F32", [4, 64])
    first, past = weight["byte_range"]
    assert past - first == 4 * 4 * 64
    ranged = http.get("/modules/ada/tensors/versions/1/file", headers={"Range": f"bytes={first}-{past - 1}"})
    assert ranged.content == data[first:past]


def test_search_narrows_and_pages(http: httpx.Client) -> None:
    for index in range(3):
        publish(http, f"hedy/part-{index}", linear_module(20 + index, tags=("radio",), description="hops"))
    found = http.get("/modules", params={"namespace": "hedy", "sort": "name", "limit": 2, "facets": True}).json()
    assert [each["name"] for each in found["items"]] == ["part-0", "part-1"]
    assert found["facets"]["role"] == [{"value": "input", "count": 3}]
    rest = http.get(
        "/modules", params={"namespace": "hedy", "sort": "name", "limit": 2, "cursor": found["next_cursor"]}
    ).json()
    assert [each["name"] for each in rest["items"]] == ["part-2"]
    assert rest["next_cursor"] is None
    assert rest["facets"] is None
    assert len(http.get("/modules", params={"tag": "radio", "q": "hops", "role": "input"}).json()["items"]) == 3


def test_an_overview_has_versions_and_aliases(http: httpx.Client) -> None:
    publish(http, "ada/overview", linear_module(30))
    publish(http, "ada/overview", linear_module(31))
    http.put("/modules/ada/overview/aliases/stable", json={"version": 1}, headers={"If-None-Match": "*"})
    overview = http.get("/modules/ada/overview").json()
    assert [each["version"] for each in overview["versions"]] == [2, 1]
    assert overview["aliases"] == {"stable": 1}


def test_an_overview_of_many_versions_comes_a_page_at_a_time(http: httpx.Client) -> None:
    for seed in range(3):
        publish(http, "ada/paged", linear_module(40 + seed))
    first = http.get("/modules/ada/paged", params={"limit": 2}).json()
    assert [each["version"] for each in first["versions"]] == [3, 2]
    rest = http.get("/modules/ada/paged", params={"limit": 2, "cursor": first["next_cursor"]}).json()
    assert [each["version"] for each in rest["versions"]] == [1]
    assert rest["next_cursor"] is None
    assert http.get("/modules/ada/paged", params={"limit": 201}).status_code == 422
    assert http.get("/modules/ada/paged", params={"cursor": "nonsense"}).json()["errors"][0]["code"] == "bad_cursor"
    assert http.get("/modules/ada/never", params={"cursor": first["next_cursor"]}).status_code == 404
