from typing import get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kernel_methods.feature_maps import feature_map, unit_norm
from kernel_methods.kernels import REMEMBERING, SMOOTHABLE, ObjectiveName
from kernel_methods.objective_modules import build_objective
from kernel_methods.objectives import pair_objective, proxy_objective, same_class_pairs
from tests.kernel_methods import slow_definitions, slow_known
from tests.kernel_methods.drawing import labelled_features

ALL = get_args(ObjectiveName)
PLAIN = [name for name in ALL if name not in REMEMBERING]
IDEAL = ["alignment", "upper_triangle_alignment", "negative_mean_squared_error"]
RANGE = {"k_min": -0.25, "k_max": 1.0}
SIZES = {"classes": 4, "features": 5}


def batch(size=12, seed=0):
    features = torch.randn(size, 5, generator=torch.Generator().manual_seed(seed))
    return unit_norm(features), torch.arange(size) % 4


@pytest.mark.parametrize("name", ALL)
def test_every_objective_is_built_by_its_name(name):
    objective = build_objective(name, **RANGE, **SIZES, temperature=0.1, momentum=0.5, memory=20)
    values = [objective(*batch(seed=seed)) for seed in range(2)]
    assert not list(objective.parameters())
    assert bool(objective.state_dict()) == (name in REMEMBERING)
    assert all(value.shape == () and torch.isfinite(value) for value in values)


@pytest.mark.parametrize("name", PLAIN)
def test_an_objective_without_a_memory_is_the_function_of_that_name(name):
    objective = build_objective(name, **RANGE, **SIZES, temperature=0.1)
    assert torch.equal(objective(*batch()), proxy_objective(name, **RANGE, temperature=0.1)(*batch()))


@pytest.mark.parametrize("name", ALL)
def test_raising_a_built_objective_separates_the_classes(name):
    labels = torch.arange(24) % 3
    outputs = torch.randn(24, 8, generator=torch.Generator().manual_seed(1)).add(2.0).requires_grad_()
    objective = build_objective(name, k_min=-0.5, k_max=1.0, classes=3, features=8, memory=48)
    alignment = proxy_objective("centred_alignment", k_min=-0.5, k_max=1.0)
    step = torch.optim.SGD([outputs], lr=1.0)
    before = alignment(unit_norm(outputs.detach()), labels)
    for _ in range(20):
        step.zero_grad()
        (-objective(feature_map(outputs, activation="tanh", pooling="none"), labels)).backward()
        step.step()
    assert alignment(unit_norm(outputs.detach()), labels) > before


@pytest.mark.parametrize("name", sorted(REMEMBERING))
def test_objectives_that_remember_are_no_functions_of_pairs(name):
    with pytest.raises(ValueError, match=f"{name} remembers earlier batches, by their labels: build it with"):
        pair_objective(name, **RANGE)


@pytest.mark.parametrize("name", sorted(SMOOTHABLE - REMEMBERING))
@settings(max_examples=20, deadline=None)
@given(labelled_features(), st.sampled_from([0.1, 0.5, 0.9]))
def test_a_smoothed_objective_equals_its_definition(name, task, smoothing):
    features, labels = torch.from_numpy(task[0]), torch.from_numpy(task[1])
    rows, same = unit_norm(features), same_class_pairs(labels)
    value = build_objective(name, **RANGE, classes=task[2], features=features.shape[1], smoothing=smoothing)
    arguments = RANGE if name in IDEAL else {"temperature": 0.2}
    whole = torch.ones_like(same).tolist()
    told = labels.tolist() if name == "prototype" else same.tolist()
    gram = slow_definitions.kernel(rows)
    expected = getattr(slow_known, name)(gram, told, whole, **arguments, smoothing=smoothing)
    assert value(rows, labels).item() == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("name", sorted(SMOOTHABLE))
def test_smoothing_changes_the_value_and_none_leaves_it(name):
    values = [build_objective(name, **RANGE, **SIZES, smoothing=share)(*batch()) for share in (0.0, 0.2)]
    assert torch.equal(values[0], build_objective(name, **RANGE, **SIZES)(*batch()))
    assert not torch.allclose(*values)


@pytest.mark.parametrize("name", sorted(set(ALL) - SMOOTHABLE))
def test_smoothing_is_refused_where_there_is_no_target(name):
    with pytest.raises(ValueError, match=f"{name} has no targets to smooth"):
        build_objective(name, **RANGE, **SIZES, smoothing=0.1)


@pytest.mark.parametrize("name", ["prototype_momentum", "alignment"])
def test_a_kernel_without_a_range_is_refused(name):
    with pytest.raises(ValueError, match="need finite k_min < k_max"):
        build_objective(name, k_min=1.0, k_max=1.0, **SIZES)


@pytest.mark.parametrize("name", [*sorted(REMEMBERING), "prototype"])
def test_a_built_objective_compiles_whole(name):
    """No part is left to the interpreter, which is where a value read back would show."""
    objective = build_objective(name, **RANGE, **SIZES, memory=20)
    compiled = torch.compile(build_objective(name, **RANGE, **SIZES, memory=20), backend="aot_eager", fullgraph=True)
    for seed in range(2):
        assert torch.allclose(compiled(*batch(seed=seed)), objective(*batch(seed=seed)), atol=1e-6)
