from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernel_methods.pairs import (
    KnownPairs,
    PairCounts,
    PairTable,
    all_pairs,
    close,
    draw_partners,
    known_of,
    linked_order,
)


def table(pairs, examples):
    first, second, same = (np.array(column) for column in zip(*pairs, strict=True)) if pairs else empty()
    return PairTable(first, second, same, examples)


def empty():
    return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64), np.empty(0, dtype=np.bool_)


@st.composite
def consistent_tables(draw):
    """Some pairs of labelled examples, in any order and some of them twice."""
    labels = draw(st.lists(st.integers(0, 3), min_size=2, max_size=9))
    places = list(combinations(range(len(labels)), 2))
    chosen = draw(st.lists(st.sampled_from(places), max_size=14))
    turned = [pair[::-1] if draw(st.booleans()) else pair for pair in chosen]
    return table([(i, j, labels[i] == labels[j]) for i, j in turned], len(labels))


def by_definition(pairs):
    """Every pair that follows, by applying both rules until nothing new comes."""
    n = pairs.examples
    said = {(i, j): s for i, j, s in zip(pairs.first.tolist(), pairs.second.tolist(), pairs.same.tolist(), strict=True)}
    known = {(i, i): True for i in range(n)} | said | {(j, i): s for (i, j), s in said.items()}
    while True:
        more = {
            (i, k): known[i, j] and known[j, k]
            for i, j, k in product(range(n), repeat=3)
            if (i, j) in known and (j, k) in known and (known[i, j] or known[j, k]) and (i, k) not in known
        }
        if not more:
            return known
        known |= more


@settings(max_examples=60, deadline=None)
@given(consistent_tables())
def test_the_closure_equals_its_definition(pairs):
    known = by_definition(pairs)
    same, found = known_of(close(pairs), np.arange(pairs.examples))
    for i, j in product(range(pairs.examples), repeat=2):
        assert found[i, j] == ((i, j) in known)
        assert same[i, j] == known.get((i, j), False)


@settings(max_examples=60, deadline=None)
@given(consistent_tables())
def test_pairs_are_counted_before_and_after_the_closure(pairs):
    unordered = {key: value for key, value in by_definition(pairs).items() if key[0] < key[1]}
    ends = np.sort(np.stack([pairs.first, pairs.second]), axis=0).T.tolist()
    said = {(*pair, s) for pair, s in zip(ends, pairs.same.tolist(), strict=True)}
    same = sum(s for *_, s in said)
    assert pairs.pairs_known() == PairCounts(same=same, different=len(said) - same)
    after = sum(unordered.values())
    assert close(pairs).pairs_known() == PairCounts(same=after, different=len(unordered) - after)


def test_counts_are_exact_where_a_square_of_the_examples_would_not_fit():
    first = np.arange(199_999)
    half = first != 99_999
    pairs = PairTable(first, first + 1, half, 200_000)
    assert close(pairs).pairs_known() == PairCounts(same=100_000 * 99_999, different=100_000**2)


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ([(0, 1, True), (1, 0, False)], "examples 0 and 1 are different by pair 1 and the same by another pair"),
        (
            [(0, 1, True), (0, 2, False), (1, 2, True)],
            "examples 0 and 2 are different by pair 1 and the same by way of other pairs",
        ),
        ([(0, 3, True)], "pair 0 names example 3, but examples are 0 to 2"),
        ([(0, 1, True), (-1, 2, True)], "pair 1 names example -1"),
        ([(1, 1, True)], "pair 0 is of example 1 with itself"),
    ],
)
def test_a_table_that_cannot_be_is_refused(pairs, message):
    with pytest.raises(ValueError, match=message):
        table(pairs, 3)


def test_arrays_that_do_not_fit_together_are_refused():
    with pytest.raises(ValueError, match=r"must have one shape \(m,\)"):
        PairTable(np.array([0]), np.array([1, 2]), np.array([True]), 3)
    with pytest.raises(ValueError, match="must be integer and same boolean, got float64"):
        PairTable(np.array([0.0]), np.array([1]), np.array([True]), 3)
    with pytest.raises(ValueError, match="must be integer and same boolean"):
        PairTable(np.array([0]), np.array([1]), np.array([1]), 3)


def test_without_a_pair_nothing_is_known():
    known = close(table([], 4))
    assert known.pairs_known() == PairCounts(same=0, different=0)
    assert np.array_equal(known_of(known, np.arange(4))[1], np.eye(4, dtype=np.bool_))
    assert sorted(linked_order(known, np.random.default_rng(0)).tolist()) == [0, 1, 2, 3]


@pytest.mark.parametrize("examples", [10, 11])
def test_one_partner_is_a_matching(examples):
    pairs = draw_partners(np.arange(examples) % 3, 1, np.random.default_rng(0))
    ends = np.concatenate([pairs.first, pairs.second])
    assert len(ends) == len(set(ends.tolist())) == 10
    assert np.array_equal(pairs.same, pairs.first % 3 == pairs.second % 3)


