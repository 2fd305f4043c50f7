"""Dataset files into what training, scoring and prediction take; only images that are wanted are decoded."""

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from registry.dataset_file import (
    DatasetReader,
    LabelledImages,
    NamedImages,
    in_natural_order,
    limits_from,
    load_arrays,
    load_images,
    read_arrays,
    read_examples,
    read_labels,
)
from registry.errors import InvalidTaskError
from registry.manifest import Preprocessing, TrainedClass
from registry.recipes import TrainingRecipe
from registry.settings import Settings
from registry.training_plan import DEFAULT_SIDE, training_shape
from registry.work import ScoreWork
from trainer.data import TrainingData, channel_moments, draw
from trainer.seeds import Purpose
from trainer.supervision import read_pairs

Classes = Mapping[str, Sequence[str]]
OnLeftOut = Callable[[DatasetReader], None]
"""Is told, by the reader that has come to its end, what was left out."""
Shape = tuple[int, int, int]


def say_nothing(reader: DatasetReader) -> None:
    """Leave what was left out untold: whoever uploaded the dataset was told of it then."""


def read_training_data(
    path: Path,
    recipe: TrainingRecipe,
    *,
    pairs: Path | None = None,
    leave_out_broken: bool = True,
    on_left_out: OnLeftOut = say_nothing,
) -> TrainingData:
    """A recipe's examples of a dataset file, prepared as its input module will want images.

    Unless the recipe has a size, images keep the one they all have, up to 128 pixels a side; else they become
    squares of 32 pixels. They stay grey if all are. Mean and standard deviation come from these very images.

    Args:
        path: the dataset.
        recipe: which of its examples, and at which size.
        pairs: a table of known pairs, whose numbers count all images of the file, also those that are left out.
        leave_out_broken: leave broken images out, as was agreed when the dataset was uploaded, rather than refuse it.
        on_left_out: told what was left out.

    Raises:
        InvalidDatasetError: the file is not acceptable; a fault for each broken image that may not be left out.
        InvalidTaskError: the dataset lacks a label of the task.
        InvalidRecipeError: the table of pairs cannot be used.
    """
    limits = limits_from(Settings.load())
    with path.open("rb") as file:
        labels = read_labels(file, limits=limits)
        classes, drawn = _choose(labels, recipe)
        reader = read_examples(file, limits=limits, leave_out_broken=leave_out_broken)
        shapes = _shapes(reader, rows=drawn)
        on_left_out(reader)
        pixels = _pixels(set(shapes.values()), recipe=recipe)
        loaded = load_arrays(file, preprocessing=pixels, limits=limits, classes=classes, rows=shapes.keys())
    mean, std = channel_moments(loaded.images)
    return TrainingData(
        digest=recipe.task.dataset,
        images=loaded.images,
        labels=loaded.labels,
        classes=tuple(TrainedClass(label=name, merged=tuple(classes[name])) for name in loaded.classes),
        preprocessing=pixels.model_copy(update={"mean": mean, "std": std}),
        pairs=None if pairs is None else read_pairs(pairs, rows=np.array(list(shapes)), images=len(labels)),
    )


def read_task(
    path: Path,
    work: ScoreWork,
    *,
    preprocessing: Preprocessing,
    leave_out_broken: bool = True,
    on_left_out: OnLeftOut = say_nothing,
) -> LabelledImages:
    """The examples of a task that a score draws, from `start` on, prepared for an input module.

    A smaller draw by the same seed is part of a larger one, so that works which begin where others end share none.

    Args:
        path: the dataset.
        work: which of its examples.
        preprocessing: what the input module takes.
        leave_out_broken: leave broken images out, as was agreed when the dataset was uploaded, rather than refuse it.
        on_left_out: told what was left out.

    Raises:
        InvalidDatasetError: the file is not acceptable; a fault for each broken image that may not be left out.
        InvalidTaskError: the dataset lacks a label of the task.
    """
    limits = limits_from(Settings.load())
    with path.open("rb") as file:
        labels = read_labels(file, limits=limits)
        classes = _named_classes(work.task.classes, labels)
        rows = _draw_rows(labels, classes, count=work.examples, seed=work.seed, purpose=Purpose.SCORE)
        if work.start:
            rows -= _draw_rows(labels, classes, count=work.start, seed=work.seed, purpose=Purpose.SCORE)
        reader = read_examples(file, limits=limits, leave_out_broken=leave_out_broken)
        images = read_arrays(reader, preprocessing=preprocessing, limits=limits, classes=classes, rows=rows)
        on_left_out(reader)
        return images


def read_images(path: Path, preprocessing: Preprocessing) -> NamedImages:
    """Images to predict on, prepared for an input module. Raises InvalidDatasetError where there are none."""
    with path.open("rb") as file:
        return load_images(file, preprocessing=preprocessing, limits=limits_from(Settings.load()))


def _choose(labels: Sequence[str], recipe: TrainingRecipe) -> tuple[Classes, Collection[int]]:
    """Classes of a recipe's task, and the rows of the examples it draws."""
    classes = _named_classes(recipe.task.classes, labels)
    count = recipe.examples or len(labels)
    return classes, _draw_rows(labels, classes, count=count, seed=recipe.seed, purpose=Purpose.EXAMPLES)


def _named_classes(classes: Classes, labels: Sequence[str]) -> Classes:
    """The task's classes, or the dataset's own. Raises InvalidTaskError naming labels that are not there."""
    known = set(labels)
    missing = sorted({label for merged in classes.values() for label in merged} - known)
    if missing:
        raise InvalidTaskError(f"the dataset has no label {missing[0]!r}; it has {in_natural_order(known)[:20]}")
    return classes or {name: (name,) for name in in_natural_order(known)}


def _draw_rows(labels: Sequence[str], classes: Classes, *, count: int, seed: int, purpose: Purpose) -> frozenset[int]:
    """Rows that are drawn by the seed from those of the task, each class by its share."""
    class_of = {label: index for index, merged in enumerate(classes.values()) for label in merged}
    rows = np.array([row for row, label in enumerate(labels) if label in class_of], dtype=np.int64)
    of_task = np.array([class_of[labels[row]] for row in rows], dtype=np.int64)
    return frozenset(rows[draw(of_task, count, seed=seed, purpose=purpose)].tolist())


def _pixels(found: Collection[Shape], *, recipe: TrainingRecipe) -> Preprocessing:
    """Colour and size of images of these shapes, not normalised."""
    shapes = found or {(DEFAULT_SIDE, DEFAULT_SIDE, 3)}
    sides = {shape[:2] for shape in shapes}
    shape = (*min(sides), max(shape[2] for shape in shapes))
    channels, height, width = training_shape(recipe, shape=shape, same_shape=len(sides) == 1)
    colour: Literal["rgb", "grey"] = "grey" if channels == 1 else "rgb"
    return Preprocessing(colour=colour, height=height, width=width, mean=(0.0,) * channels, std=(1.0,) * channels)


def _shapes(reader: DatasetReader, *, rows: Collection[int]) -> dict[int, Shape]:
    """Shapes (h, w, c) of the images in these rows, ascending; broken images that are left out have none.

    Raises:
        InvalidDatasetError: images are broken, and are not to be left out.
    """
    shapes: dict[int, Shape] = {}
    for row, candidate in enumerate(reader.candidates()):
        example = reader.decode(candidate) if row in rows else None
        if example is not None:
            height, width, channels = example.image.shape
            shapes[row] = (height, width, channels)
    reader.finish()
    return shapes
