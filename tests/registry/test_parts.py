"""Digests of parts."""

import hashlib
import os

import pytest

from registry import parts
from registry.errors import CorruptBlobError, NotFoundError
from registry.parts import PART_BYTES, PartDigests
from registry.zoo import Zoo
from storage.folder_blobs import blob_path
from tests.builders import digest_of


def digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("size", [0, 1, PART_BYTES, PART_BYTES + 1])
def test_every_part_has_its_digest(zoo: Zoo, size: int) -> None:
    data = os.urandom(size)
    blob = zoo.blobs.put(data)
    slow = tuple(digest(data[start : start + PART_BYTES]) for start in range(0, size, PART_BYTES))
    assert zoo.parts.of(blob) == PartDigests(digest=blob, size_bytes=size, part_bytes=PART_BYTES, parts=slow)


def test_parts_of_damaged_bytes_are_not_told(zoo: Zoo) -> None:
    blob = zoo.blobs.put(b"right")
    blob_path(zoo.settings.home / "blobs", blob).write_bytes(b"wrong")
    with pytest.raises(CorruptBlobError, match=blob):
        zoo.parts.of(blob)


def test_what_is_not_there_has_no_parts(zoo: Zoo) -> None:
    with pytest.raises(NotFoundError):
        zoo.parts.of(digest_of("nothing"))


def test_the_oldest_are_forgotten_and_made_again(zoo: Zoo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "KEPT", 2)
    first, *others = (zoo.blobs.put(text) for text in (b"a", b"b", b"c"))
    told = zoo.parts.of(first)
    for blob in others:
        zoo.parts.of(blob)
    assert list(zoo.parts._kept) == others
    assert zoo.parts.of(first) == told
