"""Hostile requests: bodies and forms made to exhaust whoever parses them, or to break what answers."""

import json
from collections.abc import Iterator

import httpx
import pytest

from tests.api.serving import Service, serving
from tests.hostile.module_files import file_of, manifested, tensor

JSON = {"Content-Type": "application/json"}
BOUNDARY = "frontier"
FORM = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with serving(tmp_path_factory.mktemp("zoo")) as running:
        yield running


@pytest.fixture
def http(service: Service) -> httpx.Client:
    return service.http


def refused(answer: httpx.Response) -> dict[str, object]:
    """The problem of an answer, which must be a refusal and not a failure."""
    assert 400 <= answer.status_code < 500, answer.text[:500]
    assert answer.headers["content-type"] == "application/problem+json"
    assert len(answer.content) < 100_000
    return answer.json()


BODIES = {
    "nested-lists": b'{"dataset":' + b"[" * 400_000,
    "nested-objects": b'{"a":' * 100_000,
    "endless-number": b'{"dataset": ' + b"9" * 900_000 + b"}",
    "huge-exponent": b'{"dataset": 1e999999999}',
    "not-a-number": b'{"dataset": NaN}',
    "infinity": b'{"dataset": -Infinity}',
    "lone-surrogate": b'{"dataset": "\\ud800"}',
    "lone-surrogate-as-key": b'{"\\ud800": 1}',
    "nul-in-text": b'{"dataset": "\\u0000"}',
    "not-utf8": b'{"dataset": "\xff\xfe"}',
    "byte-order-mark": b"\xef\xbb\xbf{}",
    "utf16": '{"dataset": 1}'.encode("utf-16"),
    "key-twice": b'{"dataset": "a", "dataset": "b"}',
    "many-unknown-keys": json.dumps({f"key-{number}": 1 for number in range(50_000)}).encode(),
    "many-classes": json.dumps({"dataset": "x", "classes": {str(number): [] for number in range(50_000)}}).encode(),
    "beyond-the-limit": b'{"dataset": "' + b"x" * 2**20 + b'"}',
}


@pytest.mark.parametrize("what", BODIES)
@pytest.mark.parametrize("path", ["/tasks", "/jobs", "/transferability", "/datasets", "/modules/a/b/versions"])
def test_a_hostile_body_is_refused(http: httpx.Client, path: str, what: str) -> None:
    refused(http.post(path, content=BODIES[what], headers=JSON))


def parts(*many: bytes) -> bytes:
    return b"".join(b"--frontier\r\n" + part + b"\r\n" for part in many) + b"--frontier--\r\n"


def part(name: str, value: bytes = b"x", *, file: bool = False, more: bytes = b"") -> bytes:
    said = f'Content-Disposition: form-data; name="{name}"' + ('; filename="f"' if file else "")
    return said.encode() + more + b"\r\n\r\n" + value


FORMS = {
    "thousands-of-parts": parts(*[part(f"field-{number}") for number in range(5_000)]),
    "thousands-of-files": parts(*[part("data", file=True) for _ in range(5_000)]),
    "huge-header-of-a-part": parts(part("data", file=True, more=b"\r\nX-Large: " + b"x" * 500_000)),
    "thousands-of-headers-of-a-part": parts(part("data", file=True, more=b"\r\nX-Many: 1" * 20_000)),
    "huge-name-of-a-part": parts(part("x" * 500_000)),
    "huge-field": parts(part("options", b"x" * 3 * 2**20)),
    "no-end": part("data", file=True),
    "no-parts": b"--frontier--\r\n",
    "nothing": b"",
    "options-nested": parts(part("data", file=True), part("options", b"[" * 100_000)),
}


@pytest.mark.parametrize("what", FORMS)
def test_a_hostile_form_is_refused_and_leaves_nothing(service: Service, what: str) -> None:
    before = service.blobs()
    refused(service.http.post("/transferability", content=FORMS[what], headers=FORM))
    assert service.blobs() == before


@pytest.mark.parametrize(
    "kind", ["multipart/form-data", "multipart/form-data; boundary=", 'multipart/form-data; boundary="']
)
def test_a_form_without_a_boundary_is_refused(http: httpx.Client, kind: str) -> None:
    refused(http.post("/transferability", content=b"x", headers={"Content-Type": kind}))


MODULES = {
    "surrogate-in-description": lambda: manifested(lambda content: content.update(description="\ud800")),
    "surrogate-in-tag": lambda: manifested(lambda content: content.update(tags=["\ud800"])),
    "surrogate-in-key": lambda: manifested(lambda content: content.update({"\ud800": 1})),
    "surrogate-in-tensor": lambda: file_of({"\ud800": tensor(0, 4)}, b"0" * 4),
    "nul-in-description": lambda: manifested(lambda content: content.update(description="a\0b", code=1)),
}


@pytest.mark.parametrize("what", MODULES)
def test_a_text_that_cannot_be_written_breaks_no_answer(http: httpx.Client, what: str) -> None:
    refused(http.post("/modules/ada/hostile/versions", content=MODULES[what]()))
    assert http.get("/modules/ada/hostile").status_code == 404


PATHS = ["/modules/%00/x", "/modules/a%0ab/x", "/tasks/%ed%a0%80", "/queries/%ff", "/blobs/" + "x" * 5_000]


@pytest.mark.parametrize(
    "path", [*PATHS, "/modules?q=%00", "/modules?q=%ff", "/modules?cursor=%f0%9f%92%a9", "/modules?tag=" + "x" * 9_000]
)
def test_a_hostile_address_breaks_nothing(http: httpx.Client, path: str) -> None:
    answer = http.get(path)
    assert answer.status_code < 500
    assert answer.headers["x-request-id"]
