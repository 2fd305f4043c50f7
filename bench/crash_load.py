"""The load of `bench.crashes`: clients that write without pause, and keep a log of every write that was acknowledged.

Each sends a request until it is answered, as a careful client does; what is answered with 2xx is acknowledged.
"""

import hashlib
import io
import json
import random
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx
import numpy as np
from PIL import Image

from registry.manifest import ModuleManifest
from registry.module_file import module_bytes

KEPT = tuple(f"kept/m{number}" for number in range(3))
"""Modules that nobody deletes, for rankings."""
RECIPE = {"family": "mlp", "width": 8, "epochs": 2, "batch_size": 2, "objective": "upper_triangle_alignment"}
RECIPE |= {"head": "none", "held_out_share": 0.25, "output": {"epochs": 2}}
NAMES = tuple(f"load/m{number}" for number in range(6))
RETRY_SECONDS = 0.02
GREY = {"colour": "grey", "height": 8, "width": 8, "mean": (0.5,), "std": (0.5,)}
MANIFEST = ModuleManifest.model_validate(
    {
        "role": "input",
        "architecture": {"blocks": [{"block": "flatten"}, {"block": "linear", "in_features": 64, "out_features": 4}]},
        "takes": {"shape": (1, 8, 8)},
        "gives": {"shape": (4,)},
        "preprocessing": GREY,
        "feature_map": {"activation": "relu", "k_min": 0.0},
    }
)


def module_file(seed: int) -> bytes:
    """A small module file that no other seed gives."""
    draws = np.random.default_rng(seed)
    weight = draws.normal(size=(4, 64)).astype(np.float32)
    return module_bytes(MANIFEST, {"1.weight": weight, "1.bias": np.zeros(4, dtype=np.float32)})


def dataset_file(seed: int) -> bytes:
    """A small zip of two class folders that no other seed gives."""
    draws = np.random.default_rng(seed)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for label in ("a", "b"):
            for number in range(4):
                image = io.BytesIO()
                Image.fromarray(draws.integers(0, 255, size=(8, 8), dtype=np.uint8)).save(image, "PNG")
                archive.writestr(zipfile.ZipInfo(f"{label}/{number}.png"), image.getvalue())
    return packed.getvalue()


def digest_of(data: bytes) -> str:
    """The digest of bytes."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


@dataclass
class Acknowledged:
    """What the service has said is done. `leaving` was asked to be deleted, answered or not."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    versions: dict[tuple[str, int], str] = field(default_factory=dict)
    leaving: set[tuple[str, int]] = field(default_factory=set)
    deleted: set[tuple[str, int]] = field(default_factory=set)
    yanked: dict[tuple[str, int], str] = field(default_factory=dict)
    moves: dict[tuple[str, int], int] = field(default_factory=dict)
    datasets: set[str] = field(default_factory=set)
    jobs: dict[int, str] = field(default_factory=dict)
    queries: set[str] = field(default_factory=set)
    no_room: int = 0
    wrong: list[str] = field(default_factory=list)

    def count(self) -> int:
        """How many writes were acknowledged."""
        with self.lock:
            parts = (self.versions, self.deleted, self.yanked, self.moves, self.datasets, self.jobs, self.queries)
            return sum(len(part) for part in parts)


