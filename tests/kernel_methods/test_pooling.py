"""Own and usual scores together: the formula against its definition, and whether it and its doubt are right."""

import numpy as np
import pytest

from kernel_methods.intervals import LeftOut, difference_of, jackknife_of
from kernel_methods.pooling import FEWEST, pool
from tests.kernel_methods.slow_definitions import slow_pooled

SHARDS = 10


def measured(true, generator, *, noise, shared=0.0):
    """Scores of modules on one task, as means over shards, each with noise of its own and noise that all share."""
    together = shared * generator.normal(size=SHARDS)
    parts = np.asarray(true)[:, None] + together + noise * generator.normal(size=(len(true), SHARDS))
    return [left_out_mean(row) for row in parts]


def left_out_mean(row):
    left = (row.sum() - row) / (len(row) - 1)
    return LeftOut(float(row.mean()), left, np.ones(len(row)))


def drawn(seed, *, modules=19, spread=0.05, noise=0.3, slope=1.0):
    """True scores, usual scores that foretell them up to `spread`, and measured scores."""
    generator = np.random.default_rng(seed)
    usual = generator.normal(0.5, 0.15, modules)
    true = 0.1 + slope * usual + spread * generator.normal(size=modules)
    return true, usual, measured(true, generator, noise=noise, shared=0.2)


@pytest.mark.parametrize("seed", range(5))
def test_pooled_scores_equal_their_definition(seed):
    _, usual, own = drawn(seed)
    wanted = slow_pooled([each.total for each in own], [each.left.tolist() for each in own], usual.tolist())
    assert pool(own, usual.tolist()).scores.tolist() == pytest.approx(wanted, abs=1e-12)


def error(found, true):
    return float(np.mean((np.asarray(found) - np.asarray(true) - np.mean(found) + np.mean(true)) ** 2))


def test_pooled_scores_are_nearer_to_the_truth_than_own_and_than_usual_ones():
    told = []
    for seed in range(200):
        true, usual, own = drawn(seed, spread=0.08)
        pooled = pool(own, usual.tolist()).scores
        told.append((error(pooled, true), error([each.total for each in own], true), error(usual, true)))
    pooled, alone, usual = np.mean(told, axis=0)
    assert pooled < 0.9 * min(alone, usual)


def test_usual_scores_that_foretell_nothing_change_no_order():
    generator = np.random.default_rng(0)
    for seed in range(20):
        _, usual, own = drawn(seed, noise=0.01, slope=0.0, spread=0.2)
        pooled = pool(own, generator.permutation(usual).tolist()).scores
        assert np.argsort(pooled).tolist() == np.argsort([each.total for each in own]).tolist()


def test_usual_scores_that_foretell_the_wrong_order_are_not_believed():
    _, usual, own = drawn(0, slope=-1.0, noise=0.1)
    found = pool(own, usual.tolist())
    assert found.weights.min() > 0.9
    assert np.argsort(found.scores).tolist() == np.argsort([each.total for each in own]).tolist()


def test_scores_without_noise_stay_as_they_are():
    true, usual, own = drawn(1, noise=0.0)
    found = pool(own, usual.tolist())
    assert found.scores == pytest.approx([each.total for each in own], abs=1e-9)
    assert found.weights == pytest.approx(np.ones(len(true)), abs=1e-9)


def test_intervals_hold_the_truth_of_each_module_and_are_narrower():
    held, widths, before = [], [], []
    for seed in range(200):
        true, usual, own = drawn(seed)
        for one, mine, value in zip(pool(own, usual.tolist()).left_out, own, true, strict=True):
            interval, alone = jackknife_of(one), jackknife_of(mine)
            held.append(interval.low <= value <= interval.high)
            widths.append(interval.high - interval.low)
            before.append(alone.high - alone.low)
    assert 0.93 <= np.mean(held) <= 0.99
    assert np.mean(widths) < 0.95 * np.mean(before)


def test_differences_of_modules_hold_the_truth():
    held = []
    for seed in range(200):
        true, usual, own = drawn(seed)
        left = pool(own, usual.tolist()).left_out
        interval = difference_of(left[0], left[1])
        held.append(interval.low <= true[0] - true[1] <= interval.high)
    assert 0.92 <= np.mean(held) <= 0.99


def test_a_module_without_a_usual_score_keeps_more_of_its_own():
    _, usual, own = drawn(2)
    found = pool(own, [None, *usual[1:].tolist()])
    assert found.weights[0] > found.weights[1]
    assert found.foretold[0] == pytest.approx(np.mean([each.total for each in own[1:]]))


@pytest.mark.parametrize("usual", [[None] * 8, [0.3] * 8, [0.1, 0.2, 0.3, 0.4, *[None] * 4]])
def test_where_too_little_is_known_scores_stay_as_they_are(usual):
    _, _, own = drawn(3, modules=8)
    assert len([each for each in usual if each is not None]) < FEWEST or len(set(usual)) == 1
    found = pool(own, usual)
    assert found.scores.tolist() == [each.total for each in own]
    assert found.weights.tolist() == [1.0] * 8
    assert found.left_out == tuple(own)


def test_scores_of_different_shards_are_refused():
    _, usual, own = drawn(4, modules=6)
    other = own[0]._replace(sizes=np.full(SHARDS, 2.0))
    with pytest.raises(ValueError, match="same shards"):
        pool([*own[:5], other], usual.tolist())
    with pytest.raises(ValueError, match="a usual score, or None, for each of 6"):
        pool(own, usual[:5].tolist())
