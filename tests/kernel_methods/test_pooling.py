"""Own scores and those elsewhere together: the formula against its definition, and whether its doubt is right."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from kernel_methods.intervals import LeftOut, difference_of, jackknife_of
from kernel_methods.pooling import FEWEST, pool
from tests.kernel_methods.slow_definitions import slow_pooled

SHARDS = 10
TASKS = 8


def measured(true, generator, *, noise, shared=0.0):
    """Scores of modules on one task, as means over shards, each with noise of its own and noise that all share."""
    together = shared * generator.normal(size=SHARDS)
    parts = (
        np.asarray(true)[:, None] + together + np.reshape(noise, (-1, 1)) * generator.normal(size=(len(true), SHARDS))
    )
    return [left_out_mean(row) for row in parts]


def left_out_mean(row):
    left = (row.sum() - row) / (len(row) - 1)
    return LeftOut(float(row.mean()), left, np.ones(len(row)))


def drawn(seed, *, modules=19, spread=0.05, noise=0.3, slope=1.0, common=0.0):
    """True scores, scores on other tasks, and measured ones.

    Deviations from the usual score are `spread` wide for each module by itself; on every second other task, as on this,
    modules of two kinds deviate by `common` more.
    """
    generator = np.random.default_rng(seed)
    usual, kind = generator.normal(0.5, 0.15, modules), generator.choice([-1.0, 1.0], modules)
    alike = np.arange(TASKS) % 2
    elsewhere = usual[:, None] + common * np.outer(kind, alike) + spread * generator.normal(size=(modules, TASKS))
    true = 0.1 + slope * usual + common * kind + spread * generator.normal(size=modules)
    return true, elsewhere, measured(true, generator, noise=noise, shared=0.2)


@pytest.mark.parametrize("seed", range(5))
def test_pooled_scores_equal_their_definition(seed):
    _, elsewhere, own = drawn(seed, common=0.1)
    wanted = slow_pooled([each.total for each in own], [each.left.tolist() for each in own], elsewhere.tolist())
    assert pool(own, elsewhere).scores.tolist() == pytest.approx(wanted, abs=1e-10)


def error(found, true):
    return float(np.mean((np.asarray(found) - np.asarray(true) - np.mean(found) + np.mean(true)) ** 2))


def errors(*, common):
    """Mean squared errors of pooled, own and usual scores."""
    told = []
    for seed in range(200):
        true, elsewhere, own = drawn(seed, spread=0.08, common=common)
        pooled = pool(own, elsewhere).scores
        alone = error([each.total for each in own], true)
        told.append((error(pooled, true), alone, error(elsewhere.mean(axis=1), true)))
    return np.mean(told, axis=0)


@pytest.mark.parametrize("common", [0.0, 0.1])
def test_pooled_scores_are_nearer_to_the_truth_than_own_and_than_usual_ones(common):
    pooled, alone, usual = errors(common=common)
    assert pooled < 0.9 * min(alone, usual)


def test_what_modules_have_in_common_on_other_tasks_is_learnt():
    """Without the table but with its means, what the two kinds have in common is not seen."""
    with_table, with_means = [], []
    for seed in range(200):
        true, elsewhere, own = drawn(seed, common=0.12)
        with_table.append(error(pool(own, elsewhere).scores, true))
        with_means.append(error(pool(own, elsewhere.mean(axis=1, keepdims=True)).scores, true))
    assert np.mean(with_table) < 0.8 * np.mean(with_means)


def test_scores_elsewhere_that_foretell_nothing_change_no_order():
    generator = np.random.default_rng(0)
    for seed in range(20):
        _, elsewhere, own = drawn(seed, noise=0.01, slope=0.0, spread=0.2)
        pooled = pool(own, generator.permutation(elsewhere)).scores
        assert np.argsort(pooled).tolist() == np.argsort([each.total for each in own]).tolist()


def test_scores_elsewhere_that_foretell_the_wrong_order_are_not_believed():
    _, elsewhere, own = drawn(0, slope=-1.0, noise=0.1)
    found = pool(own, elsewhere)
    assert found.weights.min() > 0.9
    assert spearmanr(found.scores, [each.total for each in own]).statistic > 0.99


def test_scores_without_noise_stay_as_they_are():
    true, elsewhere, own = drawn(1, noise=0.0)
    found = pool(own, elsewhere)
    assert found.scores == pytest.approx([each.total for each in own], abs=1e-9)
    assert found.weights == pytest.approx(np.ones(len(true)), abs=1e-9)


@pytest.mark.parametrize("common", [0.0, 0.1])
def test_intervals_hold_the_truth_of_each_module_and_are_narrower(common):
    held, widths, before = [], [], []
    for seed in range(200):
        true, elsewhere, own = drawn(seed, common=common)
        for one, mine, value in zip(pool(own, elsewhere).left_out, own, true, strict=True):
            interval, alone = jackknife_of(one), jackknife_of(mine)
            held.append(interval.low <= value <= interval.high)
            widths.append(interval.high - interval.low)
            before.append(alone.high - alone.low)
    assert 0.93 <= np.mean(held) <= 0.99
    assert np.mean(widths) < 0.95 * np.mean(before)


def test_intervals_of_modules_with_more_and_with_less_noise_than_others_hold_the_truth():
    noise = np.where(np.arange(19) % 2, 0.1, 0.5)
    held = []
    for seed in range(200):
        true, elsewhere, own = drawn(seed, spread=0.08, noise=noise)
        intervals = [jackknife_of(each) for each in pool(own, elsewhere).left_out]
        held.append([each.low <= value <= each.high for each, value in zip(intervals, true, strict=True)])
    for kind in (0.1, 0.5):
        assert 0.93 <= np.mean(np.array(held)[:, noise == kind]) <= 0.99


@pytest.mark.parametrize("common", [0.0, 0.1])
def test_differences_of_modules_hold_the_truth(common):
    held = []
    for seed in range(200):
        true, elsewhere, own = drawn(seed, common=common)
        left = pool(own, elsewhere).left_out
        for other in range(1, 4):
            interval = difference_of(left[0], left[other])
            held.append(interval.low <= true[0] - true[other] <= interval.high)
    assert 0.92 <= np.mean(held) <= 0.99


def test_a_module_without_scores_elsewhere_keeps_more_of_its_own():
    _, elsewhere, own = drawn(2)
    elsewhere[0] = np.nan
    found = pool(own, elsewhere)
    assert found.weights[0] > found.weights[1:].max()


def test_a_module_that_was_scored_on_easy_tasks_only_is_not_thought_better_for_it():
    """Scores of other tasks are compared task by task."""
    _, elsewhere, own = drawn(3, spread=0.01, noise=2.0)
    hard = elsewhere - np.where(np.arange(TASKS) < TASKS // 2, 0.5, 0.0)
    whole, part = pool(own, hard), hard.copy()
    part[0, : TASKS // 2] = np.nan
    assert pool(own, part).scores[0] == pytest.approx(whole.scores[0], abs=0.05)


def few_columns():
    """Each module on a task of its own."""
    table = np.full((8, 8), np.nan)
    np.fill_diagonal(table, np.linspace(0.1, 0.8, 8))
    return table


@pytest.mark.parametrize(
    "elsewhere",
    [
        np.empty((8, 0)),
        np.full((8, 3), np.nan),
        np.full((8, 3), 0.3),
        np.array([[0.1], [0.2], [0.3], [0.4], *[[np.nan]] * 4]),
        few_columns(),
    ],
)
def test_where_too_little_is_known_scores_stay_as_they_are(elsewhere):
    _, _, own = drawn(3, modules=8)
    assert np.isfinite(elsewhere).sum(axis=0).max(initial=0) < FEWEST or np.ptp(elsewhere) == 0.0
    found = pool(own, elsewhere)
    assert found.scores.tolist() == [each.total for each in own]
    assert found.weights.tolist() == [1.0] * 8
    assert found.left_out == tuple(own)


def test_equal_scores_stay_equal():
    """A module that is there twice has the same score twice."""
    _, elsewhere, own = drawn(5, common=0.1)
    found = pool([*own, own[0]], np.vstack([elsewhere, elsewhere[0]]))
    assert found.scores[-1] == pytest.approx(found.scores[0], abs=1e-12)
    assert np.isfinite(pool([own[0]] * 6, elsewhere[:6]).scores).all()


def test_scores_of_different_shards_are_refused():
    _, elsewhere, own = drawn(4, modules=6)
    other = own[0]._replace(sizes=np.full(SHARDS, 2.0))
    with pytest.raises(ValueError, match="same shards"):
        pool([*own[:5], other], elsewhere)
    with pytest.raises(ValueError, match="a row of scores elsewhere for each of 6"):
        pool(own, elsewhere[:5])