@dataclass
class Client:
    """One client: a generator of choices, a log, and a service that comes and goes."""

    url: str
    log: Acknowledged
    choices: random.Random
    stopping: threading.Event

    def until_answered(self, method: str, path: str, **request: object) -> httpx.Response | None:
        """The answer, once there is one that is not about the service's own trouble; None when it is time to stop."""
        while not self.stopping.is_set():
            try:
                answered = httpx.request(method, self.url + path, timeout=20.0, trust_env=False, **request)  # type: ignore[arg-type]
            except httpx.TransportError:
                time.sleep(RETRY_SECONDS)
                continue
            if answered.status_code not in (502, 503, 507):
                return answered
            with self.log.lock:
                self.log.no_room += answered.status_code == 507
            time.sleep(RETRY_SECONDS)
        return None

    def expect(self, answered: httpx.Response, *statuses: int) -> bool:
        """Whether the answer is one of these; any other is noted as wrong."""
        if answered.status_code in statuses:
            return True
        with self.log.lock:
            self.log.wrong.append(f"{answered.request.method} {answered.request.url.path}: {answered.text[:300]}")
        return False

    def some_version(self) -> tuple[str, int] | None:
        """A version that was acknowledged and that nobody asked to delete."""
        with self.log.lock:
            there = [key for key in self.log.versions if key not in self.log.leaving]
        return self.choices.choice(there) if there else None

    def publish(self) -> None:
        """Publish a new file, raw or by the digest of bytes that were put before."""
        data, name = module_file(self.choices.getrandbits(60)), self.choices.choice(NAMES)
        path = f"/modules/{name}/versions"
        if self.choices.random() < 0.5:
            answered = self.until_answered("POST", path, content=data)
        else:
            put = self.until_answered("PUT", f"/blobs/{digest_of(data)}", content=data)
            if put is None or not self.expect(put, 200, 201):
                return
            answered = self.until_answered("POST", path, json={"digest": digest_of(data)})
        if answered is not None and self.expect(answered, 200, 201):
            made = json.loads(answered.content)
            with self.log.lock:
                self.log.versions[name, made["version"]] = made["digest"]

    def move(self) -> None:
        """Move an alias to an acknowledged version by compare and swap."""
        chosen = self.some_version()
        if chosen is None:
            return
        name, version = chosen
        path = f"/modules/{name}/aliases/production"
        seen = self.until_answered("GET", path)
        if seen is None:
            return
        condition = {"If-Match": seen.headers["etag"]} if seen.is_success else {"If-None-Match": "*"}
        moved = self.until_answered("PUT", path, json={"version": version}, headers=condition)
        if moved is not None and self.expect(moved, 200, 201, 404, 412) and moved.is_success:
            with self.log.lock:
                self.log.moves[name, int(moved.json()["revision"])] = version

    def upload(self) -> None:
        """Upload a dataset."""
        data = dataset_file(self.choices.getrandbits(60))
        answered = self.until_answered("POST", "/datasets", content=data)
        if answered is not None and self.expect(answered, 200, 201):
            with self.log.lock:
                self.log.datasets.add(digest_of(data))

    def yank(self) -> None:
        """Yank an acknowledged version."""
        chosen = self.some_version()
        if chosen is None:
            return
        name, version = chosen
        path = f"/modules/{name}/versions/{version}/yank"
        answered = self.until_answered("PUT", path, json={"reason": "for the test"})
        if answered is not None and self.expect(answered, 200, 404) and answered.is_success:
            with self.log.lock:
                self.log.yanked[chosen] = "for the test"

    def delete(self) -> None:
        """Delete an acknowledged version; an alias may forbid it."""
        chosen = self.some_version()
        if chosen is None:
            return
        with self.log.lock:
            self.log.leaving.add(chosen)
        answered = self.until_answered("DELETE", f"/modules/{chosen[0]}/versions/{chosen[1]}")
        if answered is None or not self.expect(answered, 204, 404, 409):
            return
        with self.log.lock:
            if answered.status_code == 409:
                self.log.leaving.discard(chosen)
            else:
                self.log.deleted.add(chosen)

    def train(self) -> None:
        """Ask for a training run on an acknowledged dataset, under a key, so that asking again asks for the same."""
        dataset, word = self.some_dataset(), f"t{self.choices.getrandbits(60):x}"
        if dataset is None:
            return
        asked = {"name": f"trained/{word}", "recipe": {**RECIPE, "task": {"dataset": dataset}}}
        answered = self.until_answered("POST", "/jobs", json=asked, headers={"Idempotency-Key": word})
        if answered is not None and self.expect(answered, 200, 201, 202):
            with self.log.lock:
                self.log.jobs[answered.json()["id"]] = asked["name"]

    def ask(self) -> None:
        """Ask which of the kept modules serves an acknowledged dataset."""
        dataset = self.some_dataset()
        if dataset is None:
            return
        asked = {"task": dataset, "candidates": [f"{name}@1" for name in KEPT]}
        answered = self.until_answered("POST", "/transferability", json=asked, headers={"Prefer": "wait=0"})
        if answered is not None and self.expect(answered, 200, 202):
            with self.log.lock:
                self.log.queries.add(answered.json()["query" if answered.status_code == 200 else "id"])

    def some_dataset(self) -> str | None:
        """A dataset that was acknowledged."""
        with self.log.lock:
            return self.choices.choice(sorted(self.log.datasets)) if self.log.datasets else None

    def work(self) -> None:
        """Write until it is time to stop."""
        acts: dict[Callable[[], None], int] = {
            self.publish: 16,
            self.move: 8,
            self.upload: 4,
            self.yank: 2,
            self.delete: 2,
            self.train: 1,
            self.ask: 1,
        }
        while not self.stopping.is_set():
            self.choices.choices([*acts], weights=[*acts.values()])[0]()


def publish_kept(url: str) -> None:
    """Publish what rankings ask about, before anything goes wrong."""
    for number, name in enumerate(KEPT):
        httpx.post(f"{url}/modules/{name}/versions", content=module_file(number), trust_env=False).raise_for_status()


@contextmanager
def load(url: str, log: Acknowledged, *, clients: int, seed: int) -> Iterator[None]:
    """So many clients write while the block runs."""
    stopping = threading.Event()
    made = [Client(url, log, random.Random(1000 * seed + number), stopping) for number in range(clients)]
    threads = [threading.Thread(target=client.work) for client in made]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stopping.set()
        for thread in threads:
            thread.join()
