"""What of the panel is measured beside the usual statistics: what it needs, its values, and why there are none."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import assert_never

import numpy as np

from kernel_methods.estimators.nce import nce
from kernel_methods.estimators.neo import negative_mean_squared_error_neo
from kernel_methods.estimators.transrate import transrate
from kernel_methods.evidence import Evidence
from kernel_methods.kernels import EstimatorName
from kernel_methods.measured import RANGES, REFERENCE_EXAMPLES, Measured, moments_fit, references_fit
from registry.errors import InvalidInputError
from registry.manifest import FeatureMap, Role
from registry.names import Digest
from registry.ports import UnitOfWork
from registry.rankings import ScoreOptions
from registry.work import Beside, ScoreWork

BESIDE: dict[EstimatorName, Beside] = {
    "transrate": "class_moments",
    "negative_mean_squared_error_neo": "class_moments",
    "knn": "knn",
    "linear_probe": "linear_probe",
    "leep": "source_head",
    "nce": "source_head",
}
"""What an estimator needs beside the usual statistics; those that are not here need nothing."""

MOST_SOURCE_LABELS = 10_000
"""A manifest names no more labels."""


def beside_of(options: ScoreOptions) -> tuple[Beside, ...]:
    """What a worker is to measure beside statistics for a question: what its panel and its ranker need."""
    asked: set[EstimatorName] = {options.rank_by, *(options.panel or ())}
    return tuple(sorted({BESIDE[name] for name in asked if name in BESIDE}))


def source_heads(work: UnitOfWork, options: ScoreOptions, modules: Iterable[Digest]) -> dict[Digest, Digest]:
    """The source heads of those modules that have one, where a question needs them."""
    if "source_head" not in beside_of(options):
        return {}
    found = {module: source_head(work, module) for module in sorted(set(modules))}
    return {module: head for module, head in found.items() if head is not None}


def source_head(work: UnitOfWork, module: Digest) -> Digest | None:
    """The output module that reads a module's outputs: the newest on it, verified and not yanked; None without one."""
    heads = [
        above
        for above in work.modules.standing_on(module)
        if above.role is Role.OUTPUT and above.yanked is None and above.verification.verified
    ]
    newest = max(heads, key=lambda head: (head.published_at, head.ref), default=None)
    return None if newest is None else newest.digest


def measured_value(name: EstimatorName, evidence: Evidence, feature_map: FeatureMap) -> float | None:
    """The value of an estimator that needs something beside the usual statistics; larger is better.

    Returns:
        None where it was not measured on these very classes, or is undefined on them, and for every other estimator.
    """
    if evidence.beside is None or name not in BESIDE:
        return None
    try:
        return _value(name, evidence, evidence.beside, feature_map)
    except (ValueError, np.linalg.LinAlgError):
        return None


def _value(name: EstimatorName, evidence: Evidence, measured: Measured, feature_map: FeatureMap) -> float | None:
    """Raises ValueError or LinAlgError where it is undefined."""
    match name:
        case "knn" | "linear_probe" | "leep":
            return measured.value(name)
        case "nce":
            return None if measured.head_counts is None else nce(measured.head_counts)
        case "transrate":
            return transrate(measured.with_moments(evidence.total))
        case "negative_mean_squared_error_neo":
            total = measured.with_moments(evidence.total)
            return negative_mean_squared_error_neo(total, k_min=feature_map.k_min, k_max=feature_map.k_max)
        case _:
            return None


@dataclass(frozen=True, slots=True)
class Scored:
    """Of what size a scored module and its task are: examples, the dataset's labels, features, the head's presence."""

    examples: int
    labels: int
    dimensions: int
    has_head: bool
    noisy: bool = False


def why_unmeasured(panel: Mapping[EstimatorName, float | None], scored: Scored) -> Iterator[str]:
    """A sentence for each estimator that was asked for, needs something beside statistics, and has no value."""
    for name, value in panel.items():
        if value is None and name in BESIDE:
            yield f"{name} was not measured: {_reason(BESIDE[name], scored)}"


def _reason(beside: Beside, scored: Scored) -> str:
    n, labels, d = scored.examples, scored.labels, scored.dimensions
    if scored.noisy:
        return "noise hides what statistics tell, but not what is measured beside them"
    match beside:
        case "class_moments":
            if not moments_fit(classes=labels, dimensions=d):
                return f"second moments of {labels} labels in {d} features are too large to keep; choose fewer labels"
        case "knn" | "linear_probe":
            if not references_fit(examples=n, dimensions=d):
                most = f"at most {REFERENCE_EXAMPLES} `examples`"
                return f"{n} examples of {d} features are too many for a reference; ask for {most}, or fewer"
        case "source_head":
            if not scored.has_head:
                return "no verified output module stands on this module"
            return "its source head gives no finite numbers here, or has too many labels"
        case _:
            assert_never(beside)
    return "it is undefined on these examples"


def most_bytes_beside(work: ScoreWork, *, features: int) -> int:
    """The most bytes that what a work asks for beside statistics can have, for a module of so many features."""
    classes = len(work.task.classes)
    values = len(RANGES) + classes if work.beside else 0
    counts = MOST_SOURCE_LABELS * classes if "source_head" in work.beside else 0
    asked = "class_moments" in work.beside and moments_fit(classes=classes, dimensions=features)
    return 8 * (values + counts) + (4 * classes * features * (features + 1) if asked else 0)


def check_asked(measured: Measured, work: ScoreWork, *, source_labels: int | None) -> None:
    """Hold what a worker measured to what it was asked for; what it left out is not missed.

    Args:
        measured: what it brought for one module.
        work: what it was asked for.
        source_labels: how many labels the module's source head has; None where it has none.

    Raises:
        InvalidInputError: something was not asked for, or is of other classes or another source head.
    """
    strangers: list[str] = sorted(name for name in measured.values if BESIDE[name] not in work.beside)
    if measured.class_moments is not None and "class_moments" not in work.beside:
        strangers.append("class moments")
    if measured.head_counts is not None and source_labels is None:
        strangers.append("counts of a source head")
    if "leep" in measured.values and source_labels is None:
        strangers.append("leep of a module without a source head")
    if strangers:
        raise InvalidInputError(f"{', '.join(strangers)} came with statistics, but the work does not ask for that")
    if measured.values and {frozenset(group) for group in measured.groups} != {frozenset(g) for g in work.groups}:
        raise InvalidInputError("values were measured on other classes than those of the work's `groups`")
    if measured.head_counts is not None and len(measured.head_counts) != source_labels:
        raise InvalidInputError(
            f"a source head with {source_labels} labels cannot have counts of {len(measured.head_counts)}"
        )
