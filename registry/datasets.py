"""Datasets: labelled images that somebody uploaded, private to their owner."""

from collections.abc import Callable
from dataclasses import dataclass

from registry.audit import note
from registry.blobs import BlobKeeper
from registry.dataset_file import limits_from, summarise
from registry.errors import ConflictError, NotFoundError, ZooError
from registry.names import Digest
from registry.ports import Begin, BlobStore, Clock, UnitOfWork
from registry.queries import cancel_job, end_query
from registry.records import STAFF, Dataset, Page
from registry.settings import Settings
from registry.statements import DatasetStatement, check_statement
from registry.work import JointWork, PredictWork, ScoreWork, TrainWork, VerifyWork, Work


@dataclass(frozen=True, slots=True)
class AddedDataset:
    """A dataset, and whether this call added it."""

    dataset: Dataset
    created: bool


Discard = Callable[[Digest], None]
"""Deletes bytes that nothing refers to."""


class DatasetService:
    """The rules about datasets: checked whole before they are kept, found only by their owner."""

    def __init__(self, begin: Begin, blobs: BlobStore, clock: Clock, settings: Settings, keeper: BlobKeeper) -> None:
        """Everything it needs from outside."""
        self._begin, self._blobs, self._clock, self._settings = begin, blobs, clock, settings
        self._keeper = keeper

    def add(self, blob: Digest, *, owner: str, leave_out_broken: bool = False) -> AddedDataset:
        """Check stored bytes as a dataset and keep it for its owner.

        Bytes that are no dataset are deleted again, unless something else refers to them.

        Raises:
            InvalidDatasetError: what is wrong, each fault by itself.
            TooLargeError: a bound is passed.
            NotFoundError: the bytes are not here.
        """
        with self._begin() as work:
            known = work.datasets.get(blob, owner=None)
        if known is not None and not known.held:
            known = None  # it was only stated; now it is read
        if known is not None and known.left_out_count and not leave_out_broken:
            known = None  # somebody else did not mind what was left out; this owner may
        try:
            dataset = known or self._checked(blob, leave_out_broken=leave_out_broken)
        except ZooError:
            self._keeper.discard(blob)
            raise
        orphans: tuple[Digest, ...] = ()
        with self._begin() as work:
            self._keeper.require(work, blob)
            mine, present = work.datasets.get(blob, owner=owner), work.datasets.get(blob, owner=None)
            if present is not None and not present.held:
                orphans = self._confirm(work, stated=present, read=dataset)
            work.datasets.add(dataset, owner=owner)
            if mine is None or not mine.held:
                note(work, "add_dataset", blob, at=self._clock(), by=owner)
        for orphan in orphans:
            self._keeper.discard_for_all(orphan)
        return AddedDataset(dataset, created=mine is None or not mine.held)

    def _confirm(self, work: UnitOfWork, *, stated: Dataset, read: Dataset) -> tuple[Digest, ...]:
        """Make room for what was read of what was stated, and forget what was made at home: nobody could check it.

        Nobody holds the dataset by a statement any more: who only knew its digest has not its images now. Gives the
        bytes that nothing refers to any more; tasks stay where what was stated is true.
        """
        same = DatasetStatement.of(stated) == DatasetStatement.of(read)
        if not same:
            self._forget_tasks(work, read.digest)
        orphans = (*self._forget(work, read.digest), *work.statistics.remove_data(read.digest))
        work.datasets.remove(read.digest, owner=None)
        return orphans

    def state(self, statement: DatasetStatement, *, owner: str) -> AddedDataset:
        """Keep what an owner says of a dataset whose bytes stay at home; one that this owner holds stays as it is.

        Raises:
            InvalidDatasetError: no dataset can be as it is stated, each fault by itself.
            ConflictError: something else was stated of these bytes before, or somebody else uploaded them.
        """
        check_statement(statement, self._settings)
        with self._begin() as work:
            work.hold()
            mine, present = (work.datasets.get(statement.digest, owner=each) for each in (owner, None))
            if mine is not None and mine.held:
                return AddedDataset(mine, created=False)
            if present is not None:
                _check_agreement(statement, present)
            dataset = present or statement.as_dataset(at=self._clock())
            work.datasets.add(dataset, owner=owner)
            if mine is None:
                note(work, "add_dataset", dataset.digest, at=self._clock(), by=owner, detail="stated")
        return AddedDataset(dataset, created=mine is None)

    def _checked(self, blob: Digest, *, leave_out_broken: bool) -> Dataset:
        """Read the whole upload once, which is the check, and describe it."""
        info = self._blobs.info(blob)
        with self._blobs.open(blob) as file:
            summary = summarise(file, limits=limits_from(self._settings), leave_out_broken=leave_out_broken)
        return Dataset(
            digest=blob,
            format=summary.format,
            size_bytes=info.size_bytes,
            examples=summary.examples,
            classes=summary.classes,
            counts=summary.counts,
            shape=summary.shape,
            same_shape=summary.same_shape,
            left_out=summary.left_out,
            left_out_count=summary.left_out_count,
            sketch=summary.sketch,
            created_at=self._clock(),
        )

    def get(self, digest: Digest, *, owner: str | None) -> Dataset:
        """One dataset of this owner. Raises NotFoundError."""
        with self._begin() as work:
            dataset = work.datasets.get(digest, owner=owner)
        if dataset is None:
            raise NotFoundError(f"there is no dataset {digest}; upload it with POST /datasets")
        return dataset

    def list(self, *, owner: str | None, limit: int, cursor: str | None) -> Page[Dataset]:
        """This owner's datasets, newest first, without their sketches, which are long."""
        with self._begin() as work:
            page = work.datasets.list(owner=owner, limit=limit, cursor=cursor)
        short = tuple(dataset.model_copy(update={"sketch": None}) for dataset in page.items)
        return page.model_copy(update={"items": short})

    def remove(self, digest: Digest, *, owner: str | None, discard: Discard | None = None) -> None:
        """Remove a dataset with its bytes, tasks, jobs, statistics and scores.

        Args:
            digest: which.
            owner: whose; others who uploaded the same bytes keep them, and what they made and asked.
            discard: deletes its bytes if nothing refers to them; by default at once.

        Raises:
            NotFoundError: this owner has no such dataset.
        """
        self.get(digest, owner=owner)
        made: tuple[Digest, ...] = ()
        with self._begin() as work:
            work.hold()
            work.blob_owners.remove(digest, owner=owner)
            last = work.datasets.remove(digest, owner=owner)
            if last:
                self._forget_tasks(work, digest)
                made = (*self._forget(work, digest), *work.statistics.remove_data(digest))
            elif owner is not None:
                self._disown(work, digest, owner)
            note(work, "remove_dataset", digest, at=self._clock(), by=owner or STAFF)
        if last:
            (discard or self._keeper.discard)(digest)
        for blob in made:
            self._keeper.discard_for_all(blob)

    def _disown(self, work: UnitOfWork, digest: Digest, owner: str) -> None:
        """Forget what an owner made of a dataset that others hold, and end what nobody waits for any more."""
        work.tasks.disown(digest, owner=owner)
        for query in work.queries.withdraw(digest, owner=owner):
            end_query(work, query, clock=self._clock)

    def _forget_tasks(self, work: UnitOfWork, digest: Digest) -> None:
        """Forget every task that anybody made from a dataset."""
        for task in work.tasks.of_dataset(digest):
            work.tasks.remove(task.id)

    def _forget(self, work: UnitOfWork, digest: Digest) -> tuple[Digest, ...]:
        """Forget queries about a dataset, and stop the jobs that need it; gives their checkpoints."""
        work.queries.remove_data(digest)
        work.request_keys.forget_about(digest)
        stopped = [job for job in work.jobs.open() if dataset_of(job.work) == digest]
        for job in stopped:
            cancel_job(work, job.id, clock=self._clock)
        return tuple(job.checkpoint for job in stopped if job.checkpoint is not None)


def _check_agreement(statement: DatasetStatement, present: Dataset) -> None:
    """Raises ConflictError where the zoo knows these bytes otherwise."""
    if present.held:
        raise ConflictError(
            f"the bytes of {present.digest} are here already, from somebody else; upload them yourself to use them"
        )
    if DatasetStatement.of(present) != statement:
        raise ConflictError(
            f"something else was stated of {present.digest} before; remove it with DELETE /datasets/{present.digest}, "
            "or upload the file"
        )


def dataset_of(work: Work) -> Digest | None:
    """The dataset that work needs, or None."""
    match work:
        case TrainWork():
            return work.recipe.task.dataset
        case ScoreWork() | JointWork():
            return work.task.dataset
        case PredictWork() | VerifyWork():
            return None
