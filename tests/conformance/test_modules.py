"""Sections 1, 2 and 5: publishing, naming, searching, yanking and deleting modules."""

import hashlib
import json

import httpx
import pytest

from tests.conformance.asking import SEEDS, new_input, new_pair, pointers, problem, publish, reference
from tests.conformance.files import digest_of, input_manifest, input_module, module_file, output_module, safetensors

MANIFEST_KEYS = {
    "role", "architecture", "takes", "gives", "preprocessing", "feature_map", "labels", "below", "task", "recipe",
    "metrics", "description", "license", "tags", "schema",
}  # fmt: skip


def test_a_file_is_published_once_and_given_again_after_that(http: httpx.Client, namespace: str) -> None:
    data, path = input_module(next(SEEDS)), f"/modules/{namespace}/once/versions"
    first, second = (http.post(path, content=data) for _ in range(2))
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.headers["location"] == second.headers["location"] == f"{path}/{first.json()['version']}"
    assert first.json()["version"] == second.json()["version"]
    assert first.json()["digest"] == "sha256:" + hashlib.sha256(data).hexdigest()
    assert set(first.json()) >= MANIFEST_KEYS
    assert http.get(first.headers["location"]).json()["digest"] == first.json()["digest"]
    assert http.get(f"{first.headers['location']}/file").content == data


def test_bytes_uploaded_before_are_published_by_their_digest(http: httpx.Client, namespace: str) -> None:
    data = input_module(next(SEEDS))
    assert http.put(f"/blobs/{digest_of(data)}", content=data).status_code == 201
    answer = http.post(f"/modules/{namespace}/by-digest/versions", json={"digest": digest_of(data)})
    assert (answer.status_code, answer.json()["digest"]) == (201, digest_of(data))


def test_a_digest_of_no_bytes_is_not_published(http: httpx.Client, namespace: str) -> None:
    answer = http.post(f"/modules/{namespace}/nothing/versions", json={"digest": digest_of(b"never sent")})
    problem(answer, 404, "not_found")
    problem(http.get(f"/modules/{namespace}/nothing"), 404, "not_found")


