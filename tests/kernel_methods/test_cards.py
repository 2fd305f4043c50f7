from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernel_methods import alignment, cards
from kernel_methods.alignment import score_by_name
from kernel_methods.cards import MOST_CENTRED_CLASSES, Card
from kernel_methods.statistics import TaskStatistics
from tests.kernel_methods.drawing import RANGES, clustered, labelled_features

NAMES = ["alignment", "upper_triangle_alignment", "centred_alignment", "negative_mean_squared_error", "raw"]
LIMIT_BYTES = 2**20


def statistics_of(seed=5, *, examples=400, dimensions=30, classes=6, zero_rows=7):
    features, labels = clustered(seed, examples=examples, dimensions=dimensions, classes=classes, zero_rows=zero_rows)
    return TaskStatistics.of(features, labels, classes=classes, class_moments=True)


def answer(score):
    """A score, or the reason why there is none."""
    try:
        return score()
    except ValueError as error:
        return str(error)


@st.composite
def groupings(draw, classes):
    """Groups of some of the classes: at least one group, possibly of one class."""
    owners = draw(st.lists(st.integers(-1, 3), min_size=classes, max_size=classes).filter(lambda got: max(got) >= 0))
    order = draw(st.permutations(range(classes)))
    groups = [[label for label in order if owners[label] == owner] for owner in range(4)]
    return [group for group in groups if group]


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=40, deadline=None)
@given(st.data(), labelled_features(), st.sampled_from(RANGES))
def test_a_card_answers_every_subtask_as_merged_statistics_do(name, data, task, kernel_range):
    features, labels, classes = task
    k_min, k_max = kernel_range
    stats = TaskStatistics.of(features, labels, classes=classes, class_moments=True)
    groups = data.draw(groupings(classes))
    merged = stats.merge_classes(groups)
    expected = answer(lambda: score_by_name(name, merged, k_min=k_min, k_max=k_max))
    found = answer(lambda: Card.of(stats).score(name, groups, k_min=k_min, k_max=k_max))
    assert found == (expected if isinstance(expected, str) else pytest.approx(expected, abs=1e-10))


@pytest.mark.parametrize("name", NAMES)
def test_all_pairs_at_once_are_the_scores_of_each_pair(name):
    stats = statistics_of()
    found = Card.of(stats).pairs(name, k_min=-0.25, k_max=1.0)
    for one, other in combinations(range(6), 2):
        merged = stats.merge_classes([[one], [other]])
        expected = pytest.approx(score_by_name(name, merged, k_min=-0.25, k_max=1.0), abs=1e-10)
        assert found[one, other] == expected
        assert found[other, one] == expected
    assert np.all(np.isnan(np.diagonal(found)))


@pytest.mark.parametrize("name", NAMES)
def test_a_score_has_a_method_of_its_own_name(name):
    card, groups, kernel_range = Card.of(statistics_of()), [[0, 3], [5]], {"k_min": 0.0, "k_max": 1.0}
    arguments = {} if name == "centred_alignment" else kernel_range
    assert getattr(card, name)(groups, **arguments) == card.score(name, groups, **kernel_range)


@pytest.mark.parametrize("spread", [0.3, 0.1, 0.03])
def test_features_that_nearly_coincide_lose_few_digits_to_centring(spread):
    """The mean kernel value is 0.998 at the last; statistics lose as many digits as the card does."""
    draw = np.random.default_rng(2)
    labels = draw.integers(0, 5, 500)
    features = 1.0 + spread * (draw.standard_normal((5, 20))[labels] + draw.standard_normal((500, 20)))
    stats = TaskStatistics.of(features, labels, classes=5, class_moments=True)
    groups = [[0, 2], [3], [4]]
    assert Card.of(stats).centred_alignment(groups) == pytest.approx(
        alignment.centred_alignment(stats.merge_classes(groups)), abs=1e-10
    )


