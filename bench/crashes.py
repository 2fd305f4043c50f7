"""Is anything lost when the service and a worker are killed at random moments under load?

The service (`api.__main__.main`) and a worker (`trainer.__main__.work`), in processes forked from one that has imported
them, so that a start takes a moment, are killed with SIGKILL at random moments, one of them or both, also while they
start, and started again on the same folder and database. Four clients meanwhile publish modules (raw, or by the digest
of bytes put before), move aliases by compare and swap, upload datasets, yank, delete, ask for training runs and
rankings, each request until it is answered; what was answered is logged as acknowledged. The collector runs every half
second. After each start, with the load going on: every acknowledged version is listed with its digest; what has become
visible has a manifest and bytes of its digest (a few after a kill, all of them in the end); histories of aliases have
no gap; what was deleted is gone; datasets are there; no job has failed. After every tenth look, and in the end, the
doctor, who reads every record and every byte, finds nothing. In the end every job and query is done.

Measured on 2026-11-27, 2 cores of an x86-64 server that others were using, Python 3.11.7, SQLite: 202 kills, 68 of them
of the worker (seed 11), in 1,056 s; 9,064 acknowledged writes and 563 jobs and queries, every one of them done in the
end; nothing wrong. PostgreSQL 18 with --postgres, stopped at random moments as well: 202 kills, 54 of the worker (seed
12), in 1,406 s; 7,582 acknowledged writes and 466 jobs and queries; nothing wrong; nor in 209 more
kills (seeds 21 and 22).
SQLite with --disk (300 MB): 202 kills, 63 of the worker (seed 17), in 1,348 s; 10,002 acknowledged writes and 594 jobs
and queries, 595 answers of 507; nothing wrong. Before, a training had failed because there was no room for its result:
workers wait since.

With --quick 10 kills on SQLite. `--kills` and `--seed` choose otherwise; `--database` is the URL of an empty database,
`--postgres` starts a server for the run and stops it at random moments too; `--disk` is an empty folder on a small disk
of its own (``mount -t tmpfs -o size=200m tmpfs FOLDER``), which is filled up at random moments.
"""

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine

from bench.crash_checks import Checks
from bench.crash_load import Acknowledged, load, publish_kept
from bench.crash_processes import FORKED, Killable, exceptions, free_port, service_of, wait_until_ready, worker_of
from bench.crash_trouble import fill_up, restart
from bench.report import report
from registry.settings import Settings
from storage.engine import open_engine
from tests.postgres import OwnPostgres, own_postgres

KILLS, QUICK_KILLS = 200, 10
CLIENTS = 4
LONGEST_LIFE_SECONDS = 1.0
LOG_CHARACTERS = 20_000
KILLED_EARLY, WORKER_KILLED, WORKER_ALONE, TROUBLED = 0.2, 0.3, 0.2, 0.25
"""So many of the starts are killed before they are ready; so often the worker dies too, or alone; so often there is no
room, or no database, for a while."""


@dataclass(frozen=True)
class Asked:
    """What the command line says."""

    kills: int
    seed: int
    database: str | None
    postgres: bool
    disk: Path | None


@dataclass(frozen=True)
class Run:
    """What a run is made of."""

    asked: Asked
    home: Path
    choices: random.Random
    service: Killable
    worker: Killable
    checks: Checks
    engine: Engine
    url: str
    postgres: OwnPostgres | None


def main() -> None:
    """Kill and look, again and again; ends with one line of JSON, and with 1 where something was lost."""
    asked = parse()
    FORKED.set_forkserver_preload(["api.__main__", "trainer.__main__"])
    began, log = time.monotonic(), Acknowledged()
    with prepared(asked, log) as run:
        wrong = killed_again_and_again(run, log)
        for process in (run.service, run.worker):
            sys.stderr.write("".join(exceptions(process.log))[-LOG_CHARACTERS:])
    for each in wrong[:20]:
        sys.stderr.write(f"WRONG: {each}\n")
    figures = {
        "kills": run.service.kills + run.worker.kills,
        "of_the_worker": run.worker.kills,
        "seed": asked.seed,
        "acknowledged_writes": log.count(),
        "jobs_and_queries": len(log.jobs) + len(log.queries),
        "answered_no_room": log.no_room,
        "wrong": len(wrong),
        "seconds": round(time.monotonic() - began, 1),
        "database": run.engine.dialect.name,
    }
    report(bench="crashes", figures=figures, targets={"wrong": 0}, holds=not wrong)
    raise SystemExit(bool(wrong))


