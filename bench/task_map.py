"""Does the task map find, from scores alone, which tasks are of one kind?

The 15 binary tasks are all pairs of airplane, automobile, truck, cat, deer, dog of CIFAR-10. For each of them five
small networks of one hidden module (LeNet-5 of width 12) are trained on pairs by upper-triangle alignment, each on a
draw of images of its own. Each module is then scored, without training, on the test images of all 15 tasks by centred
alignment, and the scores of a task's five modules are averaged. `registry.task_map` clusters the source tasks by their
rows of the 15 x 15 matrix, knowing neither the kinds nor their number. The clusters are compared with the three kinds
of pairs (two vehicles: 3 tasks, two animals: 3, a vehicle and an animal: 9) by the adjusted Rand index: 1 for the same
partition, 0 on average for a random one. The whole is repeated with other seeds.

Measured on 2026-11-20, 2 cores of an x86-64 server that others were using; Python 3.11.7, torch 2.15.0, NumPy 2.4.6,
SciPy 1.17.1; 3 repeats, so 15 seeds in all, 424 s:

    five networks a task   0.92, 0.92, 0.96 (target: each at least 0.8); 5, 5 and 4 clusters: the 9 tasks of a vehicle
                           and an animal are one of them, the pairs of vehicles and those of animals one or two each
    one network a task     0.79 +- 0.20, at least 0.41: 10 of these 15 maps reach 0.8
    any five of the 15     0.93 on average, 97.7 % of 300 draws reach 0.8, at least 0.54

A map of single networks is not reliable at this size, which is why five are averaged: that was decided after seeing
single ones, and the way of clustering was chosen on earlier runs. In three of the five maps that fail, the modules for
deer against automobile or truck stand with those for airplane against automobile or truck. The picture shows the
first repeat.

With --quick one repeat of two networks a task, on 250 images of each class, for 5 epochs.
"""

import os
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from math import comb
from multiprocessing import get_context
from pathlib import Path

import matplotlib as mpl
import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray

from bench.report import Figure as Figures
from bench.report import parse_quick, report
from kernel_methods.alignment import centred_alignment
from kernel_methods.statistics import TaskStatistics
from registry.dataset_file import LabelledImages, limits_from, load_arrays, read_labels
from registry.manifest import Preprocessing, TrainedClass
from registry.names import Digest
from registry.networks.build import load
from registry.networks.embed import embed
from registry.recipes import OptimiserSpec, TaskSpec, TrainingRecipe
from registry.settings import Settings
from registry.task_map import TaskMapLayout, task_map
from trainer.data import TrainingData, draw, normalise
from trainer.heads import features_of
from trainer.run import TrainedNetwork, train

ROOT = Path(__file__).parents[1]
PICTURE = ROOT / "docs" / "pictures" / "task_map.png"

VEHICLES = {"airplane": "0", "automobile": "1", "truck": "9"}
ANIMALS = {"cat": "3", "deer": "4", "dog": "5"}
NAMES = (*VEHICLES, *ANIMALS)
PAIRS = tuple(combinations(range(len(NAMES)), 2))
KINDS = ("two vehicles", "two animals", "vehicle and animal")
COLOURS = ("tab:blue", "tab:green", "tab:red")

