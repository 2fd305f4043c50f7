"""Calibration: how well predictions agree with outcomes, query by query and on average. Arithmetic only."""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import groupby
from operator import itemgetter
from typing import get_args

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from registry.names import Digest
from registry.outcome_records import (
    LEAST_MODULES,
    LEAST_QUERIES,
    STATIC,
    Agreement,
    CalibratedName,
    Calibration,
    CalibrationGroup,
    Difference,
    EstimatorCalibration,
    How,
    Outcome,
    QueryCalibration,
    ReliabilityBin,
)

Floats = NDArray[np.float64]
Case = tuple[Outcome, ...]
"""The outcomes of one query by one metric, reached in one way."""

NAMES: tuple[CalibratedName, ...] = get_args(CalibratedName)
CONFIDENCE = 0.95
LARGEST_DIFFERENCE = 2.0
MOST_BINS = 10
LEAST_IN_BIN = 3
QUERIES_TOLD = 200
AGREEMENTS_REMEMBERED = 50_000


def calibrate(outcomes: Iterable[Outcome], *, metric: str | None = None, how: How | None = None) -> Calibration:
    """How well every estimator has predicted outcomes, the static ranker among them.

    Args:
        outcomes: those that are known, in any order.
        metric: only outcomes by this metric; None for each by itself.
        how: only outcomes reached in this way; None for each by itself.

    Returns:
        A group for each metric and way; in each, the estimators by their mean weighted tau, best first.
    """
    wanted = [one for one in outcomes if metric in (None, one.metric) and how in (None, one.how)]
    cases = cases_of(wanted)
    return Calibration(
        metric=metric,
        how=how,
        outcomes=len(wanted),
        waiting=len(wanted) - sum(len(case) for group in cases.values() for case in group),
        groups=tuple(_group(cases[key]) for key in sorted(cases)),
    )


def cases_of(outcomes: Iterable[Outcome]) -> dict[tuple[str, How], list[Case]]:
    """The queries with outcomes of three modules or more, newest first, for each metric and way."""
    found: dict[tuple[str, How], dict[str, dict[Digest, Outcome]]] = {}
    for one in outcomes:
        queries = found.setdefault((one.metric, one.how), {})
        queries.setdefault(one.query, {})[one.module.digest] = one
    cases = {
        key: sorted((_by_module(case) for case in queries.values() if len(case) >= LEAST_MODULES), key=_age)
        for key, queries in found.items()
    }
    return {key: group for key, group in cases.items() if group}


def pairs_of(cases: Iterable[Case], estimator: CalibratedName) -> tuple[tuple[float, float], ...]:
    """Prediction and outcome of every module of the queries that an estimator is judged on."""
    return tuple(
        pair
        for case in cases
        if (predicted := predictions(case, estimator)) is not None
        for pair in zip(predicted, _values(case), strict=True)
    )


def predictions(case: Case, estimator: CalibratedName) -> tuple[float, ...] | None:
    """What an estimator said of each module of a query; None where it is undefined on one, or was not asked."""
    said = tuple(_prediction(one, estimator) for one in case)
    known = tuple(value for value in said if value is not None)
    return known if len(known) == len(said) else None


