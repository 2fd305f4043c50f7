"""Pipeline files: one safetensors file of a whole pipeline, read piece by piece from the files of its modules.

Nothing is put together before it is read: the header follows from the headers of the modules, and all other bytes
stand in their files already. The tensors of module i are named ``i.name``. The same pipeline always has the same bytes.
"""

import io
import json
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import BinaryIO

from typing_extensions import Buffer

from registry.errors import CorruptBlobError
from registry.manifest_text import manifest_text
from registry.names import Digest
from registry.ports import BlobStore
from registry.records import PublishedModule
from registry.sized_file import SizedFile
from registry.tensor_file import StoredTensor, TensorFileError, TensorHeader, header_bytes, read_tensor_header, size_of

PIPELINE_KEY = "pipeline"


@dataclass(frozen=True, slots=True)
class _Piece:
    """A tensor with bytes: where it begins and ends in the pipeline's file, and where it begins in which blob."""

    start: int
    end: int
    blob: Digest
    offset: int


@contextmanager
def open_pipeline_file(blobs: BlobStore, name: str, modules: Sequence[PublishedModule]) -> Iterator[BinaryIO]:
    """A seekable file of a whole pipeline; the bytes that are read are not verified.

    Args:
        blobs: where the modules are.
        name: the pipeline's name.
        modules: in the order in which they run.

    Raises:
        NotFoundError: the bytes of a module are gone.
        CorruptBlobError: the header of one is damaged.
    """
    headers = [_header_of(blobs, module.digest) for module in modules]
    header = header_bytes({PIPELINE_KEY: _manifest(name, modules)}, _places(headers))
    pieces = _pieces(headers, [module.digest for module in modules], start=len(header))
    with io.BufferedReader(_PipelineFile(blobs, header, pieces)) as file:
        yield file


def _header_of(blobs: BlobStore, blob: Digest) -> TensorHeader:
    with blobs.open(blob) as file:
        try:
            return read_tensor_header(file, size_bytes=size_of(file))
        except TensorFileError as error:
            detail = f"the bytes stored as {blob} are damaged: {error}; upload the file again"
            raise CorruptBlobError(detail) from error


def _manifest(name: str, modules: Sequence[PublishedModule]) -> str:
    """What the header says: the manifests of the modules, in the order in which they run."""
    return f'{{"schema":1,"name":{json.dumps(name)},"modules":[{",".join(map(manifest_text, modules))}]}}'


def _in_order(headers: Sequence[TensorHeader]) -> Iterator[tuple[int, str, StoredTensor]]:
    """Every tensor as it comes: the number of its module, its name there, and its place there."""
    for index, header in enumerate(headers):
        for name in sorted(header.tensors):
            yield index, name, header.tensors[name]


def _places(headers: Sequence[TensorHeader]) -> Mapping[str, StoredTensor]:
    """Where each tensor goes, one after the other."""
    places, position = {}, 0
    for index, name, tensor in _in_order(headers):
        end = position + tensor.end - tensor.start
        places[f"{index}.{name}"] = StoredTensor(tensor.dtype, tensor.shape, position, end)
        position = end
    return places


def _pieces(headers: Sequence[TensorHeader], blobs: Sequence[Digest], *, start: int) -> tuple[_Piece, ...]:
    """Where the bytes of the pipeline's file are, from where its header ends."""
    pieces = []
    for index, _, tensor in _in_order(headers):
        end = start + tensor.end - tensor.start
        if end > start:
            pieces.append(_Piece(start, end, blobs[index], headers[index].data_start + tensor.start))
        start = end
    return tuple(pieces)


class _PipelineFile(SizedFile):
    """A seekable file of a header in memory and pieces of blobs, of which one is open at a time."""

    def __init__(self, blobs: BlobStore, header: bytes, pieces: Sequence[_Piece]) -> None:
        super().__init__(pieces[-1].end if pieces else len(header))
        self._blobs, self._header, self._pieces = blobs, header, pieces
        self._starts = [piece.start for piece in pieces]
        self._opened = ExitStack()
        self._file: tuple[Digest, BinaryIO] | None = None

    def readinto(self, buffer: Buffer) -> int:
        """Fill a buffer as far as one piece goes; 0 at the end, and where a blob ends before it should."""
        wanted = memoryview(buffer).cast("B")
        given = self._read(len(wanted)) if self.at < self.size_bytes else b""
        wanted[: len(given)] = given
        self.at += len(given)
        return len(given)

    def _read(self, most_bytes: int) -> bytes:
        if self.at < len(self._header):
            return self._header[self.at : self.at + most_bytes]
        piece = self._pieces[bisect_right(self._starts, self.at) - 1]
        file = self._file_of(piece.blob)
        file.seek(piece.offset + self.at - piece.start)
        return file.read(min(most_bytes, piece.end - self.at))

    def _file_of(self, blob: Digest) -> BinaryIO:
        if self._file is None or self._file[0] != blob:
            self._opened.close()
            self._file = (blob, self._opened.enter_context(self._blobs.open(blob)))
        return self._file[1]

    def close(self) -> None:
        """Close the blob that is open."""
        self._opened.close()
        super().close()
