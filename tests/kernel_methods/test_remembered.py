import io

import pytest
import torch
from safetensors.torch import load, save

from kernel_methods.feature_maps import feature_map, unit_norm
from kernel_methods.objectives import proxy_objective
from kernel_methods.remembered import FeatureMemory, MomentumPrototype, RememberedContrastive
from tests.kernel_methods import slow_remembered as slow
from tests.kernel_methods.test_objectives import batches

CLASSES, FEATURES = 12, 6


def stream(steps=5, size=7, seed=0):
    """Batches of unit features and labels; the later classes come late."""
    draw = torch.Generator().manual_seed(seed)
    for step in range(steps):
        features = torch.randn(size, FEATURES, generator=draw, dtype=torch.float64)
        yield unit_norm(features), torch.randint(0, 2 + step, (size,), generator=draw)


def modules(smoothing=0.0, memory=10):
    shared = {"features": FEATURES, "temperature": 0.3, "smoothing": smoothing}
    yield "momentum", MomentumPrototype(classes=CLASSES, momentum=0.8, **shared)
    yield "contrastive", RememberedContrastive(memory=memory, **shared)
    yield "prototype", RememberedContrastive(memory=memory, classes=CLASSES, **shared)


ALL = [pytest.param(index, id=name) for index, (name, _) in enumerate(modules())]


def module(index, **options):
    return list(modules(**options))[index][1]


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_a_prototype_with_momentum_equals_its_definition(smoothing):
    fast, remembered = module(0, smoothing=smoothing).double(), {}
    for features, labels in stream():
        rows = features.tolist()
        remembered = slow.blended(slow.means_by_class(rows, labels.tolist()), remembered, 0.8)
        expected = slow.against_means(rows, labels.tolist(), remembered, temperature=0.3, smoothing=smoothing)
        assert fast(features, labels).item() == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize("memory", [4, 10, 100])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_a_contrastive_objective_with_a_memory_equals_its_definition(smoothing, memory):
    fast, kept = module(1, smoothing=smoothing, memory=memory).double(), []
    for features, labels in stream():
        rows, names = features.tolist(), labels.tolist()
        expected = slow.against_keys(rows, names, kept, temperature=0.3, smoothing=smoothing)
        assert fast(features, labels).item() == pytest.approx(expected, abs=1e-10)
        kept = [*kept, *zip(rows, names, strict=True)][-memory:]


@pytest.mark.parametrize("memory", [4, 10, 100])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_a_prototype_with_a_memory_equals_its_definition(smoothing, memory):
    fast, kept = module(2, smoothing=smoothing, memory=memory).double(), []
    for features, labels in stream():
        rows, names = features.tolist(), labels.tolist()
        everything = [*zip(rows, names, strict=True), *kept]
        means = slow.means_by_class([row for row, _ in everything], [label for _, label in everything])
        expected = slow.against_means(rows, names, means, temperature=0.3, smoothing=smoothing)
        assert fast(features, labels).item() == pytest.approx(expected, abs=1e-10)
        kept = [*kept, *zip(rows, names, strict=True)][-memory:]


@pytest.mark.parametrize(("index", "name"), [(0, "prototype"), (1, "contrastive_per_anchor"), (2, "prototype")])
@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_the_first_batch_is_worth_what_it_is_without_a_memory(index, name, smoothing):
    features, labels = next(stream(size=20))
    plain = proxy_objective(name, k_min=0.0, k_max=1.0, temperature=0.3, smoothing=smoothing)(features, labels)
    value = module(index, smoothing=smoothing).double()(features, labels)
    assert value.item() == pytest.approx(plain.item(), abs=1e-10)


@pytest.mark.parametrize("index", ALL)
def test_a_gradient_flows_through_the_batch_alone_and_is_the_slope_of_the_value(index):
    objective = module(index).double()
    for features, labels in stream(steps=3):
        objective(features, labels)
    objective.eval()
    features, labels = list(stream(steps=4, seed=1))[3]
    torch.autograd.gradcheck(lambda x: objective(unit_norm(x), labels), features.requires_grad_())
    assert not any(buffer.requires_grad for buffer in objective.buffers())


