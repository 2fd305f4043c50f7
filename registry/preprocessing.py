"""From decoded images to what an input module takes: colour, then size; workers normalise on their device."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from registry.manifest import Preprocessing

Pixels = NDArray[np.uint8]

RESAMPLING = {
    "nearest": Image.Resampling.NEAREST,
    "box": Image.Resampling.BOX,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


def prepare_image(image: Pixels, preprocessing: Preprocessing) -> Pixels:
    """Bring one image to the colour and size of an input module.

    Grey becomes rgb by repeating it; rgb becomes grey as ITU-R BT.601 weighs the channels. The size is reached by
    squashing the whole image, whatever its sides were to each other: nothing is cut off. Where the preprocessing has
    a crop, the window that it keeps is resized instead.
    Pixel values stay 0 to 255; `mean` and `std` are applied later, on the device.

    Args:
        image: shape (h, w, c) with c 1 or 3, uint8.
        preprocessing: what the input module says it takes.

    Returns:
        Shape (height, width, channels), uint8; the image itself where there is nothing to do.

    Raises:
        ValueError: ``image`` has another shape.
    """
    if image.ndim != 3 or image.shape[2] not in (1, 3):
        raise ValueError(f"image must have shape (h, w, 1) or (h, w, 3), got {image.shape}")
    coloured = _in_colour(image, preprocessing.channels)
    size = (preprocessing.width, preprocessing.height)
    window = _window(image, preprocessing)
    if size == (image.shape[1], image.shape[0]) and window == (0, 0, *size):
        return coloured
    resized = _as_picture(coloured).resize(size, RESAMPLING[preprocessing.resampling], box=window)
    return np.asarray(resized).reshape(preprocessing.height, preprocessing.width, preprocessing.channels)


def _window(image: Pixels, preprocessing: Preprocessing) -> tuple[float, float, float, float]:
    """What is kept of an image, before it is resized: left, top, right and bottom, in pixels."""
    height, width = image.shape[:2]
    if preprocessing.crop is None:
        return (0, 0, width, height)
    scale = preprocessing.crop * min(height / preprocessing.height, width / preprocessing.width)
    across = max(0.0, (width - scale * preprocessing.width) / 2)
    down = max(0.0, (height - scale * preprocessing.height) / 2)
    return (across, down, width - across, height - down)


def _in_colour(image: Pixels, channels: int) -> Pixels:
    if image.shape[2] == channels:
        return image
    if channels == 3:
        return np.repeat(image, 3, axis=2)
    return np.asarray(_as_picture(image).convert("L"))[:, :, None]


def _as_picture(image: Pixels) -> Image.Image:
    return Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image)
