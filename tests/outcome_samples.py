"""Outcomes for tests: what a module reached beside what was predicted of it."""

from collections.abc import Mapping, Sequence

from registry.outcome_records import Outcome
from registry.rankings import RankedModule
from tests.builders import NOW, digest_of, later


def outcome(query: str = "query", module: object = "module", value: float = 0.5, **changes: object) -> Outcome:
    """One outcome, of a module that was predicted to reach 0.4."""
    fields = {
        "query": query,
        "task": "task",
        "data": digest_of(query),
        "module": RankedModule(ref=f"ada/m-{module}@1", digest=digest_of(module)),
        "value": value,
        "metric": "accuracy",
        "how": "linear_probe",
        "rank_by": "centred_alignment",
        "predicted": {"centred_alignment": 0.4},
        "static": 0.3,
        "posted_at": NOW,
    }
    return Outcome.model_validate({**fields, **changes})


def case(
    query: str,
    values: Sequence[float],
    predicted: Mapping[str, Sequence[float | None]],
    *,
    static: Sequence[float | None] | None = None,
    at: float = 0.0,
    **changes: object,
) -> list[Outcome]:
    """The outcomes of one query: values, and the predictions of each estimator, in the order of its modules."""
    return [
        outcome(
            query,
            module=place,
            value=value,
            predicted={name: said[place] for name, said in predicted.items()},
            static=None if static is None else static[place],
            posted_at=later(at),
            **changes,
        )
        for place, value in enumerate(values)
    ]
