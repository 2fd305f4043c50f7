import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kernel_methods.feature_maps import feature_map, unit_norm
from kernel_methods.objectives import proxy_objective, same_class_pairs
from kernel_methods.objectives_known import known_pair_objective, two_views, two_views_of_pairs
from kernel_methods.pairs import close, draw_partners, known_of
from tests.kernel_methods import slow_definitions, slow_known
from tests.kernel_methods.drawing import labelled_features
from tests.kernel_methods.test_objectives import ALL, batches

IDEAL = ["alignment", "upper_triangle_alignment", "negative_mean_squared_error"]
TEMPERED = ["contrastive", "contrastive_per_anchor", "contrastive_neo"]
GUESSING = [*IDEAL, "contrastive", "contrastive_per_anchor", "prototype"]
RANGE = {"k_min": -0.25, "k_max": 1.0}


@st.composite
def known_batches(draw):
    """Unit features, what is known of their pairs, closed, and the groups that are known to be of one class."""
    features, labels, _ = draw(labelled_features())
    table = draw_partners(labels, draw(st.integers(1, 7)), np.random.default_rng(draw(st.integers(0, 99))))
    same, known = known_of(close(table), np.arange(len(labels)))
    return unit_norm(torch.from_numpy(features)), same, known, table.groups.tolist()


def slow_arguments(name, temperature):
    ranged = RANGE if name in [*IDEAL, "centred_alignment"] else {}
    lower = {"k_min": RANGE["k_min"]} if name in ["alignment_neo", "negative_mean_squared_error_neo"] else {}
    return ranged | lower | ({"temperature": temperature} if name in [*TEMPERED, "prototype"] else {})


def slow_value(name, batch, **arguments):
    features, same, known, groups = batch
    gram = slow_definitions.kernel(features.numpy())
    return getattr(slow_known, name)(gram, groups if name == "prototype" else same, known, **arguments)


def fast_value(name, batch, **arguments):
    features, same, known, _ = batch
    objective = known_pair_objective(name, **RANGE, **arguments)
    return objective(features, torch.from_numpy(same), torch.from_numpy(known)).item()


@pytest.mark.parametrize("name", [name for name in ALL if name != "centred_alignment"])
@settings(max_examples=15, deadline=None)
@given(known_batches(), st.sampled_from([0.1, 1.0]))
def test_an_objective_on_known_pairs_equals_its_definition(name, batch, temperature):
    expected = slow_value(name, batch, **slow_arguments(name, temperature))
    assert fast_value(name, batch, temperature=temperature) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("seed", range(6))
def test_centred_alignment_of_known_pairs_equals_its_definition(seed):
    draw = np.random.default_rng(seed)
    features, labels = torch.from_numpy(draw.random((18, 7))), draw.integers(0, 3, 18)
    table = draw_partners(labels, 6, draw)
    batch = unit_norm(features), *known_of(close(table), np.arange(18)), table.groups.tolist()
    assert fast_value("centred_alignment", batch) == pytest.approx(slow_value("centred_alignment", batch, **RANGE))


def test_centring_leaves_nothing_of_pairs_without_a_cycle():
    draw = np.random.default_rng(0)
    table = draw_partners(draw.integers(0, 2, 20), 1, draw)
    batch = unit_norm(torch.randn(20, 5)), *known_of(close(table), np.arange(20)), table.groups.tolist()
    assert fast_value("centred_alignment", batch) == 0.0


@pytest.mark.parametrize("name", GUESSING)
@settings(max_examples=15, deadline=None)
@given(known_batches(), st.sampled_from([0.0, 0.1, 1.0]))
def test_a_guess_at_unknown_pairs_equals_its_definition(name, batch, unknown):
    expected = slow_value(name, batch, **slow_arguments(name, 0.2), unknown=unknown)
    assert fast_value(name, batch, unknown=unknown) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("name", [*IDEAL, "contrastive_per_anchor", "prototype"])
@pytest.mark.parametrize("unknown", [None, 0.1])
@settings(max_examples=10, deadline=None)
@given(known_batches(), st.sampled_from([0.1, 0.5]))
def test_smoothing_over_known_pairs_equals_its_definition(name, unknown, batch, smoothing):
    expected = slow_value(name, batch, **slow_arguments(name, 0.2), unknown=unknown, smoothing=smoothing)
    assert fast_value(name, batch, unknown=unknown, smoothing=smoothing) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize(("outputs", "labels"), list(batches()))
def test_with_all_pairs_known_it_is_the_labelled_objective(name, outputs, labels):
    leaves = [outputs.double().clone().requires_grad_() for _ in range(2)]
    features = [feature_map(leaf, activation="tanh", pooling="none") for leaf in leaves]
    same = same_class_pairs(labels)
    labelled = proxy_objective(name, **RANGE)(features[0], labels)
    known = known_pair_objective(name, **RANGE)(features[1], same, torch.ones_like(same))
    gradients = [torch.autograd.grad(value, leaf)[0] for value, leaf in zip((labelled, known), leaves, strict=True)]
    assert known.item() == pytest.approx(labelled.item(), abs=1e-6)
    assert gradients[1].flatten().tolist() == pytest.approx(gradients[0].flatten().tolist(), abs=1e-6)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("unknown", [None, 1.0])
