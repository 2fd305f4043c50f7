import contextlib
import json
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save

from kernel_methods.packing import square_of, triangle_of
from kernel_methods.statistics import TaskStatistics, pack, unpack
from tests.kernel_methods.drawing import clustered, labelled_features

LIMIT = 1_000_000


def task(*, class_moments=False):
    features, labels = clustered(0, examples=30, dimensions=4, classes=3, zero_rows=2)
    return TaskStatistics.of(features, labels, classes=3, class_moments=class_moments)


def tensors(*, by_class=False, **changes):
    stats = task(class_moments=by_class)
    good = {
        "counts": stats.counts[None].copy(),
        "zeros": stats.zeros[None].copy(),
        "class_sums": stats.class_sums[None].copy(),
        "second_moment": triangle_of(stats.second_moment)[None].copy(),
    }
    if by_class:
        good["class_moments"] = triangle_of(stats.class_moments)[None].copy()
    return {name: value for name, value in (good | changes).items() if value is not None}


def with_entry(name, index, value):
    changed = tensors(by_class=name == "class_moments")
    changed[name][index] = value
    return save(changed)


def blob(header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


@settings(max_examples=30, deadline=None)
@given(labelled_features(), st.booleans())
def test_bytes_bring_statistics_back(labelled, class_moments):
    features, labels, classes = labelled
    stats = TaskStatistics.of(features, labels, classes=classes, class_moments=class_moments)
    back = TaskStatistics.from_bytes(stats.to_bytes(), limit_bytes=LIMIT)
    for name in ("counts", "zeros", "class_sums"):
        np.testing.assert_array_equal(getattr(back, name), getattr(stats, name))
    np.testing.assert_allclose(back.second_moment, stats.second_moment, atol=1e-12)
    assert (back.class_moments is None) == (not class_moments)
    if class_moments:
        np.testing.assert_array_equal(back.class_moments, stats.class_moments)
    assert stats.to_bytes() == stats.to_bytes()


def test_shards_come_back_in_order():
    features, labels = clustered(1, examples=40, dimensions=5, classes=3)
    shards = [TaskStatistics.of(features[i::4], labels[i::4], classes=3) for i in range(4)]
    back = unpack(pack([*shards, TaskStatistics.empty(3, 5)]), limit_bytes=LIMIT)
    assert [shard.to_bytes() for shard in back[:4]] == [shard.to_bytes() for shard in shards]
    assert back[4].examples == 0


def test_symmetric_matrices_are_stored_once():
    size = len(TaskStatistics.empty(1, 100).to_bytes())
    assert size < 8 * (100 * 101 // 2 + 100 + 2) + 500


def test_a_triangle_gives_its_matrix_back():
    matrix = np.arange(16.0).reshape(4, 4)
    symmetric = np.stack([matrix + matrix.T, matrix @ matrix.T])
    np.testing.assert_array_equal(square_of(triangle_of(symmetric), 4), symmetric)


def test_shards_that_differ_are_not_packed():
    with pytest.raises(ValueError, match="do not add"):
        pack([TaskStatistics.empty(2, 3), TaskStatistics.empty(3, 3)])
    with pytest.raises(ValueError, match="nothing to pack"):
        pack([])


def test_several_shards_are_not_one_set_of_examples():
    with pytest.raises(ValueError, match="got 2 shards"):
        TaskStatistics.from_bytes(pack([task(), task()]), limit_bytes=LIMIT)


def test_bytes_over_the_limit_are_not_read():
    data = task().to_bytes()
    with pytest.raises(ValueError, match=f"{len(data)} bytes of statistics are over the limit of 100"):
        unpack(data, limit_bytes=100)


ENTRY = {"dtype": "F64", "shape": [1, 1, 1], "data_offsets": [0, 8]}
MALFORMED = [
    pytest.param(b"", id="no-bytes"),
    pytest.param(b"\x80\x04\x95pickle", id="a-pickle"),
    pytest.param(struct.pack("<Q", 2**63) + b"{}", id="header-larger-than-memory"),
    pytest.param(struct.pack("<Q", 100) + b"{}", id="header-larger-than-the-file"),
    pytest.param(blob(b"{" + b" " * 5000 + b"}"), id="header-over-its-limit"),
    pytest.param(blob(b"[]"), id="header-not-a-mapping"),
    pytest.param(blob(b"\xff\xfe"), id="header-not-text"),
    pytest.param(blob({}), id="no-tensors"),
    pytest.param(blob({"class_sums": ENTRY}), id="data-missing"),
    pytest.param(blob({"class_sums": ENTRY}, b"x" * 9), id="data-left-over"),
    pytest.param(blob({"class_sums": ENTRY | {"dtype": "BF16"}}, b"x" * 8), id="dtype-of-another-size"),
    pytest.param(blob({"class_sums": ENTRY | {"shape": [1, 2**40, 2**40]}}, b"x" * 8), id="shape-overflows"),
    pytest.param(blob({"class_sums": ENTRY | {"shape": [1, 0, 2**60], "data_offsets": [0, 0]}}), id="no-class"),
    pytest.param(blob({"class_sums": ENTRY | {"shape": [-1, 1, 1]}}, b"x" * 8), id="negative-side"),
    pytest.param(blob({"class_sums": ENTRY, "counts": ENTRY}, b"x" * 8), id="overlapping-tensors"),
    pytest.param(save(tensors(zeros=None)), id="tensor-missing"),
    pytest.param(save(tensors(spare=np.zeros(1))), id="tensor-unknown"),
    pytest.param(save(tensors(class_sums=np.zeros((1, 3, 4), np.float32))), id="float32"),
    pytest.param(save(tensors(class_sums=np.zeros((1, 3, 4), np.float16))), id="float16"),
    pytest.param(save(tensors(counts=np.full((1, 3), 10.0))), id="counts-as-floats"),
    pytest.param(save(tensors(class_sums=np.zeros((3, 4)))), id="no-axis-of-shards"),
    pytest.param(save(tensors(class_sums=np.zeros((1, 200_000, 1)))), id="too-many-classes"),
    pytest.param(save(tensors(class_sums=np.zeros((1, 1, 40_000)))), id="too-many-dimensions"),
    pytest.param(save(tensors(second_moment=np.zeros((1, 16)))), id="a-square-for-a-triangle"),
    pytest.param(save(tensors(class_moments=np.zeros((1, 3, 9)))), id="class-moments-of-another-size"),
    pytest.param(save(tensors(class_moments=np.zeros((1, 3, 10)))), id="class-moments-that-do-not-add-up"),
]
IMPLAUSIBLE = [
    pytest.param("counts", (0, 0), -1, "0 <= zeros <= counts", id="negative-count"),
    pytest.param("zeros", (0, 0), 10**6, "0 <= zeros <= counts", id="more-zeros-than-examples"),
    pytest.param("counts", (0, 0), 2**62, "at most", id="count-that-overflows"),
    pytest.param("class_sums", (0, 0, 0), np.nan, "class_sums must be finite", id="nan"),
    pytest.param("second_moment", (0, 1), np.inf, "second_moment must be finite", id="infinite"),
    pytest.param("class_sums", (0, 0, 0), 1e3, "longer than", id="sum-longer-than-its-class"),
    pytest.param("class_sums", (0, 0, 0), 1e300, "longer than", id="sum-whose-square-overflows"),
    pytest.param("second_moment", (0, 0), 17.0, "cannot have trace", id="trace-not-the-number-of-rows"),
    pytest.param("second_moment", (0, 1), -1e3, "such entries", id="entry-larger-than-the-trace"),
    pytest.param("second_moment", (0, 0), -1.0, "such entries", id="negative-square"),
    pytest.param("second_moment", (0, slice(None)), 1e308, "such entries", id="moment-whose-sum-overflows"),
    pytest.param("class_moments", (0, 0, 1), 1.5, "do not add up", id="class-moment-changed"),
]


@pytest.mark.parametrize("data", MALFORMED)
def test_malformed_bytes_are_refused(data):
    with pytest.raises(ValueError, match=r"\w"):
        unpack(data, limit_bytes=10_000_000)


@pytest.mark.parametrize(("name", "index", "value", "message"), IMPLAUSIBLE)
def test_statistics_that_no_unit_vectors_have_are_refused(name, index, value, message):
    with pytest.raises(ValueError, match=message):
        unpack(with_entry(name, index, value), limit_bytes=LIMIT)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 700), st.integers(0, 255))
def test_a_changed_byte_is_refused_or_read_but_never_anything_else(place, value):
    data = bytearray(task(class_moments=True).to_bytes())
    data[place % len(data)] = value
    with contextlib.suppress(ValueError):
        unpack(bytes(data), limit_bytes=LIMIT)
