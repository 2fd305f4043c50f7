"""Datasets: labelled images that somebody uploaded, private to their owner."""

from collections.abc import Callable
from dataclasses import dataclass

from registry.blobs import BlobKeeper
from registry.dataset_file import limits_from, summarise
from registry.errors import NotFoundError, ZooError
from registry.names import Digest
from registry.ports import Begin, BlobStore, Clock, UnitOfWork
from registry.queries import cancel_job
from registry.records import Dataset, Page
from registry.settings import Settings
from registry.work import PredictWork, ScoreWork, TrainWork, VerifyWork, Work


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
        if known is not None and known.left_out_count and not leave_out_broken:
            known = None  # somebody else did not mind what was left out; this owner may
        try:
            dataset = known or self._checked(blob, leave_out_broken=leave_out_broken)
        except ZooError:
            self._keeper.discard(blob)
            raise
        with self._begin() as work:
            self._keeper.require(work, blob)
            created = work.datasets.get(blob, owner=owner) is None
            work.datasets.add(dataset, owner=owner)
        return AddedDataset(dataset, created)

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
        """This owner's datasets, newest first."""
        with self._begin() as work:
            return work.datasets.list(owner=owner, limit=limit, cursor=cursor)

    def remove(self, digest: Digest, *, owner: str | None, discard: Discard | None = None) -> None:
        """Remove a dataset with its bytes, tasks, jobs, statistics and scores.

        Args:
            digest: which.
            owner: whose; others who uploaded the same bytes keep them.
            discard: deletes bytes that nothing refers to; by default at once.

        Raises:
            NotFoundError: this owner has no such dataset.
        """
        self.get(digest, owner=owner)
        orphans: tuple[Digest, ...] = ()
        with self._begin() as work:
            work.hold()
            if work.datasets.remove(digest, owner=owner):
                checkpoints = self._forget(work, digest)
                orphans = (digest, *checkpoints, *work.statistics.remove_data(digest))
        for blob in orphans:
            (discard or self._keeper.discard)(blob)

    def _forget(self, work: UnitOfWork, digest: Digest) -> tuple[Digest, ...]:
        """Forget tasks and queries about a dataset, and stop the jobs that need it; gives their checkpoints."""
        for task in work.tasks.of_dataset(digest):
            work.tasks.remove(task.id)
        work.queries.remove_data(digest)
        stopped = [job for job in work.jobs.open() if dataset_of(job.work) == digest]
        for job in stopped:
            cancel_job(work, job.id, clock=self._clock)
        return tuple(job.checkpoint for job in stopped if job.checkpoint is not None)


def dataset_of(work: Work) -> Digest | None:
    """The dataset that work needs, or None."""
    match work:
        case TrainWork():
            return work.recipe.task.dataset
        case ScoreWork():
            return work.task.dataset
        case PredictWork() | VerifyWork():
            return None
