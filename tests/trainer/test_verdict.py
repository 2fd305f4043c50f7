"""The verdict names the lowest part with a fault, with its doubt, and no part where there is none."""

from tests.client.inspection_samples import modules, network, output, read_out
from trainer.verdict import verdict_of


def test_where_every_module_adds_that_is_said() -> None:
    rows = network(("low", 0.2), ("low", 0.3), ("high", 0.5))
    verdict = verdict_of((*modules(rows), output()), rows, read_out(0.0))
    assert (verdict.finding, verdict.module, verdict.block) == ("every_module_adds", None, None)
    assert "Each of the 2 modules adds" in verdict.sentence
    assert "0.100 of the images to 0.500" in verdict.sentence


def test_a_block_that_takes_away_inside_a_sound_module_is_still_named() -> None:
    rows = network(("low", 0.4), ("low", 0.3))
    verdict = verdict_of(modules(rows), rows, None)
    assert verdict.finding == "every_module_adds"
    assert verdict.sentence.startswith("The module adds")
    assert "block 2 (relu, conv2d, batch_norm) of low takes -0.100 (95 %: -0.120 to -0.080)" in verdict.sentence


def test_the_lowest_module_where_alignment_falls_is_named_with_its_worst_block() -> None:
    rows = network(("low", 0.4), ("mid", 0.35), ("mid", 0.2), ("high", 0.1))
    verdict = verdict_of(modules(rows), rows, None)
    assert (verdict.finding, verdict.module, verdict.block) == ("takes_away", "mid", 2)
    assert verdict.sentence == (
        "Alignment falls at mid: -0.200 (95 %: -0.220 to -0.180), most at its block 2 (relu, conv2d, batch_norm)."
    )


def test_a_gain_that_may_be_nothing_is_said_with_its_doubt() -> None:
    rows = network(("low", 0.4), ("high", 0.41))
    verdict = verdict_of(modules(rows), rows, None)
    assert (verdict.finding, verdict.module) == ("adds_nothing", "high")
    assert verdict.sentence == "high adds nothing that these images can tell: +0.010 (95 %: -0.010 to +0.030)."


def test_a_module_far_below_what_its_file_reports_falls_short_though_it_adds() -> None:
    rows = network(("low", 0.2), ("high", 0.5))
    verdict = verdict_of(modules(rows, low=0.6), rows, None)
    assert (verdict.finding, verdict.module) == ("falls_short", "low")
    assert "its file reports 0.600 on images held out from its training" in verdict.sentence


def test_a_module_near_what_its_file_reports_does_not_fall_short() -> None:
    rows = network(("low", 0.4), ("high", 0.5))
    assert verdict_of(modules(rows, low=0.6), rows, None).finding == "every_module_adds"


def test_another_pooling_is_named_as_part_of_a_fall() -> None:
    rows = network(("low", 0.05))
    coarser = (rows[0], rows[1].model_copy(update={"pooling": "average"}))
    verdict = verdict_of(modules(rows), coarser, None)
    assert "part of it may be the pooling, average after average-4x4" in verdict.sentence


def test_an_output_module_that_reads_less_than_class_means_is_named() -> None:
    rows = network(("low", 0.4))
    verdict = verdict_of((*modules(rows), output()), rows, read_out(-0.1))
    assert (verdict.finding, verdict.module) == ("output_falls_short", "out")
    assert "reaches 75.0% accuracy, 10.0 points (95 %: 8.0 to 12.0) more than it" in verdict.sentence


def test_a_hidden_fault_comes_before_one_of_the_output_module() -> None:
    rows = network(("low", 0.05))
    assert verdict_of((*modules(rows), output()), rows, read_out(-0.1)).module == "low"
