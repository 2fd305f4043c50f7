"""The truth that rankings are compared with: what a linear probe reaches on test images, with thousands of labels."""

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.ranking_zoo import TASKS, Classes, Zoo, relabel

Floats = NDArray[np.float64]

STRENGTHS = (1e-1, 1e-2, 1e-3, 1e-4)
STEPS = 60


def truth_of(zoo: Zoo, tasks: Mapping[str, Classes] = TASKS) -> Floats:
    """Test accuracy of a probe for every module and task. Shape (modules, tasks)."""
    reached = np.zeros((len(zoo.names), len(tasks)))
    for column, classes in enumerate(tasks.values()):
        labels = [relabel(part, classes) for part in zoo.labels[1:]]
        rows = [np.flatnonzero(part >= 0) for part in labels]
        targets = [torch.from_numpy(part[chosen]) for part, chosen in zip(labels, rows, strict=True)]
        for row, parts in enumerate(zoo.features):
            features = [torch.from_numpy(part[chosen]) for part, chosen in zip(parts[1:], rows, strict=True)]
            reached[row, column] = probe(features[0], targets[0], features[1], targets[1])
    return reached


def probe(features: Tensor, labels: Tensor, test_features: Tensor, test_labels: Tensor) -> float:
    """Test accuracy of multinomial logistic regression whose penalty is chosen on a quarter held back.

    Features are centred and divided by one number, which leaves the module's own geometry.
    """
    mean = features.mean(dim=0)
    scale = (features - mean).pow(2).mean().sqrt().clamp_min(1e-6)
    features, test_features = (features - mean) / scale, (test_features - mean) / scale
    kept, weights = len(labels) * 3 // 4, torch.zeros(int(labels.max()) + 1, features.shape[1] + 1)
    found: list[tuple[float, float, Tensor]] = []
    for strength in STRENGTHS:
        weights = _fitted(features[:kept], labels[:kept], weights, strength)
        found.append((_accuracy(weights, features[kept:], labels[kept:]), strength, weights))
    _, strength, weights = max(found, key=lambda each: each[0])
    return _accuracy(_fitted(features, labels, weights, strength), test_features, test_labels)


def _fitted(features: Tensor, labels: Tensor, start: Tensor, strength: float) -> Tensor:
    weights = start.clone().requires_grad_()
    optimiser = torch.optim.LBFGS(
        [weights], max_iter=STEPS, history_size=10, line_search_fn="strong_wolfe", tolerance_grad=1e-4
    )

    def closure() -> Tensor:
        optimiser.zero_grad()
        loss = torch.nn.functional.cross_entropy(features @ weights[:, :-1].T + weights[:, -1], labels)
        loss = loss + 0.5 * strength * weights[:, :-1].pow(2).sum()
        torch.autograd.backward(loss)
        return loss

    optimiser.step(closure)  # type: ignore[no-untyped-call]
    return weights.detach()


def _accuracy(weights: Tensor, features: Tensor, labels: Tensor) -> float:
    guesses = (features @ weights[:, :-1].T + weights[:, -1]).argmax(dim=1)
    return float((guesses == labels).float().mean())


def kept_truth(zoo: Zoo, *, name: str, tasks: Mapping[str, Classes] = TASKS) -> Floats:
    """The truth from the folder ZOO_BENCH_KEEP, found and kept there where it is not yet."""
    if "ZOO_BENCH_KEEP" not in os.environ:
        return truth_of(zoo, tasks)
    path = Path(os.environ["ZOO_BENCH_KEEP"]) / f"{name}.npy"
    if not path.exists():
        np.save(path, truth_of(zoo, tasks))
    return np.asarray(np.load(path))
