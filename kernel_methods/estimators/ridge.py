"""Ridge regression of the class indicators on the features, from statistics: how much of them it predicts.

Both scores are one minus the squared error of predicting "is of class c" for all classes together, over the squared
error of predicting each class's share: 1 for a perfect prediction, about 0, or below, where features say nothing.
`ridge_gcv` estimates the error on new examples by generalised cross-validation, in one decomposition; `ridge` measures
it on parts that were held out. Both choose the strength of the ridge that does best, of a grid that is relative to the
trace of the centred second moment, so that modules of all widths and scales are judged alike.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.linalg.lapack import dtrtri

from kernel_methods.kernel_sums import check_two_classes
from kernel_methods.rows import symmetric
from kernel_methods.statistics import Floats, TaskStatistics, merge

WEAKEST, A_DECADE = 1e-5, 4
"""The first strength that is tried, as a share of the trace of the centred second moment, and how many in a decade."""

STRONGEST, STRONGEST_OF_FEW = 0.1, 5.0
"""The last one, or this over n where examples are fewer than 50.

What is fitted with a share of the trace has fewer degrees of freedom than one over that share: ten, or n / 5. Stronger
ones rank no better, and where nothing is to be learnt they make a score of exactly nothing, whose doubt no resampling
can tell (decision 18).
"""

FOLDS = 5
FEWEST_EXAMPLES = 4
FLAT = 1e-12
LEAST_LEFT = 0.01
"""Strengths that leave less than this share of the examples' freedom are passed over: they interpolate."""


def shares_for(examples: float) -> Floats:
    """Strengths that are tried on so many examples, as shares of the trace of the centred second moment, ascending."""
    strongest = max(STRONGEST, STRONGEST_OF_FEW / examples)
    return WEAKEST * 10.0 ** (np.arange(round(np.log10(strongest / WEAKEST) * A_DECADE) + 1) / A_DECADE)


@dataclass(frozen=True, slots=True, eq=False)
class Regression:
    """A task in the form in which ridge regression is solved.

    Args:
        counts: examples of each class. Shape (C,).
        mean: mean feature. Shape (d,).
        second_moment: of the centred features. Shape (d, d).
        class_sums: of the centred features. Shape (C, d).
    """

    counts: Floats
    mean: Floats
    second_moment: Floats
    class_sums: Floats

    @classmethod
    def of(cls, stats: TaskStatistics) -> Self:
        """Centred statistics. Raises ValueError: fewer than two classes have examples, or fewer than four examples."""
        counts = stats.counts.astype(np.float64)
        check_two_classes(counts)
        n = counts.sum()
        if n < FEWEST_EXAMPLES:
            raise ValueError(f"undefined: ridge regression needs {FEWEST_EXAMPLES} examples, got {n:.0f}")
        mean = stats.class_sums.sum(axis=0) / n
        moment = symmetric(stats.second_moment - n * np.outer(mean, mean))
        return cls(counts, mean, moment, stats.class_sums - np.outer(counts, mean))

    @property
    def examples(self) -> float:
        """Number of examples n."""
        return float(self.counts.sum())

    @property
    def trace(self) -> float:
        """Trace of the centred second moment; 0 where it is no more than rounding."""
        trace = float(np.trace(self.second_moment))
        return trace if trace > FLAT * self.examples else 0.0

    @property
    def spread(self) -> float:
        """Squared deviation of the class indicators from the classes' shares: what there is to predict."""
        return self.examples - float(self.counts @ self.counts) / self.examples


@dataclass(frozen=True, slots=True, eq=False)
class RidgePath:
    """All that the score of every strength needs: one eigendecomposition, whatever the labels.

    Args:
        regression: the task.
        eigenvalues: of the centred second moment, those above rounding. Shape (r,).
        directions: their eigenvectors. Shape (d, r).
    """

    regression: Regression
    eigenvalues: Floats
    directions: Floats

    @classmethod
    def of(cls, stats: TaskStatistics) -> Self:
        """The path of a task. Raises ValueError as `Regression.of`."""
        regression = Regression.of(stats)
        if regression.trace == 0.0:
            return cls(regression, np.empty(0), np.empty((stats.dimensions, 0)))
        eigenvalues, directions = np.linalg.eigh(regression.second_moment)
        kept = eigenvalues > FLAT * regression.trace
        return cls(regression, eigenvalues[kept], directions[:, kept])

    @property
    def shares(self) -> Floats:
        """The strengths. Shape (s,)."""
        return shares_for(self.regression.examples)

    def kept(self, shares: Floats) -> Floats:
        """Share of each direction that every strength leaves. Shape (s, r)."""
        strengths = shares[:, None] * self.eigenvalues.sum()
        return np.asarray(self.eigenvalues / (self.eigenvalues + strengths))

    def scores(self, class_sums: Floats) -> Floats:
        """The score of every strength, for the true labels or shuffled ones.

        Args:
            class_sums: of the centred features, under any labels with the same counts. Shape (..., C, d).

        Returns:
            Shape (..., s).
        """
        projected = class_sums @ self.directions
        explained = (projected**2).sum(axis=-2) / self.eigenvalues
        kept = self.kept(self.shares)
        missed = self.regression.spread - explained @ (2.0 * kept - kept**2).T
        left = 1.0 - (kept.sum(axis=1) + 1.0) / self.regression.examples
        usable = left > LEAST_LEFT
        return np.where(usable, score_of_error(missed, np.where(usable, left, 1.0), self.regression), -np.inf)

    def best(self) -> tuple[float, float]:
        """Score of the true labels at the strength that does best, and that strength as a share of the trace."""
        if not len(self.eigenvalues):
            return 0.0, STRONGEST
        scores = self.scores(self.regression.class_sums)
        place = int(np.argmax(scores))
        return float(scores[place]), float(self.shares[place])


