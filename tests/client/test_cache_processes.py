"""The cache under many processes: some are killed, and nobody ever gets wrong bytes or waits for the dead."""

import multiprocessing
import os
import random
import time
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from client.cache import Cache, digest_of_bytes
from client.connection import Timeouts
from client.zoo import Zoo
from tests.api.serving import Service, serving

PROCESSES = 32
KILLED = 10
ROUNDS = 3
DATA = random.Random(0).randbytes(6_000_000)
DIGEST = digest_of_bytes(DATA)
PATIENT = Timeouts(stall_seconds=60.0, quiet_seconds=200.0)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with serving(tmp_path_factory.mktemp("zoo")) as running:
        running.http.put(f"/blobs/{DIGEST}", content=DATA).raise_for_status()
        yield running


def fetch(url: str, cache: Path, go: Event, damage: bool) -> None:
    """What each process does, all at once: fetch, and in some processes leave a draft with wrong bytes behind."""
    go.wait()
    with Zoo(url, cache=cache, timeouts=PATIENT) as zoo:
        for _ in range(ROUNDS):
            path = zoo.blobs.fetch(DIGEST)
            if damage:
                path.with_name(f"{path.name}.{os.getpid()}.part").write_bytes(DATA[:1_000_000] + b"damaged")
                path.unlink(missing_ok=True)


def test_32_processes_fetch_the_same_bytes_and_some_are_killed(service: Service, tmp_path: Path) -> None:
    cache, draw = tmp_path / "cache", random.Random(1)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    go, url = context.Event(), str(service.http.base_url).rstrip("/")
    processes = [
        context.Process(target=fetch, args=(url, cache, go, number % 8 == 0), daemon=True)
        for number in range(PROCESSES)
    ]
    for process in processes:
        process.start()
    go.set()
    place, doomed = Cache(cache).place(DIGEST), draw.sample(processes, KILLED)
    for process in doomed:
        time.sleep(draw.uniform(0.0, 0.3))
        process.kill()
        with suppress(FileNotFoundError):
            assert place.read_bytes() == DATA
    for process in processes:
        process.join(timeout=200)
    assert {process.exitcode for process in processes if process not in doomed} == {0}
    with Zoo(url, cache=cache) as zoo:
        assert zoo.blobs.fetch(DIGEST).read_bytes() == DATA


def test_what_the_dead_left_blocks_nobody(service: Service, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    place = Cache(cache).place(DIGEST)
    place.parent.mkdir(parents=True)
    for number, left in enumerate([b"", DATA[:100], b"?" * 5000, DATA, DATA + b"more"]):
        part = place.with_name(f"{place.name}.{number}.part")
        part.write_bytes(left)
        part.chmod(0o444)
    with Zoo(str(service.http.base_url).rstrip("/"), cache=cache) as zoo:
        assert zoo.blobs.fetch(DIGEST).read_bytes() == DATA
