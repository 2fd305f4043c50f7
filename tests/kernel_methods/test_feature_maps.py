import pytest
import torch
import torch.nn.functional as nnf

from kernel_methods import feature_maps
from kernel_methods.feature_maps import feature_map, unit_norm
from kernel_methods.kernels import pooled_features


def images(*, channels=3, side=8, dtype=torch.float32):
    return torch.randn(5, channels, side, side, generator=torch.Generator().manual_seed(0)).to(dtype)


@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid", "identity"])
@pytest.mark.parametrize("pooling", ["none", "average", "average-2x2", "average-4x4"])
def test_features_are_unit_vectors_of_the_size_that_arithmetic_gives(activation, pooling):
    features = feature_map(images(), activation=activation, pooling=pooling)
    assert features.shape == (5, pooled_features((3, 8, 8), pooling))
    assert torch.allclose(features.norm(dim=1), torch.ones(5))


def test_the_activation_comes_before_the_pooling():
    outputs = images()
    expected = unit_norm(nnf.adaptive_avg_pool2d(outputs.clamp_min(0), 2).flatten(1))
    assert torch.equal(feature_map(outputs, activation="relu", pooling="average-2x2"), expected)


@pytest.mark.parametrize("name", ["relu", "tanh", "sigmoid"])
def test_a_named_map_is_the_feature_map_without_pooling(name):
    outputs = images()
    expected = feature_map(outputs, activation=name, pooling="none")
    assert torch.equal(getattr(feature_maps, f"{name}_map")(outputs), expected)


def test_zero_rows_stay_zero_and_their_gradients_finite():
    outputs = torch.tensor([[-1.0, -2.0], [3.0, 4.0]], requires_grad=True)
    features = feature_map(outputs, activation="relu", pooling="none")
    features.sum().backward()
    assert features.tolist() == [[0.0, 0.0], [pytest.approx(0.6), pytest.approx(0.8)]]
    assert torch.isfinite(outputs.grad).all()


def test_half_precision_becomes_float32_before_the_norm():
    features = feature_map(images(dtype=torch.bfloat16), activation="relu", pooling="average")
    assert features.dtype == torch.float32
    assert torch.allclose(features.norm(dim=1), torch.ones(5))


def test_double_precision_is_kept():
    assert feature_map(images(dtype=torch.float64), activation="tanh", pooling="none").dtype == torch.float64


def test_flat_outputs_cannot_be_pooled():
    with pytest.raises(ValueError, match=r"needs shape \(n, c, h, w\), got \(5, 7\)"):
        feature_map(torch.zeros(5, 7), activation="relu", pooling="average")


def test_outputs_without_a_batch_are_refused():
    with pytest.raises(ValueError, match=r"got \(7,\)"):
        feature_map(torch.zeros(7), activation="relu", pooling="none")


def test_only_rows_are_scaled():
    with pytest.raises(ValueError, match=r"got \(2, 3, 4\)"):
        unit_norm(torch.zeros(2, 3, 4))


def test_outputs_are_not_changed():
    outputs = images()
    before = outputs.clone()
    feature_map(outputs, activation="relu", pooling="none")
    assert torch.equal(outputs, before)


def test_the_identity_keeps_the_signs_of_outputs():
    outputs = torch.tensor([[3.0, -4.0]])
    assert feature_map(outputs, activation="identity", pooling="none").tolist() == [
        [pytest.approx(0.6), pytest.approx(-0.8)]
    ]
