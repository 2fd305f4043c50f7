"""What a worker can be asked to do, and what it brings back: plain data that travels over HTTP."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, FailFast, Field, model_validator

from registry.frozen import Frozen
from registry.names import DigestField
from registry.noise import SharedNoise
from registry.recipes import TaskSpec, TrainingRecipe


class TrainWork(Frozen):
    """Train the modules of a recipe and publish them under ``namespace/name``."""

    kind: Literal["train"] = "train"
    name: str
    recipe: TrainingRecipe


Beside = Literal["class_moments", "knn", "linear_probe", "source_head"]
"""What a worker measures beside statistics where a question asks for it."""

OF_EXAMPLES: frozenset[Beside] = frozenset({"knn", "linear_probe", "source_head"})
"""What needs the examples, so that it is measured on the task's own classes."""


class ScoreWork(Frozen):
    """Run chains of modules over a task's images and bring back each wanted module's statistics.

    A chain is the digests from the input module up to the module that is scored; chains of one work begin
    with the same input module, so shared prefixes run once. Examples are drawn by `seed`, in an order of which every
    beginning holds each class by its share; those from `start` up to `examples` are dealt into `shards`.
    `verify` names those modules of the chains that no worker has built and run yet: they are verified first.
    `beside` is measured too; `groups` are the classes for that, each some of the task's labels by their place, and
    `heads` has the source head of those scored modules that have one. A worker that cannot measure it leaves it out.
    """

    kind: Literal["score"] = "score"
    task: TaskSpec
    chains: Annotated[tuple[tuple[DigestField, ...], ...], Field(min_length=1)]
    examples: Annotated[int, Field(ge=4)]
    shards: Annotated[int, Field(ge=2, le=64)] = 10
    seed: Annotated[int, Field(ge=0)] = 0
    start: Annotated[int, Field(ge=0)] = 0
    verify: tuple[DigestField, ...] = ()
    beside: tuple[Beside, ...] = ()
    groups: tuple[tuple[Annotated[int, Field(ge=0)], ...], ...] = ()
    heads: dict[DigestField, DigestField] = Field(default_factory=dict)

    def shards_of(self, examples: int) -> int:
        """Into how many shards so many examples are dealt: fewer than asked for where one would have less than two."""
        return min(self.shards, examples // 2)

    @model_validator(mode="after")
    def _check_beside(self) -> Self:
        if self.beside != tuple(sorted(set(self.beside))):
            raise ValueError(f"`beside` must be sorted and name nothing twice, got {self.beside}")
        if self.heads and ("source_head" not in self.beside or not self.heads.keys() <= {c[-1] for c in self.chains}):
            raise ValueError("`heads` are of scored modules, and come with 'source_head' in `beside`")
        named = sorted(label for group in self.groups for label in group)
        every = list(range(len(self.task.classes))) if OF_EXAMPLES & set(self.beside) else []
        if named != every or not all(self.groups):
            raise ValueError(f"`groups` must name each of {len(every)} labels once, got {self.groups[:20]}")
        return self


class ScoreHereWork(ScoreWork):
    """The same for data that stays at home: done by whoever asked and holds the bytes, never by the zoo's workers.

    It verifies nothing: on modules the zoo trusts only workers of its own. With `noise`, statistics are sent with it.
    """

    kind: Literal["score-here"] = "score-here"  # type: ignore[assignment]  # what tells it from its parent
    verify: Annotated[tuple[DigestField, ...], Field(max_length=0)] = ()
    noise: SharedNoise | None = None

    @model_validator(mode="after")
    def _check_noise(self) -> Self:
        if self.noise is not None and self.beside:
            raise ValueError(f"noise does not hide what is measured beside statistics, so leave out {self.beside}")
        return self


MOST_JOINED = 8
"""At most so many modules stand side by side."""


class JointWork(Frozen):
    """Run chains over the same images and bring back the statistics of their last modules side by side.

    They may begin with different input modules. Examples are drawn, dealt into shards and shuffled, and modules
    verified, as for `ScoreWork`. See `kernel_methods.joint` for what stands where.
    """

    kind: Literal["joint"] = "joint"
    task: TaskSpec
    chains: Annotated[tuple[tuple[DigestField, ...], ...], Field(min_length=2, max_length=MOST_JOINED)]
    examples: Annotated[int, Field(ge=4)]
    shards: Annotated[int, Field(ge=2, le=64)] = 10
    seed: Annotated[int, Field(ge=0)] = 0
    verify: tuple[DigestField, ...] = ()

    @model_validator(mode="after")
    def _check_chains(self) -> Self:
        if not all(self.chains) or len({chain[-1] for chain in self.chains}) < len(self.chains):
            raise ValueError("every chain needs a module, and no module is wanted twice")
        return self

    @property
    def apart(self) -> ScoreWork:
        """The same modules on the same examples, each by itself."""
        shared = {name: getattr(self, name) for name in type(self).model_fields if name != "kind"}
        return ScoreWork.model_validate(shared)


class PredictWork(Frozen):
    """Run a pipeline over uploaded images and bring back probabilities."""

    kind: Literal["predict"] = "predict"
    modules: Annotated[tuple[DigestField, ...], Field(min_length=2)]
    images: DigestField


class VerifyWork(Frozen):
    """Build a published module and run it, and say whether it does what its manifest says."""

    kind: Literal["verify"] = "verify"
    module: DigestField


Work = Annotated[
    TrainWork | ScoreWork | ScoreHereWork | JointWork | PredictWork | VerifyWork, Field(discriminator="kind")
]
WorkKind = Literal["train", "score", "score-here", "joint", "predict", "verify"]
SCORE_HERE: WorkKind = "score-here"
LONGEST_REASON = 2000
MOST_LABELS = 10_000
ONE_FAULT = FailFast()
"""Of what a worker brings, which may be long, the first wrong item of a list is told and no other looked at."""


def without_nul(text: str) -> str:
    """What a worker says of a failure, in which anything may be quoted; PostgreSQL keeps no text with NUL."""
    return text.replace("\x00", "\ufffd")


Reason = Annotated[str, Field(max_length=LONGEST_REASON), AfterValidator(without_nul)]


class NewModule(Frozen):
    """A module that a job trained: its bytes are uploaded already, and are published when the job finishes.

    `verified` says that the worker that trained it has built and run it too, as `VerifyWork` asks.
    """

    name: str
    digest: DigestField
    verified: bool = False


class TrainResult(Frozen):
    """What training brings back. The service publishes it in the same step that ends the job."""

    kind: Literal["train"] = "train"
    modules: Annotated[tuple[NewModule, ...], Field(min_length=1), ONE_FAULT]
    pipeline: str | None = None
    published: Annotated[tuple[str, ...], ONE_FAULT] = ()
    pipeline_id: str | None = None


class ModuleStatistics(Frozen):
    """Where a worker put the packed statistics of one module."""

    module: DigestField
    blob: DigestField
    milliseconds: Annotated[float, Field(ge=0)]


class ModuleFailure(Frozen):
    """Why a module could not be scored; the others of the same work were."""

    module: DigestField
    reason: Reason


class ModuleVerdict(Frozen):
    """What a worker found when it built and ran a module: nothing wrong, or why the module cannot be used."""

    module: DigestField
    refused: Annotated[Reason, Field(min_length=1)] | None = None


class ScoreResult(Frozen):
    """What scoring brings back: statistics, never a score; the modules that could not be scored; and a verdict on
    each module that the work asks to verify, unless its file could not be had.
    """

    kind: Literal["score"] = "score"
    statistics: Annotated[tuple[ModuleStatistics, ...], ONE_FAULT]
    failures: Annotated[tuple[ModuleFailure, ...], ONE_FAULT] = ()
    verdicts: Annotated[tuple[ModuleVerdict, ...], ONE_FAULT] = ()


class JointResult(Frozen):
    """What joint scoring brings back: the modules that ran, in the order of the work, and their joint statistics.

    Statistics need two modules; with fewer there are none. Failures and verdicts are as in `ScoreResult`.
    """

    kind: Literal["joint"] = "joint"
    modules: Annotated[tuple[DigestField, ...], ONE_FAULT] = ()
    blob: DigestField | None = None
    milliseconds: Annotated[float, Field(ge=0)] = 0.0
    failures: Annotated[tuple[ModuleFailure, ...], ONE_FAULT] = ()
    verdicts: Annotated[tuple[ModuleVerdict, ...], ONE_FAULT] = ()

    @model_validator(mode="after")
    def _check_blob(self) -> Self:
        if (self.blob is None) != (len(self.modules) < 2):
            raise ValueError(f"statistics come with two modules or more, and with these always; got {self.modules}")
        return self


class Prediction(Frozen):
    """The most probable label of one image, and the probability of each."""

    item: str
    label: str
    probabilities: Annotated[dict[str, float], Field(max_length=MOST_LABELS)]


class PredictResult(Frozen):
    """What prediction brings back."""

    kind: Literal["predict"] = "predict"
    predictions: Annotated[tuple[Prediction, ...], ONE_FAULT]
    milliseconds: Annotated[float, Field(ge=0)]


class VerifyResult(Frozen):
    """What verification brings back. A module that is refused is a result too, not a job that failed."""

    kind: Literal["verify"] = "verify"
    verdict: ModuleVerdict


JobResult = Annotated[
    TrainResult | ScoreResult | JointResult | PredictResult | VerifyResult, Field(discriminator="kind")
]
