"""Digests of the parts of a blob: whoever has read some of it wrong finds which part, and reads only that again."""

import hashlib
import threading
from collections import OrderedDict

from registry.errors import CorruptBlobError
from registry.frozen import Frozen
from registry.names import Digest, DigestField
from registry.ports import BlobStore

PART_BYTES = 8 * 1024 * 1024
KEPT = 128
"""Of how many blobs the digests are remembered; they can be made again from the bytes."""


class PartDigests(Frozen):
    """The digest of a blob and of each of its parts, in order; all but the last have `part_bytes` bytes."""

    digest: DigestField
    size_bytes: int
    part_bytes: int
    parts: tuple[DigestField, ...]


class PartService:
    """Digests of parts, made when they are first asked for. Bytes do not change, so they stay right."""

    def __init__(self, blobs: BlobStore) -> None:
        """Args: blobs: where the bytes are."""
        self._blobs = blobs
        self._lock = threading.Lock()
        self._kept: OrderedDict[Digest, PartDigests] = OrderedDict()

    def of(self, blob: Digest) -> PartDigests:
        """The digests of a blob's parts. Raises NotFoundError, and CorruptBlobError when it is damaged here."""
        with self._lock:
            kept = self._kept.get(blob)
        if kept is None:
            kept = self._read(blob)
            self._keep(kept)
        return kept

    def _keep(self, digests: PartDigests) -> None:
        with self._lock:
            self._kept[digests.digest] = digests
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)

    def _read(self, blob: Digest) -> PartDigests:
        """Read a blob once, and hash it both ways."""
        whole, parts, size_bytes = hashlib.sha256(), list[Digest](), 0
        with self._blobs.open(blob) as file:
            while part := file.read(PART_BYTES):
                whole.update(part)
                parts.append(_digest(hashlib.sha256(part).hexdigest()))
                size_bytes += len(part)
        if _digest(whole.hexdigest()) != blob:
            raise CorruptBlobError(f"the bytes stored as {blob} are damaged; upload the file again")
        return PartDigests(digest=blob, size_bytes=size_bytes, part_bytes=PART_BYTES, parts=tuple(parts))


def _digest(hexadecimal: str) -> Digest:
    return Digest(f"sha256:{hexadecimal}")
