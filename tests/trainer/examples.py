"""Real 8 x 8 digits for the tests of the trainer, and recipes that train tiny networks on them in a second."""

from functools import cache

import numpy as np
from sklearn.datasets import load_digits

from registry.manifest import Preprocessing, TrainedClass
from registry.names import Digest
from registry.recipes import OptimiserSpec, OutputSpec, TaskSpec, TrainingRecipe
from registry.records import Progress
from trainer.checkpoints import NOT_SAVED, Saved
from trainer.data import TrainingData, channel_moments
from trainer.progress import ShouldStop
from trainer.run import TrainedNetwork, train
from trainer.workbench import Watchers, Workbench

DIGITS = Digest("sha256:" + "d" * 64)


@cache
def digit_arrays() -> tuple[np.ndarray, np.ndarray]:
    images, labels = load_digits(return_X_y=True)
    return (images.reshape(-1, 8, 8, 1) * 15.9).astype(np.uint8), labels.astype(np.int64)


def digits(*, classes: int = 4, examples: int = 400) -> TrainingData:
    images, labels = digit_arrays()
    chosen = np.flatnonzero(labels < classes)[:examples]
    mean, std = channel_moments(images[chosen])
    return TrainingData(
        digest=DIGITS,
        images=images[chosen],
        labels=labels[chosen],
        classes=tuple(TrainedClass(label=str(i), merged=(str(i),)) for i in range(classes)),
        preprocessing=Preprocessing(colour="grey", height=8, width=8, mean=mean, std=std),
    )


def recipe(**changes: object) -> TrainingRecipe:
    """A tiny run; ``changes`` are fields of the recipe."""
    fields: dict[str, object] = {
        "task": TaskSpec(dataset=DIGITS),
        "family": "mlp",
        "width": 24,
        "objective": "upper_triangle_alignment",
        "head": "none",
        "epochs": 4,
        "batch_size": 64,
        "held_out_share": 0.25,
        "optimiser": OptimiserSpec(name="adamw", learning_rate=5e-3),
        "output": OutputSpec(epochs=10),
    }
    return TrainingRecipe.model_validate(fields | changes)


def bench_of(*, examples: int = 400, **changes: object) -> Workbench:
    """The means of a tiny run whose every part is in the test's own hands."""
    wanted = recipe(**changes)
    watchers = Watchers(ignore, never, NOT_SAVED.journal(wanted))
    return Workbench.set_up(wanted, digits(examples=examples), watchers)


def run(*, saved: Saved = NOT_SAVED, should_stop: ShouldStop | None = None, **changes: object) -> TrainedNetwork:
    """Train the digits by a tiny recipe."""
    return train(recipe(**changes), digits(), report=ignore, should_stop=should_stop or never, saved=saved)


def digests(network: TrainedNetwork) -> list[str]:
    """Digests of a network's files, the input module first."""
    return [module.digest for module in network.modules]


def ignore(progress: Progress) -> None:
    """Nobody is told."""


def never() -> bool:
    """Nobody wants a run to stop."""
    return False
