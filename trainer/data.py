"""Labelled images on the device: kept as bytes, normalised and augmented there, dealt by explicit generators."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision.transforms.v2 import functional as images_of  # type: ignore[import-untyped]

from kernel_methods.pairs import PairTable
from registry.errors import InvalidRecipeError
from registry.manifest import Preprocessing, TrainedClass
from registry.names import Digest
from trainer.devices import Placement
from trainer.seeds import Purpose, stream

Bytes = NDArray[np.uint8]
Integers = NDArray[np.int64]

CROP_SHARE = 8


@dataclass(frozen=True, slots=True)
class TrainingData:
    """A task's images, prepared in colour and size, and where they are from.

    Args:
        digest: identity of the dataset's bytes.
        images: shape (n, h, w, c), uint8, as `preprocessing` says.
        labels: index into `classes` of every image. Shape (n,), int64.
        classes: the task's classes, and the dataset labels merged into each.
        preprocessing: how the images were prepared, and how they are to be normalised.
        pairs: what is known of pairs of these images, where that is given.
    """

    digest: Digest
    images: Bytes
    labels: Integers
    classes: tuple[TrainedClass, ...]
    preprocessing: Preprocessing
    pairs: PairTable | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the labels."""
        return tuple(known.label for known in self.classes)


def channel_moments(images: Bytes) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of every channel, of pixels scaled to [0, 1]; a flat channel has std 1.

    Args:
        images: shape (n, h, w, c), uint8, n at least 1.
    """
    means, stds = [], []
    for channel in range(images.shape[3]):
        counts = np.bincount(images[..., channel].reshape(-1), minlength=256)
        shares, levels = counts / counts.sum(), np.arange(256) / 255
        mean = float(shares @ levels)
        std = float(np.sqrt(shares @ (levels - mean) ** 2))
        means.append(round(mean, 6))
        stds.append(round(std, 6) if std > 1e-4 else 1.0)
    return tuple(means), tuple(stds)


def draw(labels: Integers, count: int, *, seed: int, purpose: Purpose = Purpose.EXAMPLES) -> Integers:
    """Draw ``count`` examples by the seed, each class by its share; all of them where there are not so many.

    A smaller draw by the same seed is part of a larger one.

    Returns:
        Indices in ascending order.
    """
    if count >= len(labels):
        return np.arange(len(labels), dtype=np.int64)
    generator = stream(seed, purpose)
    shuffled = generator.permutation(len(labels))
    return np.sort(_by_turns(labels, shuffled)[:count])


def split(labels: Integers, held_out_share: float, *, seed: int) -> tuple[Integers, Integers]:
    """Deal examples into a training and a held-out part by the seed, of every class the same share.

    Returns:
        Indices of the training part and of the held-out part, each in ascending order.
    """
    shuffled = stream(seed, Purpose.HELD_OUT).permutation(len(labels))
    held_out = _by_turns(labels, shuffled)[: round(held_out_share * len(labels))]
    return np.setdiff1d(np.arange(len(labels)), held_out), np.sort(held_out)


def n_per_class(labels: Integers, count: int, *, classes: tuple[str, ...], seed: int) -> Integers:
    """Draw ``count`` examples of every class by the seed.

    Raises:
        InvalidRecipeError: a class has fewer.
    """
    shuffled = stream(seed, Purpose.LABELS).permutation(len(labels))
    chosen = []
    for index, name in enumerate(classes):
        members = shuffled[labels[shuffled] == index]
        if len(members) < count:
            raise InvalidRecipeError(
                f"class {name!r} has {len(members)} training images, the recipe asks for {count} labels of each "
                "class; ask for fewer, or leave labels_per_class out"
            )
        chosen.append(members[:count])
    return np.sort(np.concatenate(chosen))


def _by_turns(labels: Integers, shuffled: Integers) -> Integers:
    """Order shuffled examples so that every beginning holds each class by its share, as nearly as can be."""
    dealt = labels[shuffled]
    places = np.empty(len(labels))
    for label in np.unique(dealt):
        members = np.flatnonzero(dealt == label)
        places[members] = (np.arange(len(members)) + 0.5) / len(members)
    return np.asarray(shuffled[np.argsort(places, kind="stable")])


@dataclass(frozen=True, slots=True)
class Augmentation:
    """How images change from epoch to epoch: shifted and mirrored, a square blanked, seen once or twice.

    Args:
        generator: draws it all; on the device of the images.
        cutout: side of the blanked square, as a share of the image's; 0 for none.
        views: how often each image is drawn anew for one batch.
    """

    generator: torch.Generator
    cutout: float = 0.0
    views: int = 1


@dataclass(frozen=True, slots=True)
class Examples:
    """Labelled images on the device, and how to normalise them.

    Args:
        images: shape (n, c, h, w), uint8.
        labels: shape (n,), int64.
        mean: of every channel, of pixels in [0, 1]. Shape (c, 1, 1).
        std: of every channel, the same way. Shape (c, 1, 1).
    """

    images: Tensor
    labels: Tensor
    mean: Tensor
    std: Tensor

    @classmethod
    def on(cls, placement: Placement, data: TrainingData, indices: Integers) -> "Examples":
        """Move the chosen examples of ``data`` to the device, still as bytes."""
        images = torch.from_numpy(np.ascontiguousarray(data.images[indices].transpose(0, 3, 1, 2)))
        return cls(
            images=placement.place_images(images),
            labels=torch.from_numpy(data.labels[indices]).to(placement.device),
            mean=_by_channel(data.preprocessing.mean, placement),
            std=_by_channel(data.preprocessing.std, placement),
        )

    def __len__(self) -> int:
        return len(self.labels)

    def inputs(self, indices: Tensor, *, augment: Augmentation | None = None) -> Tensor:
        """Normalised images at these indices, changed at random where there is an augmentation.

        Returns:
            Shape (views * n, c, h, w), float32; all first views come before all second ones.
        """
        images = self.images[indices]
        if augment is None:
            return self._normalised(images)
        views = [crop_and_flip(images, generator=augment.generator) for _ in range(augment.views)]
        return cut_out(self._normalised(torch.cat(views)), share=augment.cutout, generator=augment.generator)

    def _normalised(self, images: Tensor) -> Tensor:
        """What `normalise` gives, without a number that has to travel to the device for every batch."""
        return (images.float() / 255 - self.mean) / self.std


def _by_channel(values: tuple[float, ...], placement: Placement) -> Tensor:
    return torch.tensor(values, device=placement.device)[:, None, None]


def normalise(images: Tensor, *, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """(pixel / 255 - mean) / std: shape (n, c, h, w), uint8 to float32."""
    normalised: Tensor = images_of.normalize(images.float() / 255, list(mean), list(std))
    return normalised


def crop_and_flip(images: Tensor, *, generator: torch.Generator) -> Tensor:
    """Shift every image by up to an eighth of its side, mirrored at the edges, and flip half of them.

    Args:
        images: shape (n, c, h, w), any type.
        generator: on the device of the images.

    Returns:
        Same shape and type.
    """
    count, channels, height, width = images.shape
    padding = [max(1, side // CROP_SHARE) for side in (width, height)]
    padded: Tensor = images_of.pad(images, padding, padding_mode="reflect")
    rows = _windows(count, height, most=2 * padding[1], generator=generator)
    columns = _windows(count, width, most=2 * padding[0], generator=generator)
    flips = torch.rand(count, 1, generator=generator, device=images.device) < 0.5
    columns = torch.where(flips, columns.flip(1), columns)
    image = torch.arange(count, device=images.device)[:, None, None, None]
    channel = torch.arange(channels, device=images.device)[None, :, None, None]
    return padded[image, channel, rows[:, None, :, None], columns[:, None, None, :]]


def cut_out(images: Tensor, *, share: float, generator: torch.Generator) -> Tensor:
    """Set a square of every image to 0, the mean of normalised pixels; its centre is anywhere.

    Args:
        images: shape (n, c, h, w).
        share: side of the square over the image's shorter side; 0 gives the argument back.
        generator: on the device of the images.

    Source:
        DeVries, Taylor (2017), Improved Regularization of Convolutional Neural Networks with Cutout.
    """
    count, _, height, width = images.shape
    half = share * min(height, width) / 2
    if half == 0:
        return images
    rows, columns = (_near(count, side, half=half, generator=generator) for side in (height, width))
    blank = rows[:, None, :, None] & columns[:, None, None, :]
    return torch.where(blank, 0.0, images)


def _near(count: int, side: int, *, half: float, generator: torch.Generator) -> Tensor:
    """Which of ``side`` pixels are within ``half`` of a centre drawn for each of ``count``. Shape (count, side)."""
    device = generator.device
    centres = torch.rand(count, 1, generator=generator, device=device) * side
    pixels = torch.arange(side, device=device) + 0.5
    return (pixels - centres).abs() <= half


def _windows(count: int, side: int, *, most: int, generator: torch.Generator) -> Tensor:
    """Positions of ``count`` windows of ``side`` pixels, shifted by 0 to ``most``. Shape (count, side)."""
    device = generator.device
    shifts = torch.randint(most + 1, (count, 1), generator=generator, device=device)
    return shifts + torch.arange(side, device=device)


def batch_count(count: int, batch_size: int) -> int:
    """Number of batches of one epoch: nearly equal ones, of at most ``batch_size`` examples.

    One more where else a batch of a single example were left, which batch normalisation cannot take.
    """
    return max(1, min(-(-count // batch_size), count // 2))
