"""Many publishers of one module at once, and readers who look at everything they can see meanwhile."""

import hashlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.end_to_end.processes import START_SECONDS, answers, free_port, program, wait_for
from tests.numpy_worker import linear_module

MODULE = "/modules/team/counted"
PATIENCE_SECONDS = 120.0
LONGEST_PAGE = 200


@contextmanager
def served(home: Path, database: str, **settings: str) -> Iterator[str]:
    """The address of a service that runs as a process of its own on a database."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    environment = {"ZOO_HOME": str(home), "ZOO_DATABASE": database, "ZOO_PORT": str(port), **settings}
    with program(["python", "-m", "api"], environment, home / "service.log"):
        wait_for(lambda: answers(url), seconds=START_SECONDS, log=home / "service.log")
        yield url


def client(url: str) -> httpx.Client:
    return httpx.Client(base_url=url, timeout=PATIENCE_SECONDS, trust_env=False)


def publish_many(url: str, *, publishers: int, each: int) -> list[int]:
    """The versions that so many publishers, who start at once, were given for files that all differ."""
    start = threading.Barrier(publishers)

    def publish(who: int) -> list[int]:
        files = [linear_module(who * each + number) for number in range(each)]
        start.wait()
        with client(url) as http:
            answered = [http.post(f"{MODULE}/versions", content=file) for file in files]
        assert [answer.status_code for answer in answered] == [201] * each, [a.text for a in answered]
        return [answer.json()["version"] for answer in answered]

    with ThreadPoolExecutor(publishers) as pool:
        return [version for given in pool.map(publish, range(publishers)) for version in given]


@contextmanager
def watched(url: str, *, readers: int) -> Iterator[Callable[[], int]]:
    """Readers look while the block runs; raises what one of them found missing. Gives how often they looked."""
    stop, looks = threading.Event(), [0] * readers

    def read(who: int) -> None:
        with client(url) as http:
            while not stop.is_set():
                look(http)
                looks[who] += 1

    with ThreadPoolExecutor(readers) as pool:
        reading = [pool.submit(read, who) for who in range(readers)]
        try:
            yield lambda: sum(looks)
        finally:
            stop.set()
        for done in reading:
            done.result()


def look(http: httpx.Client) -> None:
    """See that the module's versions have no gap, and that everything of the newest is there."""
    answer = http.get(MODULE)
    if answer.status_code == 404:
        return
    listed = [each["version"] for each in answer.raise_for_status().json()["versions"]]
    assert listed == list(range(listed[0], max(0, listed[0] - LONGEST_PAGE), -1))
    newest = answer.json()["versions"][0]
    version = f"{MODULE}/versions/{newest['version']}"
    manifest = http.get(version).raise_for_status().json()
    assert manifest["digest"] == newest["digest"]
    assert manifest["architecture"]["blocks"]
    file = http.get(f"{version}/file").raise_for_status().content
    assert f"sha256:{hashlib.sha256(file).hexdigest()}" == newest["digest"]
    assert http.get(f"{version}/tensors").raise_for_status().json()["digest"] == newest["digest"]
    latest = http.get(f"{MODULE}/versions/latest").raise_for_status().json()["version"]
    assert latest >= newest["version"]


def all_versions(http: httpx.Client) -> dict[int, str]:
    """The digest of each version of the module, read a page at a time."""
    found: dict[int, str] = {}
    cursor: dict[str, str] = {}
    while True:
        page = http.get(MODULE, params=cursor).raise_for_status().json()
        found |= {each["version"]: each["digest"] for each in page["versions"]}
        if page["next_cursor"] is None:
            return found
        cursor = {"cursor": page["next_cursor"]}