def test_pairs_without_enough_examples_are_nan():
    features, labels = np.eye(4), np.array([0, 0, 1, 3])
    card = Card.of(TaskStatistics.of(features, labels, classes=4, class_moments=True))
    known = np.zeros((4, 4), dtype=bool)
    known[np.ix_([0, 1, 3], [0, 1, 3])] = True
    np.fill_diagonal(known, False)
    assert np.array_equal(~np.isnan(card.pairs("alignment", k_min=0.0, k_max=1.0)), known)
    known[1, 3] = known[3, 1] = False
    assert np.array_equal(~np.isnan(card.pairs("upper_triangle_alignment", k_min=0.0, k_max=1.0)), known)
    assert np.all(np.isnan(card.pairs("centred_alignment", k_min=0.0, k_max=1.0)))


def test_a_card_of_one_class_has_no_pairs():
    card = Card.of(TaskStatistics.of(np.eye(3), np.zeros(3, int), classes=1, class_moments=True))
    assert np.all(np.isnan(card.pairs("centred_alignment", k_min=0.0, k_max=1.0)))
    with pytest.raises(ValueError, match="undefined: a score needs examples of two classes, got 1 of 1"):
        card.centred_alignment([[0]])


@pytest.mark.parametrize("groups", [[], [[0], []], [[0], [0, 1]], [[0], [6]], [[-1], [0]]])
def test_groups_that_are_no_choice_of_classes_are_refused(groups):
    with pytest.raises(ValueError, match="groups"):
        Card.of(statistics_of()).raw(groups, k_min=0.0, k_max=1.0)


def test_a_kernel_range_the_wrong_way_round_is_refused():
    card = Card.of(statistics_of())
    with pytest.raises(ValueError, match="k_min < k_max"):
        card.alignment([[0], [1]], k_min=1.0, k_max=0.0)
    with pytest.raises(ValueError, match="k_min < k_max"):
        card.pairs("raw", k_min=1.0, k_max=1.0)


def test_a_card_needs_class_moments():
    with pytest.raises(ValueError, match="class_moments=True"):
        Card.of(TaskStatistics.empty(3, 4))


def test_a_card_of_too_many_classes_has_every_score_but_the_centred_one(monkeypatch):
    monkeypatch.setattr(cards, "MOST_CENTRED_CLASSES", 5)
    stats = statistics_of()
    card, groups = Card.of(stats), [[0, 1], [2, 5]]
    expected = alignment.raw(stats.merge_classes(groups), k_min=0.0, k_max=1.0)
    assert card.raw(groups, k_min=0.0, k_max=1.0) == pytest.approx(expected, abs=1e-10)
    with pytest.raises(ValueError, match="a card of 6 classes holds no centred score, 5 are the most"):
        card.centred_alignment(groups)
    again = Card.from_bytes(card.to_bytes(), limit_bytes=LIMIT_BYTES)
    assert again.centring is None


def test_the_bound_on_classes_keeps_a_card_small():
    assert (MOST_CENTRED_CLASSES + 1) ** 2 * MOST_CENTRED_CLASSES * 8 < 18e6


def test_a_card_survives_its_bytes():
    card = Card.of(statistics_of())
    data = card.to_bytes()
    again = Card.from_bytes(data, limit_bytes=LIMIT_BYTES)
    assert again.to_bytes() == data
    for name in NAMES:
        one, other = (each.pairs(name, k_min=0.0, k_max=1.0) for each in (card, again))
        assert np.array_equal(one, other, equal_nan=True)


@pytest.mark.parametrize(
    ("data", "limit_bytes", "reason"),
    [
        (b"", LIMIT_BYTES, "not a safetensors blob"),
        (Card.of(statistics_of()).to_bytes(), 100, "over the limit of 100"),
        (statistics_of().to_bytes(), LIMIT_BYTES, "expected tensors"),
    ],
    ids=["empty", "too-large", "statistics"],
)
def test_bytes_that_are_no_card_are_refused(data, limit_bytes, reason):
    with pytest.raises(ValueError, match=reason):
        Card.from_bytes(data, limit_bytes=limit_bytes)


def test_a_card_whose_zero_rows_outnumber_its_examples_is_refused():
    card = Card.of(statistics_of())
    data = Card(
        counts=card.counts,
        zeros=card.counts + 1,
        class_gram=card.class_gram,
        moment_products=card.moment_products,
        centring=card.centring,
    ).to_bytes()
    with pytest.raises(ValueError, match="zeros <= counts"):
        Card.from_bytes(data, limit_bytes=LIMIT_BYTES)
