"""What is measured of trained modules on examples that none of them learned from."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from kernel_methods.accumulate import Accumulator
from kernel_methods.alignment import alignment, centred_alignment, upper_triangle_alignment
from kernel_methods.kernels import pooled_features
from kernel_methods.statistics import TaskStatistics
from registry.manifest import FeatureMap, Metric
from registry.training_plan import PlannedModule
from trainer.heads import features_of
from trainer.inputs import ROWS_AT_ONCE, Inputs
from trainer.workbench import Workbench


def measure_hidden(bench: Workbench, planned: PlannedModule, outputs: Inputs, *, on: str) -> tuple[Metric, ...]:
    """Alignments, mean kernel values of same-class and different-class pairs, and vanished features.

    Args:
        bench: the run's means.
        planned: the module that was measured.
        outputs: its raw outputs, labelled.
        on: what they are outputs for, such as ``held-out``.

    Returns:
        Those that are defined on so many examples; alignments in [-1, 1], larger is better.
    """
    phi = planned.feature_map
    features = pooled_features(planned.gives.shape, phi.pooling)
    accumulator = Accumulator(len(bench.classes), features, device=bench.placement.device)
    for indices in _portions(outputs):
        accumulator.add(features_of(outputs.batch(indices), phi), outputs.labels[indices])
    statistics = accumulator.finish()
    named = [(name, _defined(score, statistics)) for name, score in _scores(phi)]
    return tuple(Metric(name=name, on=on, value=value) for name, value in named if value is not None)


def _scores(phi: FeatureMap) -> list[tuple[str, Callable[[TaskStatistics], float]]]:
    return [
        ("alignment", lambda stats: alignment(stats, k_min=phi.k_min, k_max=phi.k_max)),
        (
            "upper_triangle_alignment",
            lambda stats: upper_triangle_alignment(stats, k_min=phi.k_min, k_max=phi.k_max),
        ),
        ("centred_alignment", centred_alignment),
        ("same_class_kernel", lambda stats: mean_kernels(stats)[0]),
        ("different_class_kernel", lambda stats: mean_kernels(stats)[1]),
        ("zero_features", lambda stats: float(stats.zeros.sum())),
    ]


def _defined(score: Callable[[TaskStatistics], float], statistics: TaskStatistics) -> float | None:
    """A score, or None where it is undefined on these examples."""
    try:
        return score(statistics)
    except ValueError:
        return None


def mean_kernels(statistics: TaskStatistics) -> tuple[float, float]:
    """Mean kernel value of same-class pairs and of different-class pairs, no example paired with itself.

    Raises:
        ValueError: undefined, for there is no same-class pair or no different-class pair.
    """
    counts, sums = statistics.counts.astype(float), statistics.class_sums
    units = statistics.examples - float(statistics.zeros.sum())
    within, all_pairs = float((sums**2).sum()), float((sums.sum(axis=0) ** 2).sum())
    same = float((counts * (counts - 1)).sum())
    different = statistics.examples**2 - float((counts**2).sum())
    if same == 0 or different == 0:
        raise ValueError(f"undefined: classes with {statistics.counts.tolist()} examples lack pairs of a kind")
    return (within - units) / same, (all_pairs - within) / different


def measure_output(module: nn.Module, inputs: Inputs, *, bench: Workbench, on: str) -> tuple[Metric, ...]:
    """Share of examples whose most probable class is theirs; nothing where there are no examples."""
    if len(inputs.labels) == 0:
        return ()
    hits = torch.zeros((), dtype=torch.int64, device=bench.placement.device)
    with torch.no_grad(), bench.placement.autocast():
        for indices in _portions(inputs):
            guesses = module(inputs.batch(indices)).argmax(dim=1)
            hits += (guesses == inputs.labels[indices]).sum()
    return (Metric(name="accuracy", on=on, value=int(hits) / len(inputs.labels)),)


def _portions(inputs: Inputs) -> Iterator[Tensor]:
    indices = torch.arange(len(inputs.labels), device=inputs.labels.device)
    yield from torch.split(indices, ROWS_AT_ONCE)
