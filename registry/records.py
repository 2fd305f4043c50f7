"""What is kept, and what is answered: one frozen model for each noun. Rows never leave `storage`; these do."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Generic, Literal, TypeVar

from pydantic import Field

from kernel_methods.kernels import RankerName
from registry.audit_records import PublicKind
from registry.dataset_sketch import DatasetSketch
from registry.frozen import Frozen
from registry.manifest import ModuleManifest, Role
from registry.names import Digest, DigestField
from registry.origins import NOWHERE, Origin
from registry.recipes import TaskSpec
from registry.work import JobResult, Work

Item = TypeVar("Item")

STAFF = "zoo"
"""Who owns jobs that the zoo submits for itself."""


class Page(Frozen, Generic[Item]):
    """One page of a list; `next_cursor` is opaque, and null on the last page."""

    items: tuple[Item, ...]
    next_cursor: str | None = None


class VerificationState(StrEnum):
    """Whether a worker has built and run a module: not yet, with success, or in vain."""

    UNVERIFIED = "unverified"
    VERIFIED = "verified"
    REFUSED = "refused"


class Verification(Frozen):
    """What workers found of a version's bytes, since when that holds, and why they are refused if they are."""

    state: VerificationState = VerificationState.UNVERIFIED
    at: datetime | None = None
    reason: str | None = None

    @property
    def refused(self) -> bool:
        """Whether the module cannot be used."""
        return self.state is VerificationState.REFUSED

    @property
    def verified(self) -> bool:
        """Whether a worker has built and run the module with success."""
        return self.state is VerificationState.VERIFIED


class PublishedModule(ModuleManifest):
    """One published version of a module: its manifest, and where and what it is.

    All of it stays as it is for ever, but `yanked` and `verification`.
    """

    namespace: str
    name: str
    version: int
    digest: DigestField
    size_bytes: int
    published_at: datetime
    yanked: str | None = None
    verification: Verification = Verification()

    @property
    def ref(self) -> str:
        """The immutable reference ``namespace/name@version``."""
        return f"{self.namespace}/{self.name}@{self.version}"


class SteppingStone(Frozen):
    """As much of a version as is needed to tell how images reach it."""

    ref: str
    digest: DigestField
    role: Role
    below: DigestField | None


class Shortlist(Frozen):
    """Modules that may be candidates, and how many there are in all."""

    in_zoo: int
    modules: tuple[SteppingStone, ...]


class VersionSummary(Frozen):
    """One line of a module's list of versions."""

    version: int
    digest: DigestField
    published_at: datetime
    yanked: str | None = None
    verification: Verification = Verification()


class ModuleOverview(Frozen):
    """A module with a page of its versions, newest first, and its aliases."""

    namespace: str
    name: str
    versions: tuple[VersionSummary, ...]
    aliases: dict[str, int]
    next_cursor: str | None = None


class TensorEntry(Frozen):
    """Type and shape of one tensor, and where its bytes are in the file."""

    dtype: str
    shape: tuple[int, ...]
    byte_range: tuple[int, int]


class TensorListing(Frozen):
    """The tensors of a module file, without their values."""

    digest: DigestField
    tensors: dict[str, TensorEntry]


class Lineage(Frozen):
    """All a module stands on, nearest first; a page of all that stands on it, at whatever distance, nearest first.

    `pipelines` are the newest that hold it. What is not in the zoo any more is named by its digest.
    """

    below: tuple[str, ...]
    above: tuple[str, ...]
    pipelines: tuple[str, ...]
    next_cursor: str | None = None


class ModuleSearch(Frozen):
    """What to search for; empty fields do not narrow. `q` is looked for in names, descriptions and tags.

    `verified` asks for versions that a worker has verified (true), or for the others (false).
    """

    role: Role | None = None
    namespace: str | None = None
    task: str | None = None
    tag: str | None = None
    takes: str | None = None
    gives: str | None = None
    q: str | None = None
    verified: bool | None = None
    sort: Literal["name", "-name", "published_at", "-published_at"] = "-published_at"


class Facet(Frozen):
    """How many of the modules found have one value of one field."""

    value: str
    count: int


class ModulePage(Page[PublishedModule]):
    """One page of a search, with facets where they were asked for."""

    facets: dict[str, tuple[Facet, ...]] | None = None


class Alias(Frozen):
    """A word that points at one version; `revision` counts its moves and is its ETag."""

    alias: str
    version: int
    digest: DigestField
    revision: int


class AliasMove(Frozen):
    """One step in the history of an alias: where it pointed from then on; null where it was removed.

    The digest stays when the version goes.
    """

    revision: int
    version: int | None
    digest: DigestField | None = None
    moved_at: datetime


class Change(Frozen):
    """One step in the zoo's history; serials only grow, and some are left out.

    `refuse` and `verify` say that a version cannot be used any more, or can again; a first success changes no answer.
    `detail` is the version that an alias points at from here on, the digest of what was published, why it was yanked.
    """

    serial: int
    kind: PublicKind
    ref: str
    detail: str = ""
    at: datetime


