"""What the ranking bench measures on: a zoo of small modules, tasks none of them saw, features, and the truth.

Everything of one seed: 19 modules of several families, widths, depths, activations, objectives and source tasks are
trained on one part of CIFAR-10's training images, and 14 target tasks use other images: one part to score on, one to
train the truth's probes on, and the test file to test them. It is slow (minutes for each seed), so what is made is kept
as a file in the folder ZOO_BENCH_KEEP, where one is named.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from bench.cifar import folder
from registry.dataset_file import limits_from, load_arrays, read_labels
from registry.manifest import Preprocessing, TrainedClass
from registry.names import Digest
from registry.networks.build import load
from registry.recipes import OptimiserSpec, TaskSpec, TrainingRecipe
from registry.settings import Settings
from trainer.data import TrainingData, normalise
from trainer.heads import features_of
from trainer.run import TrainedNetwork, train

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]

PIXELS = Preprocessing(colour="rgb", height=32, width=32, mean=(0.491, 0.482, 0.447), std=(0.247, 0.243, 0.262))
NO_DIGEST = Digest("sha256:" + "0" * 64)
ROWS_AT_ONCE = 250

Classes = tuple[tuple[int, ...], ...]
"""The labels that are merged into each class of a task."""

ALL = tuple((label,) for label in range(10))
VEHICLES, ANIMALS = (0, 1, 8, 9), (2, 3, 4, 5, 6, 7)

TASKS: dict[str, tuple[tuple[int, ...], ...]] = {
    "ten classes": ALL,
    "vehicles or animals": (VEHICLES, ANIMALS),
    "six animals": tuple((label,) for label in ANIMALS),
    "four vehicles": tuple((label,) for label in VEHICLES),
    "cat, dog": ((3,), (5,)),
    "automobile, truck": ((1,), (9,)),
    "airplane, ship": ((0,), (8,)),
    "deer, horse": ((4,), (7,)),
    "bird, frog": ((2,), (6,)),
    "airplane, bird": ((0,), (2,)),
    "air, land, water": ((0, 2), (1, 3, 4, 5, 7, 9), (6, 8)),
    "cat, deer, horse, frog": ((3,), (4,), (7,), (6,)),
    "hoofs, paws, others": ((4, 7), (3, 5), (2, 6)),
    "two at random": ((0, 3, 4, 6, 9), (1, 2, 5, 7, 8)),
}
"""Target tasks: the CIFAR-10 labels that are merged into each class."""


@dataclass(frozen=True, slots=True)
class Source:
    """How a module of the zoo is trained; `images` of its source task's images, of `classes`."""

    name: str
    family: str
    width: int
    classes: tuple[tuple[int, ...], ...] = ALL
    objective: str = "ridge"
    modules: int = 1
    activation: str = "relu"
    images: int = 6000
    epochs: int = 5
    rate: float | None = None


PAIR_CAT_DOG, PAIR_VEHICLES = ((3,), (5,)), ((0,), (1,))
SOURCES = (
    Source("resnet-8 ten", "resnet18", 8),
    Source("resnet-8 ten, prototype", "resnet18", 8, objective="prototype"),
    Source("resnet-8 ten, few images", "resnet18", 8, images=1500),
    Source("resnet-8 animals", "resnet18", 8, classes=TASKS["six animals"]),
    Source("resnet-8 vehicles", "resnet18", 8, classes=TASKS["four vehicles"]),
    Source("resnet-8 cat dog", "resnet18", 8, classes=PAIR_CAT_DOG, images=3000),
    Source("resnet-4 ten, two parts", "resnet18", 4, modules=2),
    Source("resnet-16 ten, short", "resnet18", 16, images=4000, epochs=2),
    Source("resnet-16 untrained", "resnet18", 16, images=200, epochs=1, rate=1e-8),
    Source("lenet-6 ten, alignment", "lenet5", 6, objective="upper_triangle_alignment", epochs=8),
    Source("lenet-24 ten", "lenet5", 24, objective="prototype", epochs=8),
    Source("lenet-24 vehicles, tanh", "lenet5", 24, classes=TASKS["four vehicles"], activation="tanh", epochs=8),
    Source("lenet-12 airplane automobile", "lenet5", 12, classes=PAIR_VEHICLES, images=2000, epochs=8),
    Source("lenet-24 animals, two parts", "lenet5", 24, classes=TASKS["six animals"], modules=2, epochs=8),
    Source("lenet-48 untrained", "lenet5", 48, images=200, epochs=1, rate=1e-8),
    Source("mlp-512 ten", "mlp", 512, epochs=8),
    Source("mlp-64 ten, alignment", "mlp", 64, objective="centred_alignment", epochs=8),
)


@dataclass(frozen=True, slots=True)
class Parts:
    """Images and labels of CIFAR-10: those sources learn from, those scored, and those of the truth's probes."""

    source: tuple[NDArray[np.uint8], Integers]
    scored: tuple[NDArray[np.uint8], Integers]
    probe: tuple[NDArray[np.uint8], Integers]
    test: tuple[NDArray[np.uint8], Integers]


@dataclass(frozen=True, slots=True)
class Zoo:
    """One seed's zoo: unit features of every module on three parts, and the labels of these parts.

    Args:
        names: of each module.
        features: for each module, (n, d) of the parts scored, probe and test.
        labels: CIFAR-10 labels of the same parts.
    """

    names: tuple[str, ...]
    features: tuple[tuple[Floats, Floats, Floats], ...]
    labels: tuple[Integers, Integers, Integers]


