"""What the rules need from outside: bytes, records, the time. `storage` provides it; tests hold it to contracts."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import BinaryIO, Protocol

from registry.access import EVERYTHING, Sight
from registry.access_ports import BlobOwnerRecords, NamespaceRecords, TokenRecords
from registry.history_ports import ChangeRecords, RequestKeyRecords, WebhookRecords
from registry.names import Digest, ModuleName, Selector
from registry.records import (
    Alias,
    AliasMove,
    BlobInfo,
    BlobLink,
    Dataset,
    Facet,
    ModuleSearch,
    Page,
    Pipeline,
    PublishedModule,
    Shortlist,
    SteppingStone,
    StoredBlob,
    Task,
    Verification,
    VersionSummary,
)
from registry.upload_records import UploadRecords
from registry.work_ports import JobRecords, OutcomeRecords, QueryRecords, StatisticsRecords

Clock = Callable[[], datetime]
"""Gives the present moment, aware, in UTC."""


class BlobWriter(Protocol):
    """Takes one blob's bytes; nothing is visible before `commit`, and leaving without it keeps nothing."""

    def write(self, chunk: bytes) -> None:
        """Append bytes. Raises StorageFullError."""

    def digest(self) -> Digest:
        """Of the bytes written so far."""

    def commit(self, expected: Digest | None = None) -> BlobInfo:
        """Make the bytes durable and visible. Raises WrongDigestError when they are not the expected ones."""


class BlobStore(Protocol):
    """Bytes under their own digest. Putting the same bytes again is no error and changes nothing."""

    def writer(self) -> AbstractContextManager[BlobWriter]:
        """A writer of one new blob."""

    def put(self, data: bytes) -> Digest:
        """Keep bytes that are in memory already."""

    def get(self, digest: Digest) -> bytes:
        """All bytes, verified. Raises NotFoundError, CorruptBlobError."""

    def open(self, digest: Digest) -> AbstractContextManager[BinaryIO]:
        """A seekable file to read from; not verified. Raises NotFoundError."""

    def info(self, digest: Digest) -> BlobInfo:
        """Size of a blob. Raises NotFoundError."""

    def stamp(self, digest: Digest) -> str:
        """What is another once other bytes, or whole ones, were put in the place of these. Raises NotFoundError."""

    def link(self, digest: Digest) -> BlobLink | None:
        """Where readers may fetch the bytes themselves; None where all bytes go through the service."""

    def delete(self, digest: Digest) -> None:
        """Forget a blob; no error when it is not there."""

    def listing(self) -> Iterator[StoredBlob]:
        """Every blob, in no order; one that comes or goes meanwhile may be there or not."""