LEAST_INDEX = 0.8
ROWS_AT_ONCE = 500
PIXELS = Preprocessing(colour="rgb", height=32, width=32, mean=(0.491, 0.482, 0.447), std=(0.247, 0.243, 0.262))
NO_DIGEST = Digest("sha256:" + "0" * 64)


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured: repeats, networks of each task, images of each class to train and to score on, epochs."""

    repeats: int
    networks: int
    training: int
    test: int
    epochs: int


FULL = Size(repeats=3, networks=5, training=400, test=500, epochs=6)
QUICK = Size(repeats=1, networks=2, training=250, test=300, epochs=5)


def main() -> None:
    size = QUICK if parse_quick(__doc__) else FULL
    folder = find_data()
    if folder is None:
        skipped = "no cifar10-train.parquet and cifar10-test.parquet in ZOO_DATA or ../shared/data"
        report(bench="task_map", figures={"skipped": skipped}, targets={}, holds=False)
        return
    began = time.perf_counter()
    single = measure(folder, size)
    maps = single.reshape(size.repeats, size.networks, *single.shape[1:]).mean(axis=1)
    if size is FULL:
        draw_map(maps[0], task_map(maps[0]), path=PICTURE)
    indices, alone = ([index_of(scores) for scores in matrices] for matrices in (maps, single))
    figures: dict[str, Figures] = {
        "repeats": size.repeats,
        "networks_of_each_task": size.networks,
        "adjusted_rand_index": round(float(np.mean(indices)), 3),
        "adjusted_rand_index_of_each_repeat": "/".join(f"{index:.2f}" for index in indices),
        "adjusted_rand_index_least": round(min(indices), 3),
        "clusters": "/".join(str(len(set(task_map(scores).clusters))) for scores in maps),
        "with_one_network_adjusted_rand_index": round(float(np.mean(alone)), 3),
        "with_one_network_adjusted_rand_index_spread": round(float(np.std(alone)), 3),
        "with_one_network_adjusted_rand_index_least": round(min(alone), 3),
        "own_task_alignment": round(float(np.mean([np.diag(scores).mean() for scores in single])), 3),
        "seconds": round(time.perf_counter() - began, 1),
    }
    targets = {"adjusted_rand_index_least": LEAST_INDEX}
    report(bench="task_map", figures=figures, targets=targets, holds=min(indices) >= LEAST_INDEX)


def find_data() -> Path | None:
    """The folder with CIFAR-10, or None."""
    places = [Path(os.environ["ZOO_DATA"])] if "ZOO_DATA" in os.environ else []
    for folder in (*places, ROOT.parent / "shared" / "data"):
        if all((folder / f"cifar10-{part}.parquet").is_file() for part in ("train", "test")):
            return folder
    return None


def six_classes(path: Path, per_class: int, *, seed: int) -> LabelledImages:
    """So many images of each of the six classes, drawn by the seed; the labels go with NAMES."""
    limits = limits_from(Settings.load())
    classes = {name: (label,) for name, label in (VEHICLES | ANIMALS).items()}
    place = {label: index for index, label in enumerate((VEHICLES | ANIMALS).values())}
    with path.open("rb") as file:
        labels = np.array([place.get(label, -1) for label in read_labels(file, limits=limits)])
        rows = np.flatnonzero(labels >= 0)
        chosen = rows[draw(labels[rows], per_class * len(NAMES), seed=seed)]
        return load_arrays(file, preprocessing=PIXELS, limits=limits, classes=classes, rows=chosen.tolist())


def measure(folder: Path, size: Size) -> NDArray[np.float64]:
    """Source x target scores of every network's seed, on all cores. Shape (repeats * networks, 15, 15)."""
    seeds = range(size.repeats * size.networks)
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        return np.array(list(pool.map(partial(measure_seed, folder, size), seeds)))


def measure_seed(folder: Path, size: Size, seed: int) -> NDArray[np.float64]:
    """Source x target scores of one network for each task, on one thread. Shape (15, 15)."""
    torch.set_num_threads(1)
    images = six_classes(folder / "cifar10-train.parquet", size.training, seed=seed)
    test = six_classes(folder / "cifar10-test.parquet", size.test, seed=0)
    return np.array([scores_of(train_pair(images, pair, size=size, seed=seed), test) for pair in PAIRS])


def index_of(scores: NDArray[np.float64]) -> float:
    """Adjusted Rand index between the clusters of the sources and the kinds of their tasks."""
    return adjusted_rand_index(task_map(scores).clusters, [kind_of(pair) for pair in PAIRS])


