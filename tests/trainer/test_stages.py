import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from registry.errors import JobFailedError
from registry.recipes import OptimiserSpec
from tests.trainer.examples import bench_of, digits, ignore, never, recipe
from trainer.hidden import train_hidden
from trainer.history import EpochRecord
from trainer.learners import Learner
from trainer.run import train
from trainer.stage_state import weights_of_learner
from trainer.stages import Stage
from trainer.workbench import Workbench

UNSTEADY = OptimiserSpec(name="sgd", learning_rate=2.0, momentum=0.95, warm_up_share=0.5)


def history_of(**changes: object) -> list[EpochRecord]:
    told: list[EpochRecord] = []
    train(recipe(output=None, **changes), digits(), report=ignore, should_stop=never, history=told.append)
    return told


def test_every_epoch_is_told_with_an_objective_for_every_part():
    told = history_of(modules=2, epochs=3)
    assert [(record.stage, record.epoch) for record in told] == [
        (f"module {index} of 2", epoch) for index in (1, 2) for epoch in (1, 2, 3)
    ]
    at_once = history_of(modules=2, epochs=3, schedule="at-once")
    assert [(record.stage, len(record.objectives)) for record in at_once] == [("2 modules at once", 2)] * 3
    assert at_once[-1].objectives[1] > at_once[0].objectives[1]


class Watching:
    """Remembers every look at held-out examples, and the weights it saw."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.values: list[float] = []
        self.weights: list[dict[str, torch.Tensor]] = []
        look = Stage._held_out_objective

        def remembered(stage: Stage) -> float:
            self.values.append(look(stage))
            self.weights.append({name: t.clone() for name, t in weights_of_learner(stage.learner).items()})
            return self.values[-1]

        monkeypatch.setattr(Stage, "_held_out_objective", remembered)


def test_patience_ends_a_stage_and_takes_its_best_weights(monkeypatch):
    seen = Watching(monkeypatch)
    (trained,) = train_hidden(bench_of(patience=2, epochs=40, optimiser=UNSTEADY))
    best = seen.values.index(max(seen.values))
    assert len(seen.values) == best + 3 < 40
    assert {metric.name: metric.value for metric in trained.metrics}["epochs"] == len(seen.values)
    taken = trained.module.state_dict()
    assert all(torch.equal(taken[name], seen.weights[best][f"0/module/{name}"]) for name in taken)


def test_patience_that_is_never_tried_changes_nothing_but_the_choice_of_the_epoch(monkeypatch):
    seen = Watching(monkeypatch)
    patient = train_hidden(bench_of(patience=100, epochs=4))[0].module.state_dict()
    plain = train_hidden(bench_of(epochs=4))[0].module.state_dict()
    assert len(seen.values) == 4
    assert seen.values[-1] == max(seen.values)
    assert all(torch.equal(plain[name], patient[name]) for name in plain)


def rates_of(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Learning rates of all steps of the hidden modules."""
    rates: list[float] = []
    step = Learner.step

    def slow(learner, batch, *, done):
        time.sleep(0.01)
        raised = step(learner, batch, done=done)
        rates.append(learner.parts[0].ascent.learning_rate)
        return raised

    monkeypatch.setattr(Learner, "step", slow)
    train_hidden(bench)
    return rates


def test_seconds_end_a_run_and_the_cycle_with_it(monkeypatch):
    began = time.monotonic()
    rates = rates_of(bench_of(seconds=0.5, epochs=10_000), monkeypatch)
    assert 0.4 < time.monotonic() - began < 3
    peak = rates.index(max(rates))
    assert max(rates) == pytest.approx(5e-3, rel=0.2)
    assert 0 < peak < len(rates) - 1
    assert rates[-1] < 0.3 * max(rates)


def test_each_module_in_turn_gets_its_share_of_the_seconds():
    told = history_of(modules=2, seconds=0.6, epochs=10_000)
    for name in ("module 1 of 2", "module 2 of 2"):
        assert 0.25 < max(record.seconds for record in told if record.stage == name) < 1.0


class Poison(nn.Module):
    """Passes the first few batches as they are, then gives no numbers."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self.left = after

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        self.left -= 1
        return inputs * (1.0 if self.left >= 0 else float("nan"))


@pytest.mark.parametrize("schedule", ["in-turn", "at-once"])
def test_what_is_no_number_is_named_with_module_epoch_and_kind(schedule, monkeypatch):
    fresh = Workbench.fresh

    def poisoned(bench, architecture, *, index, **purpose):
        module = fresh(bench, architecture, index=index, **purpose)
        return module if index != 1 else module.append(Poison(after=7))

    monkeypatch.setattr(Workbench, "fresh", poisoned)
    with pytest.raises(JobFailedError) as raised:
        train_hidden(bench_of(modules=2, schedule=schedule))
    assert "the objective became nan in " in str(raised.value)
    assert "epoch 2: not finite is module 2: a weight of shape" in str(raised.value)


def test_patience_needs_held_out_examples_and_no_table_of_pairs():
    with pytest.raises(ValueError, match="raise held_out_share"):
        recipe(patience=1, held_out_share=0.0)
    with pytest.raises(ValueError, match="nothing is known of the pairs of held-out"):
        recipe(patience=1, pairs={"partners": 1})


def test_patience_deals_held_out_images_that_lie_class_after_class_to_mixed_batches():
    data = digits(examples=200)
    order = np.argsort(data.labels, kind="stable")
    by_class = replace(data, images=data.images[order], labels=data.labels[order])
    wanted = recipe(objective="ridge", batch_size=25, patience=3, epochs=8)
    module = train(wanted, by_class, report=ignore, should_stop=never).modules[0]
    assert module.metric("epochs") > 4
