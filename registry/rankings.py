"""Questions asked of the zoo and the answers it gives: one score, a ranking, the task map."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from kernel_methods.kernels import EstimatorName, PooledName, RankBy, RankerName
from registry.frozen import Asked, Frozen
from registry.manifest import Preprocessing
from registry.names import DigestField
from registry.noise import Noise
from registry.records import Progress, QueryStatus
from registry.work import MOST_JOINED

SCORER = "statistics-5"
"""Version of the scorer: it changes whenever the same statistics would give another answer."""

RANKERS: tuple[RankerName, ...] = (
    "ridge_gcv",
    "logme",
    "h_score",
    "nearest_class_mean",
    "centred_alignment",
    "alignment",
    "upper_triangle_alignment",
    "negative_mean_squared_error",
    "raw",
)
"""Every score of one module by itself, the default first: docs/decisions/0018-the-default-ranker.md says why."""

DEFAULT_RANKER: RankerName = RANKERS[0]

POOLED: PooledName = "ridge_gcv_pooled"
"""What ranks several modules where nobody says otherwise: docs/decisions/0031-own-and-usual-scores-together.md."""

RANKINGS_BY: tuple[RankBy, ...] = (POOLED, *RANKERS)
"""Whatever can decide a ranking, the default first."""

PANEL: tuple[EstimatorName, ...] = (*RANKERS, "ridge", "raw_neo")
"""What is shown beside the score where nothing else is asked for: all that the usual statistics tell."""

MOST_MAP_TASKS = 200
MapPanels = Literal["both", "matrix", "embedding"]
"""What the picture of a map shows: the matrix with its tree, the sources in a plane, or both."""

DEFAULT_SEED = 0
FEWEST_EXAMPLES = 4
"""Fewer examples make no score: two parts of two are the least that doubt can be told from."""

Examples = Annotated[int, Field(ge=FEWEST_EXAMPLES, le=1_000_000)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]


class ShownOptions(Frozen):
    """What every question may say: which scores are shown, on how many examples, drawn by which seed."""

    panel: Annotated[tuple[EstimatorName, ...], Field(min_length=1)] | None = None
    examples: Examples | None = None
    seed: Seed = DEFAULT_SEED


class ScoreOptions(ShownOptions):
    """The same, and which score decides."""

    rank_by: RankerName = "ridge_gcv"


class RankingOptions(Asked, ShownOptions):
    """Options of a ranking; without candidates, every module that has a feature map."""

    rank_by: RankBy = POOLED
    candidates: Annotated[tuple[str, ...], Field(min_length=1, max_length=10_000)] | None = None
    top: Annotated[int, Field(ge=1)] | None = None


def single(rank_by: RankBy) -> RankerName:
    """The score of one module by itself that a ranking rests on."""
    return DEFAULT_RANKER if rank_by == POOLED else rank_by


class RankingQuestion(RankingOptions):
    """Which modules serve this task? `task` is a task's id, or a dataset's digest for its own classes.

    `noise` is what whoever holds the images is to add to their statistics; without bytes in the zoo only.
    """

    task: str
    noise: Noise | None = None


class ReusabilityQuestion(Asked, ScoreOptions):
    """How well does this module serve this task?"""

    module: str
    task: str


class MapQuestion(ScoreOptions):
    """How well do modules serve tasks? `tasks` are the targets; without any, all that a module was trained on.

    `sources` are modules; without any, each task's own module, and tasks without one are targets only.
    """

    rank_by: RankerName = "centred_alignment"
    tasks: Annotated[tuple[str, ...], Field(max_length=MOST_MAP_TASKS)] = ()
    sources: Annotated[tuple[str, ...], Field(max_length=MOST_MAP_TASKS)] = ()


class SetQuestion(Asked):
    """Which few modules together serve this task best? `candidates`, or the best rows of the ranking `query`.

    `size` is that of the largest set. What is left out is as in the ranking, or as usual where candidates are named.
    """

    task: str
    candidates: Annotated[tuple[str, ...], Field(min_length=2, max_length=MOST_JOINED)] | None = None
    query: Annotated[str, Field(max_length=200)] | None = None
    size: Annotated[int, Field(ge=2, le=4)] = 3
    rank_by: RankerName | None = None
    examples: Examples | None = None
    seed: Seed | None = None


class RankedModule(Frozen):
    """The module a score belongs to."""

    ref: str
    digest: DigestField


class ScoreFields(Frozen):
    """One score with its doubt; a score of the panel that is undefined on the task is null.

    `interval` holds the true score 95 times in 100, but not where noise was added; `chance` is what shuffled labels
    reach 5 times in 100, and `p_value` how often they reach this score; `static` is the module's usual score on
    whatever other data it was scored on, null without any.
    """

    module: RankedModule
    score: float
    interval: tuple[float, float]
    chance: float
    p_value: float
    panel: dict[EstimatorName, float | None]
    static: float | None
    n: int
    n_per_class: dict[str, int]
    preprocessing: Preprocessing
    warnings: tuple[str, ...]
    cached: bool
    milliseconds: float


class Place(Frozen):
    """A place in a ranking; modules that cannot be told apart share it.

    `own_weight` is how far `score` follows the module's own score: 1 but where scores are pooled, and what is left to
    1 is foretold by this module's scores on other tasks and those of the others.
    """

    rank: int
    own_weight: float = 1.0


class RankingRow(ScoreFields, Place):
    """One line of a ranking."""


NEARLY_ALL = 0.95


def pooling_words(rows: Sequence[RankingRow]) -> str | None:
    """How much of the scores is the modules' own, for people; None where nearly all of it is."""
    weights = [row.own_weight for row in rows]
    if min(weights, default=1.0) >= NEARLY_ALL:
        return None
    low, high = (f"{100 * weight:.0f}" for weight in (min(weights), max(weights)))
    share = f"{low} %" if low == high else f"{low} to {high} %"
    return f"{share} of each score is the module's own on these images, the rest is foretold by scores on other data"