def train_pair(images: LabelledImages, pair: tuple[int, int], *, size: Size, seed: int) -> TrainedNetwork:
    """One hidden module that tells two classes apart."""
    chosen = np.flatnonzero(np.isin(images.labels, pair))
    data = TrainingData(
        digest=NO_DIGEST,
        images=images.images[chosen],
        labels=(images.labels[chosen] == pair[1]).astype(np.int64),
        classes=tuple(TrainedClass(label=NAMES[place], merged=(NAMES[place],)) for place in pair),
        preprocessing=PIXELS,
    )
    recipe = TrainingRecipe(
        task=TaskSpec(dataset=NO_DIGEST),
        family="lenet5",
        width=12,
        objective="upper_triangle_alignment",
        optimiser=OptimiserSpec(name="adamw"),
        epochs=size.epochs,
        batch_size=128,
        output=None,
        held_out_share=0,
        seed=seed,
        precision="float32",
    )
    return train(recipe, data, report=lambda _: None, should_stop=lambda: False)


def scores_of(source: TrainedNetwork, test: LabelledImages) -> list[float]:
    """Centred alignment of a source's module on all 15 tasks, from one pass over the test images."""
    module = source.modules[-1]
    weights = {name: torch.from_numpy(values) for name, values in module.tensors.items()}
    network = load(module.manifest.architecture, weights)
    images = torch.from_numpy(test.images.transpose(0, 3, 1, 2).copy())
    inputs = normalise(images, mean=PIXELS.mean, std=PIXELS.std)
    outputs = torch.cat(list(embed([network], torch.split(inputs, ROWS_AT_ONCE))))
    phi = module.manifest.feature_map
    if phi is None:
        raise ValueError("a module trained on pairs has a feature map")
    features = features_of(outputs, phi).numpy()
    card = TaskStatistics.of(features, test.labels, classes=len(NAMES), class_moments=True)
    return [centred_alignment(card.merge_classes([[first], [second]])) for first, second in PAIRS]


def kind_of(pair: tuple[int, int]) -> int:
    """0 for two vehicles, 1 for two animals, 2 for one of each."""
    vehicles = sum(place < len(VEHICLES) for place in pair)
    return {2: 0, 0: 1, 1: 2}[vehicles]


def adjusted_rand_index(one: Sequence[int], other: Sequence[int]) -> float:
    """Agreement of two partitions of the same things, corrected for chance.

    Returns:
        At most 1, for equal partitions; 0 on average for random ones.

    Source:
        Hubert, Arabie (1985), Comparing Partitions, equation 5.
    """
    table = np.zeros((max(one) + 1, max(other) + 1), dtype=np.int64)
    np.add.at(table, (np.asarray(one), np.asarray(other)), 1)
    together = sum(comb(int(n), 2) for n in table.flat)
    of_one, of_other = (sum(comb(int(n), 2) for n in table.sum(axis=axis)) for axis in (1, 0))
    expected = of_one * of_other / comb(len(one), 2)
    most = (of_one + of_other) / 2
    return 1.0 if most == expected else (together - expected) / (most - expected)


def draw_map(scores: NDArray[np.float64], layout: TaskMapLayout, *, path: Path) -> None:
    """Draw the matrix in the order of its layout, a line between clusters, tasks coloured by their kind."""
    with mpl.rc_context({"font.size": 8}):
        figure = Figure(figsize=(7.2, 6.4), layout="constrained")
        axes = figure.subplots()
        order = list(layout.order)
        shown = axes.imshow(scores[np.ix_(order, order)], cmap="viridis", vmin=0, vmax=1)
        figure.colorbar(shown, ax=axes, label="centred alignment", shrink=0.8)
        named = [f"{NAMES[PAIRS[i][0]]}, {NAMES[PAIRS[i][1]]}" for i in order]
        axes.set_xticks(range(len(order)), named, rotation=90)
        axes.set_yticks(range(len(order)), named)
        for ticks in (axes.get_xticklabels(), axes.get_yticklabels()):
            for tick, source in zip(ticks, order, strict=True):
                tick.set_color(COLOURS[kind_of(PAIRS[source])])
        clusters = [layout.clusters[source] for source in order]
        for border in np.flatnonzero(np.diff(clusters)) + 0.5:
            axes.axhline(border, color="white", linewidth=1.5)
        axes.set(xlabel="target task", ylabel="source task: its module is scored")
        for kind, colour in zip(KINDS, COLOURS, strict=True):
            axes.plot([], [], "s", color=colour, label=kind)
        figure.legend(loc="outside upper center", ncols=3, frameon=False)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
