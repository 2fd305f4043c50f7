"""Uploads through deaths: the service is killed in the middle, and the client too; what was kept is not sent again."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
import pytest
from tusclient.client import TusClient
from tusclient.exceptions import TusCommunicationError, TusUploadFailed

from client.cache import digest_of_bytes, digest_of_file
from client.zoo import Zoo
from registry.architectures.contracts import TensorType, gives, tensors
from registry.architectures.specs import BlocksSpec, FlattenSpec, LinearSpec
from registry.module_file import module_bytes
from tests.builders import module_manifest
from tests.end_to_end.processes import ROOT, START_SECONDS, answers, free_port, program, wait_for

PIECE_BYTES = 2_000_000
DATA = os.urandom(40_000_000)
DIGEST = digest_of_bytes(DATA)
TUS = {"Tus-Resumable": "1.0.0"}


class Killable:
    """A service that can be killed, and started again at the same address."""

    def __init__(self, home: Path) -> None:
        self.home, self.port, self.log = home, free_port(), home / "log"
        self.url = f"http://127.0.0.1:{self.port}"
        self.environment = {
            "ZOO_HOME": str(home / "zoo"),
            "ZOO_PORT": str(self.port),
            "ZOO_UPLOAD_PIECE_BYTES": str(PIECE_BYTES),
            "ZOO_UPLOAD_LEASE_SECONDS": "2",
        }

    @contextmanager
    def running(self) -> Iterator[subprocess.Popen[bytes]]:
        with program(["python", "-m", "api"], self.environment, self.log) as process:
            wait_for(lambda: answers(self.url), seconds=START_SECONDS, log=self.log)
            yield process


@pytest.fixture
def service(tmp_path: Path) -> Killable:
    return Killable(tmp_path)


def blobs(service: Killable) -> set[str]:
    folder = service.home / "zoo" / "blobs"
    return {path.name for path in folder.rglob("*") if path.is_file() and path.suffix != ".part"}


def test_the_client_goes_on_when_the_service_is_killed_and_started_again(service: Killable, tmp_path: Path) -> None:
    file, restarted = tmp_path / "file", []
    file.write_bytes(DATA)
    with service.running() as first, Zoo(service.url, cache=tmp_path / "cache") as zoo:

        def kill(done: int, total: int | None) -> None:
            if done > 20_000_000 and not restarted:
                first.send_signal(signal.SIGKILL)
                first.wait()
                restarted.append(service.running())
                restarted[0].__enter__()

        try:
            assert zoo.blobs.put(file, on_bytes=kill) == DIGEST
            assert restarted
            assert digest_of_file(zoo.blobs.fetch(zoo.blobs.put(file))) == DIGEST
            assert blobs(service) == {DIGEST.removeprefix("sha256:")}
        finally:
            for each in restarted:
                each.__exit__(None, None, None)


def test_the_client_of_the_protocols_authors_resumes_after_the_service_was_killed(
    service: Killable, tmp_path: Path
) -> None:
    file = tmp_path / "file"
    file.write_bytes(DATA)
    with service.running() as first:
        client = TusClient(f"{service.url}/uploads")
        with file.open("rb") as stream:
            uploader = client.uploader(file_stream=stream, chunk_size=8_000_000)
            uploader.upload_chunk()
            first.send_signal(signal.SIGKILL)
            first.wait()
            with pytest.raises((TusCommunicationError, TusUploadFailed)):
                uploader.upload_chunk()
    with service.running(), file.open("rb") as stream:
        resumed = client.uploader(file_stream=stream, url=uploader.url, chunk_size=8_000_000)
        assert resumed.offset == 8_000_000
        resumed.upload()
        assert httpx.head(uploader.url, headers=TUS).headers["upload-digest"] == DIGEST


def large_module() -> bytes:
    """A module file of some 38 MB."""
    spec = BlocksSpec(
        blocks=(
            FlattenSpec(),
            LinearSpec(in_features=64, out_features=4600),
            LinearSpec(in_features=4600, out_features=2048),
        )
    )
    takes = TensorType(shape=(1, 8, 8))
    manifest = module_manifest(architecture=spec, takes=takes, gives=gives(spec, takes))
    draw = np.random.default_rng(0)
    weights = {name: draw.standard_normal(kind.shape, dtype=np.float32) for name, kind in tensors(spec).items()}
    return module_bytes(manifest, weights)


def test_zoo_publish_that_was_killed_goes_on_when_it_is_started_again(service: Killable, tmp_path: Path) -> None:
    file = tmp_path / "large.safetensors"
    file.write_bytes(large_module())
    command = ["-m", "client.cli.app", "publish", str(file), "ada/large", "--json"]
    home = tmp_path / "user"
    environment = {**os.environ, "ZOO_HOME": str(home), "ZOO_URL": service.url, "PYTHONPATH": str(ROOT)}
    with service.running():
        killed = subprocess.Popen([sys.executable, *command], env=environment, stdout=subprocess.DEVNULL)
        path = begun(home)
        while offset_of(service, path) == 0:
            time.sleep(0.005)
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        time.sleep(1.0)
        kept = offset_of(service, path)
        assert 0 < kept < file.stat().st_size
        done = subprocess.run([sys.executable, *command], env=environment, capture_output=True, text=True, check=True)
        assert json.loads(done.stdout)["digest"] == digest_of_file(file)
        assert list((home / "uploads").iterdir()) == []
        assert blobs(service) == {digest_of_file(file).removeprefix("sha256:")}
        assert requests(service).count(("POST", "/uploads")) == 1


def begun(home: Path) -> str:
    """Where the upload is that a command has begun."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        files = [path for path in (home / "uploads").glob("*") if path.suffix != ".part"]
        if files:
            return files[0].read_text()
        time.sleep(0.005)
    raise AssertionError("no upload was begun")


def requests(service: Killable) -> list[tuple[str, str]]:
    """Method and path of every request that the service has noted."""
    noted = [json.loads(line) for line in service.log.read_text().splitlines() if line.startswith("{")]
    return [(each["method"], each["path"]) for each in noted if each["event"] == "request"]


def offset_of(service: Killable, path: str) -> int:
    return int(httpx.head(f"{service.url}{path}", headers=TUS).headers["upload-offset"])
