"""What the training benches share: CIFAR-10, three sizes to run at, one run and what is measured of it."""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from client.cache import digest_of_file
from registry.dataset_file import LabelledImages, limits_from, load_arrays, read_labels
from registry.manifest import Preprocessing, TrainedClass
from registry.networks.build import load
from registry.recipes import OptimiserSpec, OutputSpec, TaskSpec, TrainingRecipe
from registry.settings import Settings
from trainer.checkpoints import NOT_SAVED
from trainer.data import TrainingData, channel_moments, draw, normalise
from trainer.devices import choose_placement
from trainer.inputs import KeptInputs
from trainer.output import planned_output, train_output
from trainer.run import TrainedNetwork, train
from trainer.seeds import Purpose
from trainer.workbench import Watchers, Workbench

ROOT = Path(__file__).parents[1]
PORTION = 500


@dataclass(frozen=True, slots=True)
class Size:
    """How large the runs of a bench are.

    Args:
        width: channels of the first stage of ResNet-18.
        examples: training images.
        test: test images.
        epochs: of the hidden modules, and of the end-to-end network.
        batch_size: images of a batch.
        seeds: how many runs of each kind.
    """

    width: int
    examples: int
    test: int
    epochs: int
    batch_size: int
    seeds: int


FULL = Size(width=64, examples=50_000, test=10_000, epochs=60, batch_size=1024, seeds=3)
"""On a GPU: the figures of the issue."""

CPU = Size(width=16, examples=10_000, test=10_000, epochs=8, batch_size=250, seeds=2)
"""Without one: a narrow network, a fifth of the images."""

QUICK = Size(width=4, examples=600, test=400, epochs=2, batch_size=100, seeds=1)


def size_for(*, quick: bool) -> Size:
    """The size that this machine can do; fewer seeds or epochs by ZOO_BENCH_SEEDS and ZOO_BENCH_EPOCHS."""
    size = QUICK if quick else FULL if torch.cuda.is_available() else CPU
    return Size(
        size.width,
        size.examples,
        size.test,
        int(os.environ.get("ZOO_BENCH_EPOCHS", size.epochs)),
        size.batch_size,
        int(os.environ.get("ZOO_BENCH_SEEDS", size.seeds)),
    )


def folder() -> Path:
    """Where the CIFAR-10 files are. Raises SystemExit where there are none."""
    found = Path(os.environ.get("ZOO_DATA", ROOT.parent / "shared" / "data"))
    if not (found / "cifar10-train.parquet").exists():
        raise SystemExit(f"skipped: no cifar10-train.parquet in {found.name}; set ZOO_DATA to its folder")
    return found


@cache
def images_of(part: str, count: int, seed: int = 0) -> LabelledImages:
    """So many images of the "train" or the "test" file, each class by its share."""
    pixels = Preprocessing(colour="rgb", height=32, width=32, mean=(0.0,) * 3, std=(1.0,) * 3)
    limits = limits_from(Settings.load())
    with (folder() / f"cifar10-{part}.parquet").open("rb") as file:
        labels = np.array([int(label) for label in read_labels(file, limits=limits)], dtype=np.int64)
        rows = frozenset(draw(labels, count, seed=seed, purpose=Purpose.EXAMPLES).tolist())
        classes = {str(label): (str(label),) for label in range(10)}
        return load_arrays(file, preprocessing=pixels, limits=limits, classes=classes, rows=rows)


def training_data(count: int) -> TrainingData:
    """Training images, normalised by their own moments."""
    loaded = images_of("train", count)
    mean, std = channel_moments(loaded.images)
    return TrainingData(
        digest=digest_of_file(folder() / "cifar10-train.parquet"),
        images=loaded.images,
        labels=loaded.labels,
        classes=tuple(TrainedClass(label=name, merged=(name,)) for name in loaded.classes),
        preprocessing=Preprocessing(colour="rgb", height=32, width=32, mean=mean, std=std),
    )