class ModuleRecords(Protocol):
    """Modules, versions, aliases."""

    def next_version(self, name: ModuleName) -> int:
        """The number the next version takes; used up by `add`. Until the transaction ends nobody else adds one."""

    def add(self, module: PublishedModule) -> None:
        """Record a version."""

    def find(self, name: ModuleName, selector: Selector) -> PublishedModule | None:
        """One version by number, digest or alias; `latest` is the newest that is not yanked."""

    def by_digest(self, digest: Digest) -> tuple[PublishedModule, ...]:
        """Every version with these bytes, oldest first."""

    def summaries(self, name: ModuleName, *, limit: int, cursor: str | None) -> Page[VersionSummary]:
        """A line on each version, newest first, a page at a time. Raises InvalidInputError for a bad cursor."""

    def search(self, query: ModuleSearch, *, limit: int, cursor: str | None) -> Page[PublishedModule]:
        """The newest version, not yanked, of each module that fits. Raises InvalidInputError for a bad cursor."""

    def facets(self, query: ModuleSearch) -> dict[str, tuple[Facet, ...]]:
        """Counts by role, namespace, tag, takes and gives over everything that fits."""

    def newest(self, roles: Sequence[str]) -> tuple[PublishedModule, ...]:
        """The newest version, not yanked, of every module with one of these roles, by name."""

    def shortlist(self, roles: Sequence[str], *, limit: int, newcomers: int) -> Shortlist:
        """The newest version, not yanked, of at most `limit` modules with one of these roles.

        Where there are more, those that stand best and, for at least `newcomers` of the places, the newest of those
        that stand nowhere yet; without those that workers refused.
        """

    def stones(self, digests: Iterable[Digest]) -> dict[Digest, SteppingStone]:
        """Of each of these modules that are here, what is needed to go down its chain."""

    def of_digests(self, digests: Iterable[Digest]) -> dict[Digest, PublishedModule]:
        """The oldest version with each of these bytes, where there is one."""

    def standing_on(self, digest: Digest) -> tuple[PublishedModule, ...]:
        """Versions whose `below` is this digest."""

    def descendants(self, digest: Digest, *, limit: int, cursor: str | None) -> Page[str]:
        """References of all that stands on this digest, or on what does, and so on; the nearest first."""

    def set_yanked(self, name: ModuleName, version: int, reason: str | None) -> None:
        """Yank a version, or take it back with None."""

    def delete(self, name: ModuleName, version: int) -> None:
        """Remove the record of a version, and with the last one what was found of its bytes.

        Its number is not given again.
        """

    def alias(self, name: ModuleName, alias: str) -> Alias | None:
        """Where an alias points."""

    def aliases(self, name: ModuleName) -> tuple[Alias, ...]:
        """All aliases of a module, by name."""

    def move_alias(self, name: ModuleName, alias: Alias, *, at: datetime) -> bool:
        """Set an alias if its newest move has revision ``alias.revision - 1`` (0: none yet); False if it has not."""

    def remove_alias(self, name: ModuleName, alias: Alias, *, at: datetime) -> bool:
        """Remove an alias that is still as given, which is a move too; False if it is not."""

    def alias_history(self, name: ModuleName, alias: str) -> tuple[AliasMove, ...]:
        """All moves of an alias, oldest first; they stay when the alias is removed."""

    def last_alias_move(self, name: ModuleName, alias: str) -> AliasMove | None:
        """The newest move of an alias; None where there never was one."""


class VerificationRecords(Protocol):
    """What workers found of modules, told of their bytes: every version with the same bytes has the same."""

    def get(self, modules: Iterable[Digest]) -> dict[Digest, Verification]:
        """Those of the modules of which something was found."""

    def hold(self, module: Digest) -> None:
        """Wait until no other unit of work holds this module, and hold it: what is found of it stays till the end."""

    def put(self, module: Digest, verification: Verification) -> None:
        """Record what was found, in place of what was found before."""


class PipelineRecords(Protocol):
    """Composed pipelines."""

    def add(self, pipeline: Pipeline) -> bool:
        """Record a pipeline; False, and no change, when this id is there already."""

    def get(self, pipeline_id: str) -> Pipeline | None:
        """One pipeline."""

    def newest_named(self, name: str) -> Pipeline | None:
        """The newest pipeline of this name."""

    def list(self, *, limit: int, cursor: str | None, holding: Digest | None = None) -> Page[Pipeline]:
        """Newest first; those that hold a module if it is named."""

    def using(self, digest: Digest) -> tuple[Pipeline, ...]:
        """Pipelines that hold this module."""


class DatasetRecords(Protocol):
    """Datasets and the tasks made from them. `owner` is who uploaded; nobody else finds them."""

    def add(self, dataset: Dataset, *, owner: str) -> None:
        """Record a dataset for an owner; no error when it is there already."""

    def get(self, digest: Digest, *, owner: str | None) -> Dataset | None:
        """One dataset; an owner of None sees every one."""

    def list(self, *, owner: str | None, limit: int, cursor: str | None) -> Page[Dataset]:
        """Newest first."""

    def remove(self, digest: Digest, *, owner: str | None) -> bool:
        """Remove this owner's claim (None: all); True when nobody holds the dataset any more."""


