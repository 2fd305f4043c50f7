"""One image file to pixels: a short list of formats, measured before it is decoded, brought to grey or rgb."""

import io
import re
import struct
import zlib
from collections.abc import Iterator

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from registry.dataset_formats.candidates import BrokenImageError, Pixels
from registry.errors import TooLargeError

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "PPM")
SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".bmp", ".gif", ".ppm", ".pgm", ".pbm", ".pnm"}
)
ACCEPTED = "PNG, JPEG, WebP, BMP, GIF or PNM"
GREY_MODES = frozenset({"1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "I;16N"})
ORIENTATION = 0x0112
PILLOW_LIMIT_PIXELS = 2 * (Image.MAX_IMAGE_PIXELS or 2**31)
"""Pillow decodes no larger images, whatever the setting allows."""

PIECE_PIXELS = 256 * 1024
"""So many pixels are brought to grey or rgb at a time; each takes some twenty bytes on the way."""

_PIXELS = re.compile(r"\(([0-9]+) pixels\)")

_DECODING_ERRORS = (
    OSError, SyntaxError, ValueError, TypeError, EOFError, IndexError, KeyError, AttributeError, OverflowError,
    ZeroDivisionError, NotImplementedError, AssertionError, struct.error, zlib.error, UserWarning,
)  # fmt: skip
"""What decoders raise for files that are damaged, or that were made to be."""


def looks_like_image(head: bytes) -> bool:
    """Whether a file's first bytes are those of one of the image formats."""
    return (
        head.startswith((b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a"))
        or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")
        or (head[:2] == b"BM" and head[6:10] == b"\0\0\0\0")
        or (head[:1] == b"P" and head[1:2] in b"123456" and head[2:3].isspace())
    )


def decode_image(data: bytes, *, item: str, pixel_limit: int) -> Pixels:
    """Decode one image file.

    Only the first frame of a moving picture counts. The orientation that cameras note is applied. What is
    transparent lies on white. Grey images, 16-bit ones too, stay grey; palettes and CMYK become rgb.

    Args:
        data: the file.
        item: its name, for errors.
        pixel_limit: most pixels, told from the header before anything is decoded.

    Returns:
        Shape (h, w, c), uint8, c 1 or 3.

    Raises:
        TooLargeError: the header names more pixels than the limit.
        BrokenImageError: the file is cut off, damaged, or of another format.
    """
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            _check_pixels(image.size, item=item, pixel_limit=pixel_limit)
            image.load()
            return _pixels(_upright(image))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_many_pixels(item, _size_in(str(error)), pixel_limit=pixel_limit) from error
    except UnidentifiedImageError as error:
        raise BrokenImageError(f"is no image that can be read; use {ACCEPTED}") from error
    except _DECODING_ERRORS as error:
        raise BrokenImageError(f"cannot be decoded: {str(error)[:200]}") from error


def _check_pixels(size: tuple[int, int], *, item: str, pixel_limit: int) -> None:
    width, height = size
    if width * height > pixel_limit:
        raise _too_many_pixels(item, f"{height:,} x {width:,}", pixel_limit=pixel_limit)


def _too_many_pixels(item: str, size: str, *, pixel_limit: int) -> TooLargeError:
    bound = min(pixel_limit, PILLOW_LIMIT_PIXELS)
    return TooLargeError(
        f"image {item!r} has {size} pixels; at most {bound:,} are allowed (ZOO_IMAGE_LIMIT_PIXELS), make it smaller"
    )


def _size_in(message: str) -> str:
    """The number of pixels in Pillow's own refusal of giant images, which comes before any of ours can."""
    found = _PIXELS.search(message)
    return f"{int(found[1]):,}" if found else "too many"


def _upright(image: Image.Image) -> Image.Image:
    """Turn an image as its camera noted; a note that cannot be read counts as none."""
    try:
        turned = image.getexif().get(ORIENTATION, 1) != 1
    except _DECODING_ERRORS:
        return image
    return ImageOps.exif_transpose(image) if turned else image


def _pixels(image: Image.Image) -> Pixels:
    if image.mode == "F":
        raise BrokenImageError("has floating-point pixels; save it with 8 bits a channel")
    width, height = image.size
    pixels = np.empty((height, width, 1 if image.mode in GREY_MODES else 3), dtype=np.uint8)
    for left, top, right, bottom in _boxes(width, height):
        pixels[top:bottom, left:right] = _levels(image.crop((left, top, right, bottom)))
    return pixels


def _boxes(width: int, height: int) -> Iterator[tuple[int, int, int, int]]:
    """Left, top, right, bottom of pieces of at most PIECE_PIXELS that make up an image: whole rows where they fit."""
    columns, rows = min(width, PIECE_PIXELS), max(1, PIECE_PIXELS // width)
    for top in range(0, height, rows):
        for left in range(0, width, columns):
            yield left, top, min(left + columns, width), min(top + rows, height)


def _levels(image: Image.Image) -> Pixels:
    """A piece of an image as grey, shape (h, w, 1), or rgb, shape (h, w, 3)."""
    levels: Pixels
    if image.mode.startswith("I"):
        levels = (np.clip(np.asarray(image), 0, 65535) // 257).astype(np.uint8)
    else:
        flat = _on_white(image) if image.has_transparency_data else image
        levels = np.asarray(flat.convert("L" if image.mode in GREY_MODES else "RGB"))
    return levels.reshape(image.height, image.width, -1)


def _on_white(image: Image.Image) -> Image.Image:
    """An image with transparent parts, laid on white."""
    layered = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", layered.size, "white"), layered)
