"""Whether all bytes are there and have their digests; what is damaged is set aside, so that an upload heals it."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from pathlib import Path

from pydantic import ValidationError
from sqlalchemy import delete, select, true
from sqlalchemy.orm import Session

from registry.blobs import blobs_of_work
from registry.errors import NotFoundError, ZooError
from registry.names import Digest
from registry.ports import BlobStore
from registry.records import Dataset, StoredBlob
from storage.care.problems import REPAIR, Problem
from storage.care.record_checks import forget_statistics
from storage.care.telling import OnBytes
from storage.records.blobs import IS_OPEN, NEEDS_BYTES, REFERRING
from storage.records.jobs import WORK
from storage.tables import (
    DatasetRow,
    JobRow,
    ModuleRow,
    PipelineModuleRow,
    StatisticsRow,
    Table,
    UploadPieceRow,
    UploadRow,
    VersionRow,
)
from storage.translation import disk_translated

CHUNK_BYTES = 1024 * 1024
AT_ONCE = 2
"""Files that are read at a time: one is hashed while another is fetched."""

BATCH = 1000

DAMAGED = "damaged_blob"
UPLOAD = "upload the same file again; the zoo knows it by its digest"
READ = "see that the service may read them and that ZOO_HOME has room for them, then run `zoo doctor --repair` again"

Holding = Callable[[Callable[[Session], None]], None]
"""Runs something within a transaction that holds."""


def pieces(blobs: BlobStore, digest: Digest) -> Iterator[bytes]:
    """Stored bytes, a piece at a time, not verified. Raises NotFoundError, StorageError, and nothing of its reader."""
    with blobs.open(digest) as file, disk_translated():
        while chunk := file.read(CHUNK_BYTES):
            yield chunk


def hashed(blobs: BlobStore, digest: Digest, on_bytes: OnBytes) -> Digest | None:
    """The digest that stored bytes have now; None when they have gone. Raises StorageError."""
    found = hashlib.sha256()
    try:
        for chunk in pieces(blobs, digest):
            found.update(chunk)
            on_bytes(len(chunk))
    except NotFoundError:
        return None
    return Digest("sha256:" + found.hexdigest())


class BlobExaminer:
    """Reads every blob, and names those that are damaged or missing."""

    def __init__(self, blobs: BlobStore, holding: Holding, quarantine: Path, on_bytes: OnBytes) -> None:
        """Args: quarantine: the folder where damaged bytes are set aside; on_bytes: is told what was read."""
        self._blobs, self._holding, self._quarantine, self._on_bytes = blobs, holding, quarantine, on_bytes

    def damaged(self, stored: Iterator[StoredBlob]) -> Iterator[tuple[Digest, str]]:
        """Blobs that do not have their digest, or cannot be read, and what is wrong with each."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            while some := tuple(islice(stored, BATCH)):
                digests = [blob.digest for blob in some]
                for digest, wrong in zip(digests, pool.map(self._wrong, digests), strict=True):
                    if wrong is not None:
                        yield digest, wrong

    def _wrong(self, digest: Digest) -> str | None:
        try:
            found = hashed(self._blobs, digest, self._on_bytes)
        except ZooError as error:
            return f"the bytes cannot be read: {error.detail}"
        return None if found in (None, digest) else f"the bytes are damaged, they now have {found}"

    def tell(self, digest: Digest, wrong: str, *, kind: str, repair: bool) -> Problem:
        """A problem with bytes, once what can be done about it was done."""
        users: list[str] = []
        self._holding(partial(self._look, digest, users))
        detail = f"{wrong}; {_listed(users)} refers to it"
        if repair:
            try:
                detail += self._set_aside(digest) if kind == DAMAGED else ""
                users = []
                self._holding(partial(self._without, digest, users))
            except ZooError as error:
                detail += f"; it could not be repaired: {error.detail}"
                return Problem(kind=kind, where=f"blob {digest}", detail=detail, remedy=READ)
        remedy = UPLOAD if any(_only_copy(user) for user in users) else REPAIR
        repaired = repair and not users
        return Problem(kind=kind, where=f"blob {digest}", detail=detail, remedy=remedy, repaired=repaired)

    def _look(self, digest: Digest, users: list[str], session: Session) -> None:
        users += users_of(session, digest)

    def _without(self, digest: Digest, left: list[str], session: Session) -> None:
        """Let go of what can be made anew without these bytes; tells what else refers to them."""
        if not is_there(self._blobs, digest):
            forget_what_is_made_anew(session, digest)
            left += users_of(session, digest)

    def _set_aside(self, digest: Digest) -> str:
        """Move damaged bytes to the quarantine, unless they have gone or were healed meanwhile; says so.

        Bytes that were put there while these were copied stay, which their stamp tells without reading them.
        """
        try:
            stamp = self._blobs.stamp(digest)
            if self._copied(digest) == digest:
                return "; they have been healed meanwhile"
        except NotFoundError:
            return "; they have gone meanwhile"

        def remove(session: Session) -> None:
            del session
            if is_there(self._blobs, digest) and self._blobs.stamp(digest) == stamp:
                self._blobs.delete(digest)

        self._holding(remove)
        return f"; the damaged bytes are in {self._quarantine}"

    def _copied(self, digest: Digest) -> str:
        """Copy damaged bytes to the quarantine; gives the digest that they have. Raises NotFoundError, StorageError."""
        target, found = self._quarantine / digest.removeprefix("sha256:"), hashlib.sha256()
        with disk_translated(f"the folder {self._quarantine}"):
            self._quarantine.mkdir(parents=True, exist_ok=True)
            with target.open("wb") as out:
                for chunk in pieces(self._blobs, digest):
                    found.update(chunk)
                    out.write(chunk)
            if (made := "sha256:" + found.hexdigest()) == digest:
                target.unlink()
        return made


