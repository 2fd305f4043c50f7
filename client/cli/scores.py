"""Scores for people: intervals as bars of text, decisions as sentences."""

from collections.abc import Sequence
from typing import assert_never

from registry.rankings import Ranking, RankingRow

BAR_WIDTH = 28
NAMED = 3
TOO_FEW = "too few examples to tell from chance"
NOISE = "noise added:"
"""How the warnings begin that may explain why nothing beats chance."""


def bar_scale(rows: Sequence[RankingRow]) -> tuple[float, float]:
    """Lowest and highest value that the bars of a ranking must show."""
    values = [value for row in rows for value in (*row.interval, row.score, row.chance)] or [0.0]
    low, high = min(values), max(values)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def interval_bar(row: RankingRow, scale: tuple[float, float], *, plain: bool = False) -> str:
    """A score as a dot on its interval, with a mark where chance ends; the scale is shared by all rows.

    Args:
        row: the score.
        scale: values at the two ends of the bar.
        plain: write ASCII only.
    """
    space, rule, dot, chance = " -o|" if plain else " ─●┆"
    cells = [space] * BAR_WIDTH
    first, last = (_cell(value, scale) for value in row.interval)
    cells[first : last + 1] = [rule] * (last + 1 - first)
    cells[_cell(row.chance, scale)] = chance
    cells[_cell(row.score, scale)] = dot
    return "".join(cells)


def _cell(value: float, scale: tuple[float, float]) -> int:
    """Where a value is on a bar."""
    low, high = scale
    share = (value - low) / (high - low)
    return min(BAR_WIDTH - 1, max(0, round(share * (BAR_WIDTH - 1))))


def decision_text(ranking: Ranking) -> str:
    """What follows from a ranking, in one sentence."""
    if not ranking.ranking:
        return "No module of this zoo can be scored on this task; publish some with `zoo train --publish`."
    best = ranking.ranking[0]
    match ranking.decision:
        case "ranked":
            low, high = best.interval
            return (
                f"{best.module.ref} serves this task best: {best.score:.3f} (95 %: {low:.3f} to {high:.3f}), "
                f"where chance reaches {best.chance:.3f}."
            )
        case "tie":
            return f"A tie: {_listed(ranking)} cannot be told apart; take the cheapest, or ask with more examples."
        case "none_better_than_chance":
            return _none_text(ranking, best)
        case _:
            assert_never(ranking.decision)


def _none_text(ranking: Ranking, best: RankingRow) -> str:
    """That nothing beats chance, and what to do: too few examples, or noise, may be why."""
    warnings = [warning for row in ranking.ranking for warning in row.warnings]
    figures = f"(best: {best.score:.3f}, chance reaches {best.chance:.3f})"
    none = f"None of the {ranking.candidates} modules is better than chance on this task {figures}"
    if any(warning.startswith(TOO_FEW) for warning in warnings):
        modules = f"any of the {ranking.candidates} modules"
        return f"There are too few examples to tell {modules} from chance {figures}; give more images of each class."
    if any(warning.startswith(NOISE) for warning in warnings):
        return (
            f"{none}; the noise may have drowned the score: raise epsilon (--noise), add images, or name fewer "
            "--candidates."
        )
    return f"{none}; train one with `zoo train`."


def _listed(ranking: Ranking) -> str:
    """The modules that share the first rank, the first few by name."""
    first = [row.module.ref for row in ranking.ranking if row.rank == ranking.ranking[0].rank]
    more = f" and {len(first) - NAMED} more" if len(first) > NAMED else ""
    return ", ".join(first[:NAMED]) + more
