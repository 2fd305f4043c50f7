"""Who may ask: whoever has the token; without tokens, this machine alone."""

from collections.abc import Iterator

import httpx
import pytest

from api.access import Caller, check_access, needs_token
from api.app import create_app
from registry.errors import ForbiddenError
from tests.api.serving import Service, serving

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
            assert answer.json()["code"] == "unauthenticated"


@pytest.mark.parametrize(
    "given", ["Bearer wrong", "Basic " + TOKEN, TOKEN, "Bearer", "Bearer " + TOKEN + "x", "Bearer é"]
)
def test_a_wrong_token_is_refused(guarded: Service, given: str) -> None:
    assert guarded.http.get("/datasets", headers={"Authorization": given.encode()}).status_code == 401


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
def test_without_tokens_only_this_machine_is_let_in(address: str | None, let_in: bool) -> None:
    caller = Caller(method="GET", path="/modules", headers={"host": "localhost"}, address=address)
    if let_in:
        check_access(caller, None)
    else:
        with pytest.raises(ForbiddenError, match="ZOO_TOKEN"):
            check_access(caller, None)


def test_what_may_be_read_without_a_token_is_what_the_description_says(guarded: Service) -> None:
    app = create_app(guarded.zoo)
    for path, operations in app.openapi()["paths"].items():
        for method, operation in operations.items():
            assert needs_token(method.upper(), path) == ("security" in operation)
            assert (operation["operationId"] in PUBLIC) == ("security" not in operation)
