"""The arithmetic of calibration, against slow definitions, and what is told of few or missing numbers."""

import math
from itertools import pairwise, permutations

import numpy as np
import pytest
from scipy import stats

from registry.calibration import agreement, calibrate, difference, predictions, reliability
from registry.outcome_records import Calibration, EstimatorCalibration
from tests.builders import digest_of
from tests.outcome_samples import case, outcome


def sign(number: float) -> int:
    return (number > 0) - (number < 0)


def places(first: list[float], second: list[float]) -> list[int]:
    """The place of each element, largest first, counted from 0; ties are broken by the second list."""
    order = sorted(range(len(first)), key=lambda index: (-first[index], -second[index]))
    return [order.index(index) for index in range(len(first))]


def slow_weighted_tau(x: list[float], y: list[float]) -> float:
    """Vigna's additive hyperbolic tau, once by the places of x and once by those of y, in Python floats."""
    taus = []
    for place in (places(x, y), places(y, x)):
        both = ties_x = ties_y = 0.0
        for i, j in permutations(range(len(x)), 2):
            weight = 1 / (1 + place[i]) + 1 / (1 + place[j])
            both += weight * sign(x[i] - x[j]) * sign(y[i] - y[j])
            ties_x += weight * sign(x[i] - x[j]) ** 2
            ties_y += weight * sign(y[i] - y[j]) ** 2
        taus.append(both / math.sqrt(ties_x * ties_y))
    return sum(taus) / 2


def slow_kendall_tau(x: list[float], y: list[float]) -> float:
    """Kendall's tau-b in Python floats."""
    pairs = list(permutations(range(len(x)), 2))
    both = sum(sign(x[i] - x[j]) * sign(y[i] - y[j]) for i, j in pairs)
    return both / math.sqrt(sum(x[i] != x[j] for i, j in pairs) * sum(y[i] != y[j] for i, j in pairs))


def slow_pearson(x: list[float], y: list[float]) -> float:
    """Pearson's correlation in Python floats."""
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    both = sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True))
    return both / math.sqrt(sum((a - mean_x) ** 2 for a in x) * sum((b - mean_y) ** 2 for b in y))


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("levels", [3, 1000])
def test_agreement_equals_its_definitions(seed: int, levels: int) -> None:
    draws = np.random.default_rng(seed)
    x, y = (draws.integers(0, levels, size=9).astype(float).tolist() for _ in range(2))
    found = agreement(tuple(x), tuple(y))
    assert found.weighted_tau == pytest.approx(slow_weighted_tau(x, y), abs=1e-12)
    assert found.kendall_tau == pytest.approx(slow_kendall_tau(x, y), abs=1e-12)
    assert found.pearson == pytest.approx(slow_pearson(x, y), abs=1e-12)


def test_regret_is_the_best_outcome_less_that_of_the_first() -> None:
    assert agreement((3.0, 2.0, 1.0), (0.7, 0.9, 0.5)).regret == pytest.approx(0.2)
    assert agreement((1.0, 2.0, 3.0), (0.7, 0.5, 0.9)).regret == 0.0


def test_of_modules_that_share_the_first_place_any_may_be_picked() -> None:
    assert agreement((3.0, 3.0, 1.0), (0.5, 0.7, 0.9)).regret == pytest.approx(0.3)


@pytest.mark.parametrize(("x", "y"), [((1.0, 1.0, 1.0), (1.0, 2.0, 3.0)), ((1.0, 2.0, 3.0), (0.5, 0.5, 0.5))])
def test_an_order_of_ties_only_has_no_correlation(x: tuple[float, ...], y: tuple[float, ...]) -> None:
    found = agreement(x, y)
    assert (found.weighted_tau, found.kendall_tau, found.pearson) == (None, None, None)
    assert found.regret == max(y) - sum(y) / 3


