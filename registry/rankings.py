"""Questions asked of the zoo and the answers it gives: one score, a ranking, the task map."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from kernel_methods.kernels import ScoreName
from registry.frozen import Frozen
from registry.manifest import Preprocessing
from registry.names import DigestField
from registry.records import Progress, QueryStatus

SCORER = "statistics-1"
"""Version of the scorer: it changes whenever the same statistics would give another answer."""

SCORES: tuple[ScoreName, ...] = (
    "centred_alignment",
    "alignment",
    "upper_triangle_alignment",
    "negative_mean_squared_error",
    "raw",
)
"""Every score there is, the default ranker first."""

MOST_MAP_TASKS = 200
DEFAULT_SEED = 0
Examples = Annotated[int, Field(ge=4, le=1_000_000)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]


class ScoreOptions(Frozen):
    """What every question may say: which score decides, which are shown, on how many examples, drawn by which seed."""

    rank_by: ScoreName = "centred_alignment"
    panel: tuple[ScoreName, ...] | None = None
    examples: Examples | None = None
    seed: Seed = DEFAULT_SEED


class RankingOptions(ScoreOptions):
    """Options of a ranking; without candidates, every module that has a feature map."""

    candidates: Annotated[tuple[str, ...], Field(min_length=1, max_length=10_000)] | None = None
    top: Annotated[int, Field(ge=1)] | None = None


class RankingQuestion(RankingOptions):
    """Which modules serve this task? `task` is a task's id, or a dataset's digest for its own classes."""

    task: str


class ReusabilityQuestion(ScoreOptions):
    """How well does this module serve this task?"""

    module: str
    task: str


class MapQuestion(ScoreOptions):
    """How well does the module of each task serve each task? Without tasks, all that a module was trained on."""

    tasks: Annotated[tuple[str, ...], Field(max_length=MOST_MAP_TASKS)] = ()


class RankedModule(Frozen):
    """The module a score belongs to."""

    ref: str
    digest: DigestField


class ScoreFields(Frozen):
    """One score with its doubt; a score of the panel that is undefined on the task is null.

    `interval` holds the true score 95 times in 100; `chance` is what shuffled labels reach 5 times in 100, and
    `p_value` how often they reach this score; `static` is the module's usual score on other data, null without any.
    """

    module: RankedModule
    score: float
    interval: tuple[float, float]
    chance: float
    p_value: float
    panel: dict[ScoreName, float | None]
    static: float | None
    n: int
    n_per_class: dict[str, int]
    preprocessing: Preprocessing
    warnings: tuple[str, ...]
    cached: bool
    milliseconds: float


class Place(Frozen):
    """A place in a ranking; modules that cannot be told apart share it."""

    rank: int


class RankingRow(ScoreFields, Place):
    """One line of a ranking."""


Decision = Literal["ranked", "tie", "none_better_than_chance"]


class AnswerHead(Frozen):
    """What an answer rests on: with the same head and zoo, the same bytes."""

    query: str
    rank_by: ScoreName
    decision: Decision
    seed: int
    examples: int
    task: str
    data: DigestField
    classes: dict[str, tuple[str, ...]]
    scorer: str
    serial: int


class NotScored(Frozen):
    """A candidate that could not be scored, and why."""

    module: RankedModule
    reason: str


class Ranking(AnswerHead):
    """Modules for a task, best first, and the candidates that could not be scored."""

    candidates: int
    ranking: tuple[RankingRow, ...]
    not_scored: tuple[NotScored, ...] = ()


class Reusability(AnswerHead, ScoreFields):
    """One module's score on one task."""


class MapTask(Frozen):
    """One task of the map, and the module that was trained on it."""

    task: str
    data: DigestField
    classes: dict[str, tuple[str, ...]]
    module: RankedModule
    cluster: int


class TaskMap(Frozen):
    """Transferability of every source (row) to every target (column), and the clusters of the sources.

    `order` lists the rows so that those alike stand side by side.
    """

    query: str
    rank_by: ScoreName
    seed: int
    examples: int
    scorer: str
    serial: int
    tasks: tuple[MapTask, ...]
    scores: tuple[tuple[float, ...], ...]
    order: tuple[int, ...]


class QueryState(Frozen):
    """How far a question is; `answer` once it is done, `partial` while it is running and something is known."""

    id: str
    kind: Literal["ranking", "reusability", "map"]
    status: QueryStatus
    progress: Progress
    answer: Ranking | Reusability | TaskMap | None = None
    partial: Ranking | None = None
    error: str | None = None
    error_code: str | None = None
    created_at: datetime


class PipelineFault(Frozen):
    """One misfit of a pipeline."""

    pointer: str
    detail: str
    code: str


class PipelineCheck(Frozen):
    """Whether modules fit one after the other, and every place where they do not."""

    fits: bool
    faults: tuple[PipelineFault, ...]