@pytest.mark.parametrize("index", ALL)
def test_the_memory_may_change_before_the_gradient_is_taken(index):
    objective = module(index)
    for features, labels in stream(steps=3):
        leaf = features.float().requires_grad_()
        value = objective(leaf, labels)
        objective(features.float(), labels)
        value.backward()
        assert torch.isfinite(leaf.grad).all()


@pytest.mark.parametrize("index", ALL)
@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize(("outputs", "labels"), list(batches()))
def test_value_and_gradients_are_finite_on_every_batch(index, activation, outputs, labels):
    objective = module(index, smoothing=0.1, memory=15)
    for _ in range(3):
        leaf = outputs.clone().requires_grad_()
        value = objective(feature_map(leaf, activation=activation, pooling="none"), labels)
        value.backward()
        assert value.shape == ()
        assert torch.isfinite(value)
        assert torch.isfinite(leaf.grad).all()
        assert all(torch.isfinite(buffer).all() for buffer in objective.buffers())


@pytest.mark.parametrize("index", ALL)
def test_a_module_goes_on_from_its_state_as_if_undisturbed(index):
    undisturbed, interrupted = module(index), module(index)
    steps = [(features.float(), labels) for features, labels in stream(steps=6)]
    for batch in steps[:3]:
        undisturbed(*batch)
        interrupted(*batch)
    resumed = module(index)
    resumed.load_state_dict(load(io.BytesIO(save(interrupted.state_dict())).getvalue()))
    for batch in steps[3:]:
        assert torch.equal(undisturbed(*batch), resumed(*batch))


@pytest.mark.parametrize("index", ALL)
def test_nothing_is_remembered_in_evaluation_nor_written_to_the_arguments(index):
    objective = module(index).eval()
    before = {name: value.clone() for name, value in objective.state_dict().items()}
    features, labels = next(stream())
    objective(features.float(), labels)
    assert all(torch.equal(value, before[name]) for name, value in objective.state_dict().items())


@pytest.mark.parametrize("index", ALL)
def test_values_are_float32_under_autocast(index):
    objective = module(index)
    for features, labels in stream(steps=2):
        plain = module(index)
        plain.load_state_dict(objective.state_dict())
        with torch.autocast("cpu", dtype=torch.bfloat16):
            value = objective(features.float(), labels)
        assert value.dtype == torch.float32
        assert torch.equal(value, plain(features.float(), labels))
        assert objective(features.bfloat16(), labels).dtype == torch.float32


def test_a_memory_keeps_the_last_features_in_a_ring():
    memory = FeatureMemory(places=4, features=1)
    for start in range(0, 6, 2):
        memory.remember(torch.tensor([[float(start)], [start + 1.0]]), torch.tensor([start, start + 1]))
    assert memory.kept.flatten().tolist() == [4.0, 5.0, 2.0, 3.0]
    memory.remember(torch.arange(10.0)[:, None], torch.arange(10))
    assert sorted(memory.kept_labels.tolist()) == [6, 7, 8, 9]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("index", ALL)
def test_a_gpu_gives_the_values_of_the_cpu_without_a_synchronisation(index):
    here, there = module(index).double(), module(index).double().cuda()
    for features, labels in stream():
        batch = features.cuda(), labels.cuda()
        torch.cuda.set_sync_debug_mode("error")
        try:
            value = there(*batch)
        finally:
            torch.cuda.set_sync_debug_mode("default")
        assert value.item() == pytest.approx(here(features, labels).item(), abs=1e-10)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: MomentumPrototype(classes=2, features=2, momentum=1.0), r"momentum must be in \[0, 1\), got 1\.0"),
        (lambda: MomentumPrototype(classes=0, features=2), "classes must be at least 1, got 0"),
        (lambda: MomentumPrototype(classes=2, features=2, temperature=0.0), r"temperature must be above 0, got 0\.0"),
        (lambda: RememberedContrastive(features=2, memory=0), "memory must be at least 1, got 0"),
        (lambda: RememberedContrastive(features=2, smoothing=1.0), r"smoothing must be in \[0, 1\), got 1\.0"),
    ],
)
def test_a_setting_out_of_its_range_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
