"""What is measured beside statistics: it follows merges, adds where it can, travels, and is not believed unchecked."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from kernel_methods.evidence import Evidence
from kernel_methods.measured import Measured, finite_value, moments_fit, probabilities_fit, references_fit
from kernel_methods.packing import Packed, bytes_of, read_tensors
from kernel_methods.statistics import TaskStatistics, merge

CLASSES, DIMENSIONS, SOURCES = 4, 5, 3
GROUPS = ((0, 2), (1, 3))
LIMIT = 10**6


def examples(seed: int = 0, count: int = 60) -> tuple[np.ndarray, np.ndarray]:
    draws = np.random.default_rng(seed)
    return draws.normal(size=(count, DIMENSIONS)), draws.integers(CLASSES, size=count)


def measured(features: np.ndarray, labels: np.ndarray) -> Measured:
    total = TaskStatistics.of(features, labels, classes=CLASSES, class_moments=True)
    counts = np.zeros((SOURCES, CLASSES), np.int64)
    np.add.at(counts, (np.arange(len(labels)) % SOURCES, labels), 1)
    values = {"knn": 0.75, "linear_probe": 0.5, "leep": -0.25}
    return Measured(values=values, groups=GROUPS, class_moments=total.class_moments, head_counts=counts)


def evidence(seed: int = 0) -> Evidence:
    features, labels = examples(seed)
    shards = tuple(TaskStatistics.of(features[i::3], labels[i::3], classes=CLASSES) for i in range(3))
    return Evidence(shards, beside=measured(features, labels))


def beside(found: Evidence) -> Measured:
    assert found.beside is not None
    return found.beside


def test_what_was_measured_travels_whole() -> None:
    sent = evidence()
    read = beside(Evidence.from_bytes(sent.to_bytes(), limit_bytes=LIMIT))
    assert (dict(read.values), read.groups) == (beside(sent).values, GROUPS)
    assert np.array_equal(read.class_moments, beside(sent).class_moments)
    assert np.array_equal(read.head_counts, beside(sent).head_counts)
    assert sent.to_bytes() == evidence().to_bytes()


def test_evidence_with_nothing_beside_has_the_bytes_it_always_had() -> None:
    plain = replace(evidence(), beside=None)
    assert replace(plain, beside=Measured()).to_bytes() == plain.to_bytes()
    assert Evidence.from_bytes(plain.to_bytes(), limit_bytes=LIMIT).beside is None


def test_class_moments_and_head_counts_follow_a_merge_of_classes() -> None:
    features, labels = examples()
    merged = beside(evidence().merge_classes(((3, 0), (1,), (2,))))
    of_merged = np.array([0, 1, 2, 0])[labels]
    slow = TaskStatistics.of(features, of_merged, classes=3, class_moments=True)
    assert np.allclose(merged.class_moments, slow.class_moments, atol=1e-12)
    assert np.array_equal(merged.head_counts.sum(axis=0), slow.counts)
    total = merged.with_moments(merge(evidence().merge_classes(((3, 0), (1,), (2,))).shards))
    assert np.allclose(total.class_moments, slow.class_moments, atol=1e-12)


def test_values_stay_with_the_classes_they_were_measured_on() -> None:
    found = beside(evidence())
    assert found.value("knn") is None
    assert found.merge_classes(((3, 1), (2, 0))).value("knn") == 0.75
    assert found.merge_classes(((0, 1), (2, 3))).value("knn") is None
    assert found.merge_classes(((3, 1), (2, 0))).merge_classes(((1,), (0,))).value("leep") == -0.25


def test_what_adds_is_added_and_values_are_not_kept() -> None:
    one, other = evidence(0), evidence(1)
    both = beside(one + other)
    assert np.allclose(both.class_moments, beside(one).class_moments + beside(other).class_moments)
    assert both.head_counts.sum() == 120
    assert both.values == {}
    assert (one + replace(other, beside=None)).beside is None
    assert (beside(one) + Measured()).head_counts is None


def test_another_source_head_does_not_add() -> None:
    found = beside(evidence())
    with pytest.raises(ValueError, match="do not add"):
        _ = found + replace(found, head_counts=np.ones((SOURCES + 1, CLASSES), np.int64))


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("measured_knn", lambda value: value + 0.5, r"knn must be in \[0, 1\]"),
        ("measured_knn", lambda value: value * np.nan, "finite"),
        ("measured_knn", lambda value: np.repeat(value, 2), "measured_knn must be"),
        ("measured_leep", lambda value: -value, "leep must be in"),
        ("measured_groups", lambda value: value + 1, "numbered from 0 without a gap"),
        ("measured_groups", lambda value: value - 1, "numbered from 0 without a gap"),
        ("measured_groups", lambda value: value * 2**40, "numbered from 0 without a gap"),
        ("measured_groups", lambda value: value.astype(np.float64), "must be int64"),
        ("head_counts", lambda value: value + 1, "one label"),
        ("head_counts", lambda value: value - 2**62, "fewer than no examples"),
        ("head_counts", lambda value: value[:, :2].copy(), "head_counts must be"),
        ("head_counts", lambda value: np.zeros((100_001, CLASSES), np.int64), "100001 source labels"),
        ("total_class_moments", lambda value: value * 2, "second moment"),
        ("total_class_moments", lambda value: value[::-1].copy(), "second moment|unit vectors"),
        ("total_class_moments", lambda value: value[:, :-1].copy(), "total_class_moments must be"),
    ],
)
def test_blobs_that_cannot_be_are_refused(name: str, change: Callable[[Packed], Packed], message: str) -> None:
    tensors = read_tensors(evidence().to_bytes(), limit_bytes=LIMIT)
    hostile = bytes_of({**tensors, name: change(tensors[name])})
    with pytest.raises(ValueError, match=message):
        Evidence.from_bytes(hostile, limit_bytes=10 * LIMIT)


@pytest.mark.parametrize("left", ["measured_groups", "values"])
def test_values_and_their_classes_come_together(left: str) -> None:
    tensors = read_tensors(evidence().to_bytes(), limit_bytes=LIMIT)
    values = {"measured_knn", "measured_linear_probe", "measured_leep"}
    gone = values if left == "values" else {left}
    halves = bytes_of({name: tensor for name, tensor in tensors.items() if name not in gone})
    with pytest.raises(ValueError, match="come together"):
        Evidence.from_bytes(halves, limit_bytes=LIMIT)


def test_rounding_is_cut_off_and_what_is_no_number_is_nothing() -> None:
    assert finite_value("leep", 1e-17) == 0.0
    assert finite_value("knn", 0.5) == 0.5
    assert finite_value("linear_probe", float("nan")) is None


def test_bounds_are_on_bytes_and_on_examples() -> None:
    assert moments_fit(classes=100, dimensions=512)
    assert not moments_fit(classes=1000, dimensions=2048)
    assert references_fit(examples=50_000, dimensions=2048)
    assert not references_fit(examples=50_001, dimensions=1)
    assert not references_fit(examples=50_000, dimensions=4096)
    assert not probabilities_fit(examples=1_000_000, labels=1000)
