"""Bytes stay as long as something that is kept refers to them."""

import hashlib
from typing import BinaryIO

from registry.errors import CorruptBlobError, NotFoundError
from registry.names import Digest
from registry.ports import Begin, BlobStore, UnitOfWork
from registry.work import PredictWork, TrainWork, Work

PIECE_BYTES = 1024 * 1024


class BlobKeeper:
    """Deletes bytes that nothing refers to, never those that somebody is about to refer to.

    Whoever records something about bytes calls `require` first, in the same transaction; both hold, so either the
    record comes first and the bytes stay, or the bytes go first and the record is refused. Whoever stores bytes calls
    `spare` just before they become visible, so that the collector lets them be for its whole grace.
    """

    def __init__(self, begin: Begin, blobs: BlobStore) -> None:
        """Everything it needs from outside."""
        self._begin, self._blobs = begin, blobs

    def require(self, work: UnitOfWork, blob: Digest) -> None:
        """Hold, and make sure of bytes that a record is to refer to. Raises NotFoundError when they are gone."""
        work.hold()
        self._see(blob)

    def require_beside(self, work: UnitOfWork, blob: Digest) -> None:
        """The same for who only adds a record: others may do so at once. Raises NotFoundError."""
        work.hold_shared()
        self._see(blob)

    def _see(self, blob: Digest) -> None:
        """Raises NotFoundError unless the bytes are there."""
        try:
            self._blobs.info(blob)
        except NotFoundError as error:
            raise NotFoundError(f"the bytes {blob} are not here any more; upload them again") from error

    def spare(self, blob: Digest) -> None:
        """Have the collector count its grace anew for bytes that are about to be stored, perhaps once more.

        Mostly they are not marked, which is one read. Where they are, the mark is taken back under the hold: the
        collector has either deleted them before, and they are stored anew after this, or finds no mark.
        """
        with self._begin() as work:
            if work.blobs.marked([blob]):
                work.hold()
                work.blobs.unmark([blob])

    def discard(self, blob: Digest, *, owner: str | None = None) -> None:
        """Delete bytes unless a module, a dataset, statistics or an open job refer to them, or somebody brought them.

        Whoever else brought the same bytes by their digest was told that they are here: then they stay until the
        collector's grace is over. Bytes that are referred to need no hold to be left alone, and mostly they are:
        whoever takes the last reference away afterwards discards them again.

        Args:
            blob: which; no error where it is gone.
            owner: whose bytes they were, who does not want them any more.
        """
        self._discard(blob, owner=owner, whoever_brought_them=False)

    def discard_for_all(self, blob: Digest) -> None:
        """The same for bytes that a worker made of what is gone: nobody has a right to them."""
        self._discard(blob, owner=None, whoever_brought_them=True)

    def _discard(self, blob: Digest, *, owner: str | None, whoever_brought_them: bool) -> None:
        with self._begin() as work:
            if work.blobs.referred([blob]):
                return
        with self._begin() as work:
            work.hold()
            if owner is not None:
                work.blob_owners.remove(blob, owner=owner)
            stays = work.blob_owners.claimed(blob) and not whoever_brought_them
            if not (stays or work.blobs.referred([blob])):
                work.blob_owners.remove(blob, owner=None)
                self._blobs.delete(blob)


def check_digest(file: BinaryIO, digest: Digest) -> None:
    """Read a stored file through, and go back to its start. Raises CorruptBlobError unless it has its digest."""
    hashed = hashlib.sha256()
    while piece := file.read(PIECE_BYTES):
        hashed.update(piece)
    found = f"sha256:{hashed.hexdigest()}"
    if found != digest:
        raise CorruptBlobError(
            f"the bytes stored as {digest} are damaged, they now have {found}; upload the file again"
        )
    file.seek(0)


def pairs_of(work: Work) -> Digest | None:
    """The table of pairs that work needs, or None."""
    if isinstance(work, TrainWork) and work.recipe.pairs is not None:
        return work.recipe.pairs.table
    return None


def blobs_of_work(work: Work) -> tuple[Digest, ...]:
    """Bytes that work needs and that no record of their own refers to."""
    if isinstance(work, PredictWork):
        return (work.images,)
    pairs = pairs_of(work)
    return () if pairs is None else (pairs,)
