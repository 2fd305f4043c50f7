"""Modules side by side: every subset's statistics are what a pass over it alone would have given."""

from itertools import combinations, permutations

import numpy as np
import pytest

from kernel_methods.estimators.ridge import ridge_gcv
from kernel_methods.evidence import Evidence
from kernel_methods.joint import (
    JointLayout,
    dead_modules,
    joint_evidence,
    joint_rows,
    subset,
    subset_evidence,
    zero_rows,
)
from kernel_methods.rankers import ranker_score
from kernel_methods.rows import unit_rows
from kernel_methods.statistics import TaskStatistics, merge

WIDTHS = (3, 5, 2)
CLASSES = 4
EXAMPLES = 60


def blocks_of(*, dead: dict[int, slice] | None = None) -> list[np.ndarray]:
    """Features of three modules of 60 examples, which are not of unit norm; some rows of some modules are zero."""
    draws = np.random.default_rng(1)
    blocks = [draws.normal(size=(EXAMPLES, width)).astype(np.float32) for width in WIDTHS]
    for module, rows in (dead or {}).items():
        blocks[module][rows] = 0.0
    return blocks


LABELS = np.random.default_rng(2).integers(0, CLASSES, EXAMPLES)
SHARDS = [np.arange(start, EXAMPLES, 6) for start in range(6)]
SHUFFLED = np.stack([np.random.default_rng(seed).permutation(LABELS) for seed in range(30)])
DEAD = {1: slice(0, 7), 2: slice(5, 9)}
EVERY_CHOICE = [chosen for size in (1, 2, 3) for chosen in permutations(range(3), size)]


def evidence_of(blocks: list[np.ndarray]) -> Evidence:
    return joint_evidence(blocks, LABELS, SHUFFLED, shards=SHARDS, classes=CLASSES)


def assert_same(one: TaskStatistics, other: TaskStatistics) -> None:
    assert np.array_equal(one.counts, other.counts)
    assert np.array_equal(one.zeros, other.zeros)
    assert np.allclose(one.class_sums, other.class_sums, rtol=0, atol=1e-12)
    assert np.allclose(one.second_moment, other.second_moment, rtol=0, atol=1e-12)


@pytest.mark.parametrize("chosen", EVERY_CHOICE)
def test_a_subset_is_what_a_pass_over_it_alone_gives(chosen: tuple[int, ...]) -> None:
    blocks = blocks_of()
    found = subset_evidence(evidence_of(blocks), JointLayout(WIDTHS), chosen)
    side_by_side = np.concatenate([unit_rows(blocks[module])[0] for module in chosen], axis=1) / np.sqrt(len(chosen))
    for shard, rows in zip(found.shards, SHARDS, strict=True):
        assert_same(shard, TaskStatistics.of(side_by_side[rows], LABELS[rows], classes=CLASSES))


@pytest.mark.parametrize("chosen", [choice for choice in EVERY_CHOICE if len(choice) > 1])
def test_a_subset_with_zero_rows_is_what_a_pass_over_it_alone_gives(chosen: tuple[int, ...]) -> None:
    blocks, layout = blocks_of(dead=DEAD), JointLayout(WIDTHS)
    found = subset_evidence(evidence_of(blocks), layout, chosen)
    alone = [blocks[module] for module in chosen]
    of_these = JointLayout(tuple(block.shape[1] for block in alone))
    slow = merge(evidence_of(alone).shards)
    kept = of_these.columns(range(len(chosen)), dead=dead_modules(slow, of_these))
    total = merge(found.shards)
    assert np.allclose(total.class_sums, slow.class_sums[:, kept], rtol=0, atol=1e-12)
    assert np.allclose(total.second_moment, slow.second_moment[np.ix_(kept, kept)], rtol=0, atol=1e-12)
    assert np.trace(total.second_moment) == pytest.approx(EXAMPLES)


@pytest.mark.parametrize("module", range(3))
def test_a_module_by_itself_has_the_statistics_that_it_has_elsewhere(module: int) -> None:
    blocks = blocks_of()
    found = subset(merge(evidence_of(blocks).shards), JointLayout(WIDTHS), [module])
    assert_same(found, TaskStatistics.of(blocks[module], LABELS, classes=CLASSES))


