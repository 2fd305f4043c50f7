"""How fast are uploads and downloads of 200 MB, against this machine's own disk and against nginx on it?

Side by side in one run, by turns, after one round that does not count; the client is curl both times, so that only the
servers differ:

1. upload: ``PUT /blobs/{digest}`` to ``python -m api`` (hashed, made durable), against writing the same bytes to a file
   with fsync and hashing them with SHA-256, one after the other in chunks of 1 MiB, in this process;
2. download: ``GET /blobs/{digest}`` to nowhere, against the same file from nginx (sendfile, one worker).

Beside them what our own client does: `Zoo.blobs.put`, which is resumable and so writes everything twice, and
`Zoo.blobs.fetch`, which checks the digest while it writes to its cache.

Measured on 2026-11-27 on an idle x86-64 server with 2 cores, Python 3.11.7, uvicorn 0.54.0 with h11, nginx 1.22.1;
medians over 7 rounds, of the ratios with the standard deviation:

    upload    disk and SHA-256  683 MB/s, ours  488 MB/s: ratio 0.71 +- 0.06 (target 0.6)
    download  nginx            1994 MB/s, ours 2091 MB/s: ratio 1.0 +- 0.3 (target 0.7)
    our client: put, resumable 189 MB/s; fetch, verified 459 MB/s

nginx sends without looking. What came through the service is known to it by checks of its chunks (decision 22), so
that judging costs next to nothing; a file that has not passed since the service began is hashed with SHA-256 while it
is sent the first time, which goes at 0.47 +- 0.10 of nginx (all downloads did, in a run before).

With --quick 40 MB and 2 rounds.
"""

import hashlib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench.report import Figure, parse_quick, report
from client.zoo import Zoo
from tests.end_to_end.processes import answers, free_port, program, wait_for

SIZE_BYTES, QUICK_BYTES = 200_000_000, 40_000_000
ROUNDS, QUICK_ROUNDS = 7, 2
CHUNK_BYTES = 1024 * 1024
PATIENCE_SECONDS = 300.0
NGINX = shutil.which("nginx") or "/usr/sbin/nginx"
TARGETS: dict[str, Figure] = {"upload_ratio": 0.6, "download_ratio": 0.7}
CONFIGURATION = """
daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 64; }}
http {{
  access_log off; sendfile on; tcp_nopush on; default_type application/octet-stream;
  client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;
  uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
  server {{ listen 127.0.0.1:{port}; root {folder}/served; }}
}}
"""


def main() -> None:
    quick = parse_quick(__doc__)
    size, rounds = (QUICK_BYTES, QUICK_ROUNDS) if quick else (SIZE_BYTES, ROUNDS)
    with tempfile.TemporaryDirectory(prefix="zoo-bench-") as folder, ExitStack() as stack:
        place = Path(folder)
        race = Race(place, size, stack.enter_context(service(place)), stack.enter_context(nginx(place)))
        race.once()
        measured = [race.once() for _ in range(rounds)]
    figures = summary(measured, size)
    reached = [name for name, least in TARGETS.items() if isinstance(figures[name], float) and figures[name] >= least]
    report(bench="transfer", figures=figures, targets=TARGETS, holds=len(reached) == len(TARGETS))


def summary(measured: list[dict[str, float]], size: int) -> dict[str, Figure]:
    """Medians of MB/s and of the ratios of each round, with the standard deviation of the ratios."""
    figures: dict[str, Figure] = {"bytes": size, "rounds": len(measured)}
    for name in measured[0]:
        figures[f"{name}_mb_per_s"] = round(size / 1e6 / statistics.median(each[name] for each in measured), 1)
    for ratio, (ours, theirs) in {"upload_ratio": ("put", "disk"), "download_ratio": ("get", "nginx")}.items():
        if theirs not in measured[0]:
            figures[ratio] = "skipped: there is no nginx here"
            continue
        each = [seconds[theirs] / seconds[ours] for seconds in measured]
        figures[ratio], figures[f"{ratio}_spread"] = round(statistics.median(each), 3), round(statistics.stdev(each), 3)
    return figures


