"""What is remembered of bytes that came or went whole."""

import pytest

from registry.known_chunks import BLOB_BYTES, CHECK_BYTES, CHUNK_BYTES, CheckMaker, Checks, KnownChunks, check_of
from tests.builders import digest_of

ONE, TWO, THREE = (digest_of(name) for name in ("one", "two", "three"))


def checks(count: int) -> Checks:
    return Checks(count, b"".join(bytes([number]) * CHECK_BYTES for number in range(count)))


def room(blobs: int, chunks: int) -> int:
    """Bytes that so many blobs with so many chunks together take."""
    return blobs * BLOB_BYTES + chunks * CHECK_BYTES


def test_what_was_kept_is_known() -> None:
    known = KnownChunks()
    known.keep(ONE, checks(2))
    assert (known.of(ONE), known.of(TWO)) == (checks(2), None)


def test_what_was_asked_for_longest_ago_goes_first() -> None:
    known = KnownChunks(room(2, 5))
    known.keep(ONE, checks(2))
    known.keep(TWO, checks(2))
    known.of(ONE)
    known.keep(THREE, checks(2))
    assert (known.of(ONE), known.of(TWO), known.of(THREE)) == (checks(2), None, checks(2))


def test_what_is_kept_again_counts_once() -> None:
    known = KnownChunks(room(2, 5))
    for _ in range(3):
        known.keep(ONE, checks(2))
    known.keep(TWO, checks(3))
    assert (known.of(ONE), known.of(TWO)) == (checks(2), checks(3))


def test_one_that_is_too_large_by_itself_puts_nothing_else_out() -> None:
    known = KnownChunks(room(1, 5))
    known.keep(ONE, checks(5))
    known.keep(TWO, checks(6))
    assert (known.of(ONE), known.of(TWO)) == (checks(5), None)


@pytest.mark.parametrize("size_bytes", [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 2 * CHUNK_BYTES])
@pytest.mark.parametrize("piece_bytes", [65_537, CHUNK_BYTES, 3 * CHUNK_BYTES])
def test_checks_do_not_depend_on_the_pieces_that_bytes_come_in(size_bytes: int, piece_bytes: int) -> None:
    data = bytes(range(251)) * (size_bytes // 251 + 1)
    data = data[:size_bytes]
    maker = CheckMaker()
    for start in range(0, size_bytes, piece_bytes):
        maker.update(data[start : start + piece_bytes])
    made = maker.made()
    starts = range(0, size_bytes, CHUNK_BYTES)
    assert (made.size_bytes, len(made.joined)) == (size_bytes, CHECK_BYTES * len(starts))
    for number, start in enumerate(starts):
        assert made.of(number) == check_of(data[start : start + CHUNK_BYTES])
