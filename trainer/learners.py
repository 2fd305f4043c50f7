"""Parts that learn: each raises an objective of its own on one pass, and no gradient passes from one to the next."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, Self

import structlog
import torch
from torch import Tensor, nn

from registry.errors import JobFailedError
from registry.networks.blocks import BatchNorm
from trainer.devices import Placement
from trainer.optimisation import Ascent

log = structlog.get_logger()

NO_MEMORY = "can't allocate memory"


class Batch(NamedTuple):
    """What one step learns from.

    Args:
        inputs: of the part that learns. Shape (n, ...).
        labels: class of every example. Shape (n,), int64.
        indices: which of the training examples they are. Shape (n,), int64.
    """

    inputs: Tensor
    labels: Tensor
    indices: Tensor

    def over(self, inputs: Tensor, placement: Placement) -> "Batch":
        """The same examples as the part above takes them, on its device.

        Labels come along from the part below: a copy makes both its devices wait for each other, and to fetch them from
        the first device each time would have it wait for all others.
        """
        device = placement.device
        return Batch(placement.place_images(inputs), self.labels.to(device), self.indices.to(device))


class Raised(NamedTuple):
    """An objective, a scalar, and the unit features it was taken of, where it was taken of any. Shape (n, d)."""

    value: Tensor
    features: Tensor | None = None


class PairKnowledge(Protocol):
    """What is known of the pairs of training examples where no label may be looked at."""

    @property
    def pairs_known(self) -> int:
        """Number of pairs i < j that are known to be of one class, or of two."""

    @property
    def prior(self) -> float | None:
        """Share of same-class pairs that is assumed of the pairs that are not known; None leaves these out."""

    def of_batch(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Which pairs of these examples are of one class, and which are known. Two booleans of shape (n, n)."""

    def to(self, device: torch.device) -> Self:
        """The same on another device."""

    def order(self, generator: torch.Generator) -> Tensor:
        """All examples in an order that brings known pairs into the same batch. Shape (n,), int64."""


@dataclass(slots=True)
class Part:
    """A module, what it raises, and how its weights move.

    `portions` is how many a batch is run in; without batch norm, `divisible`, these give the result of the whole.
    """

    name: str
    module: nn.Module
    objective: nn.Module
    ascent: Ascent
    placement: Placement
    portions: int = field(default=1)
    divisible: bool = field(init=False)

    def __post_init__(self) -> None:
        self.divisible = not any(isinstance(block, BatchNorm) for block in self.module.modules())

    def step(self, batch: Batch, *, done: float) -> tuple[Raised, Tensor]:
        """Move the weights once.

        Args:
            batch: what to learn from.
            done: share of the cycle that is over.

        Returns:
            What was raised, and the outputs for the part above, without gradient.

        Raises:
            JobFailedError: the device has too little memory, and a smaller portion would change the result.
        """
        remembered = [tensor.clone() for tensor in self._remembers()]
        while True:
            try:
                self.ascent.clear()
                raised, outputs = self._rise(batch)
                break
            except RuntimeError as error:
                if not _out_of_memory(error):
                    raise
                self._smaller_portions(batch, error)
            for tensor, before in zip(self._remembers(), remembered, strict=True):
                tensor.copy_(before)
        self.ascent.move(done=done)
        return Raised(raised.value.detach(), _detached(raised.features)), outputs

    def _remembers(self) -> list[Tensor]:
        """What an objective keeps of earlier batches, in its head too: a batch run again must not count twice."""
        return list(self.objective.buffers()) if self.divisible else []

    def run(self, inputs: Tensor) -> Tensor:
        """Raw outputs of the module, in the precision of the device."""
        with self.placement.autocast():
            outputs: Tensor = self.module(inputs)
        return outputs

    def _rise(self, batch: Batch) -> tuple[Raised, Tensor]:
        if self.portions == 1:
            outputs = self.run(batch.inputs)
            raised: Raised = self.objective(outputs, batch)
            self.ascent.rise(raised.value)
            return raised, outputs.detach()
        return self._rise_in_portions(batch)

    def _rise_in_portions(self, batch: Batch) -> tuple[Raised, Tensor]:
        """The same gradients with the graph of one portion at a time: first all outputs, then each portion again.

        Source:
            Gao, Zhang, Han, Callan (2021), Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup.
        """
        portions = torch.tensor_split(batch.inputs, self.portions)
        with torch.no_grad():
            outputs = torch.cat([self.run(portion) for portion in portions])
        outputs.requires_grad_()
        raised: Raised = self.objective(outputs, batch)
        self.ascent.rise(raised.value)
        gradients = torch.tensor_split(
            torch.zeros_like(outputs) if outputs.grad is None else outputs.grad, self.portions
        )
        for portion, gradient in zip(portions, gradients, strict=True):
            torch.autograd.backward(self.run(portion), gradient)
        return raised, outputs.detach()

    def _smaller_portions(self, batch: Batch, error: RuntimeError) -> None:
        """Halve the portions. Raises JobFailedError where that is not possible without another result."""
        count = len(batch.labels)
        if not self.divisible:
            why = "it has batch norm, whose result depends on the whole batch, so it cannot be run in portions"
        elif 2 * self.portions > count:
            why = "a single example is already too much"
        else:
            self.portions *= 2
            log.warning("too little memory: smaller portions, same result", module=self.name, portions=self.portions)
            return
        raise JobFailedError(
            f"{self.name} does not fit into the memory of {self.placement.device} with {count} images a batch: {why}; "
            "choose a smaller batch size, more modules or a narrower network"
        ) from error


