"""A zoo with very many entries on a real SQLite file, and how fast a ranking is planned in it, for `bench.halving`."""

import hashlib
import io
import sqlite3
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from bench.cifar import images_of
from bench.report import Figure
from registry.manifest import ModuleManifest, Role
from registry.names import Digest
from registry.plans import Plan
from registry.rankings import RankingQuestion
from registry.records import PublishedModule, Verification, VerificationState
from registry.rounds import planned_forwards
from registry.settings import Settings
from registry.zoo import Zoo
from storage.engine import open_engine
from storage.unit_of_work import units_of_work
from storage.wiring import open_zoo

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
OWNER = "bench"
QUESTIONS = 5
SCORED_OF_TEN = 9
VERSION_COLUMNS = (
    *("id", "module_id", "version", "digest", "below", "role", "takes", "gives"),
    *("search_text", "published_at", "record"),
)


def plan_in_large_zoo(home: Path, *, entries: int, standings: Sequence[float]) -> dict[str, Figure]:
    """Seconds to plan a ranking, the first time and usually, and its forward passes as a share of all on all.

    Args:
        home: an empty folder.
        entries: how many modules the zoo has.
        standings: scores of real modules, which those of the zoo stand by.
    """
    settings = Settings(home=home)
    open_zoo(settings).close()
    _fill(home / "zoo.sqlite3", entries=entries, standings=standings)
    zoo = open_zoo(settings)
    data = _dataset(zoo)
    seconds, busy, forwards = [], [], 0
    for seed in range(QUESTIONS):
        began, spent = time.perf_counter(), time.process_time()
        query = zoo.reusability.ask_ranking(RankingQuestion(task=data, seed=seed), owner=OWNER)
        seconds.append(time.perf_counter() - began)
        busy.append(time.process_time() - spent)
        forwards = sum(planned_forwards(_plan_of(settings, query)))
        zoo.queries.cancel(query, owner=OWNER)
    zoo.close()
    return {
        "entries": entries,
        "plan_seconds": round(float(np.median(seconds)), 3),
        "plan_seconds_largest": round(max(seconds), 3),
        "plan_processor_seconds_largest": round(max(busy), 3),
        "forwards_planned": forwards,
        "forwards_share_of_large_zoo": round(forwards / (entries * settings.examples), 6),
    }


def _plan_of(settings: Settings, query: str) -> Plan:
    engine = open_engine(settings.database_url)
    with units_of_work(engine)() as work:
        found = work.queries.get(query)
    engine.dispose()
    assert found is not None
    return Plan.model_validate_json(found.plan)


def _dataset(zoo: Zoo) -> Digest:
    """A dataset of CIFAR-10 images, as a user would upload it."""
    loaded = images_of("test", 2500)
    packed = io.BytesIO()
    np.savez(packed, images=loaded.images, labels=loaded.labels)
    return zoo.datasets.add(zoo.blobs.put(packed.getvalue()), owner=OWNER).dataset.digest


def _fill(file: Path, *, entries: int, standings: Sequence[float]) -> None:
    """Write entries straight into the tables, verified, nine in ten of them with a standing."""
    verified = Verification(state=VerificationState.VERIFIED, at=BEGAN).model_dump_json()
    draws = np.random.default_rng(0)
    scores = draws.choice(np.asarray(standings), entries) + draws.normal(scale=1e-3, size=entries)
    with sqlite3.connect(file) as base:
        _insert(base, "modules", ("id", "namespace", "name", "last_version", "newest"), _modules(entries))
        _insert(base, "versions", VERSION_COLUMNS, _versions(entries))
        found = ((_digest(number), "verified", verified) for number in range(entries))
        _insert(base, "verifications", ("digest", "state", "record"), found)
        stand = ((_digest(n), float(scores[n]), 1) for n in range(entries) if n % 10 < SCORED_OF_TEN)
        _insert(base, "module_standings", ("module", "standing", "data_count"), stand)
    base.close()


def _insert(
    base: sqlite3.Connection, table: str, columns: Sequence[str], rows: Iterator[tuple[str | int | float | None, ...]]
) -> None:
    places = ", ".join("?" for _ in columns)
    base.executemany(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({places})", rows)


def _digest(number: int) -> Digest:
    return Digest("sha256:" + hashlib.sha256(str(number).encode()).hexdigest())


def _below(number: int) -> Digest | None:
    """Every third stands on the entry before it."""
    return _digest(number - 1) if number % 3 == 2 else None


def _modules(entries: int) -> Iterator[tuple[str | int, ...]]:
    return ((number + 1, "bench", f"module-{number}", 1, 1) for number in range(entries))


def _versions(entries: int) -> Iterator[tuple[str | int | None, ...]]:
    """Rows whose records differ in what differs between modules; text is replaced, as parsing each would take long."""
    texts = {role: _record(role) for role in (Role.INPUT, Role.HIDDEN)}
    for number in range(entries):
        below = _below(number)
        role = Role.INPUT if below is None else Role.HIDDEN
        record = texts[role].replace("module-name", f"module-{number}").replace(_digest(-1), _digest(number))
        if below is not None:
            record = record.replace(_digest(-2), below)
        at = (BEGAN + timedelta(minutes=number)).strftime("%Y-%m-%d %H:%M:%S.%f")
        shapes = ("float32[3,32,32]", "float32[64]") if below is None else ("float32[64]", "float32[64]")
        yield (number + 1, number + 1, 1, _digest(number), below, role.value, *shapes, f"module-{number}", at, record)


def _record(role: Role) -> str:
    """The record of a linear module in that role."""
    published = PublishedModule(
        **dict(_manifest(role)),
        namespace="bench",
        name="module-name",
        version=1,
        digest=_digest(-1),
        size_bytes=1,
        published_at=BEGAN,
    )
    return published.model_dump_json(exclude={"yanked", "verification"})


def _manifest(role: Role) -> ModuleManifest:
    is_input = role is Role.INPUT
    first = [{"block": "flatten"}] if is_input else [{"block": "relu"}]
    linear = {"block": "linear", "in_features": 3072 if is_input else 64, "out_features": 64}
    channels = (0.5, 0.5, 0.5)
    pixels = {"colour": "rgb", "height": 32, "width": 32, "mean": channels, "std": channels}
    return ModuleManifest.model_validate(
        {
            "role": role,
            "architecture": {"blocks": [*first, linear]},
            "takes": {"shape": (3, 32, 32) if is_input else (64,)},
            "gives": {"shape": (64,)},
            "preprocessing": pixels if is_input else None,
            "feature_map": {"activation": "relu", "k_min": 0.0},
            "below": None if is_input else _digest(-2),
        }
    )
