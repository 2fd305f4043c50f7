"""Successive halving as pure policy: slices of the examples, and who goes on."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.halving import Contender, cut, most_that_stay, slice_ends

SCORES = st.floats(-1.0, 1.0).map(lambda score: round(score, 2))
CONTENDERS = st.builds(
    lambda score, below, above: Contender(score, score - below, score + above),
    SCORES,
    st.floats(0.0, 0.5),
    st.floats(0.0, 0.5),
)


def sure(*scores: float) -> list[Contender]:
    """Contenders whose scores leave no doubt."""
    return [Contender(score, score - 0.004, score + 0.004) for score in scores]


@pytest.mark.parametrize(
    ("examples", "classes", "ends"),
    [
        (2000, 10, (50, 200, 800, 2000)),
        (5000, 10, (50, 200, 800, 5000)),
        (400, 4, (50, 200, 400)),
        (399, 4, (50, 399)),
        (99, 2, (99,)),
        (2000, 100, (200, 800, 2000)),
        (2000, 1000, (2000,)),
    ],
)
def test_slices_grow_fourfold_from_two_examples_of_each_class(examples, classes, ends):
    assert slice_ends(examples, classes=classes) == ends


@given(st.integers(4, 100_000), st.integers(2, 1000))
def test_every_slice_is_at_least_as_large_as_the_first(examples, classes):
    ends = slice_ends(examples, classes=classes)
    sizes = [end - start for start, end in zip((0, *ends), ends, strict=False)]
    assert ends[-1] == examples
    assert min(sizes) == sizes[0]


def test_the_best_go_on_and_those_that_cannot_reach_them_do_not():
    scores = sure(*(place / 100 for place in range(100)))
    found = cut(scores, top=5)
    assert found.best == 20
    assert found.stays == tuple(range(80, 100))
    assert found.bar == pytest.approx(0.796)


def test_who_may_reach_the_best_goes_on_up_to_a_half():
    doubtful = [Contender(place / 100, -1.0, 1.0) for place in range(100)]
    assert cut(doubtful, top=5).stays == tuple(range(50, 100))
    assert cut(doubtful, top=5, most_share=0.25).stays == tuple(range(75, 100))


def test_as_many_stay_as_the_question_wants():
    assert len(cut(sure(*(place / 30 for place in range(30))), top=12).stays) == 12
    assert len(cut(sure(*(place / 30 for place in range(30))), top=None).stays) == 10
    assert cut(sure(0.1, 0.2), top=None).stays == (0, 1)


def test_equal_scores_stay_together():
    scores = sure(*[0.5] * 30, *[0.1] * 70)
    assert cut(scores, top=5).stays == tuple(range(30))


def test_a_module_without_a_score_yet_stays_and_takes_nobodys_place():
    scores = [None, *sure(*(place / 100 for place in range(99))), None]
    found = cut(scores, top=5)
    assert {0, 100} <= set(found.stays)
    assert len(found.stays) == 2 + len(cut([each for each in scores if each is not None], top=5).stays)
    assert cut([None, None], top=5).stays == (0, 1)


@given(st.lists(st.one_of(st.none(), CONTENDERS), min_size=1, max_size=80), st.one_of(st.none(), st.integers(1, 30)))
def test_never_fewer_stay_than_the_best_and_all_of_them_do(contenders, top):
    found = cut(contenders, top=top)
    known = [each for each in contenders if each is not None]
    assert len(found.stays) >= min(len(known), top or 10)
    assert found.best >= min(len(known), top or 10)
    gone = [each for place, each in enumerate(contenders) if place not in found.stays and each is not None]
    stayed = sorted((contenders[place].score for place in found.stays if contenders[place] is not None), reverse=True)
    assert all(each.score < stayed[found.best - 1] for each in gone)
    assert found == cut(contenders, top=top)


@given(st.lists(CONTENDERS, min_size=1, max_size=80, unique_by=lambda each: each.score), st.integers(1, 30))
def test_without_equal_scores_no_more_stay_than_were_planned(contenders, top):
    assert len(cut(contenders, top=top).stays) <= most_that_stay(len(contenders), top=top)


@given(st.lists(CONTENDERS, min_size=2, max_size=40), st.randoms())
def test_the_order_of_the_modules_changes_nothing(contenders, chance):
    order = list(range(len(contenders)))
    chance.shuffle(order)
    stays = {id(contenders[place]) for place in cut(contenders, top=3).stays}
    shuffled = [contenders[place] for place in order]
    assert {id(shuffled[place]) for place in cut(shuffled, top=3).stays} == stays
