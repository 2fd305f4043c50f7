"""Linear probe: the accuracy of multinomial logistic regression on the features, by cross-validation.

A reference that needs the features themselves. In each fold the features are standardised by the training part and
turned onto its principal axes, which changes no solution (the penalty is the same in all directions) and makes the
optimiser's life short: on these axes the curvature is nearly diagonal. At most min(n, d) axes are kept, and constant
features fall away. The strength of the penalty is chosen within the training part, from strong to weak, each fit
starting where the last one ended, until the held-out loss rises.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import log_softmax

from kernel_methods.estimators.examples import Integers, labels_present
from kernel_methods.rows import Floats

STRENGTHS = (1.0, 0.1, 0.01, 0.001, 0.0001)
"""Half of it times the squared weights of standardised features is added to the mean loss."""

PARTS_TO_CHOOSE = 5
"""One part of so many of the training examples is held out to choose the strength."""

ROUNDING = 1e-9
STEPS = 100
CLOSE_ENOUGH = 1e-6


def probe_accuracy(
    features: NDArray[np.floating], labels: NDArray[np.integer], *, folds: int = 5, generator: np.random.Generator
) -> float:
    """Share of examples that logistic regression, fitted to the other folds, puts in their class.

    Folds are random and every class is spread over them evenly; an example whose class has no other is put wrong. Each
    step of a fit costs 4 n min(n, d) C operations.

    Args:
        features: shape (n, d).
        labels: class index of every example. Shape (n,), integer.
        folds: number of folds, at least 2; n // 2 where that is less.
        generator: deals the examples to the folds.

    Returns:
        In [0, 1]; larger is better.

    Raises:
        ValueError: shapes do not match, a feature is not finite, ``folds`` is below 2, there are fewer than four
            examples, or fewer than two classes have examples.

    Source:
        Alain, Bengio (2017), Understanding Intermediate Layers Using Linear Classifier Probes; the penalty as in
        Hastie, Tibshirani, Friedman (2009), The Elements of Statistical Learning, section 4.4.
    """
    if folds < 2:
        raise ValueError(f"need at least 2 folds, got {folds}")
    renumbered, classes = labels_present(features, labels)
    if len(labels) < 4:
        raise ValueError(f"undefined: a probe needs 4 examples, got {len(labels)}")
    if not np.all(np.isfinite(features)):
        raise ValueError("features must be finite")
    rows = features.astype(np.float64)
    folds = min(folds, len(labels) // 2)
    fold = _dealt(renumbered, parts=folds, generator=generator)
    right = 0
    for part in range(folds):
        train, test = fold != part, fold == part
        axes = _Axes.of(rows[train])
        weights = _chosen(axes.turned(rows[train]), renumbered[train], axes.spectrum, classes, generator)
        right += int(np.sum(np.argmax(_logits(axes.turned(rows[test]), weights), axis=1) == renumbered[test]))
    return right / len(labels)


@dataclass(frozen=True, slots=True, eq=False)
class _Axes:
    """Principal axes of standardised rows: mean (d,), rotation (d, r) and the variance along each axis (r,)."""

    mean: Floats
    rotation: Floats
    spectrum: Floats

    @classmethod
    def of(cls, rows: Floats) -> Self:
        """The axes along which ``rows``, shape (n, d), vary; none where all rows are the same."""
        mean, deviation = rows.mean(axis=0), rows.std(axis=0)
        varies = deviation > ROUNDING * np.abs(rows).max(axis=0)
        scale = np.where(varies, 1.0 / np.where(varies, deviation, 1.0), 0.0)
        standard = (rows - mean) * scale
        values, axes = _principal(standard)
        kept = values > ROUNDING * max(1.0, values[-1])
        return cls(mean, scale[:, None] * axes[:, kept], values[kept])

    def turned(self, rows: Floats) -> Floats:
        """Rows (n, d) on these axes: shape (n, r)."""
        return (rows - self.mean) @ self.rotation


def _principal(standard: Floats) -> tuple[Floats, Floats]:
    """Variances, rising, and unit axes as columns, from whichever of the two sides of ``standard`` is smaller."""
    n, dimensions = standard.shape
    if n >= dimensions:
        values, axes = np.linalg.eigh(standard.T @ standard / n)
        return values, axes
    values, sides = np.linalg.eigh(standard @ standard.T / n)
    lengths = np.sqrt(n * np.maximum(values, ROUNDING))
    return values, (standard.T @ sides) / lengths


def _dealt(labels: Integers, *, parts: int, generator: np.random.Generator) -> Integers:
    """A part for every example, in random order within a class, one class after the other: shape (n,) to (n,)."""
    order = generator.permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]
    dealt = np.empty(len(labels), np.int64)
    dealt[order] = np.arange(len(labels)) % parts
    return dealt


def _chosen(rows: Floats, labels: Integers, spectrum: Floats, classes: int, generator: np.random.Generator) -> Floats:
    """Weights fitted to all rows (n, r) at the strength that does best on a held-out part of them: (r + 1, C)."""
    held = _dealt(labels, parts=PARTS_TO_CHOOSE, generator=generator) == PARTS_TO_CHOOSE // 2
    known = held & np.isin(labels, labels[~held])
    start = best = np.zeros((rows.shape[1] + 1, classes))
    lowest, chosen = np.inf, STRENGTHS[0]
    for strength in STRENGTHS if known.any() else ():
        start = _fitted(rows[~held], labels[~held], spectrum, strength=strength, start=start)
        loss = _loss(_logits(rows[known], start), labels[known])
        if loss >= lowest:
            break
        lowest, chosen, best = loss, strength, start
    return _fitted(rows, labels, spectrum, strength=chosen, start=best)


def _fitted(rows: Floats, labels: Integers, spectrum: Floats, *, strength: float, start: Floats) -> Floats:
    """Weights and, in the last row, offsets that minimise mean loss and penalty: shape (r + 1, C)."""
    classes = start.shape[1]
    scale = np.append(1.0 / np.sqrt(spectrum / classes + strength), np.sqrt(classes))[:, None]
    scaled = np.column_stack([rows, np.ones(len(rows))]) * scale.T
    penalty = strength * scale**2
    penalty[-1] = 0.0
    targets = np.eye(classes)[labels]

    def objective(flat: Floats) -> tuple[float, Floats]:
        weights = flat.reshape(start.shape)
        logs = log_softmax(scaled @ weights, axis=1)
        gradient = scaled.T @ (np.exp(logs) - targets) / len(rows) + penalty * weights
        loss = -np.vdot(logs, targets) / len(rows) + 0.5 * np.vdot(penalty * weights, weights)
        return float(loss), gradient.ravel()

    first = np.asarray(start / scale, np.float64).ravel()
    found = minimize(
        objective,
        first,
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": STEPS, "ftol": CLOSE_ENOUGH, "gtol": CLOSE_ENOUGH},
    )
    return np.asarray(found.x.reshape(start.shape) * scale)


def _logits(rows: Floats, weights: Floats) -> Floats:
    return np.asarray(rows @ weights[:-1] + weights[-1])


def _loss(logits: Floats, labels: Integers) -> float:
    return -float(log_softmax(logits, axis=1)[np.arange(len(labels)), labels].mean())
