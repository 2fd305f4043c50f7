"""Outcomes as they are posted and kept, and the calibration that is made of them: what travels, free of arithmetic."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from kernel_methods.kernels import EstimatorName, PooledName, RankBy
from registry.frozen import Asked, Frozen
from registry.names import WORD_PATTERN, DigestField
from registry.rankings import RankedModule

MOST_OUTCOMES = 1000
"""So many outcomes may be posted in one request."""

LARGEST_VALUE = 1e12
"""Values beyond are no measurements, and would break the arithmetic."""

LEAST_MODULES = 3
"""With outcomes of fewer modules a query says nothing of an order."""

LEAST_QUERIES = 3
"""Over fewer queries, means say too little, and no interval is given."""

How = Literal["linear_probe", "fine_tuned", "other"]
"""How a module was used on the task: frozen under a linear classifier, trained on, or in another way."""

Metric = Annotated[str, Field(pattern=f"^{WORD_PATTERN}$")]
"""What was measured, such as "accuracy"; larger is better."""

CalibratedName = Literal[PooledName, EstimatorName, "static"]
"""Whatever predicts an outcome: an estimator, or the module's usual score, which never saw the task."""

STATIC: CalibratedName = "static"


class PostedOutcome(Frozen):
    """What one module really reached on the task of a query; `module` is its reference or digest in the answer."""

    module: Annotated[str, Field(min_length=1, max_length=300)]
    value: Annotated[float, Field(strict=True, ge=-LARGEST_VALUE, le=LARGEST_VALUE)]
    metric: Metric = "accuracy"
    how: How = "other"
    note: Annotated[str, Field(max_length=500)] | None = None


def _some(outcomes: tuple[PostedOutcome, ...]) -> tuple[PostedOutcome, ...]:
    """At least one; checked after each by itself, so that a wrong one does not count as missing."""
    if not outcomes:
        raise ValueError(f"outcomes must be a list of 1 to {MOST_OUTCOMES}, got none")
    return outcomes


class PostedOutcomes(Asked):
    """Outcomes of one query, taken all or none."""

    outcomes: Annotated[
        tuple[PostedOutcome, ...],
        Field(max_length=MOST_OUTCOMES, json_schema_extra={"minItems": 1}),
        AfterValidator(_some),
    ]


class Outcome(Frozen):
    """What one module really reached on the task of a query, beside what had been predicted of it.

    `predicted` is the row's panel together with the score that ranked, null where an estimator was undefined;
    `static` is the module's usual score on other data, null without any.
    """

    query: str
    task: str
    data: DigestField
    module: RankedModule
    value: float
    metric: str
    how: How
    note: str | None = None
    rank_by: RankBy
    predicted: dict[EstimatorName | PooledName, float | None]
    static: float | None
    posted_at: datetime

    def says_the_same(self, other: "Outcome") -> bool:
        """Whether two outcomes differ by nothing but when they were posted."""
        return self.model_copy(update={"posted_at": other.posted_at}) == other


class KeptOutcomes(Frozen):
    """The outcomes of a request as they are kept now, and how many of them were new, or took another's place."""

    outcomes: tuple[Outcome, ...]
    created: int
    replaced: int


class Agreement(Frozen):
    """How well one estimator ordered the modules of one query, or of several on average.

    The correlations are in [-1, 1], larger is better, null where an order has only ties. `regret` is the best outcome
    less the outcome of the module the estimator puts first, in units of the metric: at least 0, smaller is better.
    """

    weighted_tau: float | None
    kendall_tau: float | None
    pearson: float | None
    regret: float


class Difference(Frozen):
    """Weighted Kendall tau of an estimator less that of the static ranker, over the queries where both have one.

    `interval` holds the true mean 95 times in 100 if queries are like draws of their own; null with fewer than three
    of them, or where all differ by the same.
    """

    mean: float
    interval: tuple[float, float] | None
    queries: int


class ReliabilityBin(Frozen):
    """Modules of all queries whose predictions lie near one another, and what they reached.

    `predicted` and `value` are means; `low` and `high` hold the middle half of the values.
    """

    modules: int
    predicted_low: float
    predicted_high: float
    predicted: float
    value: float
    low: float
    high: float


class EstimatorCalibration(Frozen):
    """How well one estimator has predicted so far.

    `queries` counts those it is judged on, `left_out` those where it is undefined on a module. `mean` is over the
    queries where a measure is defined, null without any.
    """

    estimator: CalibratedName
    queries: int
    left_out: int
    mean: Agreement | None
    against_static: Difference | None
    reliability: tuple[ReliabilityBin, ...]


class QueryCalibration(Frozen):
    """How well each estimator ordered the modules of one query; one undefined on a module of it is not in it."""

    query: str
    data: DigestField
    modules: int
    best: RankedModule
    agreements: dict[CalibratedName, Agreement]


class CalibrationGroup(Frozen):
    """Everything known by one metric, reached in one way; different metrics are never averaged.

    `datasets` says how many of the queries are about data of their own: several on one dataset are no independent
    evidence. `too_few` says that there are fewer than three queries. `per_query` has the newest of them.
    """

    metric: str
    how: How
    queries: int
    datasets: int
    modules: int
    too_few: bool
    estimators: tuple[EstimatorCalibration, ...]
    per_query: tuple[QueryCalibration, ...]


class Calibration(Frozen):
    """How well the scores have predicted what modules reached, for each metric and way of use.

    `waiting` counts outcomes that are in no group, as their query has fewer than three of that metric and way.
    """

    metric: str | None
    how: How | None
    outcomes: int
    waiting: int
    groups: tuple[CalibrationGroup, ...]