Decision = Literal["ranked", "tie", "none_better_than_chance"]


class AnswerHead(Frozen):
    """What an answer rests on: with the same head and zoo, the same bytes."""

    query: str
    rank_by: RankBy
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


class RankingRound(Frozen):
    """One round of a ranking: so many modules were scored on the examples from `start` up to `examples`."""

    start: int
    examples: int
    modules: int


class Ranking(AnswerHead):
    """Modules for a task, best first, and the candidates that could not be scored.

    `candidates` of the modules `in_zoo` were looked at, in `rounds` where they were many; in every round those that
    could be among the best go on to further examples.
    """

    candidates: int
    in_zoo: int | None = None
    rounds: tuple[RankingRound, ...] = ()
    warnings: tuple[str, ...] = ()
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


class MapTarget(Frozen):
    """One column of the map: a task that modules are scored on."""

    task: str
    data: DigestField
    classes: dict[str, tuple[str, ...]]


class MapSource(Frozen):
    """One row of the map: a module, and what it was trained on; `task` where that is one of the targets.

    `data` is null, and there are no classes, where the module does not say what it was trained on.
    """

    module: RankedModule
    task: str | None
    data: DigestField | None
    classes: dict[str, tuple[str, ...]]
    cluster: int


class MapEmbedding(Frozen):
    """A place in the plane for every source, near to those that serve the same targets.

    `kept` is the share of the variance of their distances that the plane keeps, in [0, 1].
    """

    coordinates: tuple[tuple[float, float], ...]
    kept: float


class TaskMap(Frozen):
    """Transferability of every source (row) to every target (column), and the clusters of the sources.

    `order` lists the rows so that those alike stand side by side, `target_order` the columns: first the tasks of the
    sources in their order, then the others. `tree` is how the clusters grow, nearest first: which two become one
    (numbers from the number of sources on are earlier rows of the tree), at which distance, and how many sources
    they are then. `tasks` is there where the map is square: each row's module was trained on the task of its column.
    """

    query: str
    rank_by: RankerName
    seed: int
    examples: int
    scorer: str
    serial: int
    sources: tuple[MapSource, ...]
    targets: tuple[MapTarget, ...]
    tasks: tuple[MapTask, ...]
    scores: tuple[tuple[float, ...], ...]
    tree: tuple[tuple[int, int, float, int], ...]
    order: tuple[int, ...]
    target_order: tuple[int, ...]
    clusters: tuple[int, ...]
    embedding: MapEmbedding


class SetScore(Frozen):
    """Some modules side by side, their score together, and its doubt, as that of one module.

    `gain` is the score less that of the set it is compared with, and `gain_interval` holds the true gain 95 times in
    100, although the best of several candidates was taken; null where so few examples leave it unknown.
    """

    modules: tuple[RankedModule, ...]
    score: float
    interval: tuple[float, float]
    chance: float
    p_value: float
    gain: float | None = None
    gain_interval: tuple[float, float] | None = None


class SetStep(SetScore):
    """One step: the modules before it and, last, the one that raises the score most; `gain` is over the step before.

    `helps` says whether that is more than nothing: more than the step before, for the first step more than chance.
    """

    helps: bool


SetDecision = Literal["set_helps", "no_gain_shown", "none_better_than_chance"]


class ModuleSets(Frozen):
    """Which modules together serve a task best: step by step, up to the first that is shown to add nothing.

    `best` is the best set as large as the last step, where all were looked at (`searched`) and it is another; its gain
    is over that step.
    """

    query: str
    rank_by: RankerName
    decision: SetDecision
    seed: int
    examples: int
    task: str
    data: DigestField
    classes: dict[str, tuple[str, ...]]
    scorer: str
    serial: int
    size: int
    candidates: tuple[RankedModule, ...]
    steps: tuple[SetStep, ...]
    best: SetScore | None
    searched: bool
    n: int
    n_per_class: dict[str, int]
    warnings: tuple[str, ...]
    not_scored: tuple[NotScored, ...]
    cached: bool
    milliseconds: float


class QueryState(Frozen):
    """How far a question is; `answer` once it is done, `partial` while it is running and something is known."""

    id: str
    kind: Literal["ranking", "reusability", "map", "sets"]
    status: QueryStatus
    progress: Progress
    answer: Ranking | Reusability | TaskMap | ModuleSets | None = None
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
