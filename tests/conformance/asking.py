"""What the tests ask for again and again, and what they check of every answer."""

import itertools
import re
from typing import TYPE_CHECKING

import httpx

from tests.conformance.files import digest_of, input_module, output_module, zip_dataset

if TYPE_CHECKING:
    from tests.conformance.conftest import Leavings

PROBLEM_KEYS = {"type", "title", "status", "detail", "code", "errors", "request_id"}
FAULT_KEYS = {"pointer", "detail", "code"}
SNAKE_CASE = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
MOST_HELD = 200

SEEDS = itertools.count(1)
"""Every file of a run is another one."""

Answer = dict[str, object]


def problem(answer: httpx.Response, status: int, code: str) -> Answer:
    """The problem of an answer, which must have the contract's shape, this status and this code."""
    assert answer.headers["content-type"].partition(";")[0] == "application/problem+json", answer.text
    content = answer.json()
    assert (answer.status_code, content["status"], content["code"]) == (status, status, code), content
    assert set(content) == PROBLEM_KEYS
    assert all(isinstance(content[key], str) and content[key] for key in ("type", "title", "detail", "request_id"))
    assert SNAKE_CASE.fullmatch(content["code"])
    assert content["request_id"] == answer.headers["x-request-id"]
    for fault in content["errors"]:
        assert set(fault) == FAULT_KEYS
        assert fault["pointer"] == "" or fault["pointer"].startswith("/")
    return content


def pointers(content: Answer) -> set[str]:
    """Where a problem says that something is wrong."""
    return {fault["pointer"] for fault in content["errors"]}


def publish(http: httpx.Client, name: str, data: bytes) -> Answer:
    """Publish a file under ``namespace/name``; it must be new."""
    answer = http.post(f"/modules/{name}/versions", content=data)
    assert answer.status_code == 201, answer.text
    return answer.json()


def new_input(http: httpx.Client, name: str) -> tuple[Answer, bytes]:
    """A new input module."""
    data = input_module(next(SEEDS))
    return publish(http, name, data), data


def new_pair(http: httpx.Client, namespace: str) -> tuple[str, str]:
    """References to a new input module and an output module on top of it."""
    number = next(SEEDS)
    below = input_module(number)
    first = publish(http, f"{namespace}/pair-{number}-in", below)
    second = publish(http, f"{namespace}/pair-{number}-out", output_module(below, number))
    return reference(first), reference(second)


def reference(module: Answer) -> str:
    """``namespace/name@version``."""
    return f"{module['namespace']}/{module['name']}@{module['version']}"


def new_dataset(http: httpx.Client, leavings: "Leavings") -> str:
    """The digest of a new dataset, which goes when the tests are over."""
    data = zip_dataset(next(SEEDS))
    answer = http.post("/datasets", content=data)
    assert answer.status_code == 201, answer.text
    leavings.paths.append(answer.headers["location"])
    return digest_of(data)


def new_task(http: httpx.Client, leavings: "Leavings") -> Answer:
    """A task of a new dataset."""
    body = {"dataset": new_dataset(http, leavings), "classes": {"animal": ["cat"], "other": ["dog"]}}
    answer = http.post("/tasks", json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()


def claim(http: httpx.Client, kind: str, job_id: int) -> Answer | None:
    """Claim one job, and give back at once whatever else is handed out; None when another worker was faster."""
    others = []
    try:
        for _ in range(MOST_HELD):
            body = {"worker": "conformance", "kinds": [kind], "wait_seconds": 0}
            answer = http.post("/jobs/claim", json=body)
            if answer.status_code == 204:
                return None
            if answer.json()["id"] == job_id:
                return answer.json()
            others.append(answer.json())
    finally:
        for other in others:
            http.post(f"/jobs/{other['id']}/release", json={"attempt": other["attempt"]})
    return None
