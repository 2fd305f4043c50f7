"""Labels as they stand in files, to names of classes; a label that says nothing is refused."""

import json
import math
from collections.abc import Sequence

import numpy as np

NAME_LIMIT = 200
_NUMBER_LIMIT = 10**NAME_LIMIT


class LabelError(ValueError):
    """A value cannot be a label; the sentence says why and what to do."""


def label_name(value: object, names: Sequence[str] | None = None) -> str:
    """Name of the class that a label stands for.

    Args:
        value: a whole number (floats may be whole too), a truth value, or a text.
        names: names of the classes 0, 1, ..., where the file has them.

    Raises:
        LabelError: the value is missing, NaN, negative, fractional, empty, too large or too long, or has no name.
    """
    if isinstance(value, bytes):
        return _text_label(_decoded(value))
    if isinstance(value, str):
        return _text_label(value)
    number = _whole_number(value)
    if abs(number) >= _NUMBER_LIMIT:
        raise LabelError(
            f"label is about {'-' if number < 0 else ''}10**{math.log10(abs(number)):.0f}; class names have at most "
            f"{NAME_LIMIT} characters, number the classes from 0"
        )
    if number < 0:
        raise LabelError(f"label is {number}; labels count from 0, leave unlabelled images out")
    if names is None:
        return str(number)
    if number >= len(names):
        raise LabelError(f"label is {number}, but the file names only {len(names)} classes, 0 to {len(names) - 1}")
    return names[number]


def _decoded(value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError as error:
        raise LabelError(f"label {value[:40]!r} is not UTF-8 text") from error


def wide_text(data: bytes, *, big_endian: bool) -> str:
    """The text that a fixed number of characters of four bytes hold, without the zeros that fill them up.

    Raises:
        LabelError: one of them is no character, which Python would not even hold.
    """
    try:
        return data.decode("utf-32-be" if big_endian else "utf-32-le").rstrip("\0")
    except UnicodeDecodeError as error:
        raise LabelError(f"label {data[:40]!r} is not UTF-32 text; save labels as whole numbers or texts") from error


def _text_label(text: str) -> str:
    if not text.strip() or len(text) > NAME_LIMIT or not text.isprintable():
        raise LabelError(
            f"label {text[:40]!r} has {len(text)} characters; class names have 1 to {NAME_LIMIT}, all printable"
        )
    return text


def _whole_number(value: object) -> int:
    if value is None:
        raise LabelError("label is missing; leave unlabelled images out")
    if isinstance(value, (bool, int, np.integer, np.bool_)):
        return int(value)
    if not isinstance(value, (float, np.floating)):
        raise LabelError(f"label is a {type(value).__name__}; labels are whole numbers or texts")
    if not math.isfinite(value):
        raise LabelError(f"label is {value}; leave unlabelled images out")
    if value != int(value):
        raise LabelError(f"label is {value}; labels are whole numbers or texts")
    return int(value)


def class_names_of(metadata: bytes | None, column: str) -> tuple[str, ...] | None:
    """Class names that the `datasets` library keeps in a parquet file's schema, where they are there and usable.

    Args:
        metadata: JSON under the schema's key ``huggingface``.
        column: name of the label column.
    """
    try:
        found = json.loads(metadata or b"null")
        names = found["info"]["features"][column]["names"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        return None
    usable = len(set(names)) == len(names) and all(0 < len(name) <= NAME_LIMIT for name in names)
    return tuple(names) if usable else None
