"""The database is stopped and started under load: who is answered 503 tries again, and nothing acknowledged is lost."""

import hashlib
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.end_to_end.publishing import MODULE, all_versions, client, served
from tests.numpy_worker import linear_module
from tests.postgres import own_postgres

pytestmark = pytest.mark.postgres
PUBLISHERS, RESTARTS = 4, 3


def publish_until(url: str, stop: threading.Event, *, who: int) -> tuple[dict[int, str], int]:
    """Publish file after file, each until it is taken: the digest of every acknowledged version, and refusals met."""
    taken: dict[int, str] = {}
    refused = number = 0
    with client(url) as http:
        while not stop.is_set():
            number += 1
            file = linear_module(1000 * who + number)
            answer = http.post(f"{MODULE}/versions", content=file)
            while answer.status_code == 503 and not stop.is_set():
                refused += 1
                time.sleep(0.1 * int(answer.headers["Retry-After"]))
                answer = http.post(f"{MODULE}/versions", content=file)
            if answer.status_code == 503:
                break
            assert answer.status_code in (200, 201), answer.text
            taken[answer.json()["version"]] = f"sha256:{hashlib.sha256(file).hexdigest()}"
    return taken, refused


@pytest.mark.parametrize("way", ["fast", "immediate"])
def test_nothing_acknowledged_is_lost_when_the_database_restarts_under_load(tmp_path: Path, way: str) -> None:
    stop = threading.Event()
    with own_postgres() as postgres:
        database = postgres.url.render_as_string(hide_password=False)
        with served(tmp_path, database) as url, ThreadPoolExecutor(PUBLISHERS) as pool:
            running = [pool.submit(publish_until, url, stop, who=who) for who in range(PUBLISHERS)]
            try:
                for _ in range(RESTARTS):
                    time.sleep(1.0)
                    postgres.control("stop", "-m", way)
                    time.sleep(0.5)
                    postgres.start()
                time.sleep(1.0)
            finally:
                stop.set()
            told = [done.result() for done in running]
            with client(url) as http:
                found = all_versions(http)
                assert http.get("/readyz").status_code == 200
    acknowledged = {version: digest for taken, _ in told for version, digest in taken.items()}
    assert sum(len(taken) for taken, _ in told) == len(acknowledged) > PUBLISHERS
    assert acknowledged.items() <= found.items()
    assert sorted(found) == list(range(1, len(found) + 1))
    assert sum(refused for _, refused in told) > 0


def test_a_service_says_that_it_is_not_ready_while_its_database_is_away(tmp_path: Path) -> None:
    with own_postgres() as postgres:
        database = postgres.url.render_as_string(hide_password=False)
        with served(tmp_path, database) as url:
            postgres.control("stop", "-m", "fast")
            wait_until_ready(url, ready=False)
            for path in ("/readyz", "/modules", "/modules/team/counted"):
                answer = httpx.get(f"{url}{path}")
                assert (answer.status_code, answer.json()["code"]) == (503, "busy")
                assert answer.headers["Retry-After"]
                assert "cannot be reached just now" in answer.json()["detail"]
            assert httpx.get(f"{url}/healthz").status_code == 200
            postgres.start()
            wait_until_ready(url)


def wait_until_ready(url: str, *, ready: bool = True) -> None:
    """A look at the parts is told again for a second, so it may take as long to be noticed."""
    deadline = time.monotonic() + 20
    while (httpx.get(f"{url}/readyz").status_code == 200) != ready:
        assert time.monotonic() < deadline, "readiness is not told as it is"
        time.sleep(0.1)
