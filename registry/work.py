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
    """

    kind: Literal["score"] = "score"
    task: TaskSpec
    chains: Annotated[tuple[tuple[DigestField, ...], ...], Field(min_length=1)]
    examples: Annotated[int, Field(ge=4)]
    shards: Annotated[int, Field(ge=2, le=64)] = 10
    seed: Annotated[int, Field(ge=0)] = 0


class PredictWork(Frozen):
    """Run a pipeline over uploaded images and bring back probabilities."""

    kind: Literal["predict"] = "predict"
    modules: Annotated[tuple[DigestField, ...], Field(min_length=2)]
    images: DigestField


Work = Annotated[TrainWork | ScoreWork | PredictWork, Field(discriminator="kind")]
WorkKind = Literal["train", "score", "predict"]


class NewModule(Frozen):
    """A module that a job trained: its bytes are uploaded already, and are published when the job finishes."""

    name: str
    digest: DigestField


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
    reason: Annotated[str, Field(max_length=2000)]


class ScoreResult(Frozen):
    """What scoring brings back: statistics, never a score; and the modules that could not be scored."""

    kind: Literal["score"] = "score"
    statistics: tuple[ModuleStatistics, ...]
    failures: tuple[ModuleFailure, ...] = ()


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


JobResult = Annotated[TrainResult | ScoreResult | PredictResult, Field(discriminator="kind")]
