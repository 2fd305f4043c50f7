"""What a worker can be asked to do, and what it brings back: plain data that travels over HTTP."""

from typing import Annotated, Literal

from pydantic import Field

from registry.frozen import Frozen
from registry.names import DigestField
from registry.recipes import TaskSpec, TrainingRecipe


class TrainWork(Frozen):
    """Train the modules of a recipe and publish them under ``namespace/name``."""

    kind: Literal["train"] = "train"
    name: str
    recipe: TrainingRecipe


class ScoreWork(Frozen):
    """Run chains of modules over a task's images and bring back each wanted module's statistics.

    A chain is the digests from the input module up to the module that is scored; chains of one work begin
    with the same input module, so shared prefixes run once. Examples are drawn by `seed` and dealt into `shards`.
    `verify` names those modules of the chains that no worker has built and run yet: they are verified first.
    """

    kind: Literal["score"] = "score"
    task: TaskSpec
    chains: Annotated[tuple[tuple[DigestField, ...], ...], Field(min_length=1)]
    examples: Annotated[int, Field(ge=4)]
    shards: Annotated[int, Field(ge=2, le=64)] = 10
    seed: Annotated[int, Field(ge=0)] = 0
    verify: tuple[DigestField, ...] = ()


class PredictWork(Frozen):
    """Run a pipeline over uploaded images and bring back probabilities."""

    kind: Literal["predict"] = "predict"
    modules: Annotated[tuple[DigestField, ...], Field(min_length=2)]
    images: DigestField


class VerifyWork(Frozen):
    """Build a published module and run it, and say whether it does what its manifest says."""

    kind: Literal["verify"] = "verify"
    module: DigestField


Work = Annotated[TrainWork | ScoreWork | PredictWork | VerifyWork, Field(discriminator="kind")]
WorkKind = Literal["train", "score", "predict", "verify"]
LONGEST_REASON = 2000


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
    modules: Annotated[tuple[NewModule, ...], Field(min_length=1)]
    pipeline: str | None = None
    published: tuple[str, ...] = ()
    pipeline_id: str | None = None


class ModuleStatistics(Frozen):
    """Where a worker put the packed statistics of one module."""

    module: DigestField
    blob: DigestField
    milliseconds: Annotated[float, Field(ge=0)]


class ModuleFailure(Frozen):
    """Why a module could not be scored; the others of the same work were."""

    module: DigestField
    reason: Annotated[str, Field(max_length=LONGEST_REASON)]


class ModuleVerdict(Frozen):
    """What a worker found when it built and ran a module: nothing wrong, or why the module cannot be used."""

    module: DigestField
    refused: Annotated[str, Field(min_length=1, max_length=LONGEST_REASON)] | None = None


class ScoreResult(Frozen):
    """What scoring brings back: statistics, never a score; the modules that could not be scored; and a verdict on
    each module that the work asks to verify, unless its file could not be had.
    """

    kind: Literal["score"] = "score"
    statistics: tuple[ModuleStatistics, ...]
    failures: tuple[ModuleFailure, ...] = ()
    verdicts: tuple[ModuleVerdict, ...] = ()


class Prediction(Frozen):
    """The most probable label of one image, and the probability of each."""

    item: str
    label: str
    probabilities: dict[str, float]


class PredictResult(Frozen):
    """What prediction brings back."""

    kind: Literal["predict"] = "predict"
    predictions: tuple[Prediction, ...]
    milliseconds: Annotated[float, Field(ge=0)]


class VerifyResult(Frozen):
    """What verification brings back. A module that is refused is a result too, not a job that failed."""

    kind: Literal["verify"] = "verify"
    verdict: ModuleVerdict


JobResult = Annotated[TrainResult | ScoreResult | PredictResult | VerifyResult, Field(discriminator="kind")]
