"""`python -m trainer rank`: modules of a zoo run here, beside images that stay here; statistics go to the zoo."""

import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog

from client.cache import digest_of_file
from client.home_rankings import HomeRanking
from client.zoo import Zoo
from registry.dataset_file import limits_from, summarise
from registry.errors import JobFailedError, ZooError
from registry.rankings import QueryState, Ranking, RankingQuestion
from registry.records import QueryStatus
from registry.settings import Settings
from registry.statements import DatasetStatement
from registry.work import SCORE_HERE
from trainer.duties import Duties
from trainer.noising import NoisePromise
from trainer.patience import patiently
from trainer.progress import Report
from trainer.worker import Lane

log = structlog.get_logger()

CLAIM_SECONDS = 1.0
LOOK_SECONDS = 0.3
PARTING_SECONDS = 10.0


def rank_at_home(zoo: Zoo, request: HomeRanking, *, report: Report) -> Ranking:
    """State the data, ask the question, run the modules on the images here, and wait for the answer.

    A question that is not answered in the end, as one that is interrupted, is cancelled; statistics that the zoo has
    by then are kept.

    Args:
        zoo: where modules come from and statistics go to.
        request: the file, and what to ask.
        report: told how far it is.

    Raises:
        InvalidDatasetError, TooLargeError: the file is no dataset.
        InvalidInputError: noise is asked for, but the zoo has the images already.
        NotScorableError, JobFailedError: no module can be scored.
    """
    data = Path(request.data)
    dataset = zoo.datasets.state(statement_of(data, leave_out_broken=request.leave_out_broken))
    if dataset.held:
        log.warning("the zoo has these images already, so its own workers score", dataset=dataset.digest)
    task = zoo.tasks.create(dataset.digest, request.classes).id if request.classes else dataset.digest
    asked = zoo.queries.ask(RankingQuestion(**dict(request.options), task=task, noise=request.noise))
    promise = None if request.noise is None else NoisePromise(request.noise)
    with _working(zoo, asked.id, Duties(zoo, at_home={dataset.digest: data}, promise=promise)) as lane:
        state = _followed(zoo, asked, lane, report=report)
    if state.status is QueryStatus.FAILED and lane.failure is not None:
        raise JobFailedError(lane.failure)
    return zoo.queries.ranking_of(state)


def statement_of(file: Path, *, leave_out_broken: bool = False) -> DatasetStatement:
    """What the zoo is told of a dataset file. Raises InvalidDatasetError, TooLargeError."""
    with file.open("rb") as opened:
        found = summarise(opened, limits=limits_from(Settings.load()), leave_out_broken=leave_out_broken)
    return DatasetStatement(
        digest=digest_of_file(file),
        format=found.format,
        size_bytes=file.stat().st_size,
        classes=found.classes,
        counts=found.counts,
        shape=found.shape,
        same_shape=found.same_shape,
        left_out_count=found.left_out_count,
    )


@contextmanager
def _working(zoo: Zoo, query: str, duties: Duties) -> Iterator[Lane]:
    """A lane for the jobs of one query, in a thread, while the block runs; a query that it leaves open is cancelled."""
    lane = Lane(
        zoo,
        duties,
        kinds=(SCORE_HERE,),
        name=f"home-{secrets.token_hex(4)}/here",  # of the machine the zoo need not know
        stop=threading.Event(),
        wait_seconds=CLAIM_SECONDS,
        query=query,
    )
    thread = threading.Thread(target=lane.run, name=lane.name, daemon=True)
    thread.start()
    try:
        yield lane
    except BaseException:
        _cancel(zoo, query)
        raise
    finally:
        lane.stop.set()
        thread.join(PARTING_SECONDS)


def _cancel(zoo: Zoo, query: str) -> None:
    """Cancel a query that nobody will answer."""
    try:
        zoo.queries.cancel(query)
    except ZooError as error:
        log.warning("query not cancelled", query=query, why=error.detail)


def _followed(zoo: Zoo, asked: QueryState, lane: Lane, *, report: Report) -> QueryState:
    """The last state of a query, when it has ended. Raises the error for which the zoo refuses the lane."""
    state = asked
    while state.status is QueryStatus.RUNNING:
        report(state.progress)
        lane.stop.wait(LOOK_SECONDS)
        if lane.refusal is not None:
            raise lane.refusal
        state = patiently(lambda: zoo.queries.show(asked.id), should_stop=lane.stop.is_set)
    report(state.progress)
    return state
