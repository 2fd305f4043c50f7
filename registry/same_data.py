"""Warnings that a score is of data that a module saw in training: the very bytes, or near-duplicates of its images."""

from collections.abc import Iterator, Sequence

from registry.names import Digest
from registry.records import Dataset, PublishedModule
from registry.sketches import estimate_overlap

NOTICED = 0.05
"""Near-duplicates are told where more than this share of the images certainly are."""


def data_warnings(chain: Sequence[PublishedModule], dataset: Dataset) -> Iterator[str]:
    """What a score's reader should know of the data that the module, or a module below it, was trained on.

    Args:
        chain: the input module first, the module that is scored last.
        dataset: the data of the score.

    Returns:
        One warning for each training set that is this data or has near-duplicates in it, the scored module's first.
    """
    told: set[Digest] = set()
    for module in reversed(chain):
        if module.task is None or module.task.data in told:
            continue
        warning = _same(module, dataset, below=module is not chain[-1])
        if warning is not None:
            told.add(module.task.data)
            yield warning


def _same(module: PublishedModule, dataset: Dataset, *, below: bool) -> str | None:
    """That a module was trained on this data; None where that is not known."""
    if module.task is None:
        return None
    who = f"{module.ref}, on which the module stands," if below else "the module"
    if module.task.data == dataset.digest:
        return f"same data: {who} was trained on this very dataset"
    if module.task.sketch is None or dataset.sketch is None:
        return None
    overlap = estimate_overlap(dataset.sketch, module.task.sketch)
    if overlap is None or overlap.low <= NOTICED:
        return None
    share, low, high = (f"{100 * each:.0f}" for each in (overlap.share, overlap.low, overlap.high))
    return f"near-duplicate data: about {share} % of these images ({low}-{high}) are among those {who} was trained on"
