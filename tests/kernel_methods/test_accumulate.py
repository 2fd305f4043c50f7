import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kernel_methods.accumulate import Accumulator
from kernel_methods.statistics import TaskStatistics
from tests.kernel_methods.drawing import clustered, labelled_features, sharding

DEVICES = [
    "cpu",
    pytest.param(
        "cuda",
        marks=[
            pytest.mark.gpu,
            pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
        ],
    ),
]


def accumulate(features, labels, *, classes, parts, device="cpu", class_moments=False):
    total = Accumulator(classes, features.shape[1], device=device, class_moments=class_moments)
    for part in parts:
        total.add(torch.from_numpy(features[part]).to(device), torch.from_numpy(labels[part]).to(device))
    return total.finish()


def assert_equal(one, other, *, tolerance):
    for name in ("counts", "zeros", "class_sums", "second_moment"):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), atol=tolerance, rtol=0)
    assert (one.class_moments is None) == (other.class_moments is None)
    if one.class_moments is not None:
        np.testing.assert_allclose(one.class_moments, other.class_moments, atol=tolerance, rtol=0)


@settings(max_examples=40, deadline=None)
@given(st.data(), labelled_features(), st.booleans())
def test_batches_give_the_statistics_of_all_examples(data, task, class_moments):
    features, labels, classes = task
    parts = data.draw(sharding(len(labels)))
    found = accumulate(features, labels, classes=classes, parts=parts, class_moments=class_moments)
    expected = TaskStatistics.of(features, labels, classes=classes, class_moments=class_moments)
    assert_equal(found, expected, tolerance=1e-12)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("class_moments", [False, True])
def test_float32_batches_lose_nothing_on_any_device(device, class_moments):
    features, labels = clustered(0, examples=500, dimensions=32, classes=4, zero_rows=5)
    narrow = features.astype(np.float32)
    parts = np.array_split(np.arange(500), 7)
    found = accumulate(narrow, labels, classes=4, parts=parts, device=device, class_moments=class_moments)
    expected = TaskStatistics.of(narrow, labels, classes=4, class_moments=class_moments)
    assert_equal(found, expected, tolerance=1e-11)


def test_half_precision_rows_are_brought_to_unit_norm():
    features, labels = clustered(0, examples=60, dimensions=8, classes=3)
    total = Accumulator(3, 8, device="cpu")
    total.add(torch.from_numpy(features).to(torch.bfloat16), torch.from_numpy(labels))
    stats = total.finish()
    assert np.trace(stats.second_moment) == pytest.approx(60 - stats.zeros.sum(), abs=1e-12)


def test_more_can_be_added_after_finishing():
    features, labels = clustered(0, examples=60, dimensions=8, classes=3)
    total = Accumulator(3, 8, device="cpu")
    total.add(torch.from_numpy(features[:30]), torch.from_numpy(labels[:30]))
    first = total.finish()
    total.add(torch.from_numpy(features[30:]), torch.from_numpy(labels[30:]))
    assert_equal(first, TaskStatistics.of(features[:30], labels[:30], classes=3), tolerance=1e-12)
    assert_equal(total.finish(), TaskStatistics.of(features, labels, classes=3), tolerance=1e-12)


def test_the_same_batches_give_the_same_bytes():
    features, labels = clustered(0, examples=60, dimensions=8, classes=3)
    parts = np.array_split(np.arange(60), 4)
    both = [accumulate(features, labels, classes=3, parts=parts).to_bytes() for _ in range(2)]
    assert both[0] == both[1]


def test_no_batch_gives_empty_statistics():
    assert Accumulator(3, 8, device="cpu").finish().examples == 0


def test_features_keep_no_graph():
    features = torch.rand(4, 3, requires_grad=True)
    total = Accumulator(2, 3, device="cpu")
    total.add(features, torch.tensor([0, 1, 0, 1]))
    assert total.finish().examples == 4


@pytest.mark.parametrize("label", [-1, 2])
def test_a_label_out_of_range_is_found_at_the_end(label):
    total = Accumulator(2, 3, device="cpu")
    total.add(torch.rand(2, 3), torch.tensor([0, label]))
    with pytest.raises(ValueError, match=r"labels must be in 0\.\.1, 1 examples have others"):
        total.finish()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_feature_that_is_not_finite_is_found_at_the_end(value):
    total = Accumulator(2, 2, device="cpu")
    total.add(torch.tensor([[1.0, value]]), torch.tensor([0]))
    with pytest.raises(ValueError, match="features must be finite"):
        total.finish()


@pytest.mark.parametrize(
    ("features", "labels", "message"),
    [
        (torch.zeros(2, 4), torch.zeros(2, dtype=torch.long), r"need features \(n, 3\)"),
        (torch.zeros(2, 3), torch.zeros(3, dtype=torch.long), r"got \(2, 3\) and \(3,\)"),
        (torch.zeros(2, 3), torch.zeros(2), "labels must be integers, got torch.float32"),
        (torch.zeros(2, 3), torch.zeros(2, dtype=torch.bool), "labels must be integers, got torch.bool"),
    ],
)
def test_a_batch_that_does_not_fit_is_refused(features, labels, message):
    with pytest.raises(ValueError, match=message):
        Accumulator(2, 3, device="cpu").add(features, labels)


def test_an_accumulator_needs_a_class_and_a_dimension():
    with pytest.raises(ValueError, match="got 0 and 3"):
        Accumulator(0, 3, device="cpu")
