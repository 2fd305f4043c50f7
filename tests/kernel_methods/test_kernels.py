import pytest

from kernel_methods.kernels import attainable_k_min, check_kernel_range, pooled_features


@pytest.mark.parametrize(("activation", "k_min"), [("relu", 0.0), ("sigmoid", 0.0), ("tanh", -1.0), ("identity", -1.0)])
def test_k_min_belongs_to_the_activation(activation, k_min):
    assert attainable_k_min(activation) == k_min


@pytest.mark.parametrize(
    ("shape", "pooling", "features"),
    [
        ((7,), "none", 7),
        ((3, 4, 5), "none", 60),
        ((64, 8, 8), "average", 64),
        ((64, 8, 8), "average-2x2", 256),
        ((64, 8, 8), "average-4x4", 1024),
    ],
)
def test_pooled_features_are_counted(shape, pooling, features):
    assert pooled_features(shape, pooling) == features


def test_a_flat_output_cannot_be_pooled():
    with pytest.raises(ValueError, match=r"'average' needs an output \(c, h, w\), got \(512,\)"):
        pooled_features((512,), "average")


@pytest.mark.parametrize("shape", [(), (0,), (3, -1, 2)])
def test_an_output_without_a_side_is_refused(shape):
    with pytest.raises(ValueError, match="at least one side"):
        pooled_features(shape, "none")


@pytest.mark.parametrize(("k_min", "k_max"), [(1.0, 1.0), (1.0, 0.0), (float("nan"), 1.0), (0.0, float("inf"))])
def test_a_kernel_range_without_room_is_refused(k_min, k_max):
    with pytest.raises(ValueError, match="k_min < k_max"):
        check_kernel_range(k_min=k_min, k_max=k_max)