def test_very_small_and_very_large_numbers_keep_their_correlation() -> None:
    tiny = agreement((1e-200, 2e-200, 4e-200), (1e12, 2e12, 4e12))
    assert tiny.pearson == pytest.approx(1.0)


def test_predictions_must_be_paired() -> None:
    with pytest.raises(ValueError, match="got 2 and 3"):
        agreement((1.0, 2.0), (1.0, 2.0, 3.0))
    with pytest.raises(ValueError, match="got 1 and 2"):
        difference([0.1], [0.1, 0.2])


def test_the_difference_has_the_paired_t_interval() -> None:
    mine, static = [0.9, 0.4, 0.8, 0.7], [0.5, 0.3, 0.1, 0.6]
    found = difference(mine, static)
    assert found is not None
    assert (found.mean, found.queries) == (pytest.approx(0.325), 4)
    assert found.interval == pytest.approx(tuple(stats.ttest_rel(mine, static).confidence_interval(0.95)))


@pytest.mark.parametrize("taus", [[0.5], [0.5, 0.7], [0.5, 0.5, 0.5]])
def test_few_queries_or_no_spread_give_no_interval(taus: list[float]) -> None:
    found = difference(taus, [0.1] * len(taus))
    assert found is not None
    assert found.interval is None


def test_no_difference_goes_beyond_what_taus_can_differ_by() -> None:
    found = difference([1.0, -1.0, 1.0], [-1.0, 1.0, -0.5])
    assert found is not None
    assert found.interval == (-2.0, 2.0)


def test_bins_hold_every_module_once_and_equal_predictions_together() -> None:
    draws = np.random.default_rng(0)
    predicted = draws.integers(0, 12, size=100) / 12
    values = draws.random(100)
    bins = reliability(list(zip(predicted.tolist(), values.tolist(), strict=True)))
    assert 1 < len(bins) <= 10
    assert sum(one.modules for one in bins) == 100
    assert all(one.predicted_high < two.predicted_low for one, two in pairwise(bins))
    assert min(one.modules for one in bins) >= 3
    inside = (predicted >= bins[0].predicted_low) & (predicted <= bins[0].predicted_high)
    assert bins[0].modules == inside.sum()
    assert bins[0].value == pytest.approx(values[inside].mean())
    assert (bins[0].low, bins[0].high) == pytest.approx(tuple(np.quantile(values[inside], (0.25, 0.75))))


def test_few_modules_or_one_prediction_are_one_bin() -> None:
    assert [one.modules for one in reliability([(0.1, 0.5), (0.2, 0.6)])] == [2]
    assert [one.modules for one in reliability([(0.1, 0.5)] * 30)] == [30]
    assert reliability([]) == ()


GOOD, BAD, FLAT = (0.1, 0.2, 0.3), (0.3, 0.2, 0.1), (0.2, 0.2, 0.2)
REACHED = (0.5, 0.6, 0.9)


def of(found: Calibration, name: str) -> EstimatorCalibration:
    return next(each for each in found.groups[0].estimators if each.estimator == name)


def test_every_estimator_is_averaged_over_queries_with_the_static_ranker_beside() -> None:
    outcomes = [
        one
        for number, ridge in enumerate([GOOD, GOOD, BAD])
        for one in case(f"q{number}", REACHED, {"ridge": ridge, "logme": GOOD}, static=BAD, at=number)
    ]
    found = calibrate(outcomes)
    (group,) = found.groups
    assert (group.queries, group.datasets, group.modules, group.too_few) == (3, 3, 3, False)
    assert [each.estimator for each in group.estimators] == ["logme", "ridge", "static"]
    ridge = of(found, "ridge").mean
    assert ridge is not None
    assert ridge.weighted_tau == pytest.approx((1 + 1 - 1) / 3)
    assert ridge.regret == pytest.approx((0 + 0 + 0.4) / 3)
    against = of(found, "ridge").against_static
    assert against is not None
    assert (against.mean, against.queries) == (pytest.approx(4 / 3), 3)
    assert against.interval is not None
    assert of(found, "static").against_static is None
    assert [each.query for each in group.per_query] == ["q2", "q1", "q0"]
    assert group.per_query[0].best.digest == digest_of(2)