WRONG_FILES = {
    "no bytes": (lambda: b"", "invalid_module_file", set()),
    "no safetensors": (lambda: b"PK\x03\x04 a zip it is not", "invalid_module_file", set()),
    "a pickle": (lambda: b"\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00\x8c\x02os\x94.", "invalid_module_file", set()),
    "cut off": (lambda: input_module()[:-4], "invalid_module_file", set()),
    "no manifest": (lambda: safetensors({}, {}), "invalid_manifest", {"/module"}),
    "an unknown key": (lambda: input_module(code="import os"), "invalid_manifest", {"/module/code"}),
    "another schema": (lambda: input_module(schema=2), "invalid_manifest", {"/module/schema"}),
    "two wrong keys": (lambda: input_module(code="x", hook="y"), "invalid_manifest", {"/module/code", "/module/hook"}),
    "gives that disagrees": (lambda: input_module(gives={"shape": [5]}), "invalid_manifest", None),
    "weights that are missing": (
        lambda: safetensors({}, {"module": json.dumps(input_manifest())}), "invalid_weights", None,
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG_FILES)
def test_a_wrong_file_is_refused_naming_each_fault_and_nothing_is_visible(
    http: httpx.Client, namespace: str, what: str
) -> None:
    make, code, faults = WRONG_FILES[what]
    path = f"/modules/{namespace}/wrong-{list(WRONG_FILES).index(what)}"
    found = problem(http.post(f"{path}/versions", content=make()), 422, code)
    if faults is not None:
        assert pointers(found) == faults
    problem(http.get(path), 404, "not_found")
    problem(http.get(f"/blobs/{digest_of(make())}"), 404, "not_found")


@pytest.mark.parametrize("block", ["os.system", "builtins.eval", "torch.nn.Linear"])
def test_what_could_run_is_not_on_the_list(http: httpx.Client, namespace: str, block: str) -> None:
    manifest = input_manifest()
    sound = module_file(manifest)
    hostile = sound.replace(json.dumps("flatten").encode()[1:-1], block.encode()[:7].ljust(7, b"x"))
    assert hostile != sound
    problem(http.post(f"/modules/{namespace}/code/versions", content=hostile), 422, "invalid_manifest")


def test_a_version_is_named_by_number_digest_alias_and_as_the_latest(http: httpx.Client, namespace: str) -> None:
    made, data = new_input(http, f"{namespace}/named")
    path = f"/modules/{namespace}/named"
    alias = http.put(f"{path}/aliases/best", json={"version": made["version"]}, headers={"If-None-Match": "*"})
    assert alias.status_code == 201
    for ref in (made["version"], digest_of(data), "best", "latest"):
        assert http.get(f"{path}/versions/{ref}").json()["digest"] == digest_of(data)
        assert http.get(f"{path}/versions/{ref}/file").content == data


@pytest.mark.parametrize("name", ["-first", "Upper", "x" * 65, "with space", ".hidden", "%E2%82%AC"])
def test_names_keep_to_the_rules(http: httpx.Client, namespace: str, name: str) -> None:
    answer = http.post(f"/modules/{namespace}/{name}/versions", content=input_module())
    problem(answer, 422, "invalid_name")


@pytest.mark.parametrize("name", ["a", "0", "x" * 64, "a.b_c-d"])
def test_names_within_the_rules_are_taken(http: httpx.Client, namespace: str, name: str) -> None:
    assert new_input(http, f"{namespace}/{name}")[0]["name"] == name


def test_version_numbers_begin_at_one_and_are_never_given_again(http: httpx.Client, namespace: str) -> None:
    name = f"{namespace}/numbers"
    assert [new_input(http, name)[0]["version"] for _ in range(3)] == [1, 2, 3]
    assert http.delete(f"/modules/{name}/versions/3").status_code == 204
    problem(http.get(f"/modules/{name}/versions/3"), 404, "not_found")
    assert new_input(http, name)[0]["version"] == 4
    assert [each["version"] for each in http.get(f"/modules/{name}").json()["versions"]] == [4, 2, 1]


def test_the_header_of_a_file_is_told_as_json(http: httpx.Client, namespace: str) -> None:
    made, _ = new_input(http, f"{namespace}/tensors")
    answer = http.get(f"/modules/{namespace}/tensors/versions/{made['version']}/tensors")
    listed = {name: each["shape"] for name, each in answer.json()["tensors"].items()}
    assert listed == {"1.weight": [4, 192], "1.bias": [4]}
    tag = answer.headers["etag"]
    assert http.get(str(answer.url), headers={"If-None-Match": tag}).status_code == 304


def test_lineage_goes_both_ways(http: httpx.Client, namespace: str) -> None:
    below = input_module(next(SEEDS))
    lower = publish(http, f"{namespace}/lower", below)
    upper = publish(http, f"{namespace}/upper", output_module(below, next(SEEDS)))
    down = http.get(f"/modules/{namespace}/upper/versions/{upper['version']}/lineage").json()
    up = http.get(f"/modules/{namespace}/lower/versions/{lower['version']}/lineage").json()
    assert (down["below"], up["above"]) == ([reference(lower)], [reference(upper)])


def test_a_yanked_version_is_hidden_and_still_fetched_when_named(http: httpx.Client, namespace: str) -> None:
    path = f"/modules/{namespace}/yanked"
    (_, _), (made, data) = new_input(http, f"{namespace}/yanked"), new_input(http, f"{namespace}/yanked")
    answer = http.put(f"{path}/versions/2/yank", json={"reason": "wrong data"})
    assert (answer.status_code, answer.json()["yanked"]) == (200, "wrong data")
    assert http.get(f"{path}/versions/latest").json()["version"] == 1
    assert http.get(f"{path}/versions/2/file").content == data
    found = http.get("/modules", params={"namespace": namespace, "q": "yanked"}).json()["items"]
    assert [each["version"] for each in found if each["name"] == "yanked"] == [1]
    assert http.delete(f"{path}/versions/2/yank").json()["yanked"] is None
    assert http.get(f"{path}/versions/latest").json()["digest"] == made["digest"]


def test_what_others_stand_on_is_not_deleted_and_they_are_listed(http: httpx.Client, namespace: str) -> None:
    lower, upper = new_pair(http, namespace)
    name, _, version = lower.partition("@")
    found = problem(http.delete(f"/modules/{name}/versions/{version}"), 409, "referenced")
    assert any(upper.partition("@")[0] in fault["detail"] for fault in found["errors"])
    assert http.get(f"/modules/{name}/versions/{version}").status_code == 200


def test_a_manifest_is_revalidated_by_its_entity_tag(http: httpx.Client, namespace: str) -> None:
    made, _ = new_input(http, f"{namespace}/tagged")
    path = f"/modules/{namespace}/tagged/versions/{made['version']}"
    tag = http.get(path).headers["etag"]
    assert http.get(path, headers={"If-None-Match": tag}).status_code == 304
    http.put(f"{path}/yank", json={"reason": "changed"}).raise_for_status()
    assert http.get(path, headers={"If-None-Match": tag}).status_code == 200


def test_a_search_narrows_by_every_field(http: httpx.Client, namespace: str) -> None:
    made, _ = new_input(http, f"{namespace}/searched")
    for field, value, other in (
        ("role", "input", "output"),
        ("tag", "conformance", "nobody-has-this"),
        ("takes", "3,8,8", "3,9,9"),
        ("gives", "float32[4]", "5"),
        ("q", "searched", "nobody says this"),
    ):
        asked = {"namespace": namespace, "limit": 200}
        found = http.get("/modules", params={**asked, field: value}).json()["items"]
        none = http.get("/modules", params={**asked, field: other}).json()["items"]
        assert reference(made) in {reference(each) for each in found}, field
        assert reference(made) not in {reference(each) for each in none}, field


def test_a_search_counts_on_request(http: httpx.Client, namespace: str) -> None:
    new_input(http, f"{namespace}/counted")
    asked = {"namespace": namespace, "limit": 1}
    assert http.get("/modules", params=asked).json()["facets"] is None
    facets = http.get("/modules", params={**asked, "facets": True}).json()["facets"]
    assert {each["value"] for each in facets["namespace"]} == {namespace}
    assert all(each["count"] >= 1 for each in facets["role"])


def test_pages_go_on_where_the_last_one_ended(http: httpx.Client, namespace: str) -> None:
    names = {f"paged-{number}" for number in range(5)}
    for name in names:
        new_input(http, f"{namespace}/{name}")
    seen, cursor = [], None
    for _ in range(100):
        asked = {"namespace": namespace, "q": "paged-", "sort": "name", "limit": 2}
        page = http.get("/modules", params={**asked, **({"cursor": cursor} if cursor else {})}).json()
        assert len(page["items"]) <= 2
        seen += [each["name"] for each in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == sorted(names)