@pytest.mark.parametrize("partners", [2, 5, 19])
def test_every_example_has_at_least_its_partners_and_no_pair_comes_twice(partners):
    pairs = draw_partners(np.arange(20) % 3, partners, np.random.default_rng(0))
    assert len({frozenset(pair) for pair in zip(pairs.first, pairs.second, strict=True)}) == len(pairs.first)
    assert np.bincount(np.concatenate([pairs.first, pairs.second])).min() >= partners
    assert len(pairs.first) <= 20 * partners


def test_every_partner_is_drawn_equally_often():
    counts = np.zeros((6, 6))
    for seed in range(400):
        pairs = draw_partners(np.zeros(6, dtype=np.int64), 2, np.random.default_rng(seed))
        np.add.at(counts, (pairs.first, pairs.second), 1)
    each = counts[np.triu_indices(6, 1)] / 400
    assert each.tolist() == pytest.approx([1 - 0.6**2] * 15, abs=0.09)


@pytest.mark.parametrize("partners", [1, 3])
def test_the_same_seed_draws_the_same_partners(partners):
    one, other = (draw_partners(np.arange(30) % 4, partners, np.random.default_rng(7)) for _ in range(2))
    assert np.array_equal(one.first, other.first)
    assert np.array_equal(one.second, other.second)


@pytest.mark.parametrize("partners", [0, 4])
def test_more_partners_than_there_are_others_are_refused(partners):
    with pytest.raises(ValueError, match=f"each of 4 examples can have 1 to 3 partners, got {partners}"):
        draw_partners(np.zeros(4, dtype=np.int64), partners, np.random.default_rng(0))


def test_labels_of_two_axes_are_refused():
    for call in (lambda labels: draw_partners(labels, 1, np.random.default_rng(0)), all_pairs):
        with pytest.raises(ValueError, match=r"labels must have shape \(n,\), got \(2, 2\)"):
            call(np.zeros((2, 2), dtype=np.int64))


def test_labels_without_names_say_everything():
    labels = np.array([7, 3, 7, 9])
    same, known = known_of(all_pairs(labels), np.array([0, 1, 2, 3, 0]))
    assert known.all()
    assert np.array_equal(same, labels[[0, 1, 2, 3, 0]][:, None] == labels[[0, 1, 2, 3, 0]][None, :])


@pytest.mark.parametrize("partners", [1, 2, 4, 12])
def test_a_linked_order_holds_every_example_once_and_is_told_by_its_seed(partners):
    known = close(draw_partners(np.arange(501) % 5, partners, np.random.default_rng(0)))
    orders = [linked_order(known, np.random.default_rng(seed)) for seed in (1, 1, 2)]
    assert np.array_equal(np.sort(orders[0]), np.arange(501))
    assert np.array_equal(orders[0], orders[1])
    assert not np.array_equal(orders[0], orders[2])


def test_partners_of_a_matching_stand_side_by_side():
    pairs = draw_partners(np.arange(400) % 10, 1, np.random.default_rng(0))
    order = linked_order(close(pairs), np.random.default_rng(1))
    place = np.argsort(order)
    assert (np.abs(place[pairs.first] - place[pairs.second]) == 1).all()


def known_pairs_of_batches(known, order, size):
    batches = np.split(order, range(size, len(order), size))
    return sum(int(known_of(known, batch)[1].sum()) - len(batch) for batch in batches)


@pytest.mark.parametrize("partners", [2, 3])
def test_batches_of_a_linked_order_hold_many_times_the_known_pairs_of_random_ones(partners):
    known = close(draw_partners(np.arange(6000) % 10, partners, np.random.default_rng(0)))
    linked = known_pairs_of_batches(known, linked_order(known, np.random.default_rng(1)), 128)
    assert linked > 5 * known_pairs_of_batches(known, np.random.default_rng(1).permutation(6000), 128)


def test_batches_of_a_linked_order_hold_several_classes_where_everything_is_known():
    labels = np.arange(1000) % 4
    order = linked_order(all_pairs(labels), np.random.default_rng(0))
    counts = np.stack([np.bincount(labels[batch], minlength=4) for batch in np.split(order[:960], 15)])
    assert (counts > 0).sum(axis=1).min() >= 3


def test_a_group_without_an_example_does_no_harm():
    known = all_pairs(np.array([0, 1, 2, 0]))
    emptied = KnownPairs(np.array([0, 2, 2, 0]), known.different)
    assert sorted(linked_order(emptied, np.random.default_rng(0)).tolist()) == [0, 1, 2, 3]
    assert emptied.pairs_known() == PairCounts(same=2, different=4)
