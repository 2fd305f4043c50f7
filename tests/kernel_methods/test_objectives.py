import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from kernel_methods import objectives
from kernel_methods.alignment import score_by_name
from kernel_methods.feature_maps import feature_map, unit_norm
from kernel_methods.objectives import pair_objective, proxy_objective, same_class_pairs
from kernel_methods.statistics import TaskStatistics
from tests.kernel_methods import slow_definitions as slow
from tests.kernel_methods.drawing import RANGES, labelled_features

SCORES = ["alignment", "upper_triangle_alignment", "centred_alignment", "negative_mean_squared_error", "raw"]
TEMPERED = ["contrastive", "contrastive_per_anchor", "prototype", "contrastive_neo"]
NEO = ["alignment_neo", "negative_mean_squared_error_neo", "raw_neo"]
ALL = [*SCORES, *TEMPERED, *NEO]


def tensors(features, labels):
    return unit_norm(torch.from_numpy(features)), torch.from_numpy(labels)


@pytest.mark.parametrize("name", SCORES)
@settings(max_examples=30, deadline=None)
@given(labelled_features(), st.sampled_from(RANGES))
def test_an_objective_that_is_a_score_equals_its_definition_and_the_score(name, task, kernel_range):
    features, labels, classes = task
    k_min, k_max = kernel_range
    value = proxy_objective(name, k_min=k_min, k_max=k_max)(*tensors(features, labels)).item()
    target = slow.ideal(labels.tolist(), k_min=k_min, k_max=k_max)
    assume(slow.tells_pairs_apart(slow.kernel(features)))
    stats = TaskStatistics.of(features, labels, classes=classes)
    assert value == pytest.approx(getattr(slow, name)(slow.kernel(features), target), abs=1e-10)
    assert value == pytest.approx(score_by_name(name, stats, k_min=k_min, k_max=k_max), abs=1e-10)


@pytest.mark.parametrize("name", ["contrastive", "contrastive_per_anchor"])
@settings(max_examples=30, deadline=None)
@given(labelled_features(), st.sampled_from([0.05, 0.2, 1.0]))
def test_a_contrastive_objective_equals_its_definition(name, task, temperature):
    features, labels, _ = task
    value = proxy_objective(name, k_min=0.0, k_max=1.0, temperature=temperature)(*tensors(features, labels))
    expected = getattr(slow, name)(slow.kernel(features), labels, temperature)
    assert value.item() == pytest.approx(expected, abs=1e-10)


@settings(max_examples=30, deadline=None)
@given(labelled_features(), st.sampled_from([0.1, 1.0]))
def test_the_prototype_objective_equals_its_definition(task, temperature):
    rows, labels = tensors(*task[:2])
    value = proxy_objective("prototype", k_min=0.0, k_max=1.0, temperature=temperature)(rows, labels)
    assert value.item() == pytest.approx(slow.prototype(rows.numpy(), task[1], temperature), abs=1e-10)


@settings(max_examples=30, deadline=None)
@given(labelled_features(), st.sampled_from([-1.0, -0.25, 0.1]))
def test_neo_objectives_equal_their_definitions(task, k_min):
    features, labels, _ = task
    gram = slow.kernel(features)
    expected = {
        "alignment_neo": slow.alignment_neo(gram, labels, k_min),
        "negative_mean_squared_error_neo": slow.negative_mean_squared_error_neo(gram, labels, k_min),
        "raw_neo": slow.raw_neo(gram, labels),
        "contrastive_neo": slow.contrastive_neo(gram, labels, 0.2),
    }
    for name, value in expected.items():
        found = proxy_objective(name, k_min=k_min, k_max=1.0)(*tensors(features, labels))
        assert found.item() == pytest.approx(value, abs=1e-10), name


def batches():
    draw = torch.Generator().manual_seed(0)
    outputs = torch.randn(12, 6, generator=draw)
    labels = torch.arange(12) % 3
    yield pytest.param(outputs, labels, id="three-classes")
    yield pytest.param(outputs, torch.zeros(12, dtype=torch.long), id="one-class")
    yield pytest.param(outputs, torch.arange(12), id="no-same-pair")
    yield pytest.param(-outputs.abs(), labels, id="features-of-zeros")
    yield pytest.param(outputs[:1].expand(12, 6).clone(), labels, id="equal-features")
    yield pytest.param(torch.cat([outputs[:6], -outputs[:6].abs()]), labels, id="some-zero-rows")
    yield pytest.param(outputs[:1], labels[:1], id="one-example")
    yield pytest.param(outputs[:3], labels[:3], id="three-examples")


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize(("outputs", "labels"), list(batches()))
def test_value_and_gradients_are_finite_on_every_batch(name, activation, outputs, labels):
    leaf = outputs.clone().requires_grad_()
    features = feature_map(leaf, activation=activation, pooling="none")
    value = proxy_objective(name, k_min=-0.5, k_max=1.0, temperature=0.05)(features, labels)
    value.backward()
    assert value.shape == ()
    assert torch.isfinite(value)
    assert leaf.grad is not None
    assert torch.isfinite(leaf.grad).all()


