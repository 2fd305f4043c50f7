"""What an upload in progress is, and how it is kept: whole pieces of its bytes, and who may add the next one."""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from registry.errors import Fault, InvalidInputError, InvalidNameError
from registry.frozen import Frozen
from registry.names import Digest, DigestField, parse_digest

METADATA_LIMIT = 8192
"""Most characters of an upload's metadata."""


class Upload(Frozen):
    """A session in which bytes are uploaded: how many there are of how many, and until when it waits for more.

    `length` is null until the uploader tells it. `metadata` is what the uploader said of the bytes, as it was sent.
    `digest` is there once all bytes are, in one blob; the session holds them until it expires.
    """

    id: str
    offset: int
    length: int | None
    metadata: str
    created_at: datetime
    expires_at: datetime
    digest: DigestField | None = None

    @property
    def whole(self) -> bool:
        """Whether every byte has come."""
        return self.offset == self.length


@dataclass(frozen=True, slots=True)
class UploadPiece:
    """Bytes of an upload from `start` on, kept as a blob of their own until all are there."""

    start: int
    digest: Digest
    size_bytes: int

    @property
    def end(self) -> int:
        """Where the next piece starts."""
        return self.start + self.size_bytes


@dataclass(frozen=True, slots=True)
class UploadLease:
    """The right to add bytes to an upload, which whoever has the token holds until it expires."""

    token: str
    expires_at: datetime


class UploadRecords(Protocol):
    """Uploads and their pieces. `owner` is who uploads; nobody else finds them."""

    def add(self, upload: Upload, *, owner: str) -> None:
        """Record a new upload, without pieces."""

    def get(self, upload_id: str, *, owner: str | None) -> Upload | None:
        """One upload; an owner of None sees every one."""

    def pieces(self, upload_id: str) -> tuple[UploadPiece, ...]:
        """The pieces of an upload, in order and without gaps."""

    def take(self, upload_id: str, lease: UploadLease, *, offset: int, length: int | None, at: datetime) -> bool:
        """Give a lease in one statement, and fix the length.

        False, and no change, when another lease lasts, the upload has not come to this offset, or it is complete.
        """

    def renew(self, upload_id: str, lease: UploadLease) -> bool:
        """Make a lease last longer; False when it is not held any more."""

    def release(self, upload_id: str, lease: UploadLease) -> None:
        """End a lease; no error when it is not held any more."""

    def advance(
        self, upload_id: str, pieces: Sequence[UploadPiece], *, lease: UploadLease, expires_at: datetime
    ) -> bool:
        """Put pieces in the place of all from the first one's start on, and renew the lease; False when it is lost."""

    def complete(self, upload_id: str, digest: Digest, *, lease: UploadLease) -> bool:
        """Put one blob in the place of all pieces, and end the lease; False when it is lost."""

    def remove(self, upload_id: str) -> None:
        """Forget an upload and its pieces; no error when it is not there."""

    def expired(self, *, at: datetime, limit: int) -> tuple[Upload, ...]:
        """Uploads that waited in vain, and that nobody adds to now; the oldest first."""


def parse_metadata(text: str) -> dict[str, str]:
    """What an uploader says of the bytes: names, each with a value in Base64, with commas between (tus 1.0).

    Raises:
        InvalidInputError: it is not written so, or too long.
    """
    if len(text) > METADATA_LIMIT:
        raise _wrong(f"it has {len(text)} characters, more than {METADATA_LIMIT}")
    found: dict[str, str] = {}
    for pair in filter(None, (each.strip() for each in text.split(","))):
        name, _, value = pair.partition(" ")
        if name in found:
            raise _wrong(f"the name {name[:100]!r} is there twice")
        try:
            found[name] = base64.b64decode(value, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError) as error:
            raise _wrong(f"the value of {name[:100]!r} is not text in Base64") from error
    return found


def expected_digest(metadata: str) -> Digest | None:
    """The digest that all bytes together must have, where the metadata tells: `digest`, or `sha256` in hex digits.

    Raises:
        InvalidInputError: it is no digest, or the metadata cannot be read.
    """
    said = parse_metadata(metadata)
    text = said.get("digest") or (f"sha256:{said['sha256']}" if "sha256" in said else None)
    try:
        return None if text is None else parse_digest(text)
    except InvalidNameError as error:
        raise _wrong(error.detail) from error


def _wrong(why: str) -> InvalidInputError:
    detail = f"Upload-Metadata cannot be read: {why}; write names, each with a value in Base64, with commas between"
    return InvalidInputError(detail, faults=[Fault("/header/upload-metadata", why)])
