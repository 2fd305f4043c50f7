"""Epochs: an objective is raised over all examples, batch after batch, in an order drawn by a seed."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from trainer.data import batches
from trainer.inputs import Inputs
from trainer.optimisation import Ascent, finite_mean
from trainer.progress import Tracker

BatchObjective = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True, slots=True)
class Epochs:
    """How often and in which portions examples are seen.

    Args:
        stage: what is being trained, for people.
        count: number of epochs.
        batch_size: examples of a batch, at most.
        augment: whether images are shifted and flipped at random.
        generator: draws the order and the augmentation; on the device.
    """

    stage: str
    count: int
    batch_size: int
    augment: bool
    generator: torch.Generator

    def run(self, objective: BatchObjective, inputs: Inputs, *, ascent: Ascent, tracker: Tracker) -> float:
        """Raise ``objective(batch of inputs, labels)`` through all epochs.

        Returns:
            Mean objective of the last epoch; larger is better.

        Raises:
            JobFailedError: the objective is no longer a finite number; the sentence says where.
            Stopped: the run is to end.
        """
        mean = float("nan")
        for epoch in range(1, self.count + 1):
            values = []
            for indices in batches(len(inputs.labels), self.batch_size, generator=self.generator):
                batch = inputs.batch(indices, augment=self.generator if self.augment else None)
                value = objective(batch, inputs.labels[indices])
                ascent.step(value)
                values.append(value.detach())
                tracker.advance(len(indices), stage=self.stage, epoch=epoch, objective=values[-1])
            mean = finite_mean(values, what=f"{self.stage}, epoch {epoch}")
        return mean
