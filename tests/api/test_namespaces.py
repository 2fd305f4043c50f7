"""Private namespaces: for whoever is no member, what is in one looks as if it were not there, wherever one looks."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from registry.access import TokenRole
from tests.api.serving import Service, serving
from tests.api.test_access import secret_of
from tests.api.worker import working
from tests.numpy_worker import hidden_module, linear_module, output_module, quadrant_module, quadrant_zip, verify_all

TOKEN = "the-operator-of-this-test"
HIDDEN, UNKNOWN = "vault", "nowhr"
"""A private namespace, and one that nobody ever heard of; of one length, so that answers can be compared."""


@dataclass(frozen=True)
class World:
    """A zoo with a public and a private namespace, and people in it."""

    service: Service
    root: httpx.Client
    ada: httpx.Client
    eve: httpx.Client
    nobody: httpx.Client
    eyes: str
    mouth: str
    pipeline: str


@contextmanager
def person(service: Service, secret: str | None) -> Iterator[httpx.Client]:
    headers = {} if secret is None else {"Authorization": f"Bearer {secret}"}
    with httpx.Client(base_url=service.http.base_url, headers=headers, timeout=30.0, trust_env=False) as client:
        yield client


def publish(http: httpx.Client, name: str, data: bytes) -> httpx.Response:
    return http.post(f"/modules/{name}/versions", content=data)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with serving(tmp_path_factory.mktemp("zoo"), token=TOKEN) as service, made_world(service) as world:
        yield world


@contextmanager
def made_world(service: Service) -> Iterator[World]:
    ada, eve = (secret_of(service, TokenRole.PUBLISHER, owner=name) for name in ("ada", "eve"))
    with (
        person(service, TOKEN) as root,
        person(service, ada) as member,
        person(service, eve) as stranger,
        person(service, None) as nobody,
    ):
        made = root.put(f"/namespaces/{HIDDEN}", json={"visibility": "private", "members": ["ada"]})
        assert made.json() == {"namespace": HIDDEN, "visibility": "private", "members": ["ada"]}
        eyes = publish(member, f"{HIDDEN}/eyes", linear_module(1, tags=["cipher"])).json()["digest"]
        mouth = publish(member, f"{HIDDEN}/mouth", output_module(eyes)).json()["digest"]
        member.put(f"/modules/{HIDDEN}/eyes/aliases/best", json={"version": 1}, headers={"If-None-Match": "*"})
        refs = [f"{HIDDEN}/eyes@1", f"{HIDDEN}/mouth@1"]
        pipeline = member.post("/pipelines", json={"name": "whole", "modules": refs}).json()["id"]
        publish(member, "open/eyes", quadrant_module())
        verify_all(service.zoo)
        yield World(service, root, member, stranger, nobody, eyes, mouth, pipeline)


READS = (
    "/modules/{}/eyes",
    "/modules/{}/eyes/versions/1",
    "/modules/{}/eyes/versions/latest",
    "/modules/{}/eyes/versions/best",
    "/modules/{}/eyes/versions/{digest}",
    "/modules/{}/eyes/versions/1/file",
    "/modules/{}/eyes/versions/1/tensors",
    "/modules/{}/eyes/versions/1/lineage",
    "/modules/{}/eyes/aliases/best",
    "/modules/{}/eyes/aliases/best/history",
    "/ui/modules/{}/eyes",
    "/ui/modules/{}/eyes?version=1",
)


def told(answer: httpx.Response) -> tuple[int, str]:
    """What an answer says but for the name that was asked for and its own id."""
    text = answer.text.replace(UNKNOWN, HIDDEN)
    for own in (answer.headers["x-request-id"],):
        text = text.replace(own, "")
    return answer.status_code, text


@pytest.mark.parametrize("path", READS)
def test_for_a_stranger_a_private_module_is_as_if_it_were_not_there(world: World, path: str) -> None:
    for client in (world.eve, world.nobody):
        hidden, unknown = (
            client.get(path.replace("{}", each).replace("{digest}", world.eyes)) for each in (HIDDEN, UNKNOWN)
        )
        assert hidden.status_code == 404
        assert told(hidden) == told(unknown)


@pytest.mark.parametrize("path", [path for path in READS if path.startswith("/modules")])
def test_for_members_and_admins_it_is_there(world: World, path: str) -> None:
    for client in (world.ada, world.root):
        answer = client.get(path.replace("{}", HIDDEN).replace("{digest}", world.eyes))
        assert answer.status_code == 200
        assert "public" not in answer.headers["cache-control"]


WRITES = (
    ("POST", "/modules/{}/eyes/versions", None),
    ("PUT", "/modules/{}/eyes/versions/1/yank", {"reason": "mine"}),
    ("DELETE", "/modules/{}/eyes/versions/1/yank", None),
    ("DELETE", "/modules/{}/eyes/versions/1", None),
    ("PUT", "/modules/{}/eyes/aliases/best", {"version": 1}),
)


@pytest.mark.parametrize(("method", "path", "body"), WRITES[1:])
def test_a_stranger_cannot_tell_by_writing_either(
    world: World, method: str, path: str, body: dict[str, object] | None
) -> None:
    headers = {"If-None-Match": "*"}
    hidden, unknown = (
        world.eve.request(method, path.replace("{}", each), json=body, headers=headers) for each in (HIDDEN, UNKNOWN)
    )
    assert hidden.status_code == 404
    assert told(hidden) == told(unknown)


def test_a_stranger_publishes_nothing_in_a_private_namespace(world: World) -> None:
    before = world.service.blobs()
    for name in ("eyes", "new"):
        for query in ("", "?dry_run=true"):
            answer = world.eve.post(f"/modules/{HIDDEN}/{name}/versions{query}", content=linear_module(77))
            assert answer.status_code == 404
    assert world.service.blobs() == before
    assert len(world.ada.get(f"/modules/{HIDDEN}/eyes").json()["versions"]) == 1


def test_searches_facets_and_pages_do_not_tell_of_it(world: World) -> None:
    for client in (world.eve, world.nobody):
        for query in ("", "?facets=true", "?tag=cipher", f"?namespace={HIDDEN}", f"?q={HIDDEN}", "?sort=-name&limit=1"):
            text = client.get(f"/modules{query}").text
            assert HIDDEN not in text
            assert "cipher" not in text
        assert HIDDEN not in client.get("/").text
        assert client.get(f"/modules?namespace={HIDDEN}&facets=true").json()["facets"]["role"] == []
    assert HIDDEN in world.ada.get("/modules?facets=true").text
    counted = world.ada.get("/modules?facets=true").json()["facets"]["namespace"]
    assert {"value": HIDDEN, "count": 2} in counted


def test_pipelines_that_hold_it_are_not_there_for_a_stranger(world: World) -> None:
    for client in (world.eve, world.nobody):
        assert client.get("/pipelines").json()["items"] == []
        for path in ("/pipelines/{}", "/pipelines/{}/file"):
            for known, unknown in ((world.pipeline, "pipeline-" + "0" * 24), ("whole", "other")):
                hidden, missing = client.get(path.format(known)), client.get(path.format(unknown))
                assert hidden.status_code == missing.status_code == 404
                assert hidden.json()["detail"].replace(known, unknown) == missing.json()["detail"]
    assert world.eve.post(f"/pipelines/{world.pipeline}/predict", content=b"").status_code == 404
    assert world.ada.get(f"/pipelines/{world.pipeline}/file").status_code == 200


def test_a_stranger_cannot_compose_or_check_with_it(world: World) -> None:
    for path in ("/pipelines/check", "/pipelines"):
        hidden, unknown = (
            world.eve.post(path, json={"name": "x", "modules": [f"{each}/eyes@1", f"{each}/mouth@1"]})
            for each in (HIDDEN, UNKNOWN)
        )
        assert told(hidden) == told(unknown)


def test_knowing_a_digest_gives_no_bytes(world: World) -> None:
    unknown = "sha256:" + "0" * 64
    for digest in (world.eyes, world.mouth):
        hidden, missing = world.eve.get(f"/blobs/{digest}"), world.eve.get(f"/blobs/{unknown}")
        assert (hidden.status_code, missing.status_code) == (404, 404)
        assert hidden.json()["detail"].replace(digest, unknown) == missing.json()["detail"]
        assert world.ada.get(f"/blobs/{digest}").status_code == 200
        published = world.eve.post("/modules/eve/stolen/versions", json={"digest": digest})
        assert (published.status_code, published.json()["detail"]) == (404, hidden.json()["detail"])
        assert world.eve.head(f"/blobs/{digest}").status_code == 404


def test_sending_bytes_does_not_tell_whether_somebody_has_them(tmp_path: Path) -> None:
    data, other = linear_module(1, tags=["cipher"]), linear_module(2)
    with serving(tmp_path, token=TOKEN) as service, made_world(service) as world:
        codes = []
        for sent in (data, other):
            digest = service.zoo.blobs.put(sent) if sent is data else digest_of(sent)
            codes.append([world.eve.put(f"/blobs/{digest}", content=sent).status_code for _ in range(2)])
            assert world.eve.get(f"/blobs/{digest}").content == sent
        assert codes == [[201, 200], [201, 200]]


def digest_of(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def test_publishing_the_same_bytes_oneself_tells_nothing_and_opens_nothing(tmp_path: Path) -> None:
    with serving(tmp_path, token=TOKEN) as service, made_world(service) as world:
        made = publish(world.eve, "eve/eyes", linear_module(1, tags=["cipher"]))
        assert (made.status_code, made.json()["digest"]) == (201, world.eyes)
        assert world.eve.get(f"/modules/{HIDDEN}/eyes").status_code == 404
        lineage = world.eve.get("/modules/eve/eyes/versions/1/lineage")
        assert lineage.json() == {"below": [], "above": [], "pipelines": [], "next_cursor": None}
        blocked = world.eve.delete("/modules/eve/eyes/versions/1")
        assert blocked.status_code == 204
        assert world.ada.get(f"/modules/{HIDDEN}/eyes/versions/1/file").status_code == 200


def test_what_only_hidden_modules_refer_to_cannot_go_and_who_they_are_is_not_told(tmp_path: Path) -> None:
    with serving(tmp_path, token=TOKEN) as service, made_world(service) as world:
        below = publish(world.eve, "eve/base", linear_module(5)).json()["digest"]
        publish(world.ada, f"{HIDDEN}/above", hidden_module(below)).raise_for_status()
        refused = world.eve.delete("/modules/eve/base/versions/1")
        assert (refused.status_code, refused.json()["code"]) == (409, "referenced")
        assert HIDDEN not in refused.text
        assert "above" not in refused.text


def test_a_module_cannot_stand_on_what_its_publisher_may_not_know_of(world: World) -> None:
    hidden = publish(world.eve, "eve/above", hidden_module(world.eyes))  # type: ignore[arg-type]
    unknown = publish(world.eve, "eve/above", hidden_module("sha256:" + "1" * 64))  # type: ignore[arg-type]
    assert (hidden.status_code, hidden.json()["code"]) == (422, "invalid_manifest")
    assert hidden.json()["detail"].replace(world.eyes, "") == unknown.json()["detail"].replace("sha256:" + "1" * 64, "")


def test_the_same_pipeline_of_ones_own_copies_is_another_one(tmp_path: Path) -> None:
    with serving(tmp_path, token=TOKEN) as service, made_world(service) as world:
        publish(world.eve, "eve/eyes", linear_module(1, tags=["cipher"])).raise_for_status()
        publish(world.eve, "eve/mouth", output_module(world.eyes)).raise_for_status()  # type: ignore[arg-type]
        body = {"name": "whole", "modules": ["eve/eyes@1", "eve/mouth@1"]}
        made, again = world.eve.post("/pipelines", json=body), world.eve.post("/pipelines", json=body)
        assert (made.status_code, again.status_code) == (201, 200)
        assert HIDDEN not in made.text
        assert world.eve.get(f"/pipelines/{made.json()['id']}").json() == made.json() == again.json()
        assert world.ada.get(f"/pipelines/{world.pipeline}").json()["modules"][0]["ref"] == f"{HIDDEN}/eyes@1"


def ranked(client: httpx.Client, task: str, **options: object) -> httpx.Response:
    return client.post("/transferability", json={"task": task, **options}, headers={"Prefer": "wait=20"})


def refs(answer: httpx.Response) -> set[str]:
    return {row["module"]["ref"] for row in answer.json()["ranking"]}


def test_a_ranking_uses_what_its_asker_may_know_of_and_is_not_shared_with_others(tmp_path: Path) -> None:
    with serving(tmp_path, token=TOKEN) as service, made_world(service) as world:
        data = world.ada.post("/datasets", content=quadrant_zip()).json()["digest"]
        assert world.eve.post("/datasets", content=quadrant_zip()).json()["digest"] == data
        with working(Service(service.zoo, service.app, world.root)):
            seen, unseen = ranked(world.ada, data), ranked(world.eve, data)
            again = ranked(world.ada, data)
        assert refs(seen) == {"open/eyes@1", f"{HIDDEN}/eyes@1"}
        assert refs(unseen) == {"open/eyes@1"}
        assert HIDDEN not in unseen.text
        assert again.content == seen.content
        query = seen.json()["query"]
        assert query != unseen.json()["query"]
        for path in (f"/queries/{query}", f"/queries/{query}/events", f"/rank/{query}", f"/queries/{query}/outcomes"):
            assert world.eve.get(path).status_code in (404, 401)
        assert world.eve.delete(f"/queries/{query}").status_code == 404
        assert world.ada.get(f"/queries/{query}").status_code == 200


def test_members_of_different_namespaces_ask_different_questions(tmp_path: Path) -> None:
    with serving(tmp_path, token=TOKEN) as service, made_world(service) as world:
        world.root.put("/namespaces/safe", json={"visibility": "private", "members": ["eve"]})
        publish(world.eve, "safe/eyes", linear_module(8)).raise_for_status()
        data = [client.post("/datasets", content=quadrant_zip()).json()["digest"] for client in (world.ada, world.eve)]
        with working(Service(service.zoo, service.app, world.root)):
            hers, mine = ranked(world.ada, data[0]), ranked(world.eve, data[1])
        assert refs(hers) == {"open/eyes@1", f"{HIDDEN}/eyes@1"}
        assert refs(mine) == {"open/eyes@1", "safe/eyes@1"}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/transferability", {"candidates": ["{}/eyes@1"]}),
        ("/reusability", {"module": "{}/eyes@1"}),
        ("/transferability/sets", {"candidates": ["{}/eyes@1", "open/eyes@1"]}),
    ],
)
def test_naming_it_in_a_question_is_naming_what_is_not_there(world: World, path: str, body: dict[str, object]) -> None:
    data = world.eve.post("/datasets", content=quadrant_zip()).json()["digest"]
    answers = []
    for name in (HIDDEN, UNKNOWN):
        asked = {
            key: value.format(name) if isinstance(value, str) else [each.format(name) for each in value]  # type: ignore[attr-defined]
            for key, value in body.items()
        }
        answers.append(world.eve.post(path, json={"task": data, **asked}))
    assert told(answers[0]) == told(answers[1])
    assert answers[0].status_code in (404, 422)


def test_a_map_names_no_hidden_source(world: World) -> None:
    data = world.eve.post("/datasets", content=quadrant_zip()).json()["digest"]
    answers = [world.eve.get(f"/transferability/map?task={data}&source={name}/eyes@1") for name in (HIDDEN, UNKNOWN)]
    assert told(answers[0]) == told(answers[1])


def test_whoever_is_no_member_any_more_sees_nothing_any_more(tmp_path: Path) -> None:
    with serving(tmp_path, token=TOKEN) as service, made_world(service) as world:
        data = world.ada.post("/datasets", content=quadrant_zip()).json()["digest"]
        with working(Service(service.zoo, service.app, world.root)):
            query = ranked(world.ada, data).json()["query"]
        world.root.put(f"/namespaces/{HIDDEN}", json={"visibility": "private", "members": ["bob"]})
        for path in (f"/modules/{HIDDEN}/eyes", f"/pipelines/{world.pipeline}", f"/queries/{query}"):
            assert world.ada.get(path).status_code == 404, path
        assert world.ada.get(f"/blobs/{world.eyes}").status_code == 404
        world.root.put(f"/namespaces/{HIDDEN}", json={"visibility": "public"})
        assert world.nobody.get(f"/modules/{HIDDEN}/eyes").status_code == 200
        assert world.nobody.get(f"/pipelines/{world.pipeline}").status_code == 200
        assert world.root.get("/namespaces").json()["items"] == []


def test_a_token_for_other_namespaces_does_not_see_what_its_owner_is_a_member_of(world: World) -> None:
    for namespaces, expected in (([HIDDEN], 200), (["open"], 404), (None, 200)):
        secret = secret_of(world.service, TokenRole.READER, owner="ada", namespaces=namespaces)
        with person(world.service, secret) as client:
            assert client.get(f"/modules/{HIDDEN}/eyes").status_code == expected
            assert (HIDDEN in client.get("/modules").text) == (expected == 200)


def test_naming_a_namespace_in_a_token_makes_nobody_a_member(world: World) -> None:
    with person(world.service, secret_of(world.service, TokenRole.READER, owner="eve", namespaces=[HIDDEN])) as client:
        assert client.get(f"/modules/{HIDDEN}/eyes").status_code == 404


def test_a_look_at_a_hidden_module_is_no_strangers_job(world: World) -> None:
    made = publish(world.ada, f"{HIDDEN}/later", linear_module(31))
    jobs = world.root.get("/jobs?kind=verify").json()["items"]
    job = next(each for each in jobs if each["work"]["module"] == made.json()["digest"])
    assert world.eve.get(f"/jobs/{job['id']}").status_code == 404
    assert world.ada.get(f"/jobs/{job['id']}").status_code == 200
    assert world.ada.delete(f"/jobs/{job['id']}").status_code == 403
    assert world.eve.get("/jobs").json()["items"] == []


@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_only_admins_say_and_see_who_is_a_member(world: World, method: str) -> None:
    for client, expected in ((world.ada, 403), (world.eve, 403), (world.nobody, 401)):
        answer = client.request(method, f"/namespaces/{HIDDEN}", json={"visibility": "public"})
        assert answer.status_code == expected
    assert world.eve.get("/namespaces").status_code == 403


@pytest.mark.parametrize(
    ("namespace", "body"),
    [
        ("UP", {"visibility": "private"}),
        ("x", {"visibility": "secret"}),
        ("x", {"visibility": "public", "members": ["ada"]}),
        ("x", {"visibility": "private", "members": [""]}),
        ("x", {}),
    ],
)
def test_a_namespace_that_cannot_be_is_refused(world: World, namespace: str, body: dict[str, object]) -> None:
    assert world.root.put(f"/namespaces/{namespace}", json=body).status_code == 422


def test_on_pages_a_member_sees_it_after_giving_the_token_once(world: World) -> None:
    with person(world.service, None) as browser:
        secret = world.ada.headers["authorization"]
        assert browser.post("/rank/token", headers={"Authorization": secret}).status_code == 204
        assert HIDDEN in browser.get("/").text
        assert browser.get(f"/ui/modules/{HIDDEN}/eyes").status_code == 200
        assert browser.get(f"/modules/{HIDDEN}/eyes").status_code == 404  # a cookie is for pages only
