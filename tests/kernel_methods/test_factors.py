"""Moments of few examples travel as factors, and come back as they were."""

import numpy as np
import pytest

from kernel_methods.factors import factor_of, packed_moments
from kernel_methods.packing import bytes_of
from kernel_methods.statistics import TaskStatistics, pack, unpack


def shards(examples: int, dimensions: int, count: int = 4) -> list[TaskStatistics]:
    generator = np.random.default_rng(examples)
    return [
        TaskStatistics.of(
            np.abs(generator.normal(size=(examples, dimensions))), generator.integers(0, 3, examples), classes=3
        )
        for _ in range(count)
    ]


@pytest.mark.parametrize(("examples", "dimensions"), [(1, 64), (5, 64), (16, 64), (40, 64), (8, 512)])
def test_moments_come_back_and_take_the_room_of_the_examples(examples: int, dimensions: int) -> None:
    kept = shards(examples, dimensions)
    data = pack(kept)
    for one, back in zip(kept, unpack(data, limit_bytes=10**8), strict=True):
        np.testing.assert_allclose(back.second_moment, one.second_moment, atol=1e-13 * examples)
        np.testing.assert_array_equal(back.class_sums, one.class_sums)
    if 4 * examples <= dimensions:
        assert len(data) < 8 * len(kept) * (examples + 4) * dimensions + 4096


def test_equal_shards_give_equal_bytes() -> None:
    assert pack(shards(5, 64)) == pack(shards(5, 64))


def test_a_factor_reproduces_a_moment_without_full_rank_and_a_zero_one() -> None:
    rows = np.random.default_rng(0).normal(size=(3, 9))
    factor = factor_of(rows.T @ rows)
    assert factor.shape == (3, 9)
    np.testing.assert_allclose(factor.T @ factor, rows.T @ rows, atol=1e-12)
    np.testing.assert_array_equal(factor_of(np.zeros((4, 4))), np.zeros((1, 4)))


def test_moments_that_would_not_fit_into_memory_are_not_read_from_factors() -> None:
    tensors = {
        "counts": np.zeros((64, 1), np.int64),
        "zeros": np.zeros((64, 1), np.int64),
        "class_sums": np.zeros((64, 1, 2048)),
        "moment_factors": np.zeros((64, 1, 2048)),
    }
    with pytest.raises(ValueError, match="too large"):
        unpack(bytes_of(tensors), limit_bytes=10**8)
    assert set(packed_moments([np.zeros((4096, 4096))] * 9, examples=1)) == {"second_moment"}


def test_both_forms_or_none_are_refused() -> None:
    held = {"counts": np.ones((1, 1), np.int64), "zeros": np.zeros((1, 1), np.int64), "class_sums": np.zeros((1, 1, 8))}
    both = {"moment_factors": np.zeros((1, 1, 8)), "second_moment": np.zeros((1, 36))}
    for tensors in (held, held | both):
        with pytest.raises(ValueError, match="either second_moment or moment_factors"):
            unpack(bytes_of(tensors), limit_bytes=10**6)