class PinnedModule(Frozen):
    """A module of a pipeline, pinned to its digest."""

    ref: str
    digest: DigestField
    role: Role


class Pipeline(Frozen):
    """Modules that run one after the other, pinned to digests."""

    id: str
    name: str
    modules: tuple[PinnedModule, ...]
    labels: tuple[str, ...]
    created_at: datetime


class LeftOut(Frozen):
    """One thing of an upload that is not part of the dataset, and why."""

    item: str
    reason: str


class Dataset(Frozen):
    """Labelled images as they were uploaded. `counts` goes with `classes`; shapes are (h, w, c) in pixels.

    By its `sketch` near-duplicates are found; lists leave it out. One that is not `held` was only stated: its bytes
    stay at home, and what it says of itself was not checked.
    """

    digest: DigestField
    format: Literal["zip", "parquet", "npz", "safetensors"]
    size_bytes: int
    examples: int
    classes: tuple[str, ...]
    counts: tuple[int, ...]
    shape: tuple[int, int, int]
    same_shape: bool
    left_out: tuple[LeftOut, ...] = ()
    left_out_count: int = 0
    sketch: DatasetSketch | None = None
    held: bool = True
    created_at: datetime


class Task(Frozen):
    """A dataset and what its labels mean; the id is made from both, so the same task has one id."""

    id: str
    dataset: DigestField
    classes: dict[str, tuple[str, ...]]
    counts: dict[str, int]
    created_at: datetime

    @property
    def spec(self) -> TaskSpec:
        """The task as a recipe names it."""
        return TaskSpec(dataset=self.dataset, classes=self.classes)


class JobStatus(StrEnum):
    """The life of a job: queued, running, then one of the three ends."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        """Whether nothing will change any more."""
        return self not in (JobStatus.QUEUED, JobStatus.RUNNING)


class Progress(Frozen):
    """How far a job is. `stage` says what is being done; the other numbers belong to training."""

    stage: Annotated[str, Field(max_length=200)] = ""
    done: Annotated[int, Field(ge=0)] = 0
    total: Annotated[int, Field(ge=0)] = 0
    epoch: int | None = None
    objective: float | None = None
    alignment: float | None = None
    examples_per_second: float | None = None
    seconds_left: float | None = None


class Job(Frozen):
    """One piece of work for a worker. `attempt` is the fence: only its holder may report.

    `releases` counts the attempts that gave the job back unharmed, as a worker does that is told to end. `checkpoint`
    is where the last one left off; its bytes are kept until the job ends. `origin` is the request that asked for it.
    """

    id: int
    status: JobStatus
    work: Work
    attempt: int = 0
    releases: int = 0
    worker: str | None = None
    lease_expires_at: datetime | None = None
    progress: Progress = Progress()
    checkpoint: DigestField | None = None
    result: JobResult | None = None
    error: str | None = None
    created_at: datetime
    finished_at: datetime | None = None
    origin: Origin = NOWHERE


class KeptStatistics(Frozen):
    """Where the statistics of one module on some labels of a dataset are kept: a blob of packed shards.

    A module that cannot be scored on this data has no blob, and `failure` says why. Statistics of several modules side
    by side have their own key in place of a module.

    `scores` are those of the labels as they are, unmerged; the static ranker averages them over other data. They rest
    on so many `examples`; 0 is said where nobody counted.
    """

    key: DigestField
    module: DigestField
    data: DigestField
    labels: tuple[str, ...]
    blob: DigestField | None
    milliseconds: float
    examples: int = 0
    scores: dict[RankerName, float]
    failure: str | None = None


class QueryStatus(StrEnum):
    """The life of a query."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Query(Frozen):
    """One question asked of the zoo; the id is made from the question and the zoo's serial.

    `namespaces` are those of its candidates: whoever may not know of one of them may not know of the answer. Where jobs
    failed that say nothing about their modules, the answer is without them, and `error_code` says so.
    """

    id: str
    kind: Literal["ranking", "reusability", "map", "sets"]
    status: QueryStatus
    plan: str
    jobs: tuple[int, ...] = ()
    answer: str | None = None
    error: str | None = None
    error_code: str | None = None
    created_at: datetime
    namespaces: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether it answers whoever asks the same now; else the question is asked anew."""
        return self.status is QueryStatus.RUNNING or (self.status is QueryStatus.DONE and self.error_code is None)


class BlobInfo(Frozen):
    """Identity and size of stored bytes."""

    digest: DigestField
    size_bytes: int


class StoredBlob(BlobInfo):
    """A blob in a listing of its store, and when its bytes were last put there."""

    stored_at: datetime


class BlobLink(Frozen):
    """An address from which whoever has it may read a blob's bytes, for so many seconds."""

    url: str
    seconds: int


def short(digest: Digest) -> str:
    """The first twelve hex digits of a digest, for people."""
    return digest.removeprefix("sha256:")[:12]