@lru_cache(maxsize=AGREEMENTS_REMEMBERED)
def agreement(predicted: tuple[float, ...], values: tuple[float, ...]) -> Agreement:
    """How well predictions order the modules of one query.

    Weighted tau weighs a swap of two modules by 1/(1 + r) of each, r its place from 0, and is the mean of the two
    that place modules by prediction and by outcome: being right about the best counts most. Of modules that share
    the first place, any may be picked, so that regret is less their mean.

    Args:
        predicted: one prediction a module. Length n >= 2.
        values: what they reached, in the same order.

    Raises:
        ValueError: the lengths differ, or there are fewer than two modules.

    Source:
        Vigna (2015), A Weighted Correlation Index for Rankings with Ties; Kendall (1945), The Treatment of Ties in
        Ranking Problems (tau-b).
    """
    from scipy.stats import kendalltau, weightedtau  # noqa: PLC0415 - 40 MB that only outcomes need

    if len(predicted) != len(values) or len(values) < 2:
        raise ValueError(f"need n >= 2 predictions and n values, got {len(predicted)} and {len(values)}")
    x, y = np.array(predicted, dtype=np.float64), np.array(values, dtype=np.float64)
    regret = float(y.max() - y[x == x.max()].mean())
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return Agreement(weighted_tau=None, kendall_tau=None, pearson=None, regret=max(0.0, regret))
    return Agreement(
        weighted_tau=_bounded(float(weightedtau(x, y).statistic)),
        kendall_tau=_bounded(float(kendalltau(x, y, variant="b", method="asymptotic").statistic)),
        pearson=_bounded(float(_direction(x) @ _direction(y))),
        regret=max(0.0, regret),
    )


def difference(mine: Sequence[float], static: Sequence[float]) -> Difference | None:
    """Mean paired difference of two lists of taus, with its t interval; None for empty lists.

    Raises:
        ValueError: the lists have different lengths.
    """
    if len(mine) != len(static):
        raise ValueError(f"pairs are needed, got {len(mine)} and {len(static)} taus")
    if not mine:
        return None
    differences = np.array(mine, dtype=np.float64) - np.array(static, dtype=np.float64)
    return Difference(mean=float(differences.mean()), interval=_t_interval(differences), queries=len(mine))


