"""Who may ask: whoever has the token; without tokens, this machine alone."""

import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import structlog
from fastapi.routing import iter_route_contexts
from starlette.routing import Route

from api.access import Caller, Gate
from api.actions import ACTIONS, EVERY
from api.app import create_app
from api.pages.errors import POLLED, STOP_POLLING
from registry.access import ALLOWED, OPERATOR, Action, TokenRole
from registry.errors import ForbiddenError
from registry.settings import Settings
from registry.token_records import TokenScope
from registry.tokens import cookie_of
from storage.wiring import open_zoo
from tests.api.serving import Service, running, serving

TOKEN = "a-token-of-this-test"
PUBLIC = {
    "search_modules",
    "show_module",
    "show_version",
    "fetch_file",
    "list_tensors",
    "show_lineage",
    "show_alias",
    "show_alias_history",
    "list_changes",
    "follow_changes",
    "list_pipelines",
    "show_pipeline",
    "fetch_pipeline_file",
    "list_file_parts",
    "show_health",
    "show_readiness",
    "show_metrics",
    "list_errors",
    "show_error",
}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with serving(tmp_path_factory.mktemp("zoo"), token=TOKEN) as service:
        yield service


def every_operation(service: Service) -> list[tuple[str, str, str]]:
    """Method, a path and the id of each operation."""
    paths = service.app.openapi()["paths"]
    filled = {path: path.replace("{", "").replace("}", "") for path in paths}
    return [
        (method.upper(), filled[path], operation["operationId"])
        for path, operations in paths.items()
        for method, operation in operations.items()
    ]


def test_all_but_public_reads_need_the_token(guarded: Service) -> None:
    for method, path, name in every_operation(guarded):
        with guarded.http.stream(method, path) as answer:  # some answers have no end
            assert (answer.status_code != 401) == (name in PUBLIC), name
            if name not in PUBLIC:
                answer.read()
        if answer.status_code == 401:
            assert answer.headers["www-authenticate"] == 'Bearer realm="zoo"'
            assert answer.headers["cache-control"] == "no-store"
            assert answer.json()["code"] == "unauthenticated"


@pytest.mark.parametrize(
    "given", ["Bearer wrong", "Basic " + TOKEN, TOKEN, "Bearer", "Bearer " + TOKEN + "x", "Bearer é"]
)
def test_a_wrong_token_is_refused(guarded: Service, given: str) -> None:
    answer = guarded.http.get("/datasets", headers={"Authorization": given.encode()})
    assert answer.status_code == 401
    assert ('error="invalid_token"' in answer.headers["www-authenticate"]) == given.startswith("Bearer")


def test_a_wrong_token_is_refused_where_none_is_needed(guarded: Service) -> None:
    assert guarded.http.get("/modules", headers={"Authorization": "Bearer wrong"}).json()["code"] == "invalid_token"


@pytest.mark.parametrize("scheme", ["Bearer", "bearer"])
def test_the_token_lets_in(guarded: Service, scheme: str) -> None:
    assert guarded.http.get("/datasets", headers={"Authorization": f"{scheme} {TOKEN}"}).status_code == 200


def test_no_way_of_writing_a_path_gets_round_the_token(guarded: Service) -> None:
    for path in ("/datasets%0A", "/tasks/x%0Ay", "/%64atasets", "/datasets/", "/jobs/1%0A"):
        assert guarded.http.get(path).status_code == 401


def test_a_body_is_not_read_before_the_token_is_seen(guarded: Service) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"first"
        raise AssertionError("nobody should ask for more")

    with pytest.raises((AssertionError, httpx.TransportError)):
        guarded.http.post("/datasets", content=chunks())
    assert guarded.blobs() == set()


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8000", "127.0.0.1.evil.example", "10.0.0.1", "[::2]", "["]
)
def test_without_tokens_a_foreign_host_is_refused(http: httpx.Client, host: str) -> None:
    answer = http.get("/modules", headers={"Host": host})
    assert answer.status_code == 403
    assert answer.json()["code"] == "forbidden"


@pytest.mark.parametrize("host", ["localhost", "localhost:1234", "127.0.0.1:80", "[::1]", "[::1]:8000"])
def test_names_of_this_machine_are_let_in(http: httpx.Client, host: str) -> None:
    assert http.get("/modules", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1"])
def test_without_tokens_a_page_from_elsewhere_is_refused(http: httpx.Client, origin: str) -> None:
    assert http.post("/tasks", json={}, headers={"Origin": origin}).status_code == 403


def test_a_page_of_the_service_itself_is_let_in(http: httpx.Client) -> None:
    assert http.get("/modules", headers={"Origin": str(http.base_url).rstrip("/")}).status_code == 200


@pytest.mark.parametrize(("address", "let_in"), [("127.0.0.1", True), ("::1", True), (None, True), ("10.1.2.3", False)])
def test_without_tokens_only_this_machine_is_let_in(service: Service, address: str | None, let_in: bool) -> None:
    gate = Gate(service.zoo.settings, service.zoo.tokens)
    caller = Caller(method="GET", path="/modules", headers={"host": "localhost"}, address=address)
    if let_in:
        assert gate.identify(caller, None) == OPERATOR
    else:
        with pytest.raises(ForbiddenError, match="ZOO_TOKEN"):
            gate.identify(caller, None)


@pytest.mark.parametrize("host", ["localhost.", "evil@localhost", "127.0.0.1:80:80", "127.1", "[::1]x", "0.0.0.0", ""])
def test_what_only_looks_like_this_machine_is_refused(http: httpx.Client, host: str) -> None:
    assert http.get("/modules", headers={"Host": host}).status_code in (400, 403)


@pytest.mark.parametrize(
    "header",
    [
        "X-Forwarded-For",
        "Forwarded",
        "X-Forwarded-Host",
        "X-Forwarded-Proto",
        "X-Forwarded-Port",
        "X-Forwarded-Server",
        "X-Real-IP",
        "Via",
        "CF-Connecting-IP",
        "True-Client-IP",
    ],
)
def test_without_tokens_a_proxy_lets_nobody_in(http: httpx.Client, header: str) -> None:
    assert http.get("/modules", headers={header: "for=10.0.0.1"}).status_code == 403


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_without_tokens_a_page_from_elsewhere_cannot_even_read(http: httpx.Client, site: str) -> None:
    headers = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}
    assert http.get("/modules", headers=headers).status_code == 403
    assert http.get("/", headers=headers).status_code == 403