@pytest.mark.parametrize("share", [0.0, 0.2])
@pytest.mark.parametrize(("outputs", "labels"), list(batches()))
def test_value_and_gradients_are_finite_whatever_is_known(name, unknown, share, outputs, labels):
    leaf = outputs.clone().requires_grad_()
    same = same_class_pairs(labels)
    known = torch.rand(same.shape, generator=torch.Generator().manual_seed(0)) < share
    known = known.triu() | known.triu().T
    arguments = RANGE | {"temperature": 0.05, "unknown": unknown if name in [*GUESSING, "centred_alignment"] else None}
    features = feature_map(leaf, activation="relu", pooling="none")
    value = known_pair_objective(name, **arguments)(features, same, known)
    value.backward()
    assert value.shape == ()
    assert torch.isfinite(value)
    assert torch.isfinite(leaf.grad).all()


@pytest.mark.parametrize("name", ALL)
def test_a_gradient_on_known_pairs_is_the_slope_of_the_value(name):
    outputs = torch.randn(9, 4, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    same = same_class_pairs(torch.tensor([0, 0, 0, 1, 1, 1, 2, 2, 3]))
    known = torch.rand(9, 9, generator=torch.Generator().manual_seed(3)) < 0.8
    known = known.triu() | known.triu().T
    objective = known_pair_objective(name, **RANGE)
    torch.autograd.gradcheck(lambda x: objective(unit_norm(x), same, known), outputs.requires_grad_())


@pytest.mark.parametrize("name", ALL)
def test_what_same_says_of_unknown_pairs_changes_nothing(name):
    features = unit_norm(torch.randn(10, 5, generator=torch.Generator().manual_seed(3)))
    same = same_class_pairs(torch.arange(10) % 4)
    known = torch.eye(10, dtype=torch.bool)
    known[:4, :4] = True
    values = [known_pair_objective(name, **RANGE)(features, matrix, known) for matrix in (same, same | ~known)]
    assert torch.equal(*values)


@pytest.mark.parametrize("name", ALL)
def test_nothing_reads_a_value_back_of_known_pairs(name):
    """Under vmap, reading a value and shapes that depend on values both raise."""
    draw = torch.Generator().manual_seed(6)
    features = torch.nn.functional.normalize(torch.randn(3, 8, 4, generator=draw), dim=2)
    same, known = (torch.rand(3, 8, 8, generator=draw) < share for share in (0.3, 0.5))
    objective = known_pair_objective(name, **RANGE)
    each = torch.stack([objective(*batch) for batch in zip(features, same, known, strict=True)])
    assert torch.allclose(torch.vmap(objective)(features, same, known), each, atol=1e-5)


def test_two_views_of_an_image_are_known_to_be_of_one_class():
    same = torch.tensor([[True, False, False], [False, True, False], [False, False, True]])
    known = torch.tensor([[True, True, False], [True, True, False], [False, False, False]])
    views = two_views_of_pairs(same, known)
    assert all(torch.equal(view[:3, 3:], view[:3, :3]) for view in views)
    assert views[0][[0, 1, 2], [3, 4, 5]].all()
    assert views[1][[0, 1, 2], [3, 4, 5]].all()
    assert not views[1][0, 5]


@pytest.mark.parametrize("name", ALL)
def test_two_views_with_labels_need_nothing_new(name):
    draw = torch.Generator().manual_seed(1)
    first, second = (unit_norm(torch.randn(6, 4, generator=draw, dtype=torch.float64)) for _ in range(2))
    labels = torch.arange(6) % 3
    same = same_class_pairs(labels)
    by_labels = proxy_objective(name, **RANGE)(*two_views(first, second, labels))
    pairs = two_views_of_pairs(same, torch.ones_like(same))
    by_pairs = known_pair_objective(name, **RANGE)(torch.cat([first, second]), *pairs)
    assert by_pairs.item() == pytest.approx(by_labels.item(), abs=1e-9)


def test_two_views_of_two_shapes_are_refused():
    with pytest.raises(ValueError, match=r"two views need one shape, got \(2, 3\) and \(3, 3\)"):
        two_views(torch.zeros(2, 3), torch.zeros(3, 3), torch.zeros(2))


@pytest.mark.parametrize(
    ("same", "known"),
    [(torch.eye(3), torch.eye(3).bool()), (torch.eye(3).bool(), torch.eye(4).bool()), (torch.eye(3).bool()[:2],) * 2],
)
def test_known_pairs_must_be_boolean_and_square(same, known):
    with pytest.raises(ValueError, match=r"same and known must be boolean of one shape \(n, n\)"):
        known_pair_objective("raw", **RANGE)(torch.zeros(3, 2), same, known)


def test_a_guess_is_refused_where_it_cannot_be_used_and_out_of_range():
    with pytest.raises(ValueError, match="raw cannot guess at unknown pairs"):
        known_pair_objective("raw", **RANGE, unknown=0.1)
    with pytest.raises(ValueError, match=r"a probability in \[0, 1\], got 1\.5"):
        known_pair_objective("alignment", **RANGE, unknown=1.5)


def test_objectives_that_remember_are_refused():
    with pytest.raises(ValueError, match="prototype_memory remembers earlier batches, by their labels"):
        known_pair_objective("prototype_memory", **RANGE)