def ridge_gcv(stats: TaskStatistics) -> float:
    """Share of the class indicators that ridge regression would predict on new examples, by generalised
    cross-validation.

    Returns:
        At most 1, larger is better; about 0, or below, where the features say nothing, and 0.0 where they are all the
        same.

    Raises:
        ValueError: fewer than two classes have examples, or there are fewer than four examples.

    Source:
        Golub, Heath, Wahba (1979), Generalized Cross-Validation as a Method for Choosing a Good Ridge Parameter,
        equation 1.4; the constant is one more degree of freedom.
    """
    return RidgePath.of(stats).best()[0]


def ridge_gcv_at(stats: TaskStatistics, share: float) -> float:
    """`ridge_gcv` at one strength, by a Cholesky factor: several times cheaper than all strengths.

    Args:
        stats: statistics of the task.
        share: strength as a share of the trace of the centred second moment, above 0.

    Raises:
        ValueError: as `ridge_gcv`.
        LinAlgError: the second moment is none, as noise that was added to it may leave it.
    """
    regression = Regression.of(stats)
    if regression.trace == 0.0:
        return 0.0
    strength = share * regression.trace
    factor, _ = _factor(regression.second_moment, strength)
    weights = cho_solve((factor, True), regression.class_sums.T)
    explained = float(np.vdot(weights, regression.class_sums.T)) + strength * float(np.vdot(weights, weights))
    inverse, _ = dtrtri(factor, lower=1)
    freedom = len(factor) - strength * float(np.vdot(np.tril(inverse), np.tril(inverse)))
    left = max(1.0 - (freedom + 1.0) / regression.examples, LEAST_LEFT)
    return float(score_of_error(np.array(regression.spread - explained), np.array(left), regression))


def ridge(shards: Sequence[TaskStatistics]) -> float:
    """Share of the class indicators that ridge regression predicts on examples that were held out.

    Each fold is predicted from all the others, at the strength that does best over all folds.

    Args:
        shards: statistics of disjoint random parts; more than five are joined to five folds.

    Returns:
        At most 1, larger is better; about 0, or below, where the features say nothing.

    Raises:
        ValueError: fewer than two shards have examples, or without one fold fewer than two classes or four examples
            are left.

    Source:
        Stone (1974), Cross-Validatory Choice and Assessment of Statistical Predictions.
    """
    filled = [shard for shard in shards if shard.examples > 0]
    if len(filled) < 2:
        raise ValueError(f"undefined: holding out needs two shards with examples, got {len(filled)}")
    total, folds = merge(filled), [merge(filled[place::FOLDS]) for place in range(min(FOLDS, len(filled)))]
    shares = shares_for(total.examples)
    errors = np.sum([_held_out(total.subtract(fold), fold, shares) for fold in folds], axis=0)
    return float(1.0 - max(errors[:-1].min(), 0.0) / errors[-1])


def _held_out(rest: TaskStatistics, fold: TaskStatistics, shares: Floats) -> Floats:
    """Squared error on a fold at every strength, learned from the rest, and last that of the classes' shares."""
    path = RidgePath.of(rest)
    of_rest = path.regression
    usual, counts, n = of_rest.counts / of_rest.examples, fold.counts.astype(np.float64), float(fold.examples)
    whole = fold.class_sums.sum(axis=0)
    moment = (
        fold.second_moment
        - np.outer(of_rest.mean, whole)
        - np.outer(whole, of_rest.mean)
        + n * np.outer(of_rest.mean, of_rest.mean)
    )
    sums = fold.class_sums - np.outer(counts, of_rest.mean) - np.outer(usual, whole - n * of_rest.mean)
    solved, seen = of_rest.class_sums @ path.directions / path.eigenvalues, sums @ path.directions
    inner = (path.directions.T @ moment @ path.directions) * (solved.T @ solved)
    unpredicted = float(counts.sum() - 2.0 * usual @ counts + n * usual @ usual)
    kept = path.kept(shares)
    errors = unpredicted - 2.0 * kept @ (solved * seen).sum(axis=0) + ((kept @ inner) * kept).sum(axis=1)
    return np.array([*errors, unpredicted])


def _factor(moment: Floats, strength: float) -> tuple[Floats, bool]:
    """Lower Cholesky factor of a moment with the ridge added; rounding may not take its positivity."""
    ridged = moment + strength * np.eye(len(moment))
    factor, lower = cho_factor(ridged, lower=True)
    return np.asarray(factor), bool(lower)


def score_of_error(missed: Floats, left: Floats, regression: Regression) -> Floats:
    """One minus the cross-validated error over that of the classes' shares, whose own is a mean's."""
    return 1.0 - np.maximum(missed, 0.0) / regression.spread * ((1.0 - 1.0 / regression.examples) / left) ** 2


def class_sums_centred(sums: NDArray[np.floating], regression: Regression) -> Floats:
    """Class sums under other labels with the same counts, of centred features. Shape (..., C, d)."""
    return np.asarray(sums - np.outer(regression.counts, regression.mean), dtype=np.float64)
