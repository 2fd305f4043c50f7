"""What every blob store does."""

import hashlib
from datetime import UTC, datetime, timedelta

import pytest

from registry.errors import CorruptBlobError, NotFoundError, WrongDigestError
from registry.names import Digest
from registry.ports import BlobStore, BlobWriter
from tests.builders import blob_digest, digest_of

CLOCKS_DIFFER = timedelta(seconds=10)


class BlobStoreContract:
    """Needs a fixture `blobs`, and `damage`, which changes stored bytes behind the store's back."""

    def damage(self, blobs: BlobStore, digest: Digest) -> None:
        raise NotImplementedError

    def test_what_is_put_can_be_got(self, blobs):
        assert blobs.get(blobs.put(b"weights")) == b"weights"

    def test_no_bytes_at_all_are_a_blob_too(self, blobs):
        assert blobs.get(blobs.put(b"")) == b""

    def test_the_digest_is_the_sha256_of_the_bytes(self, blobs):
        assert blobs.put(b"weights") == "sha256:" + hashlib.sha256(b"weights").hexdigest()

    def test_the_same_bytes_again_are_no_error(self, blobs):
        first = blobs.put(b"weights")
        assert blobs.put(b"weights") == first
        assert blobs.get(first) == b"weights"

    def test_chunks_add_up_to_one_blob(self, blobs):
        with blobs.writer() as writer:
            for _ in range(3):
                writer.write(b"abc" * 100_000)
            info = writer.commit()
        assert info.size_bytes == 900_000
        assert blobs.get(info.digest) == b"abc" * 300_000

    def test_info_tells_the_size(self, blobs):
        digest = blobs.put(b"weights")
        info = blobs.info(digest)
        assert (info.digest, info.size_bytes) == (digest, 7)

    def test_a_stamp_is_another_once_damaged_bytes_were_healed(self, blobs):
        digest = blobs.put(b"weights")
        assert blobs.stamp(digest) == blobs.stamp(digest)
        self.damage(blobs, digest)
        damaged = blobs.stamp(digest)
        blobs.put(b"weights")
        assert blobs.stamp(digest) != damaged

    def test_a_listing_has_every_blob_its_size_and_its_time(self, blobs):
        before = datetime.now(UTC) - CLOCKS_DIFFER
        sizes = {blobs.put(b"weights"): 7, blobs.put(b""): 0}
        found = list(blobs.listing())
        assert {blob.digest: blob.size_bytes for blob in found} == sizes
        assert all(before < blob.stored_at < datetime.now(UTC) + CLOCKS_DIFFER for blob in found)

    def test_a_listing_has_nothing_half_written_and_nothing_deleted(self, blobs):
        digest = blobs.put(b"weights")
        with blobs.writer() as writer:
            writer.write(b"half")
            blobs.delete(digest)
            assert list(blobs.listing()) == []

    def test_a_file_can_be_read_in_parts(self, blobs):
        with blobs.open(blobs.put(b"0123456789")) as file:
            file.seek(4)
            assert file.read(3) == b"456"

    def test_nothing_is_visible_before_commit(self, blobs):
        with blobs.writer() as writer:
            writer.write(b"weights")
            with pytest.raises(NotFoundError):
                blobs.info(blob_digest(b"weights"))

    def test_leaving_without_commit_keeps_nothing(self, blobs):
        with blobs.writer() as writer:
            writer.write(b"weights")
        with pytest.raises(NotFoundError):
            blobs.info(blob_digest(b"weights"))

    def test_an_error_while_writing_keeps_nothing(self, blobs):
        with pytest.raises(RuntimeError, match="the sender went away"), blobs.writer() as writer:
            write_then_fail(writer)
        with pytest.raises(NotFoundError):
            blobs.get(blob_digest(b"weights"))

    def test_bytes_with_another_digest_are_refused_and_not_kept(self, blobs):
        with blobs.writer() as writer:
            writer.write(b"weights")
            with pytest.raises(WrongDigestError, match="send the file again"):
                writer.commit(expected=digest_of("something else"))
        with pytest.raises(NotFoundError):
            blobs.info(blob_digest(b"weights"))

    def test_bytes_with_the_expected_digest_are_kept(self, blobs):
        with blobs.writer() as writer:
            writer.write(b"weights")
            writer.commit(expected=blob_digest(b"weights"))
        assert blobs.get(blob_digest(b"weights")) == b"weights"

    @pytest.mark.parametrize("way", ["get", "open", "info", "stamp"])
    def test_bytes_that_are_not_there_are_not_found(self, blobs, way):
        with pytest.raises(NotFoundError, match="upload them first"):
            read(blobs, way, digest_of("nothing"))

    def test_changed_bytes_are_corrupt(self, blobs):
        digest = blobs.put(b"weights")
        self.damage(blobs, digest)
        with pytest.raises(CorruptBlobError, match="upload the file again"):
            blobs.get(digest)

    def test_damage_is_healed_by_the_same_bytes(self, blobs):
        digest = blobs.put(b"weights")
        self.damage(blobs, digest)
        blobs.put(b"weights")
        assert blobs.get(digest) == b"weights"

    def test_what_is_deleted_is_gone_and_may_come_back(self, blobs):
        digest = blobs.put(b"weights")
        blobs.delete(digest)
        with pytest.raises(NotFoundError):
            blobs.get(digest)
        assert blobs.put(b"weights") == digest

    def test_deleting_what_is_not_there_is_no_error(self, blobs):
        blobs.delete(digest_of("nothing"))


def write_then_fail(writer: BlobWriter) -> None:
    """Write, then meet an error."""
    writer.write(b"weights")
    raise RuntimeError("the sender went away")


def read(blobs: BlobStore, way: str, digest: Digest) -> None:
    """Read a blob one way or another."""
    if way == "open":
        with blobs.open(digest):
            return
    getattr(blobs, way)(digest)
