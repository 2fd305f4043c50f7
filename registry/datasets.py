"""Datasets: labelled images that somebody uploaded, private to their owner."""

from dataclasses import dataclass

from registry.dataset_file import limits_from, summarise
from registry.errors import NotFoundError
from registry.names import Digest
from registry.ports import Begin, BlobStore, Clock
from registry.records import Dataset, Page
from registry.settings import Settings


@dataclass(frozen=True, slots=True)
class AddedDataset:
    """A dataset, and whether this call added it."""

    dataset: Dataset
    created: bool


class DatasetService:
    """The rules about datasets: checked whole before they are kept, found only by their owner."""

    def __init__(self, begin: Begin, blobs: BlobStore, clock: Clock, settings: Settings) -> None:
        """Everything it needs from outside."""
        self._begin, self._blobs, self._clock, self._settings = begin, blobs, clock, settings

    def add(self, blob: Digest, *, owner: str, leave_out_broken: bool = False) -> AddedDataset:
        """Check stored bytes as a dataset and keep it for its owner.

        Bytes that are no dataset are deleted again, unless something else refers to them.

        Raises:
            InvalidDatasetError: what is wrong, each fault by itself.
            TooLargeError: a bound is passed.
        """
        with self._begin() as work:
            known = work.datasets.get(blob, owner=None)
        try:
            dataset = known or self._checked(blob, leave_out_broken=leave_out_broken)
        except Exception:
            self._drop_unless_module(blob)
            raise
        with self._begin() as work:
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

    def _drop_unless_module(self, blob: Digest) -> None:
        """Delete bytes that turned out to be no dataset, but never those of a module."""
        with self._begin() as work:
            if not work.modules.by_digest(blob):
                self._blobs.delete(blob)

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

    def remove(self, digest: Digest, *, owner: str | None) -> None:
        """Remove a dataset with its bytes, tasks, statistics and scores. Raises NotFoundError."""
        self.get(digest, owner=owner)
        with self._begin() as work:
            orphans: tuple[Digest, ...] = ()
            if work.datasets.remove(digest, owner=owner):
                for task in work.tasks.of_dataset(digest):
                    work.tasks.remove(task.id)
                work.queries.remove_data(digest)
                orphans = (digest, *work.statistics.remove_data(digest))
        for blob in orphans:
            self._drop_unless_module(blob)
