"""Run a pipeline over images: probabilities of the labels that its output module names."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from registry.errors import JobFailedError
from registry.networks.embed import embed
from registry.work import Prediction
from trainer.data import normalise
from trainer.devices import Placement
from trainer.loaded import LoadedModule

ROWS_AT_ONCE = 256


def predict(
    modules: Sequence[LoadedModule],
    images: NDArray[np.uint8],
    *,
    items: Sequence[str],
    placement: Placement,
) -> tuple[Prediction, ...]:
    """The most probable label of every image, and the probability of each.

    Args:
        modules: an input module, hidden modules, an output module.
        images: as the input module's preprocessing wants them. Shape (n, h, w, c), uint8.
        items: what each image is called. Length n.
        placement: where to run.

    Raises:
        JobFailedError: the last module has no labels, so it is no output module.
    """
    labels = modules[-1].manifest.labels
    if labels is None:
        raise JobFailedError("a pipeline must end in an output module; the last one has no labels")
    rows = [row for part in _probabilities(modules, images, placement=placement) for row in part.tolist()]
    return tuple(_prediction(item, labels, row) for item, row in zip(items, rows, strict=True))


def _probabilities(modules: Sequence[LoadedModule], images: NDArray[np.uint8], *, placement: Placement) -> list[Tensor]:
    """Softmax over the labels, in portions. Shape (n, C) each, float64, on the CPU."""
    preprocessing = modules[0].preprocessing
    batches = (
        normalise(
            placement.place_images(torch.from_numpy(part.transpose(0, 3, 1, 2).copy())),
            mean=preprocessing.mean,
            std=preprocessing.std,
        )
        for part in (images[start : start + ROWS_AT_ONCE] for start in range(0, len(images), ROWS_AT_ONCE))
    )
    outputs = embed([module.network for module in modules], batches)
    return [part.double().softmax(dim=1).cpu() for part in outputs]


def _prediction(item: str, labels: Sequence[str], row: list[float]) -> Prediction:
    named = dict(zip(labels, row, strict=True))
    return Prediction(item=item, label=max(named, key=lambda label: named[label]), probabilities=named)