def test_a_link_from_elsewhere_leads_to_pages_only(http: httpx.Client) -> None:
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    assert http.get("/", headers=headers).status_code == 200
    assert http.get("/transferability/map", headers=headers).status_code == 403
    assert http.post("/rank", headers=headers).status_code == 403


@pytest.mark.parametrize("site", ["none", "same-origin"])
def test_the_services_own_pages_are_let_in(http: httpx.Client, site: str) -> None:
    assert http.get("/modules", headers={"Sec-Fetch-Site": site}).status_code == 200


def test_every_route_is_in_the_table_and_every_row_is_a_route(guarded: Service) -> None:
    listed = {f"{method} {route.path_format}" for route in every_route(guarded) for method in route.methods - {"HEAD"}}
    assert listed == set(EVERY)


def every_route(service: Service) -> list[Route]:
    """Every route of the app, those of included routers too."""
    contexts = [context.original_route for context in iter_route_contexts(service.app.routes)]
    return [route for route in (*contexts, *service.app.routes) if isinstance(route, Route)]


def test_a_route_that_is_in_no_table_is_for_nobody(tmp_path: Path) -> None:
    app = create_app(open_zoo(Settings(home=tmp_path)))

    @app.get("/forgotten")
    def forgotten() -> None:
        raise AssertionError("nobody comes here")

    with running(app) as url:
        assert httpx.get(f"{url}/forgotten", trust_env=False).status_code == 403


@pytest.mark.parametrize("role", [None, *TokenRole])
def test_every_role_may_do_what_the_table_says_and_nothing_else(guarded: Service, role: TokenRole | None) -> None:
    headers = {} if role is None else {"Authorization": f"Bearer {secret_of(guarded, role)}"}
    for route, action in EVERY.items():
        method, _, path = route.partition(" ")
        if (method, path) == ("DELETE", "/tokens/{token}"):
            continue  # an admin's own would end here
        with guarded.http.stream(method, path.translate(BRACES), headers=headers) as answer:
            status = answer.status_code  # a stream of events has no end that one would wait for
        if role is None:
            may, refused = action in (Action.LOOK, Action.READ), 401
        else:
            may, refused = action in ALLOWED[role], 403
        assert (status not in (refused, STOP_POLLING)) == may or _polls(route, may), (route, status)


def _polls(route: str, may: bool) -> bool:
    """Whether a route says of every error, even that there is no such query, that it is not to be asked again."""
    return may and route == f"GET {POLLED}"


BRACES = str.maketrans("", "", "{}")


def secret_of(service: Service, role: TokenRole, owner: str = "ada", **changes: object) -> str:
    """The secret of a new token."""
    scope = TokenScope.model_validate({"name": "test", "owner": owner, "role": role, **changes})
    return service.zoo.tokens.create(scope).secret


def test_what_needs_a_token_is_what_the_description_says(guarded: Service) -> None:
    for path, operations in guarded.app.openapi()["paths"].items():
        for method, operation in operations.items():
            assert (ACTIONS[f"{method.upper()} {path}"] in (Action.LOOK, Action.READ)) == ("security" not in operation)
            assert (operation["operationId"] in PUBLIC) == ("security" not in operation)


def test_where_reads_are_not_public_nobody_reads_without_a_token(tmp_path: Path) -> None:
    with serving(tmp_path, token=TOKEN, public_reads=False) as service:
        for path in ("/modules", "/modules/ada/digits", "/pipelines", "/", "/ui/modules/ada/digits"):
            assert service.http.get(path).status_code == 401, path
        assert "data-token" in service.http.get("/").text
        assert service.http.get("/healthz").status_code == 200
        assert service.http.get("/modules", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200


def test_a_web_socket_is_refused(guarded: Service) -> None:
    with socket.create_connection((guarded.http.base_url.host, guarded.http.base_url.port), timeout=5) as connection:
        connection.sendall(
            b"GET /jobs HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        assert connection.recv(1000).split()[1] in (b"401", b"403", b"400")


def test_no_secret_is_written_to_the_log(guarded: Service) -> None:
    secret = secret_of(guarded, TokenRole.READER)
    with structlog.testing.capture_logs() as logs:
        guarded.http.get("/datasets", headers={"Authorization": f"Bearer {secret}"})
        guarded.http.get("/datasets", headers={"Authorization": f"Bearer {TOKEN}"})
        guarded.http.get("/datasets", headers={"Authorization": f"Bearer {secret}x"})
        guarded.http.get("/rank", headers={"Cookie": f"zoo_pages={cookie_of(secret)}"})
        made = guarded.http.post(
            "/tokens", json={"name": "n", "role": "reader"}, headers={"Authorization": f"Bearer {TOKEN}"}
        )
    assert len(logs) == 5
    for hidden in (secret, TOKEN, cookie_of(secret), made.json()["secret"]):
        assert hidden not in str(logs)
