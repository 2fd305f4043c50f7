"""What all pictures of answers share: settings under which the same figure becomes the same bytes, and their words."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from threading import Lock

from matplotlib import rc_context
from matplotlib.figure import Figure

from api.pictures import PictureFormat

LONGEST_LABEL = 32
DOTS_PER_INCH = 144
INK, MUTED, ACCENT, OTHER = "#1f2933", "#9aa5b1", "#0b63b0", "#b3530c"
HASHED_NAME = re.compile(rb"(?<=[\"#])[pm][0-9a-f]{10}(?=[\")])")
_DRAWING = Lock()
"""matplotlib's settings belong to the whole process, so one picture is drawn at a time."""


@contextmanager
def drawing() -> Iterator[None]:
    """Settings under which the same figure becomes the same bytes, and no text is taken for a formula."""
    style = rc_context(
        {
            "svg.hashsalt": "module-zoo",
            "svg.fonttype": "path",
            "font.family": "DejaVu Sans",
            "font.size": 9,
            "text.parse_math": False,
            "text.usetex": False,
        }
    )
    with _DRAWING, style:
        yield


def bytes_of(figure: Figure, format: PictureFormat) -> bytes:  # noqa: A002
    """The figure as a file that holds no date and no random names."""
    out = BytesIO()
    if format == "svg":
        figure.savefig(out, format="svg", metadata={"Date": None})
        return _counted_names(out.getvalue())
    figure.savefig(out, format="png", dpi=DOTS_PER_INCH, metadata={"Software": "module-zoo"})
    return out.getvalue()


def _counted_names(svg: bytes) -> bytes:
    """The picture with its clip paths and markers named in their order.

    matplotlib names them by a hash of their coordinates, of which a layout may change the last bit from run to run.
    """
    names: dict[bytes, bytes] = {}
    return HASHED_NAME.sub(lambda found: names.setdefault(found.group(), b"shape%d" % len(names)), svg)


def shortened(text: str) -> str:
    """Text of at most 32 characters on one line; characters that cannot be drawn become question marks."""
    drawable = "".join(letter if _drawable(letter) else "?" for letter in text)
    return drawable if len(drawable) <= LONGEST_LABEL else drawable[: LONGEST_LABEL - 1] + "…"


def _drawable(letter: str) -> bool:
    """Whether the font of matplotlib certainly has the letter: Latin, Greek, Cyrillic, and what is printed there."""
    return letter.isprintable() and (ord(letter) < 0x250 or 0x386 <= ord(letter) <= 0x44F)


def spoken(name: str) -> str:
    """A score's name as people say it."""
    return name.replace("_", " ")


def number(score: float) -> str:
    """Two decimals, without a minus before nothing."""
    return f"{score:.2f}".replace("-0.00", "0.00")