class TaskRecords(Protocol):
    """Tasks; they belong to whoever made them, or the same, while they hold the dataset."""

    def add(self, task: Task, *, owner: str | None) -> None:
        """Record a task for an owner (None: for nobody); no error when it is there already."""

    def get(self, task_id: str, *, owner: str | None) -> Task | None:
        """One task of this owner; an owner of None sees every one."""

    def list(self, *, owner: str | None, limit: int, cursor: str | None) -> Page[Task]:
        """This owner's, newest first."""

    def of_dataset(self, digest: Digest) -> tuple[Task, ...]:
        """All tasks made from a dataset."""

    def disown(self, dataset: Digest, *, owner: str) -> None:
        """Forget that this owner made tasks from a dataset."""

    def remove(self, task_id: str) -> None:
        """Forget a task."""


class BlobRecords(Protocol):
    """What refers to bytes, told for all nouns in one place; and which bytes nothing refers to, and since when."""

    def referred(self, blobs: Iterable[Digest]) -> set[Digest]:
        """Those of the bytes that something that is kept is made of, or that open work needs."""

    def every_reference(self) -> set[Digest]:
        """All bytes that something refers to, there or not."""

    def mark(self, blobs: Iterable[Digest], *, at: datetime) -> None:
        """Note that nothing refers to these bytes; those noted before stay noted since then."""

    def unmark(self, blobs: Iterable[Digest]) -> None:
        """Take such notes back; no error where there is none."""

    def marked(self, blobs: Iterable[Digest]) -> set[Digest]:
        """Those of the bytes that are noted."""

    def marked_before(self, moment: datetime, *, limit: int, after: Digest | None = None) -> tuple[Digest, ...]:
        """The first bytes, by digest, that have been noted since before a moment; those after one where it is given."""

    def take_turn(self, name: str, *, at: datetime, next_at: datetime) -> bool:
        """Take what all processes of a service do in turn, if it is due; False where it is not. One of many wins."""


class UnitOfWork(Protocol):
    """One transaction over all records; it commits when the block ends without an error, else nothing happened."""

    modules: ModuleRecords
    verifications: VerificationRecords
    pipelines: PipelineRecords
    datasets: DatasetRecords
    tasks: TaskRecords
    jobs: JobRecords
    statistics: StatisticsRecords
    queries: QueryRecords
    outcomes: OutcomeRecords
    uploads: UploadRecords
    blobs: BlobRecords
    changes: ChangeRecords
    tokens: TokenRecords
    namespaces: NamespaceRecords
    blob_owners: BlobOwnerRecords

    request_keys: RequestKeyRecords
    webhooks: WebhookRecords

    def seeing_everything(self) -> "UnitOfWork":
        """The same transaction, whose reads find everything."""

    def hold(self) -> None:
        """Wait until no other transaction holds, and hold until this one ends.

        What is read after it stays true to the end against every other transaction that holds: so whatever
        refers to bytes or to another record, and whatever takes those away, holds first.
        """

    def hold_shared(self) -> None:
        """Wait until no other transaction holds alone, and keep others from it until this one ends.

        Several may hold so at once, so what is read after it stays true against those that `hold`, but not against
        one another: enough for whoever only adds a record that refers to something. Who holds so may not `hold` later.
        """


class Backing(Protocol):
    """What records and bytes are kept in, as a whole."""

    def check_ready(self) -> None:
        """Raises ZooError while the service cannot serve, naming each part at fault; never takes long."""

    def connections_in_use(self) -> int:
        """How many connections to the database this process uses now."""

    def close(self) -> None:
        """End every connection."""


class Begin(Protocol):
    """Opens a unit of work."""

    def __call__(self, sight: Sight = EVERYTHING) -> AbstractContextManager[UnitOfWork]:
        """One whose reads of modules and pipelines find what is in sight, and nothing else."""
