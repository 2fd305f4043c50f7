"""A real S3-compatible store on this machine: SeaweedFS, which a package brings, or the one at ZOO_TEST_S3."""

import hashlib
import hmac
import os
import re
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

import httpx
import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

BUCKET = "zoo"
START_SECONDS = 60.0
UNTIL_WE_GO = '"$@" </dev/null & cat; kill -9 $!; wait'
"""Runs a program until our end of a pipe is closed, which it is even when the tests are killed."""

PORT_NAMES = ("s3", "master", "volume", "filer", "admin")
FIRST_PORT, PORTS = 20_000, 2_700
GRPC_OFFSET = 10_000
"""Each service has a second port for its inner talk; both stay below those that the system gives away."""


@dataclass(frozen=True)
class ObjectStore:
    """Where a store is, its keys and a bucket that is there."""

    endpoint: str
    access_key_id: str
    secret_access_key: str
    bucket: str = BUCKET

    def settings(self, prefix: str | None = None) -> dict[str, str]:
        """The settings of a zoo that keeps its blobs below a prefix of their own."""
        place = prefix or f"test-{secrets.token_hex(8)}"
        return {
            "blobs": f"s3://{self.bucket}/{place}",
            "s3_endpoint": self.endpoint,
            "s3_region": "us-east-1",
            "s3_access_key_id": self.access_key_id,
            "s3_secret_access_key": self.secret_access_key,
        }


def named_store(url: str) -> ObjectStore:
    """The store of ZOO_TEST_S3, written http://KEY:SECRET@HOST:PORT/BUCKET."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return ObjectStore(
        endpoint=f"{parts.scheme}://{host}",
        access_key_id=unquote(parts.username or ""),
        secret_access_key=unquote(parts.password or ""),
        bucket=parts.path.strip("/") or BUCKET,
    )


@contextmanager
def running_store(folder: Path) -> Iterator[ObjectStore]:
    """SeaweedFS in a process of its own, with keys, for loopback only; nothing of it is left."""
    ports = free_ports()
    store = ObjectStore(f"http://127.0.0.1:{ports['s3']}", "zoo-tests", secrets.token_hex(16))
    with weed(mini_arguments(ports, folder), store, folder) as process:
        wait_for_store(store, process, folder / "weed.log")
        yield store


def mini_arguments(ports: dict[str, int], folder: Path) -> list[str]:
    """What `weed` is told: one small server of everything, on ports of its own."""
    return [
        *("mini", f"-dir={folder / 'data'}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-bucket={BUCKET}"),
        *("-webdav=false", "-admin.ui=false", "-master.telemetry=false", "-s3.port.iceberg=0", "-s3.port.lance=0"),
        *mini_ports(ports),
    ]


def mini_ports(ports: dict[str, int]) -> list[str]:
    """What `weed` is told of ports: for each service one for the world and one for its inner talk."""
    kinds = (("", 0), (".grpc", GRPC_OFFSET))
    return [f"-{name}.port{kind}={port + add}" for name, port in ports.items() for kind, add in kinds]


@contextmanager
def weed(arguments: list[str], store: ObjectStore, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A `weed` process that knows the keys of a store, and is gone with its sockets when the block ends."""
    (folder / "data").mkdir(parents=True, exist_ok=True)
    keys = {"AWS_ACCESS_KEY_ID": store.access_key_id, "AWS_SECRET_ACCESS_KEY": store.secret_access_key}
    command = [str(Path(sys.executable).with_name("weed")), f"-logdir={folder}", *arguments]
    environment = {**os.environ, **keys, "TMPDIR": str(folder)}
    with (folder / "weed.log").open("ab") as log:
        process = subprocess.Popen(
            ["sh", "-c", UNTIL_WE_GO, "sh", *command], env=environment, stdin=subprocess.PIPE, stdout=log, stderr=log
        )
    try:
        yield process
    finally:
        process.communicate()
        _remove_sockets(arguments)


def _remove_sockets(arguments: list[str]) -> None:
    """Remove the sockets that weed leaves in the machine's temporary folder; they are named by its ports."""
    ports = [argument.rpartition("=")[2] for argument in arguments if ".port" in argument]
    for port in ports:
        for path in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):
            path.unlink(missing_ok=True)


def free_ports() -> dict[str, int]:
    """A free port for each service of weed, such that the one for its inner talk is free too."""
    with ExitStack() as stack:
        found: list[int] = []
        while len(found) < len(PORT_NAMES):
            port = FIRST_PORT + secrets.randbelow(PORTS)
            with suppress(OSError):
                for each in (port, port + GRPC_OFFSET):
                    stack.enter_context(socket.socket()).bind(("127.0.0.1", each))
                found.append(port)
    return dict(zip(PORT_NAMES, found, strict=True))


def wait_for_store(store: ObjectStore, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until the store answers for its bucket, which it makes when all else is up."""
    deadline = time.monotonic() + START_SECONDS
    while not _answers(store):
        assert process.poll() is None, f"weed ended:\n{log.read_text()[-4000:]}"
        assert time.monotonic() < deadline, f"weed does not answer:\n{log.read_text()[-4000:]}"
        time.sleep(0.1)


def _answers(store: ObjectStore) -> bool:
    """Whether the bucket is there and the keys are known."""
    bucket = S3Store(
        store.bucket,
        endpoint=store.endpoint,
        region="us-east-1",
        access_key_id=store.access_key_id,
        secret_access_key=store.secret_access_key,
        client_options={"allow_http": True},
        retry_config={"max_retries": 0},
    )
    try:
        list(obstore.list(bucket))
    except BaseError:
        return False
    return True


def unfinished_uploads(store: ObjectStore, key: str) -> int:
    """How many multipart uploads to a key have begun and not ended, by ListMultipartUploads."""
    answer = _signed_get(store, {"uploads": ""})
    return len(re.findall(rf"<Key>[^<]*{re.escape(key)}</Key>", answer))


def _signed_get(store: ObjectStore, query: dict[str, str]) -> str:
    """Ask a bucket something that no client here can (AWS Signature Version 4, with the query signed)."""
    host = urlsplit(store.endpoint).netloc
    moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    scope = f"{moment[:8]}/us-east-1/s3/aws4_request"
    signed = {
        **query,
        "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
        "X-Amz-Credential": f"{store.access_key_id}/{scope}",
        "X-Amz-Date": moment,
        "X-Amz-Expires": "60",
        "X-Amz-SignedHeaders": "host",
    }
    written = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in sorted(signed.items()))
    request = f"GET\n/{store.bucket}\n{written}\nhost:{host}\n\nhost\nUNSIGNED-PAYLOAD"
    text = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    key = f"AWS4{store.secret_access_key}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    url = f"{store.endpoint}/{store.bucket}?{written}&X-Amz-Signature={signature}"
    return httpx.get(url, trust_env=False).raise_for_status().text