class Race:
    """The same bytes by every way, one after the other; other bytes each time, for a store keeps no bytes twice."""

    def __init__(self, folder: Path, size: int, zoo_url: str, nginx_url: str | None) -> None:
        self.folder, self.zoo_url, self.nginx_url = folder, zoo_url, nginx_url
        self.file, self.count = folder / "file", 0
        with self.file.open("wb") as out:
            for start in range(0, size, CHUNK_BYTES):
                out.write(os.urandom(min(CHUNK_BYTES, size - start)))

    def once(self) -> dict[str, float]:
        """Seconds of each way."""
        seconds = {"disk": timed(self._to_disk)}
        digest = self._other_bytes()
        url = f"{self.zoo_url}/blobs/{digest}"
        seconds["put"] = timed(lambda: curl("--upload-file", str(self.file), url))
        seconds["get"] = timed(lambda: curl(url))
        if self.nginx_url is not None:
            self._serve(digest)
            seconds["nginx"] = timed(lambda: curl(f"{self.nginx_url}/file"))
        seconds |= self._with_our_client()
        for blob in (self.folder / "home" / "blobs").glob("??/??/*"):
            blob.unlink()
        return seconds

    def _serve(self, digest: str) -> None:
        """Let nginx serve the very file that the zoo keeps, so that both find it in memory, or neither."""
        served, name = self.folder / "served" / "file", digest.removeprefix("sha256:")
        served.unlink(missing_ok=True)
        served.hardlink_to(self.folder / "home" / "blobs" / name[:2] / name[2:4] / name)

    def _with_our_client(self) -> dict[str, float]:
        self._other_bytes()
        cache = self.folder / "cache"
        with Zoo(self.zoo_url, cache=cache) as zoo:
            seconds = {"client_put": timed(lambda: zoo.blobs.put(self.file))}
            digest = zoo.blobs.put(self.file)
            seconds["client_fetch"] = timed(lambda: zoo.blobs.fetch(digest))
        shutil.rmtree(cache)
        return seconds

    def _to_disk(self) -> None:
        """What is the least that keeping bytes under their digest takes."""
        hashed, copy = hashlib.sha256(), self.folder / "copy"
        with self.file.open("rb") as source, copy.open("wb", buffering=0) as target:
            while chunk := source.read(CHUNK_BYTES):
                hashed.update(chunk)
                target.write(chunk)
            os.fsync(target.fileno())
        copy.unlink()

    def _other_bytes(self) -> str:
        """Change the file's first bytes; gives the digest that it has now."""
        self.count += 1
        with self.file.open("r+b") as file:
            file.write(self.count.to_bytes(8, "big"))
        with self.file.open("rb") as file:
            return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def timed(act: Callable[[], object]) -> float:
    """Seconds that something takes."""
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def curl(*arguments: str) -> None:
    """One transfer; what comes back goes nowhere."""
    command = ["curl", "--silent", "--show-error", "--fail", "--noproxy", "*", "--output", os.devnull, *arguments]
    subprocess.run(command, check=True)


@contextmanager
def service(folder: Path) -> Iterator[str]:
    """The address of a service with its data in a folder."""
    port, log = free_port(), folder / "log"
    environment = {"ZOO_HOME": str(folder / "home"), "ZOO_PORT": str(port)}
    url = f"http://127.0.0.1:{port}"
    with program(["python", "-m", "api"], environment, log):
        wait_for(lambda: answers(url), seconds=PATIENCE_SECONDS, log=log)
        yield url


@contextmanager
def nginx(folder: Path) -> Iterator[str | None]:
    """The address of an nginx that serves a folder; None where there is no nginx."""
    (folder / "served").mkdir()
    if not Path(NGINX).exists():
        sys.stderr.write("there is no nginx here: downloads are not compared\n")
        yield None
        return
    port, file = free_port(), folder / "nginx.conf"
    file.write_text(CONFIGURATION.format(folder=folder, port=port))
    (folder / "served" / "readyz").write_text("ready")
    url, log = f"http://127.0.0.1:{port}", folder / "nginx.log"
    with program([NGINX, "-p", str(folder), "-c", str(file)], {}, log):
        wait_for(lambda: answers(url), seconds=PATIENCE_SECONDS, log=log)
        yield url


if __name__ == "__main__":
    main()