def reliability(pairs: Sequence[tuple[float, float]]) -> tuple[ReliabilityBin, ...]:
    """Predictions in bins of about equal numbers, at most ten, with what their modules reached; lowest first.

    Equal predictions are in one bin, and no bin has fewer than three modules unless there are no more.

    Args:
        pairs: prediction and outcome of each module.
    """
    size = max(LEAST_IN_BIN, -(-len(pairs) // MOST_BINS))
    bins: list[list[tuple[float, float]]] = []
    for _, equal in groupby(sorted(pairs), key=itemgetter(0)):
        if not bins or len(bins[-1]) >= size:
            bins.append([])
        bins[-1].extend(equal)
    if len(bins) > 1 and len(bins[-1]) < LEAST_IN_BIN:
        bins[-2].extend(bins.pop())
    return tuple(_bin(np.array(points, dtype=np.float64)) for points in bins)


def _bin(points: Floats) -> ReliabilityBin:
    """One bin. Points have shape (n, 2)."""
    predicted, values = points.T
    low, high = np.quantile(values, (0.25, 0.75))
    return ReliabilityBin(
        modules=len(points),
        predicted_low=float(predicted.min()),
        predicted_high=float(predicted.max()),
        predicted=float(predicted.mean()),
        value=float(values.mean()),
        low=float(low),
        high=float(high),
    )


def _group(cases: Sequence[Case]) -> CalibrationGroup:
    """All queries of one metric and way."""
    asked = [name for name in NAMES if name == STATIC or any(_is_asked(case, name) for case in cases)]
    agreements = [_agreements(case, asked) for case in cases]
    judged = [_estimator(name, cases, agreements) for name in asked]
    return CalibrationGroup(
        metric=cases[0][0].metric,
        how=cases[0][0].how,
        queries=len(cases),
        datasets=len({case[0].data for case in cases}),
        modules=len({one.module.digest for case in cases for one in case}),
        too_few=len(cases) < LEAST_QUERIES,
        estimators=tuple(sorted(judged, key=_goodness)),
        per_query=tuple(_query(case, agreed) for case, agreed in zip(cases[:QUERIES_TOLD], agreements, strict=False)),
    )


def _agreements(case: Case, names: Iterable[CalibratedName]) -> dict[CalibratedName, Agreement]:
    """The estimators that are defined on every module of a query, and how well they ordered these."""
    said = {name: predictions(case, name) for name in names}
    return {name: agreement(known, _values(case)) for name, known in said.items() if known is not None}


def _estimator(
    name: CalibratedName, cases: Sequence[Case], agreements: Sequence[Mapping[CalibratedName, Agreement]]
) -> EstimatorCalibration:
    """One estimator over all queries."""
    mine = [agreed[name] for agreed in agreements if name in agreed]
    return EstimatorCalibration(
        estimator=name,
        queries=len(mine),
        left_out=sum(_is_asked(case, name) for case in cases) - len(mine),
        mean=_averaged(mine),
        against_static=None if name == STATIC else _against_static(name, agreements),
        reliability=reliability(pairs_of(cases, name)),
    )


def _against_static(
    name: CalibratedName, agreements: Iterable[Mapping[CalibratedName, Agreement]]
) -> Difference | None:
    """The paired difference of an estimator's weighted tau to that of the static ranker."""
    both = [
        (agreed[name].weighted_tau, agreed[STATIC].weighted_tau)
        for agreed in agreements
        if name in agreed and STATIC in agreed
    ]
    known = [(mine, static) for mine, static in both if mine is not None and static is not None]
    return difference([mine for mine, _ in known], [static for _, static in known])


def _averaged(agreements: Sequence[Agreement]) -> Agreement | None:
    """The mean of each measure over the queries where it is defined; None without queries."""
    if not agreements:
        return None
    return Agreement(
        weighted_tau=_mean(one.weighted_tau for one in agreements),
        kendall_tau=_mean(one.kendall_tau for one in agreements),
        pearson=_mean(one.pearson for one in agreements),
        regret=float(np.mean([one.regret for one in agreements])),
    )


def _query(case: Case, agreements: dict[CalibratedName, Agreement]) -> QueryCalibration:
    best = max(case, key=lambda one: one.value)
    return QueryCalibration(
        query=best.query, data=best.data, modules=len(case), best=best.module, agreements=agreements
    )


def _prediction(outcome: Outcome, estimator: CalibratedName) -> float | None:
    return outcome.static if estimator == "static" else outcome.predicted.get(estimator)


def _is_asked(case: Case, name: CalibratedName) -> bool:
    """Whether an estimator is in the panel of a query; the static score always is."""
    return name == STATIC or any(name in one.predicted for one in case)


def _values(case: Case) -> tuple[float, ...]:
    return tuple(one.value for one in case)


def _by_module(outcomes: Mapping[Digest, Outcome]) -> Case:
    """The outcomes of one query in an order of their own."""
    return tuple(outcomes[digest] for digest in sorted(outcomes))


def _age(case: Case) -> tuple[float, str]:
    """Sorts the queries whose outcomes came last before the others."""
    return -max(one.posted_at.timestamp() for one in case), case[0].query


def _goodness(judged: EstimatorCalibration) -> tuple[bool, float]:
    """Sorts estimators best first, those without a tau last."""
    tau = None if judged.mean is None else judged.mean.weighted_tau
    return tau is None, 0.0 if tau is None else -tau


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _t_interval(differences: Floats) -> tuple[float, float] | None:
    """The t interval of a mean of differences of taus; None with fewer than three, or without any spread."""
    count = len(differences)
    if count < LEAST_QUERIES or np.ptp(differences) == 0:
        return None
    mean = float(differences.mean())
    half = float(stdtrit(count - 1, (1 + CONFIDENCE) / 2) * differences.std(ddof=1) / np.sqrt(count))
    return max(-LARGEST_DIFFERENCE, mean - half), min(LARGEST_DIFFERENCE, mean + half)


def _direction(values: Floats) -> Floats:
    """Values less their mean, at unit length; scaled first, so that no square overflows or vanishes."""
    centred = values - values.mean()
    scaled = centred / np.abs(centred).max()
    unit: Floats = scaled / np.linalg.norm(scaled)
    return unit


def _bounded(correlation: float) -> float:
    """A correlation without the rounding that took it out of [-1, 1]."""
    return min(1.0, max(-1.0, correlation))
