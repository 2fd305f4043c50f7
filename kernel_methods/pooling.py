"""Scores of several modules together: what few examples say, and what is known of the modules from other tasks.

A score of fifty examples is mostly noise, and a module's scores on other tasks foretell it nearly as well. Which of the
two deserves how much trust is not a matter of taste: the shards tell how far noise alone moves the scores apart, and
the modules how far they really are from what their scores elsewhere foretell.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from kernel_methods.intervals import LeftOut, jackknife_of
from kernel_methods.statistics import Floats

FEWEST = 5
"""From so many modules with scores on the same other task on there is something to learn from it."""

MOST_TASKS = 256
"""Of more other tasks those that most modules were scored on are enough."""

SHARES: Floats = np.linspace(0.0, 1.0, 11)
"""Variances that are thought possible, all alike, as shares of the mean square of what is to be explained."""

ALIKE = 1e-12


@dataclass(frozen=True, slots=True, eq=False)
class Pooled:
    """Scores of modules as they are expected to be, larger is better.

    Args:
        scores: own scores, drawn to what scores elsewhere foretell. Shape (m,).
        weights: how far a score follows the module's own one, in (0, 1]; 1 where nothing was learnt. Shape (m,).
        left_out: the same scores with each shard left out, as intervals and differences need them.
    """

    scores: Floats
    weights: Floats
    left_out: tuple[LeftOut, ...]


def pool(own: Sequence[LeftOut], elsewhere: Floats) -> Pooled:
    """Draw scores of one task to what scores elsewhere foretell, by as much as the shards are in doubt.

    A module's own score is its usual one, moved by the level of the task, with a deviation of the module on this task,
    and noise. Part of the deviation may be as on other tasks: modules that are alike better or worse than usual there
    are so here. How large that part and the rest are, nobody knows from a few modules: all pairs of variances are
    averaged by how likely each makes the scores. The noise that all modules share says nothing of who is better and is
    left as it is; the variance of the rest comes from the jackknife. Where scores elsewhere foretell little, or the
    wrong order, large deviations are likely, and own scores stay nearly as they are.

    Args:
        own: scores on the same shards of the same task, with each shard left out. Of length m.
        elsewhere: scores of the same modules on h other tasks, NaN where there is none. Shape (m, h).

    Returns:
        The own scores as they are where no other task has scores of five modules, or these are all alike.

    Raises:
        ValueError: the two differ in length, or scores are of different shards.

    Source:
        Fay, Herriot (1979), Estimates of Income for Small Places: An Application of James-Stein Procedures to Census
        Data, for the model with deviations of one variance; Rasmussen, Williams (2006), Gaussian Processes for Machine
        Learning, equations 2.23 to 2.30, for deviations that go together.
    """
    _check(own, elsewhere)
    scores, known = np.array([each.total for each in own], np.float64), _Elsewhere.of(elsewhere)
    if known is None:
        return Pooled(scores, np.ones(len(own)), tuple(own))
    foretold = scores[known.modules].mean() + known.usual
    least = max(ALIKE * float(np.ptp(scores)) ** 2, np.finfo(np.float64).tiny)
    noises = np.maximum(_noises(own), least)
    noise = float(noises.mean()) * len(own) / (len(own) - 1)
    kept = known.average(scores - foretold, noise=noise)
    pooled = foretold + kept.deviations
    return Pooled(pooled, kept.weights, _drawn(own, pooled, kept.doubt(noises, noise=noise)))


def _check(own: Sequence[LeftOut], elsewhere: Floats) -> None:
    if elsewhere.ndim != 2 or len(own) != len(elsewhere):
        raise ValueError(f"need a row of scores elsewhere for each of {len(own)} modules, got {elsewhere.shape}")
    for each in own:
        if not np.array_equal(each.sizes, own[0].sizes):
            raise ValueError(f"need scores of the same shards, got {each.sizes} and {own[0].sizes} examples")


@dataclass(frozen=True, slots=True, eq=False)
class _Deviations:
    """What is expected of modules' deviations: means, the share of what was seen in them, variance between guesses."""

    deviations: Floats
    weights: Floats
    spread: Floats

    def doubt(self, noises: Floats, *, noise: float) -> Floats:
        """How many times its own noise a module is in doubt.

        What it keeps of its own score has its own noise, larger or smaller than the mean that decided how much it
        keeps; what it gave up is worth w (1 - w) of that mean.

        Args:
            noises: variance of each own score. Shape (m,).
            noise: their mean.
        """
        given_up = self.weights * (1.0 - self.weights) * noise
        return np.asarray(np.sqrt(self.weights**2 + (given_up + self.spread) / noises))