@pytest.mark.parametrize("name", ALL)
def test_raising_an_objective_separates_the_classes(name):
    labels = torch.arange(24) % 3
    outputs = torch.randn(24, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    outputs = (outputs + 2.0).requires_grad_()
    objective = proxy_objective(name, k_min=-0.5, k_max=1.0)
    step = torch.optim.SGD([outputs], lr=1.0)
    values = []
    for _ in range(20):
        value = objective(feature_map(outputs, activation="tanh", pooling="none"), labels)
        values.append(value.item())
        step.zero_grad()
        (-value).backward()
        step.step()
    assert values[-1] > values[0]


@pytest.mark.parametrize("name", ALL)
def test_a_gradient_is_the_slope_of_the_value(name):
    outputs = torch.randn(9, 4, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    labels = torch.tensor([0, 0, 0, 1, 1, 1, 2, 2, 3])
    objective = proxy_objective(name, k_min=-0.5, k_max=1.0)
    torch.autograd.gradcheck(lambda x: objective(unit_norm(x), labels), outputs.requires_grad_())


@pytest.mark.parametrize("name", ALL)
def test_pairs_alone_say_as_much_as_labels(name):
    features = unit_norm(torch.randn(10, 5, generator=torch.Generator().manual_seed(3)))
    labels = torch.arange(10) % 4
    by_labels = proxy_objective(name, k_min=-1.0, k_max=1.0)(features, labels)
    by_pairs = pair_objective(name, k_min=-1.0, k_max=1.0)(features, same_class_pairs(labels))
    assert torch.equal(by_labels, by_pairs)


@pytest.mark.parametrize("name", ["contrastive", "contrastive_per_anchor"])
def test_no_same_class_pair_is_worth_zero(name):
    features = unit_norm(torch.randn(6, 4, generator=torch.Generator().manual_seed(4)))
    assert proxy_objective(name, k_min=0.0, k_max=1.0)(features, torch.arange(6)).item() == 0.0


@pytest.mark.parametrize("name", [*NEO, "contrastive_neo"])
def test_no_different_class_pair_is_worth_zero(name):
    features = unit_norm(torch.randn(6, 4, generator=torch.Generator().manual_seed(4)))
    labels = torch.zeros(6, dtype=torch.long)
    assert proxy_objective(name, k_min=-1.0, k_max=1.0)(features, labels).item() == 0.0


def test_alignment_neo_says_that_it_is_undefined_for_k_min_zero():
    with pytest.raises(ValueError, match="alignment_neo is undefined for k_min = 0"):
        proxy_objective("alignment_neo", k_min=0.0, k_max=1.0)
    with pytest.raises(ValueError, match="alignment_neo is undefined for k_min = 0"):
        objectives.alignment_neo(torch.eye(3), torch.eye(3, dtype=torch.bool), k_min=0.0)


def test_a_temperature_of_zero_is_refused():
    with pytest.raises(ValueError, match=r"temperature must be above 0, got 0\.0"):
        proxy_objective("contrastive", k_min=0.0, k_max=1.0, temperature=0.0)


def test_the_ideal_gram_matrix_holds_k_max_within_and_k_min_across_classes():
    ideal = objectives.ideal_gram_matrix(torch.tensor([0, 1, 0]), k_min=-1.0, k_max=1.0)
    assert ideal.tolist() == [[1.0, -1.0, 1.0], [-1.0, 1.0, -1.0], [1.0, -1.0, 1.0]]
    assert ideal.dtype == torch.float32


def test_labels_of_two_axes_are_refused():
    with pytest.raises(ValueError, match=r"labels must have shape \(n,\), got \(3, 1\)"):
        objectives.ideal_gram_matrix(torch.zeros(3, 1), k_min=0.0, k_max=1.0)


@pytest.mark.parametrize("same", [torch.zeros(3, 2, dtype=torch.bool), torch.eye(3)])
def test_pairs_must_be_a_square_boolean_matrix(same):
    with pytest.raises(ValueError, match="same must be boolean of shape"):
        objectives.ideal_of_pairs(same, k_min=0.0, k_max=1.0)


def test_the_gram_matrix_stays_in_float32_under_autocast():
    features = unit_norm(torch.randn(8, 16, generator=torch.Generator().manual_seed(5)))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        gram = objectives.gram(features)
        value = proxy_objective("prototype", k_min=0.0, k_max=1.0)(features, torch.arange(8) % 2)
    assert gram.dtype == torch.float32
    assert torch.equal(gram, features @ features.T)
    assert value.dtype == torch.float32


@pytest.mark.parametrize("name", ALL)
def test_nothing_reads_a_value_back(name):
    """Under vmap, reading a value and shapes that depend on values both raise."""
    draw = torch.Generator().manual_seed(6)
    features = torch.nn.functional.normalize(torch.randn(3, 8, 4, generator=draw), dim=2)
    labels = torch.randint(0, 3, (3, 8), generator=draw)
    objective = proxy_objective(name, k_min=-1.0, k_max=1.0)
    each = torch.stack([objective(*batch) for batch in zip(features, labels, strict=True)])
    assert torch.allclose(torch.vmap(objective)(features, labels), each, atol=1e-5)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", ALL)
def test_a_gpu_gives_the_value_of_the_cpu_without_a_synchronisation(name):
    draw = np.random.default_rng(0)
    features, labels = tensors(draw.random((32, 8)), draw.integers(0, 4, 32))
    objective = proxy_objective(name, k_min=-1.0, k_max=1.0)
    there = features.cuda(), labels.cuda()
    torch.cuda.set_sync_debug_mode("error")
    try:
        value = objective(*there)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert value.item() == pytest.approx(objective(features, labels).item(), abs=1e-10)
