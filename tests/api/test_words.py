"""Numbers, shapes and axes as people read them."""

import pytest

from api.pages.bars import Axis
from api.pages.words import (
    architecture_words,
    bytes_words,
    listed,
    number_words,
    score_words,
    short_number,
    verification_words,
)
from registry.architectures.specs import BlocksSpec, FlattenSpec, LinearSpec, MlpArguments, MlpSpec, ReluSpec
from registry.records import Verification
from tests.api.test_plots import row_of
from tests.builders import NOW


@pytest.mark.parametrize(
    ("score", "told"),
    [(0.12345, "0.123"), (-0.5, "−0.500"), (-0.0001, "0.000"), (-1e-9, "0.000"), (1.0, "1.000"), (None, "–")],
)
def test_scores_have_three_decimals_and_a_true_minus(score, told):
    assert score_words(score) == told


@pytest.mark.parametrize(
    ("number", "told"),
    [(0, "0"), (999, "999"), (1000, "1 K"), (61_706, "61.7 K"), (11_173_962, "11.2 M"), (10**12, "1 T")],
)
def test_counts_are_told_in_three_digits(number, told):
    assert short_number(number).replace("\u202f", " ") == told
    assert number_words(number).replace("\u202f", "") == str(number)


@pytest.mark.parametrize(
    ("size", "told"), [(0, "0 bytes"), (1023, "1023 bytes"), (1536, "1.5 KiB"), (2**40, "1024.0 GiB")]
)
def test_sizes_are_told_in_binary_units(size, told):
    assert bytes_words(size) == told


def test_an_architecture_is_told_in_one_line():
    linear = LinearSpec(in_features=4, out_features=4)
    assert (
        architecture_words(BlocksSpec(blocks=(FlattenSpec(), linear, ReluSpec(), linear))) == "flatten, 2 linear, relu"
    )
    arguments = MlpArguments(in_features=4, widths=(4, 4))
    assert architecture_words(MlpSpec(arguments=arguments)) == "mlp"
    assert architecture_words(MlpSpec(arguments=arguments, start=1, stop=3)) == "mlp, blocks 1 to 3"


def test_long_lists_are_cut_and_counted():
    assert listed(["a", "b", "c"], most=2) == "a, b and 1 more"
    assert listed(["a", "b"], most=2) == "a, b"


def test_every_mark_of_a_ranking_lies_on_its_axis():
    rows = [row_of(place) for place in range(4)] + [row_of(5, static=None)]
    axis = Axis.over(rows)
    bars = [axis.bar(row) for row in rows]
    places = [place for bar in bars for place in (bar.low, bar.score, bar.high, bar.chance, bar.static) if place]
    assert all(0 < float(place.rstrip("%")) < 100 for place in places)
    assert all(float(bar.low[:-1]) < float(bar.score[:-1]) < float(bar.high[:-1]) for bar in bars)
    assert bars[-1].static is None


@pytest.mark.parametrize(
    ("axis", "labels"),
    [
        (Axis(0.0, 1.0), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
        (Axis(-0.31, -0.19), ["−0.300", "−0.275", "−0.250", "−0.225", "−0.200"]),
        (Axis(-7.0, 9.0), ["−5", "0", "5"]),
    ],
)
def test_an_axis_has_round_values(axis, labels):
    assert [tick.label for tick in axis.ticks] == labels


def test_an_axis_over_equal_values_or_nothing_has_a_width():
    assert Axis.over([]).high > Axis.over([]).low
    same = row_of(0).model_copy(update={"interval": (0.9, 0.9), "chance": 0.9, "static": 0.9})
    assert Axis.over([same]).place(0.9) == "50.00%"


@pytest.mark.parametrize(
    ("state", "at", "said"),
    [
        ("unverified", None, "not yet"),
        ("verified", NOW, "by a worker on 2026-01-02"),
        ("refused", NOW, "refused by a worker on 2026-01-02"),
    ],
)
def test_what_workers_found_is_told_in_a_few_words(state, at, said):
    assert verification_words(Verification(state=state, at=at)) == said
