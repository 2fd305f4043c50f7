"""Uploads: bytes go on where they stopped, in whichever process; what is not complete leaves nothing in the end."""

import base64
import hashlib
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from registry.errors import (
    ChecksumMismatchError,
    ConflictError,
    CorruptBlobError,
    GoneError,
    InvalidInputError,
    NotFoundError,
    StorageFullError,
    TooLargeError,
    UploadLockedError,
    WrongDigestError,
)
from registry.known_chunks import KnownChunks
from registry.names import Digest
from registry.settings import Settings
from registry.upload_receiver import PIECE_SECONDS, Receiver
from registry.upload_records import Upload, parse_metadata
from registry.uploads import UploadService
from registry.zoo import Zoo
from storage.folder_blobs import FolderBlobs, FolderBlobWriter, blob_path
from storage.wiring import open_zoo
from tests.builders import NOW

DATA = bytes(range(256)) * 10
OWNER = "ada"
PIECE_BYTES = 1000


class Clock:
    """A clock that somebody sets."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now

    def go_on(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def zoo(tmp_path: Path) -> Zoo:
    settings = Settings(home=tmp_path, upload_piece_bytes=PIECE_BYTES, module_limit_bytes=5000, dataset_limit_bytes=1)
    return open_zoo(settings)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def uploads(zoo: Zoo, clock: Clock) -> UploadService:
    return replica(zoo, clock)


def replica(zoo: Zoo, clock: Clock) -> UploadService:
    """Another service over the same records and bytes, as another process has."""
    return UploadService(replace(zoo.uploads._around, clock=clock, known_chunks=KnownChunks()))


def digest(data: bytes) -> Digest:
    return Digest("sha256:" + hashlib.sha256(data).hexdigest())


def said(**values: str) -> str:
    return ",".join(f"{name} {base64.b64encode(value.encode()).decode()}" for name, value in values.items())


def begun(uploads: UploadService, *, length: int | None = len(DATA), metadata: str = "") -> Upload:
    return uploads.create(owner=OWNER, length=length, metadata=metadata)


def taken(uploads: UploadService, upload: Upload, offset: int = 0) -> Receiver:
    return uploads.receive(upload.id, owner=OWNER, offset=offset)


def sent(uploads: UploadService, upload: Upload, data: bytes, *, offset: int = 0) -> Upload:
    receiver = taken(uploads, upload, offset)
    receiver.write(data)
    return receiver.finish()


def stored(zoo: Zoo) -> set[Digest]:
    return {blob.digest for blob in zoo.blobs.listing()}


@pytest.mark.parametrize("step", [7, 999, 1000, 1001, len(DATA)])
def test_bytes_that_come_in_several_requests_are_one_blob_in_the_end(
    uploads: UploadService, zoo: Zoo, step: int
) -> None:
    upload = begun(uploads)
    for start in range(0, len(DATA), step):
        upload = sent(uploads, upload, DATA[start : start + step], offset=start)
    assert upload.digest == digest(DATA)
    assert zoo.blobs.get(upload.digest) == DATA
    assert stored(zoo) == {digest(DATA)}
    assert uploads.get(upload.id, owner=OWNER) == upload


def test_nothing_at_all_can_be_uploaded(uploads: UploadService, zoo: Zoo) -> None:
    assert sent(uploads, begun(uploads, length=0), b"").digest == digest(b"")


def test_a_wrong_offset_changes_nothing(uploads: UploadService, zoo: Zoo) -> None:
    upload = sent(uploads, begun(uploads), DATA[:1500])
    before = stored(zoo)
    for offset in (0, 1499, 1501, 2000):
        with pytest.raises(ConflictError, match=f"has 1500 bytes, so it does not go on at {offset}"):
            taken(uploads, upload, offset)
    assert (uploads.get(upload.id, owner=OWNER), stored(zoo)) == (upload, before)


def test_another_process_goes_on_where_one_died(uploads: UploadService, zoo: Zoo, clock: Clock) -> None:
    upload = begun(uploads)
    dying = taken(uploads, upload)
    dying.write(DATA[:2500])  # two pieces are kept, the half one dies with its process
    other = replica(zoo, clock)
    upload = other.get(upload.id, owner=OWNER)
    assert upload.offset == 2000
    with pytest.raises(UploadLockedError, match="at the latest 30 s after"):
        taken(other, upload, 2000)
    clock.go_on(31)
    assert sent(other, upload, DATA[2000:], offset=2000).digest == digest(DATA)


def test_who_was_thought_dead_and_is_not_changes_nothing(uploads: UploadService, zoo: Zoo, clock: Clock) -> None:
    upload = begun(uploads)
    slow = taken(uploads, upload)
    slow.write(DATA[:500])
    clock.go_on(31)
    assert sent(uploads, upload, DATA).digest == digest(DATA)
    with pytest.raises(ConflictError, match="goes on in another request"):
        slow.finish()
    assert stored(zoo) == {digest(DATA)}


def test_whoever_sends_slowly_keeps_the_lease_and_every_few_seconds_a_piece(
    uploads: UploadService, zoo: Zoo, clock: Clock
) -> None:
    upload = begun(uploads)
    receiver = taken(uploads, upload)
    for start in range(0, 300, 100):
        receiver.write(DATA[start : start + 100])
        clock.go_on(PIECE_SECONDS)
        with pytest.raises(ConflictError):
            taken(uploads, upload)
    assert uploads.get(upload.id, owner=OWNER).offset == 200


def test_a_request_that_breaks_off_keeps_what_came(uploads: UploadService) -> None:
    upload = begun(uploads)
    receiver = taken(uploads, upload)
    receiver.write(DATA[:1234])
    receiver.keep()
    assert sent(uploads, upload, DATA[1234:], offset=1234).digest == digest(DATA)


def test_a_request_that_is_abandoned_keeps_whole_pieces_alone(uploads: UploadService, zoo: Zoo) -> None:
    upload = begun(uploads)
    receiver = taken(uploads, upload)
    receiver.write(DATA[:1234])
    receiver.abandon()
    assert uploads.get(upload.id, owner=OWNER).offset == 1000
    assert stored(zoo) == {digest(DATA[:1000])}


class Sum:
    """A checksum that somebody has decided on."""

    def __init__(self, *, right: bool) -> None:
        self.right, self.seen = right, b""

    def update(self, data: bytes, /) -> None:
        self.seen += data

    def matches(self) -> bool:
        return self.right


def test_bytes_with_a_wrong_checksum_are_not_kept_nor_told_of_before(uploads: UploadService, zoo: Zoo) -> None:
    upload = sent(uploads, begun(uploads), DATA[:10])
    before = stored(zoo)
    receiver = uploads.receive(upload.id, owner=OWNER, offset=10, checksum=Sum(right=False))
    receiver.write(DATA[10:2000])
    assert uploads.get(upload.id, owner=OWNER).offset == 10
    with pytest.raises(ChecksumMismatchError, match="send them again from 10"):
        receiver.finish()
    assert (uploads.get(upload.id, owner=OWNER).offset, stored(zoo)) == (10, before)


def test_bytes_with_their_checksum_are_kept_together(uploads: UploadService) -> None:
    upload, checksum = begun(uploads), Sum(right=True)
    receiver = uploads.receive(upload.id, owner=OWNER, offset=0, checksum=checksum)
    receiver.write(DATA)
    assert receiver.finish().digest == digest(DATA)
    assert checksum.seen == DATA


def test_bytes_with_a_checksum_that_break_off_are_not_kept(uploads: UploadService, zoo: Zoo) -> None:
    upload = begun(uploads)
    receiver = uploads.receive(upload.id, owner=OWNER, offset=0, checksum=Sum(right=True))
    receiver.write(DATA[:1500])
    receiver.keep()
    assert (uploads.get(upload.id, owner=OWNER).offset, stored(zoo)) == (0, set())


@pytest.mark.parametrize("length", [500, len(DATA)])
def test_other_bytes_than_the_metadata_names_end_the_upload_and_leave_nothing(
    uploads: UploadService, zoo: Zoo, length: int
) -> None:
    upload = begun(uploads, length=length, metadata=said(digest=digest(b"right")))
    with pytest.raises(WrongDigestError, match=digest(b"right")):
        sent(uploads, upload, DATA[:length])
    assert stored(zoo) == set()
    with pytest.raises(NotFoundError):
        uploads.get(upload.id, owner=OWNER)


@pytest.mark.parametrize("metadata", [said(digest=digest(DATA)), said(sha256=digest(DATA)[7:], filename="Größe.bin")])
def test_the_bytes_that_the_metadata_names_are_taken(uploads: UploadService, metadata: str) -> None:
    upload = sent(uploads, begun(uploads, metadata=metadata), DATA)
    assert (upload.digest, upload.metadata) == (digest(DATA), metadata)


@pytest.mark.parametrize(
    ("metadata", "why"),
    [
        ("name !", "'name' is not text in Base64"),
        ("name /w==", "'name' is not text in Base64"),
        ("a YQ==,a YQ==", "'a' is there twice"),
        ("a " + "YQ==" * 3000, "more than 8192"),
        (said(digest="sha256:no"), "not a digest"),
        (said(sha256="no"), "not a digest"),
    ],
)
def test_metadata_that_cannot_be_read_is_refused(uploads: UploadService, metadata: str, why: str) -> None:
    with pytest.raises(InvalidInputError, match=why):
        begun(uploads, metadata=metadata)


def test_metadata_may_have_names_without_values() -> None:
    assert parse_metadata("private, name Zm9v") == {"private": "", "name": "foo"}


@pytest.mark.parametrize(
    ("metadata", "error", "why"),
    [("", CorruptBlobError, "from 0 on were damaged"), (said(digest=digest(DATA)), WrongDigestError, digest(DATA))],
)
def test_a_piece_that_was_damaged_meanwhile_ends_the_upload(
    uploads: UploadService, zoo: Zoo, metadata: str, error: type[Exception], why: str
) -> None:
    upload = sent(uploads, begun(uploads, metadata=metadata), DATA[:1500])
    blob_path(zoo.settings.home / "blobs", digest(DATA[:1000])).write_bytes(b"?" * 1000)
    with pytest.raises(error, match=why):
        sent(uploads, upload, DATA[1500:], offset=1500)
    assert stored(zoo) == set()


def test_an_upload_belongs_to_who_began_it(uploads: UploadService) -> None:
    upload = begun(uploads)
    for act in (uploads.get, uploads.remove):
        with pytest.raises(NotFoundError, match=upload.id):
            act(upload.id, owner="eve")
    with pytest.raises(NotFoundError):
        uploads.receive(upload.id, owner="eve", offset=0)


def test_a_length_may_be_told_later_once(uploads: UploadService) -> None:
    upload = sent(uploads, begun(uploads, length=None), DATA[:100])
    with pytest.raises(ConflictError, match="has 100 bytes already"):
        uploads.receive(upload.id, owner=OWNER, offset=100, length=99)
    uploads.receive(upload.id, owner=OWNER, offset=100, length=len(DATA)).finish()
    with pytest.raises(ConflictError, match="has a length of 2560 bytes"):
        uploads.receive(upload.id, owner=OWNER, offset=100, length=200)
    assert sent(uploads, upload, DATA[100:], offset=100).digest == digest(DATA)


def test_a_length_over_the_limit_is_refused_at_once(uploads: UploadService) -> None:
    with pytest.raises(TooLargeError, match="more than the limit of 5000"):
        begun(uploads, length=5001)


def test_uploads_that_wait_too_long_go_with_their_bytes(uploads: UploadService, zoo: Zoo, clock: Clock) -> None:
    whole, half = sent(uploads, begun(uploads), DATA), sent(uploads, begun(uploads), DATA[:1500])
    clock.go_on(zoo.settings.upload_expires_seconds)
    with pytest.raises(GoneError, match="expired at"):
        uploads.get(whole.id, owner=OWNER)
    with pytest.raises(GoneError):
        taken(uploads, half, 1500)
    assert (uploads.expire(), uploads.expire()) == (2, 0)
    assert stored(zoo) == {digest(DATA)}, "whoever was told that bytes are here has the collector's grace to use them"
    with pytest.raises(NotFoundError):
        uploads.get(half.id, owner=OWNER)


def test_every_request_lets_an_upload_wait_longer_and_beginning_one_removes_the_expired(
    uploads: UploadService, zoo: Zoo, clock: Clock
) -> None:
    first = begun(uploads)
    clock.go_on(zoo.settings.upload_expires_seconds - 1)
    sent(uploads, first, DATA[:10])
    clock.go_on(2)
    begun(uploads)
    assert uploads.get(first.id, owner=OWNER).offset == 10
    clock.go_on(zoo.settings.upload_expires_seconds)
    begun(uploads)
    assert stored(zoo) == set()


def test_removing_an_upload_removes_its_bytes_but_not_those_of_another(uploads: UploadService, zoo: Zoo) -> None:
    first, second = (sent(uploads, begun(uploads), DATA[:1500]) for _ in range(2))
    uploads.remove(first.id, owner=OWNER)
    assert sent(uploads, second, DATA[1500:], offset=1500).digest == digest(DATA)
    uploads.remove(second.id, owner=OWNER)
    assert stored(zoo) == set()


def test_bytes_of_an_upload_are_not_discarded_while_it_waits(uploads: UploadService, zoo: Zoo) -> None:
    upload = sent(uploads, begun(uploads), DATA)
    assert upload.digest is not None
    zoo.keeper.discard(upload.digest)
    assert zoo.blobs.get(upload.digest) == DATA


def test_an_upload_that_was_removed_meanwhile_takes_nothing_more(uploads: UploadService, zoo: Zoo) -> None:
    upload = begun(uploads)
    receiver = taken(uploads, upload)
    receiver.write(DATA[:500])
    uploads.remove(upload.id, owner=OWNER)
    with pytest.raises(ConflictError, match="was removed meanwhile"):
        receiver.finish()
    assert stored(zoo) == set()


def test_a_full_disk_loses_no_recorded_piece(uploads: UploadService, zoo: Zoo, monkeypatch: pytest.MonkeyPatch) -> None:
    upload = begun(uploads)
    receiver = taken(uploads, upload)
    receiver.write(DATA[:1000])
    with monkeypatch.context() as patched:
        patched.setattr(FolderBlobWriter, "write", full)
        with pytest.raises(StorageFullError):
            receiver.write(DATA[1000:])
        receiver.abandon()
    assert sent(uploads, upload, DATA[1000:], offset=1000).digest == digest(DATA)


def full(self: FolderBlobWriter, chunk: bytes) -> None:
    raise StorageFullError("no room")


def test_pieces_that_somebody_took_away_before_they_were_recorded_are_sent_again(
    uploads: UploadService, zoo: Zoo, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = begun(uploads)
    receiver = taken(uploads, upload)
    commit = FolderBlobWriter.commit

    def and_gone(self: FolderBlobWriter, expected: Digest | None = None) -> object:
        info = commit(self, expected)
        FolderBlobs(zoo.settings.home / "blobs").delete(info.digest)
        return info

    with monkeypatch.context() as patched:
        patched.setattr(FolderBlobWriter, "commit", and_gone)
        with pytest.raises(NotFoundError, match="upload them again"):
            receiver.write(DATA[:1000])
        receiver.abandon()
    assert uploads.get(upload.id, owner=OWNER).offset == 0
    assert sent(uploads, upload, DATA).digest == digest(DATA)
