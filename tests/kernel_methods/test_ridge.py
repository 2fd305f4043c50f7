import numpy as np
import pytest
import torch

from kernel_methods.feature_maps import unit_norm
from kernel_methods.objectives import gram, proxy_objective, same_class_pairs
from kernel_methods.objectives_known import known_pair_objective
from kernel_methods.ridge import CHANCE, RIDGE_SHARE, ridge

TEMPERATURE = 0.1


def features_of(n: int, d: int = 6, seed: int = 0) -> torch.Tensor:
    return unit_norm(torch.rand(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64))


def slow_ridge(features: np.ndarray, labels: list[int]) -> float:
    """Each example left out in turn: a ridge regression of the others onto each class, all centred by the batch."""
    n = len(labels)
    centred = features - features.mean(axis=0)
    kernel = centred @ centred.T
    classes = sorted(set(labels))
    members = np.array([[float(label == of) for of in classes] for label in labels])
    targets = members - members.mean(axis=0)
    apart = members.mean(axis=0) - 1 / len(classes)
    by_chance = (1 - 1 / len(classes)) / n
    uneven = apart * max(0.0, 1 - CHANCE * by_chance / max((apart**2).sum(), 1e-12))
    total = 0.0
    for i in range(n):
        others = [j for j in range(n) if j != i]
        solved = np.linalg.solve(kernel[np.ix_(others, others)] + RIDGE_SHARE * n * np.eye(n - 1), targets[others])
        scores = (uneven + kernel[i, others] @ solved) / TEMPERATURE
        total += scores[classes.index(labels[i])] - np.log(np.exp(scores).sum())
    return total / n


@pytest.mark.parametrize("labels", [[0, 1, 0, 1, 2, 2, 1], [0, 0, 0, 1], [3, 1, 2, 0, 4, 5], [0, 1], [0] * 18 + [1, 2]])
def test_ridge_equals_leaving_each_example_out_in_turn(labels):
    features = features_of(len(labels))
    fast = ridge(gram(features), same_class_pairs(torch.tensor(labels)), temperature=TEMPERATURE)
    assert fast.item() == pytest.approx(slow_ridge(features.numpy(), labels), abs=1e-10)


def test_one_class_gives_zero():
    same = torch.ones(5, 5, dtype=torch.bool)
    assert ridge(gram(features_of(5)), same, temperature=TEMPERATURE).item() == pytest.approx(0.0, abs=1e-12)


def test_features_that_tell_classes_apart_are_worth_more():
    labels = torch.arange(60) % 3
    told = unit_norm(torch.nn.functional.one_hot(labels, 6).double() + 0.1 * features_of(60))
    same = same_class_pairs(labels)
    assert ridge(gram(told), same, temperature=0.1) > ridge(gram(features_of(60)), same, temperature=0.1) + 0.5


@pytest.mark.parametrize("features", [torch.zeros(6, 4), torch.ones(6, 4) / 2], ids=["zeros", "all equal"])
def test_gradients_stay_finite_where_features_say_nothing(features):
    leaf = features.clone().requires_grad_()
    value = proxy_objective("ridge", k_min=0.0, k_max=1.0, temperature=0.1)(leaf, torch.tensor([0, 0, 1, 1, 2, 2]))
    value.backward()
    assert torch.isfinite(value)
    assert torch.isfinite(leaf.grad).all()


def test_all_pairs_known_is_the_labelled_objective():
    labels = torch.tensor([0, 1, 1, 0, 2, 2, 0])
    features, same = features_of(7), same_class_pairs(labels)
    of_known = known_pair_objective("ridge", k_min=0.0, k_max=1.0, temperature=0.1)
    labelled = proxy_objective("ridge", k_min=0.0, k_max=1.0, temperature=0.1)(features, labels)
    assert of_known(features, same, torch.ones_like(same)).item() == pytest.approx(labelled.item(), abs=1e-12)


def test_nothing_known_gives_zero_and_finite_gradients():
    leaf = features_of(5).requires_grad_()
    nothing = torch.zeros(5, 5, dtype=torch.bool)
    value = known_pair_objective("ridge", k_min=0.0, k_max=1.0, temperature=0.1)(leaf, nothing, nothing)
    value.backward()
    assert value.item() == 0.0
    assert torch.isfinite(leaf.grad).all()


@pytest.mark.parametrize("small", [2, 10, 50])
def test_features_that_tell_all_are_near_the_best_however_unbalanced_the_classes(small):
    labels = (torch.arange(100) < small).long()
    told = torch.nn.functional.one_hot(labels, 2).double()
    assert ridge(gram(told), same_class_pairs(labels), temperature=TEMPERATURE).item() > -0.05