def test_an_estimator_undefined_on_a_module_is_left_out_of_that_query_and_counted() -> None:
    outcomes = [
        *case("one", REACHED, {"ridge": GOOD, "logme": (0.1, None, 0.3)}, static=(0.1, None, 0.2)),
        *case("two", REACHED, {"ridge": GOOD, "logme": GOOD}, static=GOOD),
        *case("three", REACHED, {"ridge": GOOD}),
    ]
    found = calibrate(outcomes)
    assert (of(found, "ridge").queries, of(found, "ridge").left_out) == (3, 0)
    assert (of(found, "logme").queries, of(found, "logme").left_out) == (1, 1)
    assert (of(found, "static").queries, of(found, "static").left_out) == (1, 2)
    against = of(found, "ridge").against_static
    assert against is not None
    assert (against.queries, against.interval) == (1, None)
    assert predictions(tuple(outcomes[:3]), "logme") is None
    assert "logme" not in next(q for q in found.groups[0].per_query if q.query == "one").agreements


def test_without_any_static_score_the_static_ranker_is_beside_and_says_so() -> None:
    found = calibrate(case("one", REACHED, {"ridge": GOOD}))
    static = of(found, "static")
    assert (static.queries, static.left_out, static.mean, static.reliability) == (0, 1, None, ())
    assert of(found, "ridge").against_static is None


def test_an_estimator_that_ties_all_modules_has_regret_and_no_tau() -> None:
    found = calibrate(case("one", REACHED, {"ridge": FLAT, "logme": BAD}))
    ridge = of(found, "ridge")
    assert ridge.mean is not None
    assert ridge.mean.weighted_tau is None
    assert ridge.mean.regret == pytest.approx(0.9 - 2 / 3)
    assert found.groups[0].estimators[0].estimator == "logme"


def test_metrics_and_ways_are_never_averaged_together() -> None:
    outcomes = [
        *case("one", REACHED, {"ridge": GOOD}),
        *case("one", (50.0, 60.0, 90.0), {"ridge": BAD}, metric="recall"),
        *case("one", REACHED, {"ridge": BAD}, how="fine_tuned"),
    ]
    found = calibrate(outcomes)
    ways = [(group.metric, group.how) for group in found.groups]
    assert ways == [("accuracy", "fine_tuned"), ("accuracy", "linear_probe"), ("recall", "linear_probe")]
    assert all(group.too_few for group in found.groups)
    only = calibrate(outcomes, metric="accuracy", how="fine_tuned")
    assert (len(only.groups), only.outcomes, only.groups[0]) == (1, 3, found.groups[0])


def test_queries_of_fewer_than_three_modules_wait() -> None:
    found = calibrate([outcome("one", 1), outcome("one", 2), *case("two", REACHED, {"ridge": GOOD})])
    assert (found.outcomes, found.waiting, found.groups[0].queries) == (5, 2, 1)
    assert calibrate([]).groups == ()


def test_queries_on_the_same_data_are_told_apart_from_data_of_their_own() -> None:
    same = digest_of("data")
    outcomes = [*case("one", REACHED, {"ridge": GOOD}, data=same), *case("two", REACHED, {"ridge": GOOD}, data=same)]
    assert (calibrate(outcomes).groups[0].queries, calibrate(outcomes).groups[0].datasets) == (2, 1)


def test_the_order_in_which_outcomes_come_does_not_matter() -> None:
    outcomes = [
        one for name in "abc" for one in case(name, REACHED, {"ridge": GOOD, "logme": BAD}, static=GOOD, at=ord(name))
    ]
    assert calibrate(outcomes[::-1]) == calibrate(outcomes)