def test_the_joint_kernel_is_the_mean_of_the_kernels_and_zero_rows_are_alike() -> None:
    blocks = blocks_of(dead=DEAD)
    rows = joint_rows(blocks)
    kernels = []
    for block in blocks:
        units, is_zero = unit_rows(block)
        kernels.append(units @ units.T + np.outer(is_zero, is_zero))
    assert np.allclose(rows @ rows.T, np.mean(kernels, axis=0), rtol=0, atol=1e-12)
    assert np.allclose(np.linalg.norm(rows, axis=1), 1.0, rtol=0, atol=1e-12)


def test_zero_rows_are_counted_by_module() -> None:
    layout = JointLayout(WIDTHS)
    total = merge(evidence_of(blocks_of(dead=DEAD)).shards)
    assert zero_rows(total, layout) == (0, 7, 4)
    assert dead_modules(total, layout) == {1, 2}


@pytest.mark.parametrize("chosen", list(combinations(range(3), 2)))
def test_shuffles_of_a_subset_are_those_of_a_pass_over_it_alone(chosen: tuple[int, ...]) -> None:
    blocks = blocks_of()
    found = subset_evidence(evidence_of(blocks), JointLayout(WIDTHS), chosen).shuffled
    side_by_side = np.concatenate([unit_rows(blocks[module])[0] for module in chosen], axis=1) / np.sqrt(2)
    assert found is not None
    for labels, sums in zip(SHUFFLED, found.sums, strict=True):
        assert np.allclose(sums, TaskStatistics.of(side_by_side, labels, classes=CLASSES).class_sums, atol=1e-10)


def test_order_does_not_matter_to_a_score() -> None:
    total, layout = merge(evidence_of(blocks_of(dead=DEAD)).shards), JointLayout(WIDTHS)
    scores = [ridge_gcv(subset(total, layout, chosen)) for chosen in permutations(range(3))]
    assert scores == pytest.approx([scores[0]] * 6)


def test_a_module_beside_itself_scores_as_it_does_alone() -> None:
    block = blocks_of()[1]
    total, layout = merge(evidence_of([block, block]).shards), JointLayout((5, 5))
    for name in ("centred_alignment", "alignment", "nearest_class_mean", "ridge_gcv"):
        alone, twice = (ranker_score(name, subset(total, layout, one), k_min=0.0, k_max=1.0) for one in ([0], [0, 1]))
        assert twice == pytest.approx(alone)


def test_joint_evidence_travels_and_its_class_merges_are_exact() -> None:
    evidence, layout = evidence_of(blocks_of(dead=DEAD)), JointLayout(WIDTHS)
    packed = evidence.to_bytes()
    read = Evidence.from_bytes(packed, limit_bytes=len(packed))
    groups = ((0, 2), (1, 3))
    early = subset_evidence(read.merge_classes(groups), layout, (2, 0))
    late = subset_evidence(evidence, layout, (2, 0)).merge_classes(groups)
    assert_same(merge(early.shards), merge(late.shards))


def test_many_classes_keep_no_shuffles() -> None:
    labels = np.arange(EXAMPLES) % 30_000
    blocks = [np.ones((EXAMPLES, 10), np.float32)] * 2
    evidence = joint_evidence(blocks, labels, np.stack([labels] * 30), shards=SHARDS, classes=30_000)
    assert evidence.shuffled is None
    assert subset_evidence(evidence, JointLayout((10, 10)), [1]).shuffled is None


@pytest.mark.parametrize("chosen", [(), (0, 0), (3,), (-1,)])
def test_a_choice_must_be_of_modules_that_are_there(chosen: tuple[int, ...]) -> None:
    total = merge(evidence_of(blocks_of()).shards)
    with pytest.raises(ValueError, match="choose some of the 3 modules"):
        subset(total, JointLayout(WIDTHS), chosen)


def test_wrong_shapes_are_told() -> None:
    with pytest.raises(ValueError, match="a layout of 6 dimensions for statistics of 13"):
        subset(merge(evidence_of(blocks_of()).shards), JointLayout((2, 2)), [0])
    with pytest.raises(ValueError, match="at least one feature each"):
        JointLayout(())
    with pytest.raises(ValueError, match="features of the same examples"):
        joint_rows([np.ones((3, 2)), np.ones((4, 2))])
