"""Own and usual scores of several modules together: what few examples say, and what is known of the modules before.

A score of fifty examples is mostly noise, and a module's usual score on other tasks foretells it nearly as well. Which
of the two deserves how much trust is not a matter of taste: the shards tell how far noise alone moves the scores apart,
and the modules how far they really are from what their usual scores foretell.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kernel_methods.intervals import LeftOut, jackknife_of
from kernel_methods.statistics import Floats

FEWEST = 5
"""From so many modules with a usual score on there is something to learn from their spread."""

FITTED = 1
"""Numbers that are fitted to the scores: the level of the task."""

ALIKE = 1e-12


@dataclass(frozen=True, slots=True, eq=False)
class Pooled:
    """Scores of modules as they are expected to be, larger is better.

    Args:
        scores: own scores, drawn to what the usual ones foretell. Shape (m,).
        foretold: what the usual scores foretell. Shape (m,).
        weights: share of the own score in each, in (0, 1]; 1 where nothing was learnt. Shape (m,).
        left_out: the same scores with each shard left out, as intervals and differences need them.
    """

    scores: Floats
    foretold: Floats
    weights: Floats
    left_out: tuple[LeftOut, ...]


def pool(own: Sequence[LeftOut], usual: Sequence[float | None]) -> Pooled:
    """Draw scores of one task to what the modules' usual scores foretell, by as much as the shards are in doubt.

    A module's own score is its usual one, moved by the level of the task, with a deviation of the module on this task,
    and noise. The noise that all modules share says nothing of who is better and is left as it is; the variance of the
    rest comes from the jackknife, and that of the deviations is what it leaves of the residuals. Where usual scores
    foretell little, or the wrong order, residuals are large and own scores stay nearly as they are.

    Args:
        own: scores on the same shards of the same task, with each shard left out. Of length m.
        usual: each module's usual score on other tasks, None without any. Of length m.

    Returns:
        The own scores as they are where fewer than five modules have usual scores, or these are all alike.

    Raises:
        ValueError: the two differ in length, or scores are of different shards.

    Source:
        Fay, Herriot (1979), Estimates of Income for Small Places: An Application of James-Stein Procedures to Census
        Data, for the model; Morris (1983), Parametric Empirical Bayes Inference: Theory and Applications, for the
        factor that few modules need and for the doubt that is left, here their mean over the modules.
    """
    _check(own, usual)
    told = np.array([np.nan if value is None else value for value in usual], np.float64)
    known = np.isfinite(told)
    count = int(known.sum())
    if count < FEWEST or np.ptp(told[known]) <= ALIKE:
        return _as_they_are(own)
    scores = np.array([each.total for each in own])
    middle = float(told[known].mean())
    foretold = scores[known].mean() + np.where(known, told, middle) - middle
    squared = float(((scores - foretold)[known] ** 2).sum()) / (count - FITTED)
    spread = np.where(known, squared, squared + float(told[known].var(ddof=1)))
    most = (count - FITTED - 2) / (count - FITTED)
    drawn = most * np.minimum(1.0, _noise(own) / np.maximum(spread, ALIKE))
    pooled = foretold + (1.0 - drawn) * (scores - foretold)
    doubt = np.sqrt(1.0 - drawn * (count - FITTED - 2) / count)
    return Pooled(pooled, foretold, 1.0 - drawn, _drawn(own, pooled, doubt))


def _check(own: Sequence[LeftOut], usual: Sequence[float | None]) -> None:
    if len(own) != len(usual):
        raise ValueError(f"need a usual score, or None, for each of {len(own)} modules, got {len(usual)}")
    for each in own:
        if not np.array_equal(each.sizes, own[0].sizes):
            raise ValueError(f"need scores of the same shards, got {each.sizes} and {own[0].sizes} examples")


def _as_they_are(own: Sequence[LeftOut]) -> Pooled:
    scores = np.array([each.total for each in own], np.float64)
    return Pooled(scores, scores, np.ones(len(own)), tuple(own))


def _noise(own: Sequence[LeftOut]) -> float:
    """Mean variance of a score's noise about that of all scores."""
    left = np.stack([each.left for each in own])
    totals = np.array([each.total for each in own])
    level, levels = totals.mean(), left.mean(axis=0)
    errors = [jackknife_of(LeftOut(each.total - level, each.left - levels, each.sizes)).standard_error for each in own]
    return float(np.mean(np.square(errors))) * len(own) / (len(own) - 1)


def _drawn(own: Sequence[LeftOut], pooled: Floats, doubt: Floats) -> tuple[LeftOut, ...]:
    """Left-out values about the pooled scores: what all share as it is, each module's own part as far as in doubt."""
    moved = np.stack([each.left - each.total for each in own])
    shared = moved.mean(axis=0)
    about = pooled[:, None] + shared + doubt[:, None] * (moved - shared)
    return tuple(LeftOut(float(score), left, each.sizes) for score, left, each in zip(pooled, about, own, strict=True))