@dataclass(frozen=True, slots=True, eq=False)
class _Elsewhere:
    """What scores on other tasks tell.

    Args:
        modules: which have any. Shape (m,).
        usual: how far a module stands above the others there, 0 where unknown. Shape (m,).
        unknown: variance of that where it is unknown, else 0. Shape (m,).
        directions: orthonormal, in which modules deviate from their usual scores together. Shape (m, r).
        variances: along them, those of all modules to a mean of 1. Shape (r,).
    """

    modules: NDArray[np.bool_]
    usual: Floats
    unknown: Floats
    directions: Floats
    variances: Floats

    @classmethod
    def of(cls, scores: Floats) -> Self | None:
        """The same for scores (m, h); None where they tell nothing."""
        counts = np.isfinite(scores).sum(axis=0)
        told = scores[:, np.argsort(-counts, kind="stable")[: int((counts >= FEWEST).sum())][:MOST_TASKS]]
        there = np.isfinite(told)
        means = np.where(there, told, 0.0).sum(axis=0) / there.sum(axis=0)
        about = np.where(there, told - means, 0.0)
        usual = about.sum(axis=1) / np.maximum(there.sum(axis=1), 1)
        modules = np.asarray(there.any(axis=1))
        if not modules.any() or np.ptp(about) <= ALIKE:
            return None
        deviations = np.where(there, about - usual[:, None], 0.0)
        directions, lengths, _ = np.linalg.svd(deviations, full_matrices=False)
        kept = lengths > ALIKE * max(float(np.ptp(about)), float(lengths[0]))
        variances = lengths[kept] ** 2
        variances = variances * len(scores) / variances.sum() if kept.any() else variances
        unknown = np.where(modules, 0.0, usual[modules].var(ddof=1))
        return cls(modules, usual, unknown, directions[:, kept], variances)

    def average(self, residuals: Floats, *, noise: float) -> _Deviations:
        """Deviations of the modules given residuals with noise of that variance, over all variances thought possible.

        For any two variances a of the common part and b of the rest, residuals have the variance a v + b + noise along
        a direction of variance v, and b + noise along all others.
        """
        known = residuals[self.modules]
        square = float(known @ known) / max(len(known) - 1, 1)
        common, rest = (grid.reshape(-1, 1) * square for grid in np.meshgrid(SHARES, SHARES))
        along = common * self.variances + rest
        seen = self.directions.T @ residuals
        others = max(len(known) - 1 - len(seen), 0)
        missed = max(float(known @ known - seen @ seen), 0.0)
        likely = -0.5 * (
            (np.log(along + noise) + seen**2 / (along + noise)).sum(axis=1)
            + (others * np.log(rest + noise) + missed / (rest + noise))[:, 0]
        )
        chances = np.exp(likely - likely.max())
        alone = rest + self.unknown
        more = along / (along + noise) - rest / (rest + noise)
        each = alone / (alone + noise)
        return self._mixed(each * residuals + (more * seen) @ self.directions.T, each, more, chances / chances.sum())

    def _mixed(self, guessed: Floats, alone: Floats, more: Floats, chances: Floats) -> _Deviations:
        """The mean over guesses: of what each keeps of every module alone, and how much more along directions.

        Args:
            guessed: deviations. Shape (guesses, m).
            alone: Shape (guesses, m).
            more: Shape (guesses, r).
            chances: of the guesses. Shape (guesses,).
        """
        mean = chances @ guessed
        weights = chances @ (alone + more @ (self.directions**2).T)
        return _Deviations(mean, weights, chances @ (guessed - mean) ** 2)


def _noises(own: Sequence[LeftOut]) -> Floats:
    """Variance of each score's noise about that of all scores. Shape (m,)."""
    left = np.stack([each.left for each in own])
    totals = np.array([each.total for each in own])
    level, levels = totals.mean(), left.mean(axis=0)
    errors = [jackknife_of(LeftOut(each.total - level, each.left - levels, each.sizes)).standard_error for each in own]
    return np.square(errors)


def _drawn(own: Sequence[LeftOut], pooled: Floats, doubt: Floats) -> tuple[LeftOut, ...]:
    """Left-out values about the pooled scores: what all share as it is, each module's own part as far as in doubt."""
    moved = np.stack([each.left - each.total for each in own])
    shared = moved.mean(axis=0)
    about = pooled[:, None] + shared + doubt[:, None] * (moved - shared)
    return tuple(LeftOut(float(score), left, each.sizes) for score, left, each in zip(pooled, about, own, strict=True))
