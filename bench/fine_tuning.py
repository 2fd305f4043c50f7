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

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bench.ranking import DEFAULT, OWN, best_first, of_statistics, pooled_of, static_of, taus_of
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
EPOCHS, BATCH = 6, 100
PEAK_RATE = 2e-3
SEEDS = 4


class Tuned(nn.Module):
    """A module's network with its feature map and a new output module."""

    def __init__(self, parts: Sequence[nn.Module], phi: FeatureMap, *, features: int, classes: int) -> None:
        super().__init__()
        self.parts, self.phi, self.scale = nn.Sequential(*parts), phi, features**0.5
        self.output = nn.Linear(features, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Scores of each class: (n, c, h, w) to (n, C)."""
        outputs: Tensor = self.output(features_of(self.parts(images), self.phi) * self.scale)
        return outputs


def fine_tuned(network: TrainedNetwork, parts: Parts, task: str, *, seed: int) -> float:
    """Test accuracy after fine-tuning on a task."""
    torch.manual_seed(seed)
    images, labels = _of_task(parts.probe, task, TUNED)
    test, wanted = _of_task(parts.test, task, TEST)
    built = [
        load(part.manifest.architecture, {name: torch.from_numpy(value) for name, value in part.tensors.items()})
        for part in network.modules
    ]
    phi = network.modules[-1].manifest.feature_map
    assert phi is not None, "hidden modules have a feature map"
    width = features_over(network, parts.test[0][:2])[-1].shape[1]
    model = Tuned(built, phi, features=width, classes=len(TASKS[task]))
    model.requires_grad_().train()
    steps = EPOCHS * (len(labels) // BATCH)
    optimiser = torch.optim.AdamW(model.parameters(), weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=PEAK_RATE, total_steps=steps)
    for _ in range(EPOCHS):
        for rows in torch.split(torch.randperm(len(labels))[: len(labels) // BATCH * BATCH], BATCH):
            optimiser.zero_grad()
            torch.autograd.backward(nn.functional.cross_entropy(model(_shaken(images[rows])), labels[rows]))
            optimiser.step()
            schedule.step()
    model.eval()
    with torch.no_grad():
        guesses = torch.cat([model(batch).argmax(dim=1) for batch in torch.split(test, 500)])
    return float((guesses == wanted).float().mean())


def _of_task(part: tuple[NDArray[np.uint8], NDArray[np.int64]], task: str, count: int) -> tuple[Tensor, Tensor]:
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
    """Scores by estimator and the truth, (modules, tasks) each."""
    parts = read_parts(seed=seed, scored=5000, probe=4000, test=4000)
    scores: dict[str, Floats] = {}
    truth = np.zeros((len(sources), len(targets)))
    left: list[list[LeftOut]] = [[] for _ in targets]
    for row, source in enumerate(sources):
        network = train_source(source, parts, seed=seed)
        features = features_over(network, parts.scored[0])[-1]
        for column, task in enumerate(targets):
            labels = relabel(parts.scored[1], TASKS[task])
            rows = np.flatnonzero(labels >= 0)[:SCORED]
            shards = [
                TaskStatistics.of(features[part], labels[part], classes=len(TASKS[task]), class_moments=True)
                for part in np.array_split(rows, 10)
            ]
            for name, value in of_statistics(shards).items():
                scores.setdefault(name, np.zeros(truth.shape))[row, column] = value
            left[column].append(left_out(OWN, shards, k_min=0.0, k_max=1.0))
            truth[row, column] = fine_tuned(network, parts, task, seed=seed)
        print(f"seed {seed}, {source.name}: {np.round(100 * truth[row], 1).tolist()} %", flush=True)
    return scores | {"static": static_of(scores[OWN]), DEFAULT: pooled_of(left, scores[OWN])}, truth


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
