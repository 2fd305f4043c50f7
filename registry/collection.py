"""The collector: bytes that nothing refers to are marked, and go once they have been so for long enough."""

from collections.abc import Callable, Sequence
from datetime import timedelta

import structlog

from registry.batches import batches
from registry.frozen import Frozen
from registry.names import Digest
from registry.ports import Begin, BlobStore, Clock
from registry.records import StoredBlob
from registry.settings import Settings

log = structlog.get_logger()

TURN = "collect"
LOOK_AT_ONCE = 5000
"""So many blobs are compared with the records at a time."""

SWEEP_AT_ONCE = 16
"""So many blobs are deleted while others who refer to bytes wait."""

OnLook = Callable[[int], None]
"""Is told how many blobs have been looked at so far."""


class Collected(Frozen):
    """What one run of the collector found and did. A rehearsal counts as deleted what would have gone."""

    looked_at: int
    looked_at_bytes: int
    unreferred: int
    unreferred_bytes: int
    newly_marked: int
    deleted: int
    rehearsal: bool = False


class _Unreferred(Frozen):
    """What a look over all blobs found."""

    looked_at: int
    looked_at_bytes: int
    blobs: tuple[StoredBlob, ...]


class Collector:
    """Deletes bytes that nothing refers to and nobody has stored again for a time of grace.

    A run marks what nothing refers to, and deletes what an earlier run marked more than `gc_grace_seconds` ago, each
    after one more look under the hold. It is safe beside everything else because of that and of `BlobKeeper.spare`:
    bytes that were stored, or stored once more, at some moment carry no mark from before it, so they stay for the grace
    after it, and whoever refers to them within the grace keeps them. It trusts no clock of a disk or an object store.
    """

    def __init__(self, begin: Begin, blobs: BlobStore, clock: Clock, settings: Settings) -> None:
        """Everything it needs from outside."""
        self._begin, self._blobs, self._clock, self._settings = begin, blobs, clock, settings

    def collect_in_turn(self) -> Collected | None:
        """Collect if it is due; None where it is not, or another process of the service has taken this turn."""
        at = self._clock()
        next_at = at + timedelta(seconds=self._settings.gc_seconds)
        with self._begin() as work:
            if not work.blobs.take_turn(TURN, at=at, next_at=next_at):
                return None
        return self.collect()

    def collect(self, *, rehearsal: bool = False, on_look: OnLook | None = None) -> Collected:
        """One run. Raises StorageError, BusyError; what was done until then stays done, the next run does the rest.

        Args:
            rehearsal: count only; nothing is marked or deleted.
            on_look: is told how far it is.
        """
        found = self._unreferred(on_look or _ignore)
        digests = [blob.digest for blob in found.blobs]
        newly_marked = 0 if rehearsal else self._mark(digests)
        gone = self._ripe(digests) if rehearsal else self._sweep()
        done = Collected(
            looked_at=found.looked_at,
            looked_at_bytes=found.looked_at_bytes,
            unreferred=len(digests),
            unreferred_bytes=sum(blob.size_bytes for blob in found.blobs),
            newly_marked=newly_marked,
            deleted=gone,
            rehearsal=rehearsal,
        )
        if done.newly_marked or done.deleted:
            log.info("collected", **done.model_dump())
        return done

    def _unreferred(self, on_look: OnLook) -> _Unreferred:
        """Look over all blobs; no lock is held."""
        looked_at = size_bytes = 0
        unreferred: list[StoredBlob] = []
        for some in batches(self._blobs.listing(), LOOK_AT_ONCE):
            referred = self._referred([blob.digest for blob in some])
            unreferred += [blob for blob in some if blob.digest not in referred]
            looked_at += len(some)
            size_bytes += sum(blob.size_bytes for blob in some)
            on_look(looked_at)
        return _Unreferred(looked_at=looked_at, looked_at_bytes=size_bytes, blobs=tuple(unreferred))

    def _referred(self, digests: Sequence[Digest]) -> set[Digest]:
        """Those that something refers to; a mark that they have from earlier does not count any more."""
        with self._begin() as work:
            referred = work.blobs.referred(digests)
            outdated = work.blobs.marked(referred)
            if outdated:
                work.blobs.unmark(outdated)
        return referred

    def _mark(self, digests: Sequence[Digest]) -> int:
        """Mark what is not marked yet; gives how many."""
        at = self._clock()
        with self._begin() as work:
            new = set(digests) - work.blobs.marked(digests)
        for some in batches(sorted(new), LOOK_AT_ONCE):
            with self._begin() as work:
                work.blobs.mark(some, at=at)
        return len(new)

    def _ripe(self, digests: Sequence[Digest]) -> int:
        """How many of the unreferred bytes a run would delete now."""
        with self._begin() as work:
            ripe = work.blobs.marked_before(self._clock() - self._grace, limit=len(digests) + 1)
        return len(set(ripe) & set(digests))

    def _sweep(self) -> int:
        """Delete what has been marked for long enough, a few at a time; gives how many."""
        moment = self._clock() - self._grace
        count, last = 0, None
        while True:
            with self._begin() as work:
                ripe = work.blobs.marked_before(moment, limit=SWEEP_AT_ONCE, after=last)
            if not ripe:
                return count
            count += self._delete(ripe)
            last = ripe[-1]

    def _delete(self, ripe: Sequence[Digest]) -> int:
        """Delete those of the marked bytes that are marked still, and that nothing refers to; gives how many."""
        with self._begin() as work:
            work.hold()
            marked = work.blobs.marked(ripe)
            doomed = marked - work.blobs.referred(marked)
            for digest in sorted(doomed):
                work.blob_owners.remove(digest, owner=None)
                self._blobs.delete(digest)
            work.blobs.unmark(marked)
        return len(doomed)

    @property
    def _grace(self) -> timedelta:
        return timedelta(seconds=self._settings.gc_grace_seconds)


def _ignore(looked_at: int) -> None:
    """Tell nobody."""
    del looked_at
