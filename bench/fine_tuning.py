"""Does the default ranker also order modules by what fine-tuning makes of them?

Eight modules of the ranking bench's zoo (bench/ranking_zoo.py) and four target tasks, for each of four seeds. A module
is scored on 500 images of the task; the truth is the test accuracy after all its weights were fine-tuned with a new
output module on 2,000 other images, 6 epochs, AdamW with one cycle, flips and crops. Weighted Kendall tau, as there.

Measured on 2026-11-27, one thread of a shared core of an x86-64 server (nothing here is a time); Python 3.11.7, torch
2.15.0. Mean tau over 4 tasks and 4 seeds, and the advantage of the default with its 95 % interval:

    ridge_gcv_pooled     .663
    centred_alignment    .656   +.007 (-.028 to +.044)
    ridge                .655   +.008 (-.024 to +.051)
    static               .643   +.020 (-.100 to +.156)
    logme                .641   +.022 (-.020 to +.089)
    ridge_gcv            .634   +.029 ( .000 to +.070)
    nearest_class_mean   .572   +.091 (+.044 to +.142)
    h_score              .455   +.209 (+.025 to +.479)
    upper_triangle_al.   .413   +.250 (+.153 to +.382)
    alignment            .397   +.267 (+.168 to +.405)
    transrate            .148   +.515 (+.421 to +.620)

With so few modules and tasks the first six cannot be told apart, the static ranker among them: features as they are
say less of what fine-tuning makes of a module (.63 by the module's own score) than of what a probe finds in it (.83,
bench/ranking.py). The paper's alignment is behind here too.
"""

import math
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bench.ranking import DEFAULT, OWN, best_first, of_statistics, pooled_of, static_of, taus_of
from bench.ranking_truth import probe
from bench.ranking_zoo import (
    PIXELS,
    SOURCES,
    TASKS,
    Parts,
    Source,
    features_over,
    read_parts,
    relabel,
    train_source,
)
from bench.report import Figure, parse_quick, report
from kernel_methods.intervals import LeftOut
from kernel_methods.rankers import left_out
from kernel_methods.statistics import TaskStatistics
from registry.manifest import FeatureMap
from registry.networks.build import load
from trainer.data import normalise
from trainer.heads import features_of
from trainer.run import TrainedNetwork

Floats = NDArray[np.float64]

CHOSEN = (
    "resnet-8 ten",
    "resnet-8 animals",
    "resnet-8 vehicles",
    "resnet-8 cat dog",
    "resnet-16 untrained",
    "lenet-24 ten",
    "lenet-24 vehicles, tanh",
    "mlp-512 ten",
)
TARGETS = ("ten classes", "six animals", "four vehicles", "cat, dog")
SCORED, TUNED, TEST = 500, 2000, 2000
STEPS, BATCH = 120, 100
PEAK_RATE = 1e-3
SEEDS = 4


class Tuned(nn.Module):
    """A module's network with its feature map and a new output module."""

    def __init__(self, parts: Sequence[nn.Module], phi: FeatureMap, *, features: int, classes: int) -> None:
        super().__init__()
        self.parts, self.phi, self.scale = nn.Sequential(*parts), phi, math.sqrt(features)
        self.output = nn.Linear(features, classes)

    def features(self, images: Tensor) -> Tensor:
        """What the output module sees: (n, c, h, w) to (n, d)."""
        return features_of(self.parts(images), self.phi) * self.scale

    def forward(self, images: Tensor) -> Tensor:
        """Scores of each class: (n, c, h, w) to (n, C)."""
        outputs: Tensor = self.output(self.features(images))
        return outputs


class Reached(NamedTuple):
    """Test accuracy of a module on a task: of a probe on its features as they are, and after fine-tuning."""

    probe: float
    tuned: float


def reached(network: TrainedNetwork, parts: Parts, task: str, *, seed: int) -> Reached:
    """Both, learnt from the same images."""
    images, labels = of_task(parts.probe, task, TUNED)
    test, wanted = of_task(parts.test, task, TEST)
    torch.manual_seed(seed)
    model = _tuned(network, classes=len(TASKS[task]))
    with torch.no_grad():
        features, of_test = (
            torch.cat([model.features(batch) for batch in torch.split(each, 500)]) for each in (images, test)
        )
    before = probe(features, labels, of_test, wanted)
    _fine_tune(model, images, labels)
    return Reached(before, _accuracy(model, test, wanted))


def _tuned(network: TrainedNetwork, *, classes: int) -> Tuned:
    """A copy of the network, in evaluation, under a new output module."""
    built = [
        load(part.manifest.architecture, {name: torch.from_numpy(value.copy()) for name, value in part.tensors.items()})
        for part in network.modules
    ]
    phi = network.modules[-1].manifest.feature_map
    assert phi is not None, "hidden modules have a feature map"
    width = features_over(network, np.zeros((1, 32, 32, 3), np.uint8))[-1].shape[1]
    model = Tuned(built, phi, features=width, classes=classes)
    model.requires_grad_().eval()
    return model