@contextmanager
def told_as_failure(what: str, *, device: torch.device) -> Iterator[None]:
    """Within the block, too little memory is a JobFailedError that names what was done."""
    try:
        yield
    except RuntimeError as error:
        if not _out_of_memory(error):
            raise
        raise JobFailedError(
            f"{what} does not fit into the memory of {device}; choose a smaller batch size, more modules or a narrower "
            "network"
        ) from error


def _out_of_memory(error: RuntimeError) -> bool:
    return isinstance(error, torch.OutOfMemoryError) or NO_MEMORY in str(error)


def _detached(features: Tensor | None) -> Tensor | None:
    return None if features is None else features.detach()


@dataclass(frozen=True, slots=True)
class Learner:
    """Parts on top of each other. Each frees its graph before the next one runs, so memory holds one at a time.

    Parts may be on several devices. A step waits for none of them, and a device only for those beside it, so that they
    work on batches that follow each other.
    """

    parts: Sequence[Part]

    def step(self, batch: Batch, *, done: float) -> list[Raised]:
        """One step of every part, the lowest first; what each raised."""
        raised = []
        inputs = batch.inputs
        for part in self.parts:
            batch = batch.over(inputs, part.placement)
            own, inputs = part.step(batch, done=done)
            raised.append(own)
        return raised

    @torch.no_grad()
    def values(self, batch: Batch) -> Tensor:
        """Objective of every part in eval mode, nothing moved. Shape (parts,)."""
        values, home = [], batch.labels.device
        inputs = batch.inputs
        for part in self.parts:
            batch = batch.over(inputs, part.placement)
            inputs = part.run(batch.inputs)
            values.append(part.objective(inputs, batch).value)
        return torch.stack([value.to(home) for value in values])

    def train(self, *, learning: bool) -> None:
        """Put all parts and their objectives into training mode, or out of it."""
        for part in self.parts:
            part.module.train(learning)
            part.objective.train(learning)

    def broken(self) -> str:
        """What is no longer finite, and where, for the error."""
        for part in self.parts:
            found = part.ascent.broken()
            if found is not None:
                return f"{part.name}: {found}"
        return "no weight or gradient, the objective alone"
