"""What `zoo sets` concludes: one module is enough only where little speaks for a second one."""

import pytest

from client.cli.sets import sets_text
from registry.rankings import ModuleSets, RankedModule, SetStep
from tests.builders import digest_of


def step(count: int, gain: tuple[float, float] | None = None) -> SetStep:
    return SetStep(
        modules=tuple(RankedModule(ref=f"ada/m{place}@1", digest=digest_of(place)) for place in range(count)),
        score=0.5,
        interval=(0.4, 0.6),
        chance=0.1,
        p_value=0.01,
        gain=None if gain is None else sum(gain) / 2,
        gain_interval=gain,
        helps=count == 1,
    )


def found(*steps: SetStep) -> ModuleSets:
    return ModuleSets(
        query="query-1",
        rank_by="ridge_gcv",
        decision="no_gain_shown",
        seed=0,
        examples=100,
        task="task-1",
        data=digest_of("data"),
        classes={"a": ("a",), "b": ("b",)},
        scorer="statistics-1",
        serial=1,
        size=3,
        candidates=steps[-1].modules,
        steps=steps,
        best=None,
        searched=True,
        n=100,
        n_per_class={"a": 50, "b": 50},
        warnings=(),
        not_scored=(),
        cached=False,
        milliseconds=1.0,
    )


@pytest.mark.parametrize(
    ("steps", "told"),
    [
        ((step(1), step(2, (-0.03, 0.01))), "ada/m0@1 is enough: no other module is shown to add to its 0.500."),
        ((step(1), step(2, (-0.01, 0.05))), "No gain shown: ada/m0@1 alone has 0.500, and ada/m1@1 may add nothing"),
        ((step(1), step(2)), "so few examples do not tell what ada/m1@1 adds; give more"),
        ((step(1),), "No gain shown: ada/m0@1 alone has 0.500, and no other module could be put beside it"),
    ],
)
def test_one_module_is_enough_only_where_little_speaks_for_another(steps: tuple[SetStep, ...], told: str) -> None:
    assert told in sets_text(found(*steps))