def _fine_tune(model: Tuned, images: Tensor, labels: Tensor) -> None:
    """All weights, by AdamW with one cycle, as many steps whatever the number of images."""
    model.train()
    optimiser = torch.optim.AdamW(model.parameters(), weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=PEAK_RATE, total_steps=STEPS)
    for rows in islice(_batches(len(labels)), STEPS):
        optimiser.zero_grad()
        torch.autograd.backward(nn.functional.cross_entropy(model(_shaken(images[rows])), labels[rows]))
        optimiser.step()
        schedule.step()
    model.eval()


def _batches(count: int) -> Iterator[Tensor]:
    """Epochs without end, each in a new order, whole batches only."""
    while True:
        yield from torch.split(torch.randperm(count)[: count // BATCH * BATCH], BATCH)


@torch.no_grad()
def _accuracy(model: Tuned, images: Tensor, labels: Tensor) -> float:
    guesses = torch.cat([model(batch).argmax(dim=1) for batch in torch.split(images, 500)])
    return float((guesses == labels).float().mean())


def of_task(part: tuple[NDArray[np.uint8], NDArray[np.int64]], task: str, count: int) -> tuple[Tensor, Tensor]:
    """Normalised images of a task and their classes, at most so many."""
    images, labels = part[0], relabel(part[1], TASKS[task])
    rows = np.flatnonzero(labels >= 0)[:count]
    pixels = torch.from_numpy(images[rows].transpose(0, 3, 1, 2).copy())
    return normalise(pixels, mean=PIXELS.mean, std=PIXELS.std), torch.from_numpy(labels[rows])


def _shaken(images: Tensor) -> Tensor:
    """Flipped and moved by up to two pixels, the whole batch alike."""
    if torch.rand(()) < 0.5:
        images = images.flip(3)
    down, right = (int(torch.randint(-2, 3, ())) for _ in range(2))
    return images.roll((down, right), dims=(2, 3))


def measure(sources: list[Source], targets: tuple[str, ...], *, seed: int) -> tuple[dict[str, Floats], Floats]:
    """Scores by estimator, with the probe's accuracy beside, and the truth; (modules, targets) each."""
    parts = read_parts(seed=seed, scored=5000, probe=4000, test=4000)
    scores: dict[str, Floats] = {}
    told = np.zeros((2, len(sources), len(targets)))
    left: list[list[LeftOut]] = [[] for _ in TASKS]
    for row, source in enumerate(sources):
        network = train_source(source, parts, seed=seed)
        features = features_over(network, parts.scored[0])[-1]
        for column, classes in enumerate(TASKS.values()):
            shards = shards_of(features, relabel(parts.scored[1], classes), classes=len(classes))
            for name, value in of_statistics(shards).items():
                scores.setdefault(name, np.zeros((len(sources), len(TASKS))))[row, column] = value
            left[column].append(left_out(OWN, shards, k_min=0.0, k_max=1.0))
        told[:, row] = np.transpose([reached(network, parts, task, seed=seed) for task in targets])
        print(f"seed {seed}, {source.name}: {np.round(100 * told[:, row], 1).tolist()} %", flush=True)
    scores |= {"static": static_of(scores[OWN]), DEFAULT: pooled_of(left, scores[OWN])}
    columns = [list(TASKS).index(task) for task in targets]
    return {name: values[:, columns] for name, values in scores.items()} | {"probe": told[0]}, told[1]


def shards_of(features: NDArray[np.floating], labels: NDArray[np.int64], *, classes: int) -> list[TaskStatistics]:
    """Statistics of the examples that are scored, in ten shards; a label of -1 is of no class."""
    rows = np.array_split(np.flatnonzero(labels >= 0)[:SCORED], 10)
    return [TaskStatistics.of(features[part], labels[part], classes=classes, class_moments=True) for part in rows]


def main() -> None:
    quick = parse_quick(__doc__)
    chosen = [source for source in SOURCES if source.name in (CHOSEN[4:] if quick else CHOSEN)]
    targets = TARGETS[2:] if quick else TARGETS
    told = []
    for seed in range(1 if quick else SEEDS):
        scores, truth = measure(chosen, targets, seed=seed)
        told.append(taus_of(scores, truth))
    taus = {name: np.stack([each[name] for each in told]) for name in told[0]}
    figures: dict[str, Figure] = {}
    for name, tau, advantage in best_first(taus):
        print(f"| {name} | {tau:.3f} | {advantage} |")
        figures[f"{name}_tau"] = round(tau, 3)
    report(bench="fine_tuning", figures=figures, targets={}, holds=True)


if __name__ == "__main__":
    main()
