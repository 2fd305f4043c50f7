"""How much memory do the service and the client take while 5 GB are uploaded, through a death of each?

The service (``python -m api``) and the client (`Zoo.blobs.put` of a file of random bytes, which sends large files as
`zoo publish` does) are processes of their own on one machine. When a third of the bytes have arrived, the client is
killed with -9 and started again; at two thirds the service is. Their resident memory is read every 20 ms until the
upload is complete and the blob has been put together from its pieces. `service_idle_mb` is what the service takes
before the first byte comes, nearly all of it libraries; `kept_...` is how many bytes it still had after each death;
`right`, whether the digest that the client got is that of the file.

Measured on 2026-11-27, 2 cores of an x86-64 server that others were using; Python 3.11.7, uvicorn 0.54.0; one run:

    5 GB in 89 s, both deaths included; right; 1.69 GB kept when the client died, 3.37 GB when the service did
    service  175 MB before the first byte, 180 MB at most (target 200)
    client    89 MB at most

With --quick 200 MB.
"""

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import httpx
import psutil

from bench.report import Figure, parse_quick, report
from client.cache import digest_of_file
from client.errors import TransferBrokenError
from tests.end_to_end.processes import answers, free_port

SIZE_BYTES, QUICK_BYTES = 5_000_000_000, 200_000_000
CHUNK_BYTES = 4_000_000
SAMPLE_SECONDS = 0.02
PATIENCE_SECONDS = 900.0
TARGETS: dict[str, Figure] = {"service_peak_mb": 200.0}
ROOT = Path(__file__).parents[1]
CLIENT = """
import sys
from pathlib import Path
from client.zoo import Zoo
with Zoo(sys.argv[1]) as zoo:
    print(zoo.blobs.put(Path(sys.argv[2])))
"""


class Peak:
    """The most resident memory of processes that come and go, in MB."""

    def __init__(self) -> None:
        self.mb, self._process, self._over = 0.0, None, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def follow(self, process: subprocess.Popen[bytes]) -> None:
        """Watch another process from now on."""
        self._process = psutil.Process(process.pid)

    def stop(self) -> float:
        """The most that was seen."""
        self._over.set()
        self._thread.join()
        return round(self.mb, 1)

    def _watch(self) -> None:
        while not self._over.wait(SAMPLE_SECONDS):
            try:
                if self._process is not None:
                    self.mb = max(self.mb, self._process.memory_info().rss / 1e6)
            except psutil.NoSuchProcess:
                self._process = None


def main() -> None:
    size = QUICK_BYTES if parse_quick(__doc__) else SIZE_BYTES
    with tempfile.TemporaryDirectory(prefix="zoo-bench-") as folder:
        figures = measure(Path(folder), size)
    holds = float(figures["service_peak_mb"]) < float(TARGETS["service_peak_mb"]) and bool(figures["right"])
    report(bench="upload_memory", figures=figures, targets=TARGETS, holds=holds)


def measure(folder: Path, size: int) -> dict[str, Figure]:
    """Upload a file through both deaths."""
    file, port = folder / "file", free_port()
    write_random(file, size)
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("ZOO_")},
        "ZOO_HOME": str(folder / "home"),
        "ZOO_PORT": str(port),
        "ZOO_URL": f"http://127.0.0.1:{port}",
        "ZOO_MODULE_LIMIT_BYTES": str(2 * SIZE_BYTES),
    }
    run = Run(file, environment, (Peak(), Peak()))
    began = time.perf_counter()
    first_kept = run.killing_the_client(at=size // 3)
    second_kept = run.killing_the_service(at=2 * size // 3)
    told = run.finish()
    seconds = time.perf_counter() - began
    return {
        "bytes": size,
        "seconds": round(seconds, 1),
        "service_idle_mb": round(run.idle_mb, 1),
        "service_peak_mb": run.peaks[0].stop(),
        "client_peak_mb": run.peaks[1].stop(),
        "kept_when_the_client_died": first_kept,
        "kept_when_the_service_died": second_kept,
        "right": told == digest_of_file(file),
    }


class Run:
    """One upload, with the processes that take part in it."""

    def __init__(self, file: Path, environment: dict[str, str], peaks: tuple[Peak, Peak]) -> None:
        self.file, self.environment, self.peaks = file, environment, peaks
        self.url, self.home = environment["ZOO_URL"], Path(environment["ZOO_HOME"])
        self.service = self._start_service()
        time.sleep(1.0)
        self.idle_mb = peaks[0].mb
        self.client = self._start_client()

    def killing_the_client(self, *, at: int) -> int:
        """Kill the client, and start it again; gives how many bytes the service has kept."""
        self._wait_for(at)
        kill(self.client)
        time.sleep(1.0)
        kept = self.offset()
        self.client = self._start_client()
        return kept

    def killing_the_service(self, *, at: int) -> int:
        """Kill the service, and start it again under the client that sends to it."""
        self._wait_for(at)
        kill(self.service)
        self.service = self._start_service()
        return self.offset()

    def finish(self) -> str:
        """Wait until the client is done; gives the digest that it was told."""
        told, said = self.client.communicate(timeout=PATIENCE_SECONDS)
        kill(self.service)
        sys.stderr.write(said.decode())
        return told.decode().strip()

    def offset(self) -> int:
        """How many bytes have arrived for good; 0 before the upload has begun."""
        sessions = [path for path in (self.home / "uploads").glob("*") if path.suffix != ".part"]
        if not sessions:
            return 0
        answer = httpx.get(f"{self.url}{sessions[0].read_text()}", trust_env=False, timeout=60.0)
        return int(answer.headers["upload-offset"])

    def _wait_for(self, offset: int) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self.offset() < offset:
            if time.monotonic() > deadline or self.client.poll() is not None:
                raise TransferBrokenError(f"the upload did not come to {offset}")
            time.sleep(0.05)

    def _start_service(self) -> subprocess.Popen[bytes]:
        service = self._started("-m", "api", out=subprocess.DEVNULL)
        self.peaks[0].follow(service)
        while not answers(self.url):
            time.sleep(0.1)
        return service

    def _start_client(self) -> subprocess.Popen[bytes]:
        client = self._started("-c", CLIENT, self.url, str(self.file), out=subprocess.PIPE, errors=subprocess.PIPE)
        self.peaks[1].follow(client)
        return client

    def _started(self, *arguments: str, out: int, errors: int = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
        command = [sys.executable, *arguments]
        return subprocess.Popen(command, cwd=ROOT, env=self.environment, stdout=out, stderr=errors)


def kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a process with -9."""
    process.send_signal(signal.SIGKILL)
    process.wait()


def write_random(file: Path, size: int) -> None:
    """Write a file of random bytes, of which no two chunks are the same."""
    chunk = os.urandom(CHUNK_BYTES)
    with file.open("wb") as out:
        for start in range(0, size, CHUNK_BYTES):
            out.write((start.to_bytes(8, "big") + chunk[8:])[: size - start])


if __name__ == "__main__":
    main()