def is_there(blobs: BlobStore, digest: Digest) -> bool:
    """Whether there are bytes under a digest."""
    try:
        blobs.info(digest)
    except NotFoundError:
        return False
    return True


def users_of(session: Session, digest: Digest) -> list[str]:
    """Everything that refers to bytes, in words."""
    users = []
    for column, condition in REFERRING:
        table: type[Table] = column.parent.class_
        named = select(table).where(column == digest, true() if condition is None else condition)
        users += [WORDS[table](row, session) for row in session.scalars(named)]
    record = session.scalar(select(DatasetRow.record).where(DatasetRow.digest == digest))
    if record is not None and _is_held(record):
        users.append(f"dataset {digest}")
    for job in session.scalars(select(JobRow).where(IS_OPEN, NEEDS_BYTES)):
        users += [f"job {job.id}"] if digest in job.work and digest in _blobs_of(job.work) else []
    return users


def _version(row: VersionRow, session: Session) -> str:
    module = session.get_one(ModuleRow, row.module_id)
    return f"module {module.namespace}/{module.name}@{row.version}"


WORDS: dict[type[Table], Callable[..., str]] = {
    VersionRow: _version,
    PipelineModuleRow: lambda row, _: f"pipeline {row.pipeline_id}",
    StatisticsRow: lambda row, _: f"statistics {row.key}",
    JobRow: lambda row, _: f"checkpoint of job {row.id}",
    UploadRow: lambda row, _: f"upload {row.id}",
    UploadPieceRow: lambda row, _: f"upload {row.upload_id}",
}
"""How a row is called whose column names bytes, for each table that has such a column."""


def _is_held(record: str) -> bool:
    """Whether a dataset's bytes should be here; one that cannot be read is not given up."""
    try:
        return Dataset.model_validate_json(record).held
    except ValidationError:
        return True


def _blobs_of(work: str) -> tuple[Digest, ...]:
    """The bytes that a job's work names; of one that cannot be read, which another check tells, none are known."""
    try:
        return blobs_of_work(WORK.validate_json(work))
    except ValidationError:
        return ()


def _listed(users: Sequence[str]) -> str:
    return ", ".join([*users[:5], *(["others"] if len(users) > 5 else [])]) or "nothing"


def _only_copy(user: str) -> bool:
    """Whether somebody must bring the bytes again."""
    return user.startswith(("module", "pipeline", "dataset", "job"))


def forget_what_is_made_anew(session: Session, digest: Digest) -> None:
    """Forget statistics in these bytes, checkpoints and uploads: a job begins anew, as whoever uploads does, and
    statistics are made when next asked for.
    """
    for key in list(session.scalars(select(StatisticsRow.key).where(StatisticsRow.blob == digest))):
        forget_statistics(key, session)
    for job in list(session.scalars(select(JobRow).where(JobRow.checkpoint == digest, IS_OPEN))):
        job.checkpoint = None
    session.flush()
    pieces_of = select(UploadPieceRow.upload_id).where(UploadPieceRow.digest == digest)
    session.execute(delete(UploadRow).where((UploadRow.digest == digest) | UploadRow.id.in_(pieces_of)))
