"""One stage of a run: parts learn from all examples, batch after batch, in an order drawn by a seed."""

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from kernel_methods.objectives import gram, ideal_gram_matrix, upper_triangle_alignment
from kernel_methods.objectives_known import known_pair_objective
from registry.errors import JobFailedError
from registry.manifest import Metric
from trainer.checkpoints import Journal, Snapshot, StageNotes, under
from trainer.data import Augmentation, batch_count
from trainer.history import EpochRecord, History
from trainer.inputs import Inputs
from trainer.learners import Batch, Learner, PairKnowledge, Raised, told_as_failure
from trainer.progress import Step, Tracker
from trainer.stage_state import go_on_drawing, restore, stage_tensors, weights_of_learner


@dataclass(frozen=True, slots=True)
class Pace:
    """How often and in which portions examples are seen, and when it is enough.

    Args:
        epochs: passes over the examples, at most.
        batch_size: examples of a batch, at most.
        augment: how images change; None where they do not.
        order: draws the order of the examples; on the device.
        patience: epochs without a better objective on held-out examples, after which the best weights are taken.
        seconds: time after which the cycle of the learning rate is over.
        known: what is known of pairs, which then decides who meets in a batch.
    """

    epochs: int
    batch_size: int
    augment: Augmentation | None
    order: torch.Generator
    patience: int | None = None
    seconds: float | None = None
    known: PairKnowledge | None = None

    @property
    def views(self) -> int:
        """How often a batch has each of its images."""
        return 1 if self.augment is None else self.augment.views


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a stage tells of itself, and to whom."""

    tracker: Tracker
    journal: Journal
    history: History


@dataclass(slots=True)
class Stage:
    """A learner's way through its examples; `run` goes it, from where a checkpoint left off.

    Args:
        number: position in the run, for checkpoints.
        name: what is being trained, for people.
        learner: what learns.
        inputs: what it learns from.
        watched: held-out inputs, which patience looks at.
        pace: how.
        around: whom to tell.
    """

    number: int
    name: str
    learner: Learner
    inputs: Inputs
    watched: Inputs
    pace: Pace
    around: Surroundings
    _notes: StageNotes = field(init=False)
    _sums: list[Tensor] = field(init=False)
    _epoch_order: Tensor = field(init=False)
    _best: dict[str, Tensor] = field(init=False, default_factory=dict)
    _began: float = field(init=False)
    _last: "_LastStep | None" = field(init=False, default=None)

    def run(self) -> tuple[float, ...]:
        """Raise the objectives through all epochs; the learner's modules are left as the stage ends.

        Returns:
            Mean objective of every part in its last epoch; larger is better.

        Raises:
            JobFailedError: an objective is no longer a finite number, or memory is short; the sentence says where.
            Stopped: the run is to end.
        """
        self._begin()
        if self._notes.finished:
            return self._notes.objectives
        self.learner.train(learning=True)
        with told_as_failure(self.name, device=self.inputs.labels.device):
            while not self._over():
                self._epoch()
        if self._best:
            restore(self.learner, self._best, optimisers=False)
            self._note(objectives=self._notes.best_objectives)
        self._note(finished=True)
        self._keep()
        return self._notes.objectives

    @property
    def epochs_run(self) -> int:
        """Epochs that are over."""
        return self._notes.epoch - 1

    def metrics(self, objective: float) -> tuple[Metric, ...]:
        """What the stage says of a module: its last mean objective, and after how many epochs."""
        return (
            Metric(name="objective", on="training", value=objective),
            Metric(name="epochs", on="training", value=float(self.epochs_run)),
        )

    def _begin(self) -> None:
        """From the start, or from the checkpoint."""
        self._notes = StageNotes(stage=self.number)
        self._sums = [torch.zeros((), dtype=torch.float64, device=each.placement.device) for each in self.learner.parts]
        self._epoch_order = self.pace.order.get_state()
        snapshot = self.around.journal.stage(self.number)
        if snapshot is not None:
            self._take_up(snapshot)
        self._began = time.monotonic() - self._notes.elapsed_seconds

    def _take_up(self, snapshot: Snapshot) -> None:
        self._notes = snapshot.notes
        self.around.tracker.take_up(self._notes.examples_done)
        restore(self.learner, snapshot.tensors, optimisers=not self._notes.finished)
        if self._notes.finished:
            return
        for own, kept in zip(self._sums, snapshot.tensors["sums"], strict=True):
            own.copy_(kept)
        self._epoch_order = snapshot.tensors["epoch_order"]
        self._best = under(snapshot.tensors, "best/")
        go_on_drawing(self.pace.order, snapshot.tensors["order"])

    def _over(self) -> bool:
        notes, pace = self._notes, self.pace
        impatient = pace.patience is not None and notes.waited >= pace.patience
        return notes.epoch > pace.epochs or impatient or (notes.epoch > 1 and self._late())

    def _epoch(self) -> None:
        """The rest of an epoch, from the batch that comes next."""
        began, before = time.monotonic(), self.around.tracker.done
        for index, indices in self._batches():
            batch = self._batch(indices)
            raised = self.learner.step(batch, done=self._done(index))
            self._last = _LastStep(raised, batch.labels, batch.indices)
            for total, part in zip(self._sums, raised, strict=True):
                total.add_(part.value)  # each on its device: gathered here, they would make devices wait for each other
            self._note(batch=index + 1)
            self._tell(raised, count=len(indices))
            if self.around.journal.due:
                self._keep()
            if self._late():
                break
        seen, seconds = self.around.tracker.done - before, time.monotonic() - began
        self._end_epoch(examples_per_second=seen / max(seconds, 1e-9))

    def _batches(self) -> Iterator[tuple[int, Tensor]]:
        """Number and indices of the batches that are left of this epoch; the order is drawn where it begins."""
        resumed = self.pace.order.get_state()
        if self._notes.batch == 0:
            self._epoch_order = resumed
        go_on_drawing(self.pace.order, self._epoch_order)
        dealt = list(torch.tensor_split(self._order(), batch_count(len(self.inputs.labels), self.pace.batch_size)))
        if self._notes.batch:
            self.pace.order.set_state(resumed)
        yield from list(enumerate(dealt))[self._notes.batch :]

    def _order(self) -> Tensor:
        """All examples in the order of an epoch."""
        if self.pace.known is not None:
            return self.pace.known.order(self.pace.order)
        return torch.randperm(len(self.inputs.labels), generator=self.pace.order, device=self.pace.order.device)

    def _batch(self, indices: Tensor) -> Batch:
        seen = indices.repeat(self.pace.views)
        return Batch(self.inputs.batch(indices, augment=self.pace.augment), self.inputs.labels[seen], seen)

    def _done(self, batch: int) -> float:
        """Share of the cycle that is over: of all steps, or of the time, whichever is further."""
        each = batch_count(len(self.inputs.labels), self.pace.batch_size)
        of_steps = ((self._notes.epoch - 1) * each + batch) / (self.pace.epochs * each)
        of_time = self._elapsed() / self.pace.seconds if self.pace.seconds else 0.0
        return min(max(of_steps, of_time), 1.0)

    def _late(self) -> bool:
        return self.pace.seconds is not None and self._elapsed() >= self.pace.seconds

    def _elapsed(self) -> float:
        return time.monotonic() - self._began

    def _tell(self, raised: Sequence[Raised], *, count: int) -> None:
        """Tell how far it is, when that is due; only then is a number read from the device."""
        tracker = self.around.tracker
        due = tracker.count(count)
        self._note(examples_done=tracker.done)
        if due:
            objective = sum(float(part.value) for part in raised) / len(raised)
            self._check(objective)
            last = next((found for found in reversed(self._alignments()) if found is not None), None)
            tracker.tell(Step(self.name, epoch=self._notes.epoch, objective=objective, alignment=last))

    def _alignments(self) -> tuple[float | None, ...]:
        """Upper-triangle alignment of every part on the last batch; None where it looked at no features."""
        last = self._last
        if last is None:
            return (None,) * len(self.learner.parts)
        device = last.labels.device
        return tuple(
            None if part.features is None else self._alignment(part.features.to(device), last) for part in last.raised
        )

    def _alignment(self, features: Tensor, last: "_LastStep") -> float:
        """Upper-triangle alignment; where labels are not to be looked at, over the pairs that are known."""
        if self.pace.known is not None:
            same, known = self.pace.known.of_batch(last.indices)
            return float(known_pair_objective("upper_triangle_alignment", k_min=0.0, k_max=1.0)(features, same, known))
        return float(upper_triangle_alignment(gram(features), ideal_gram_matrix(last.labels, k_min=0.0, k_max=1.0)))

    def _check(self, objective: float) -> None:
        if not math.isfinite(objective):
            raise JobFailedError(
                f"the objective became {objective} in {self.name}, epoch {self._notes.epoch}: not finite is "
                f"{self.learner.broken()}; lower the learning rate or use float32"
            )

    def _end_epoch(self, *, examples_per_second: float) -> None:
        """Means of the epoch, patience, and on to the next one."""
        means = [float(own) / max(self._notes.batch, 1) for own in self._sums]
        self._check(sum(means))
        for own in self._sums:
            own.zero_()
        self.around.history(self._record(means, examples_per_second=examples_per_second))
        self._note(epoch=self._notes.epoch + 1, batch=0, objectives=tuple(means))
        if self.pace.patience is not None:
            self._watch()

    def _record(self, means: Sequence[float], *, examples_per_second: float) -> EpochRecord:
        parts = self.learner.parts
        return EpochRecord(
            stage=self.name,
            epoch=self._notes.epoch,
            objectives=tuple(means),
            seconds=self._elapsed(),
            parts=tuple(part.name for part in parts),
            alignments=self._alignments(),
            learning_rate=parts[0].ascent.learning_rate,
            examples_per_second=examples_per_second,
        )

    def _watch(self) -> None:
        """Look at the held-out examples; remember the weights where they are the best so far."""
        value = self._held_out_objective()
        self._check(value)
        if self._notes.best is not None and value <= self._notes.best:
            self._note(waited=self._notes.waited + 1)
            return
        self._note(best=value, waited=0, best_objectives=self._notes.objectives)
        self._best = {name: tensor.detach().clone() for name, tensor in weights_of_learner(self.learner).items()}

    def _held_out_objective(self) -> float:
        """Mean objective over held-out examples and parts, in eval mode."""
        self.learner.train(learning=False)
        count = len(self.watched.labels)
        indices = torch.arange(count, device=self.watched.labels.device)
        total, deals = 0.0, batch_count(count, self.pace.batch_size)
        for part in (indices[first::deals] for first in range(deals)):  # held-out images may lie class after class
            batch = Batch(self.watched.batch(part), self.watched.labels[part], part)
            total += float(self.learner.values(batch).mean()) * len(part)
        self.learner.train(learning=True)
        return total / len(indices)

    def _note(self, **changed: float | tuple[float, ...]) -> None:
        self._notes = self._notes.model_copy(update=changed)

    def _keep(self) -> None:
        """Write a checkpoint."""
        self._note(elapsed_seconds=self._elapsed())
        finished = self._notes.finished
        tensors = weights_of_learner(self.learner) if finished else stage_tensors(self.learner)
        if not finished:
            tensors |= {
                "sums": torch.stack([own.cpu() for own in self._sums]),
                "order": self.pace.order.get_state(),
                "epoch_order": self._epoch_order,
            }
            tensors |= {f"best/{name}": tensor for name, tensor in self._best.items()}
        self.around.journal.keep(Snapshot(self._notes, tensors))


class _LastStep(NamedTuple):
    """What the last step raised, and of which examples; its inputs are not kept, they may be large."""

    raised: Sequence[Raised]
    labels: Tensor
    indices: Tensor