def recipe_of(size: Size, *, seed: int, **changes: object) -> TrainingRecipe:
    """ResNet-18 with the same optimiser, augmentation and precision for every kind of run."""
    usual: dict[str, object] = {
        "task": TaskSpec(dataset=digest_of_file(folder() / "cifar10-train.parquet")),
        "family": "resnet18",
        "width": size.width,
        "epochs": size.epochs,
        "batch_size": size.batch_size,
        "optimiser": OptimiserSpec(name="muon"),
        "output": OutputSpec(),
        "objective": "ridge",
        "augment": True,
        "precision": "bfloat16",
        "held_out_share": 0.0,
        "seed": seed,
    }
    return TrainingRecipe.model_validate(usual | changes)


@dataclass(frozen=True, slots=True)
class Outcome:
    """One run: accuracy on the test images in percent, and seconds of training."""

    accuracy: float
    seconds: float
    network: TrainedNetwork


def run(recipe: TrainingRecipe, size: Size) -> Outcome:
    """Train a recipe and test what came of it."""
    data = training_data(size.examples)
    started = time.perf_counter()
    network = train(recipe, data, report=lambda _: None, should_stop=lambda: False)
    seconds = time.perf_counter() - started
    return Outcome(100 * accuracy(network, size), seconds, network)


def accuracy(network: TrainedNetwork, size: Size) -> float:
    """Share of the test images whose most probable class is theirs."""
    tested = images_of("test", size.test)
    outputs = outputs_over(network, tested.images)
    return float((outputs.argmax(axis=1) == tested.labels).mean())


def outputs_over(
    network: TrainedNetwork, images: NDArray[np.uint8], *, modules: int | None = None
) -> NDArray[np.float32]:
    """Raw outputs of the last module, or of the first so many, over images. Shape (n, ...)."""
    placement = choose_placement("bfloat16")
    first = network.modules[0].manifest.preprocessing
    built = [
        placement.place(load(part.manifest.architecture, {k: torch.from_numpy(v) for k, v in part.tensors.items()}))
        for part in network.modules[:modules]
    ]
    told = []
    for begin in range(0, len(images), PORTION):
        pixels = torch.from_numpy(images[begin : begin + PORTION].transpose(0, 3, 1, 2).copy())
        batch = placement.place_images(normalise(pixels, mean=first.mean, std=first.std))
        with torch.no_grad(), placement.autocast():
            for module in built:
                batch = module(batch)
        told.append(batch.float().cpu().numpy())
    return np.concatenate(told)


def spread(values: Sequence[float], digits: int = 2) -> str:
    """Mean and standard deviation of values, for people."""
    if len(values) == 1:
        return f"{values[0]:.{digits}f}"
    return f"{np.mean(values):.{digits}f} +- {np.std(values, ddof=1):.{digits}f}"


def machine() -> str:
    """What the figures were measured on."""
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else f"{torch.get_num_threads()} CPU threads"
    return f"{device}, torch {torch.__version__.split('+')[0]}"


def outputs_of_labels(network: TrainedNetwork, size: Size, *, labels: int | None, draws: int) -> list[float]:
    """Test accuracies, in percent, of new output modules on so many labels of each class, one for each draw.

    Args:
        network: its hidden modules stay as they are.
        size: of the run that it came from.
        labels: of each class; None for all.
        draws: how many times labels are drawn anew.
    """
    hidden = len(network.modules) - 1
    data, tested = training_data(size.examples), images_of("test", size.test)
    seen = [torch.from_numpy(outputs_over(network, part.images, modules=hidden)) for part in (data, tested)]
    recipe = network.modules[-1].manifest.recipe.model_copy(update={"output": OutputSpec(labels_per_class=labels)})
    found = []
    for draw_seed in range(draws):
        bench = workbench(recipe.model_copy(update={"seed": recipe.seed + 1000 * draw_seed}), data)
        inputs = KeptInputs(bench.placement.place_images(seen[0]), bench.training.labels)
        made = train_output(bench, planned_output(bench), inputs)
        with torch.no_grad():
            guesses = made.module(bench.placement.place_images(seen[1])).argmax(dim=1).cpu().numpy()
        found.append(100 * float((guesses == tested.labels).mean()))
    return found


def workbench(recipe: TrainingRecipe, data: TrainingData) -> Workbench:
    """The means of a run that tells nobody."""
    watchers = Watchers(lambda _: None, lambda: False, NOT_SAVED.journal(recipe))
    return Workbench.set_up(recipe, data, watchers)