def parse() -> Asked:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--quick", action="store_true", help="a smaller version, about a minute on a CPU")
    parser.add_argument("--kills", type=int, help=f"default: {KILLS}, or {QUICK_KILLS} with --quick")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--database", help="SQLAlchemy URL of an empty database; default: SQLite")
    parser.add_argument("--postgres", action="store_true", help="a PostgreSQL of the run's own, stopped now and then")
    parser.add_argument("--disk", type=Path, help="an empty folder on a small disk of its own, filled up now and then")
    given = parser.parse_args()
    kills = given.kills or (QUICK_KILLS if given.quick else KILLS)
    return Asked(kills, given.seed, given.database, given.postgres, given.disk)


@contextmanager
def prepared(asked: Asked, log: Acknowledged) -> Iterator[Run]:
    """All that a run needs; processes are dead when the block ends."""
    with ExitStack() as kept:
        logs = Path(kept.enter_context(tempfile.TemporaryDirectory(prefix="zoo-crashes-")))
        home = logs / "home" if asked.disk is None else asked.disk / "home"
        home.mkdir()
        postgres = kept.enter_context(own_postgres()) if asked.postgres else None
        database = asked.database if postgres is None else postgres.url.render_as_string(hide_password=False)
        settings = Settings.model_validate({"home": home, "database": database, "port": free_port()})
        engine = open_engine(settings.database_url)
        kept.callback(engine.dispose)
        url = f"http://127.0.0.1:{settings.port}"
        checks = Checks(url, log, settings, engine)
        kept.callback(checks.close)
        service, worker = (
            service_of(settings, logs / "service.log"),
            worker_of(url, logs / "cache", logs / "worker.log"),
        )
        for process in (service, worker):
            kept.callback(process.kill)
        yield Run(asked, home, random.Random(asked.seed), service, worker, checks, engine, url, postgres)


def killed_again_and_again(run: Run, log: Acknowledged) -> list[str]:
    """What was wrong after one of the kills, or at the end."""
    run.service.start()
    wait_until_ready(run.url, run.service.log)
    publish_kept(run.url)
    with load(run.url, log, clients=CLIENTS, seed=run.asked.seed):
        while run.service.kills + run.worker.kills < run.asked.kills:
            if wrong := _once(run):
                return [f"after {run.service.kills} and {run.worker.kills} kills: {each}" for each in wrong]
    _start(run)
    return [f"at the end: {each}" for each in run.checks.look(last=True)]


def _once(run: Run) -> list[str]:
    """Start what is dead, look, and kill; what was wrong."""
    run.worker.start()
    run.service.start()
    if run.choices.random() < KILLED_EARLY:
        time.sleep(run.choices.uniform(0.0, 1.0))
        run.service.kill()
        return []
    wait_until_ready(run.url, run.service.log)
    time.sleep(run.choices.uniform(0.0, LONGEST_LIFE_SECONDS))
    if run.choices.random() < TROUBLED:
        _trouble(run)
    wrong = run.checks.look()
    time.sleep(run.choices.uniform(0.0, LONGEST_LIFE_SECONDS))
    alone = run.choices.random() < WORKER_ALONE
    if alone or run.choices.random() < WORKER_KILLED:
        run.worker.kill()
    if not alone:
        run.service.kill()
    return wrong


def _trouble(run: Run) -> None:
    """No room, or no database, for a while, where the run has a disk or a database of its own."""
    if run.asked.disk is not None:
        fill_up(run.asked.disk, run.choices)
    if run.postgres is not None:
        restart(run.postgres, run.choices)
        run.engine.dispose()
        wait_until_ready(run.url, run.service.log)


def _start(run: Run) -> None:
    run.worker.start()
    run.service.start()
    wait_until_ready(run.url, run.service.log)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        main()
