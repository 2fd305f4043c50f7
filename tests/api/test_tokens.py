"""Tokens over HTTP: who may make them, what is told of them, and that only their first answer has the secret."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from registry.access import OPERATOR, TokenRole
from registry.settings import Settings
from tests.api.serving import Service, serving
from tests.api.test_access import secret_of
from tests.numpy_worker import quadrant_zip

TOKEN = "the-operator-of-this-test"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with serving(tmp_path_factory.mktemp("zoo"), token=TOKEN) as service:
        yield service


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


def make(service: Service, **fields: object) -> httpx.Response:
    return service.http.post("/tokens", json={"name": "test", "role": "reader", **fields}, headers=bearer(TOKEN))


def test_a_token_is_shown_once_and_lets_in(guarded: Service) -> None:
    answer = make(guarded, owner="ada", role="publisher", namespaces=["ada", "shared"])
    made = answer.json()
    assert answer.status_code == 201
    assert answer.headers["cache-control"] == "no-store"
    me = guarded.http.get("/tokens/me", headers=bearer(made["secret"])).json()
    assert (me["owner"], me["role"], me["namespaces"]) == ("ada", "publisher", ["ada", "shared"])
    assert me["token"]["id"] == made["id"]
    listed = guarded.http.get("/tokens", headers=bearer(TOKEN))
    assert made["id"] in listed.text
    assert made["secret"] not in listed.text + str(me)


def test_the_operator_is_nobodys_token(guarded: Service) -> None:
    me = guarded.http.get("/tokens/me", headers=bearer(TOKEN)).json()
    assert me == {"owner": "admin", "role": "admin", "namespaces": None, "token": None}


def test_whoever_makes_a_token_owns_it_where_nobody_is_named(guarded: Service) -> None:
    assert make(guarded).json()["owner"] == "admin"


@pytest.mark.parametrize("role", [TokenRole.READER, TokenRole.PUBLISHER, TokenRole.WORKER])
def test_nobody_but_an_admin_makes_or_lists_tokens(guarded: Service, role: TokenRole) -> None:
    mine = bearer(secret_of(guarded, role))
    for method in ("GET", "POST"):
        answer = guarded.http.request(method, "/tokens", json={"name": "more", "role": "admin"}, headers=mine)
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


def test_a_token_of_the_role_admin_manages_tokens(guarded: Service) -> None:
    admin = bearer(secret_of(guarded, TokenRole.ADMIN, owner="root"))
    made = guarded.http.post("/tokens", json={"name": "n", "role": "worker"}, headers=admin).json()
    assert made["owner"] == "root"
    assert guarded.http.delete(f"/tokens/{made['id']}", headers=admin).status_code == 204
    assert guarded.http.get("/tokens/me", headers=bearer(made["secret"])).json()["code"] == "invalid_token"


def test_anybody_gives_up_their_own_token(guarded: Service) -> None:
    made = make(guarded).json()
    other = make(guarded).json()
    assert guarded.http.delete(f"/tokens/{other['id']}", headers=bearer(made["secret"])).status_code == 404
    assert guarded.http.delete(f"/tokens/{made['id']}", headers=bearer(made["secret"])).status_code == 204
    assert guarded.http.get("/tokens/me", headers=bearer(made["secret"])).status_code == 401


@pytest.mark.parametrize(
    "fields",
    [
        {"role": "root"},
        {"owner": ""},
        {"owner": "Ada Lovelace"},
        {"namespaces": []},
        {"namespaces": ["UP"]},
        {"name": ""},
        {"expires_at": "2001-01-01T00:00:00Z"},
        {"expires_at": "soon"},
        {"expires_at": "9999-12-31T23:59:59-14:00"},
        {"expires_at": "0001-01-01T00:00:00+14:00"},
        {"role": "admin", "namespaces": ["ada"]},
        {"secret": "zoo_mine"},
    ],
)
def test_a_token_that_cannot_be_is_refused(guarded: Service, fields: dict[str, object]) -> None:
    assert make(guarded, **fields).status_code == 422


def test_a_token_of_some_namespaces_publishes_in_no_other(guarded: Service) -> None:
    mine = bearer(secret_of(guarded, TokenRole.PUBLISHER, namespaces=["ada"]))
    for method, path in (
        ("POST", "/modules/bob/m/versions"),
        ("PUT", "/modules/bob/m/versions/1/yank"),
        ("DELETE", "/modules/bob/m/versions/1"),
        ("PUT", "/modules/bob/m/aliases/best"),
    ):
        answer = guarded.http.request(method, path, content=b"x", headers=mine)
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden"), path
        assert "ada" in answer.json()["detail"]
    assert guarded.http.post("/modules/ada/m/versions", content=b"x", headers=mine).status_code == 422


def test_a_token_of_some_namespaces_trains_in_no_other(guarded: Service) -> None:
    mine = bearer(secret_of(guarded, TokenRole.PUBLISHER, namespaces=["ada"]))
    data = guarded.http.post("/datasets", content=quadrant_zip(), headers=mine).json()["digest"]
    recipe = {"task": {"dataset": data, "classes": {}}}
    codes = [
        guarded.http.post("/jobs", json={"name": name, "recipe": recipe}, headers=mine).status_code
        for name in ("bob/m", "ada/m")
    ]
    assert codes == [403, 201]


def test_an_expired_token_is_told_so(guarded: Service) -> None:
    soon = datetime.now(UTC) + timedelta(milliseconds=300)
    made = make(guarded, expires_at=soon.isoformat()).json()
    while datetime.now(UTC) <= soon:
        pass
    answer = guarded.http.get("/datasets", headers=bearer(made["secret"]))
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_token")
    assert "expired" in answer.json()["detail"]


def test_beyond_loopback_an_admins_token_is_as_good_as_the_operators(tmp_path_factory: pytest.TempPathFactory) -> None:
    with serving(tmp_path_factory.mktemp("zoo"), host="0.0.0.0") as service:
        assert service.http.get("/datasets").status_code == 401
        assert not service.zoo.tokens.has_admin()
        secret = secret_of(service, TokenRole.ADMIN)
        assert service.http.get("/tokens", headers=bearer(secret)).status_code == 200
        assert service.http.get("/datasets", headers={"Host": "zoo.example.org"} | bearer(secret)).status_code == 200
        Settings(host="0.0.0.0").check_service(has_admin=service.zoo.tokens.has_admin())


def test_on_loopback_a_kept_token_counts_for_what_it_is(fresh: Service) -> None:
    secret = secret_of(fresh, TokenRole.READER)
    assert fresh.http.get("/tokens/me", headers=bearer(secret)).json()["role"] == "reader"
    assert fresh.http.post("/jobs", json={}, headers=bearer(secret)).status_code == 403
    assert fresh.http.get("/tokens/me", headers=bearer("of another zoo")).json()["role"] == "admin"
    fresh.zoo.tokens.revoke(fresh.zoo.tokens.list(limit=1, cursor=None).items[0].id, identity=OPERATOR)
    assert fresh.http.get("/tokens/me", headers=bearer(secret)).status_code == 401
