"""Judged scores of one task together: own scores drawn to what the modules' usual scores foretell."""

from collections.abc import Sequence
from dataclasses import replace

from kernel_methods.intervals import LeftOut
from kernel_methods.kernels import RankerName
from kernel_methods.pooling import Pooled, pool
from registry.judging import Judged, interval_of


def pooled(judged: Sequence[Judged], usual: Sequence[float | None], name: RankerName) -> list[Judged]:
    """Scores of modules on the same examples, pooled; as they are where one of them leaves its doubt unknown.

    Chance levels stay: under shuffled labels usual scores would foretell nothing, so that own scores would stay too.

    Args:
        judged: by the score `name`, all on the same examples.
        usual: each module's usual score on other tasks, None without any.
        name: the score.
    """
    own = [one.left_out for one in judged if one.left_out is not None]
    if len(own) < len(judged):
        return list(judged)
    together = pool(own, usual)
    return [_drawn(one, together, place, name) for place, one in enumerate(judged)]


def _drawn(one: Judged, together: Pooled, place: int, name: RankerName) -> Judged:
    left: LeftOut = together.left_out[place]
    return replace(
        one,
        score=float(together.scores[place]),
        interval=interval_of(left, name),
        left_out=left,
        own_weight=float(together.weights[place]),
    )