def read_parts(*, seed: int, scored: int, probe: int, test: int) -> Parts:
    """Disjoint parts, drawn by the seed; the sources have 20,000 images to draw from."""
    generator = np.random.default_rng(seed)
    images, labels = _file("train")
    order = generator.permutation(len(labels))
    bounds = np.cumsum([0, 20_000, scored, probe])
    cut = [order[start:stop] for start, stop in pairwise(bounds)]
    test_images, test_labels = _file("test")
    last = generator.permutation(len(test_labels))[:test]
    first, second, third = ((images[rows], labels[rows]) for rows in cut)
    return Parts(first, second, third, (test_images[last], test_labels[last]))


def _file(part: str) -> tuple[NDArray[np.uint8], Integers]:
    limits = limits_from(Settings.load())
    classes = {str(label): (str(label),) for label in range(10)}
    with (folder() / f"cifar10-{part}.parquet").open("rb") as file:
        rows = frozenset(range(len(read_labels(file, limits=limits))))
        loaded = load_arrays(file, preprocessing=PIXELS, limits=limits, classes=classes, rows=rows)
    return loaded.images, loaded.labels


def relabel(labels: Integers, classes: tuple[tuple[int, ...], ...]) -> Integers:
    """Class of each example in a task, -1 for one that is not in it. Shape (n,)."""
    table = np.full(10, -1, dtype=np.int64)
    for index, merged in enumerate(classes):
        table[list(merged)] = index
    return table[labels]


def train_source(source: Source, parts: Parts, *, seed: int) -> TrainedNetwork:
    """The hidden modules of one source."""
    images, labels = parts.source
    task = relabel(labels, source.classes)
    rows = np.random.default_rng([seed, len(source.name)]).permutation(np.flatnonzero(task >= 0))[: source.images]
    data = TrainingData(
        digest=NO_DIGEST,
        images=images[rows],
        labels=task[rows],
        classes=tuple(TrainedClass(label=str(i), merged=(str(i),)) for i in range(len(source.classes))),
        preprocessing=PIXELS,
    )
    recipe = TrainingRecipe.model_validate(
        {
            "task": TaskSpec(dataset=NO_DIGEST),
            "family": source.family,
            "width": source.width,
            "modules": source.modules,
            "activation": source.activation,
            "objective": source.objective,
            "optimiser": OptimiserSpec(learning_rate=source.rate, other_rate=source.rate or 2e-3),
            "epochs": source.epochs,
            "batch_size": 250,
            "augment": source.family != "mlp",
            "output": None,
            "held_out_share": 0.0,
            "precision": "bfloat16" if source.family == "resnet18" else "float32",
            "seed": seed,
        }
    )
    return train(recipe, data, report=lambda _: None, should_stop=lambda: False)


def features_over(network: TrainedNetwork, images: NDArray[np.uint8]) -> list[Floats]:
    """Unit features after each module of a network. Shape (n, d) each."""
    built = [
        load(part.manifest.architecture, {name: torch.from_numpy(value) for name, value in part.tensors.items()})
        for part in network.modules
    ]
    told: list[list[Floats]] = [[] for _ in built]
    for start in range(0, len(images), ROWS_AT_ONCE):
        pixels = torch.from_numpy(images[start : start + ROWS_AT_ONCE].transpose(0, 3, 1, 2).copy())
        batch = normalise(pixels, mean=PIXELS.mean, std=PIXELS.std)
        with torch.no_grad():
            for place, (module, part) in enumerate(zip(built, network.modules, strict=True)):
                batch = module(batch)
                phi = part.manifest.feature_map
                assert phi is not None, "hidden modules have a feature map"
                told[place].append(features_of(batch, phi).numpy())
    return [np.concatenate(each) for each in told]


def make_zoo(*, seed: int, scored: int, probe: int, test: int, sources: tuple[Source, ...] = SOURCES) -> Zoo:
    """Train every source of a seed and run its modules over the three parts."""
    parts = read_parts(seed=seed, scored=scored, probe=probe, test=test)
    names: list[str] = []
    features: list[tuple[Floats, Floats, Floats]] = []
    for source in sources:
        network = train_source(source, parts, seed=seed)
        seen = [features_over(network, images) for images, _ in (parts.scored, parts.probe, parts.test)]
        depths = list(zip(*seen, strict=True))
        names += [
            f"{source.name}, depth {place + 1}" if source.modules > 1 else source.name for place in range(len(depths))
        ]
        features += [(one, two, three) for one, two, three in depths]
    return Zoo(tuple(names), tuple(features), (parts.scored[1], parts.probe[1], parts.test[1]))


def kept_zoo(make: Callable[[], Zoo], *, name: str) -> Zoo:
    """A zoo from the folder ZOO_BENCH_KEEP, made and kept there where it is not yet; made anew without a folder."""
    if "ZOO_BENCH_KEEP" not in os.environ:
        return make()
    path = Path(os.environ["ZOO_BENCH_KEEP"]) / f"{name}.npz"
    if not path.exists():
        write_zoo(make(), path)
    return read_zoo(path)


def write_zoo(zoo: Zoo, path: Path) -> None:
    """Write a zoo's features, in float16 halves of the space, and its labels."""
    arrays: dict[str, NDArray[np.generic]] = {"names": np.array(zoo.names)}
    for part, labels in enumerate(zoo.labels):
        arrays[f"labels_{part}"] = labels
        for place, features in enumerate(zoo.features):
            arrays[f"features_{place}_{part}"] = features[part]
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, allow_pickle=False, **arrays)


def read_zoo(path: Path) -> Zoo:
    """Read what `write_zoo` wrote."""
    with np.load(path, allow_pickle=False) as held:
        names = tuple(str(name) for name in held["names"])
        features = tuple(
            (held[f"features_{place}_0"], held[f"features_{place}_1"], held[f"features_{place}_2"])
            for place in range(len(names))
        )
        return Zoo(names, features, (held["labels_0"], held["labels_1"], held["labels_2"]))
