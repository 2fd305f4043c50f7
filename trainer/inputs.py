"""What a module learns from: images, or outputs of frozen modules, kept or computed again for every batch."""

from dataclasses import dataclass
from typing import Protocol

import structlog
import torch
from torch import Tensor, nn

from trainer.data import Augmentation, Examples
from trainer.devices import Placement

ROWS_AT_ONCE = 1024
KEPT_SHARE = 0.5
"""Share of the free memory that kept outputs may take."""

log = structlog.get_logger()


class Inputs(Protocol):
    """Labelled inputs of one module, on the device; nothing in them carries a gradient."""

    @property
    def labels(self) -> Tensor:
        """Class of every example. Shape (n,), int64."""

    def batch(self, indices: Tensor, *, augment: Augmentation | None = None) -> Tensor:
        """Inputs at these indices; the images are augmented first where that is asked for."""


@dataclass(frozen=True, slots=True)
class ImageInputs:
    """The images themselves, normalised."""

    examples: Examples
    placement: Placement

    @property
    def labels(self) -> Tensor:
        """Class of every example. Shape (n,), int64."""
        return self.examples.labels

    def batch(self, indices: Tensor, *, augment: Augmentation | None = None) -> Tensor:
        """Images at these indices. Shape (n, c, h, w), float32."""
        return self.placement.place_images(self.examples.inputs(indices, augment=augment))


@dataclass(frozen=True, slots=True)
class KeptInputs:
    """Outputs of frozen modules, computed once for all examples."""

    outputs: Tensor
    labels: Tensor

    def batch(self, indices: Tensor, *, augment: Augmentation | None = None) -> Tensor:
        """The kept outputs at these indices. Raises ValueError for augmentation: what is kept cannot change."""
        if augment is not None:
            raise ValueError("kept outputs cannot be augmented; compute them again for every batch")
        return self.outputs[indices]


@dataclass(frozen=True, slots=True)
class OutputsOf:
    """Outputs of a frozen module over its own inputs, computed again for every batch."""

    inputs: Inputs
    module: nn.Module
    placement: Placement

    @property
    def labels(self) -> Tensor:
        """Class of every example. Shape (n,), int64."""
        return self.inputs.labels

    @torch.no_grad()
    def batch(self, indices: Tensor, *, augment: Augmentation | None = None) -> Tensor:
        """Run the module over its inputs at these indices; no gradient is recorded."""
        with self.placement.autocast():
            outputs: Tensor = self.module(self.inputs.batch(indices, augment=augment))
        return outputs


@dataclass(frozen=True, slots=True)
class SomeInputs:
    """Inputs of some of the examples."""

    inputs: Inputs
    indices: Tensor

    @property
    def labels(self) -> Tensor:
        """Class of every chosen example. Shape (n,), int64."""
        return self.inputs.labels[self.indices]

    def batch(self, indices: Tensor, *, augment: Augmentation | None = None) -> Tensor:
        """Inputs at these positions among the chosen."""
        return self.inputs.batch(self.indices[indices], augment=augment)


def freeze(module: nn.Module) -> nn.Module:
    """Put a module into eval mode and stop all gradients to it, for good; gives the module back."""
    module.eval()
    module.requires_grad_(requires_grad=False)
    module.zero_grad(set_to_none=True)
    return module


def above(inputs: Inputs, module: nn.Module, *, placement: Placement, keep: bool) -> Inputs:
    """Inputs of the module that stands on ``module``.

    Args:
        inputs: those of ``module``.
        module: frozen.
        placement: where it runs.
        keep: compute all outputs now, where they fit into half of the memory that is free; they cannot be
            augmented then.
    """
    run = OutputsOf(inputs, module, placement)
    count = len(inputs.labels)
    if not keep or count == 0:
        return run
    first = run.batch(torch.zeros(1, dtype=torch.int64, device=placement.device))
    needed, free = first.nbytes * count, placement.free_bytes()
    fits = needed <= free * KEPT_SHARE
    if not fits:
        log.info("outputs computed for every batch", needed_bytes=needed, free_bytes=free)
    return KeptInputs(run_all(run), inputs.labels) if fits else run


def run_all(inputs: Inputs) -> Tensor:
    """All inputs of a module, computed in batches and in order, without gradients. Shape (n, ...)."""
    indices = torch.arange(len(inputs.labels), device=inputs.labels.device)
    with torch.no_grad():
        return torch.cat([inputs.batch(part) for part in torch.split(indices, ROWS_AT_ONCE)])
