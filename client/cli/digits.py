"""The demo's images: scikit-learn's 1,797 digits of 8 x 8 pixels, written as zips of class folders.

Runs as a program of its own, ``python -m client.cli.digits FOLDER``, so that `zoo` starts without scikit-learn.
"""

import io
import sys
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_digits

BRIGHTEST = 16
"""The digits' pixels run from 0 to 16."""

SEEN = tuple(range(8))
NEW = (8, 9)
SHOWN = 6

Pixels = NDArray[np.uint8]


def write_digits(folder: Path) -> None:
    """Write `digits.zip` (0 to 7), `new-digits.zip` (8 and 9) and `unlabelled.zip` (a few zeros and ones).

    The unlabelled images are not among those of `digits.zip`.
    """
    loaded = load_digits()
    images = np.rint(loaded.images * (255 / BRIGHTEST)).astype(np.uint8)
    labels = loaded.target.astype(np.int64)
    known = np.flatnonzero(np.isin(labels, SEEN))
    shown = known[np.isin(labels[known], (0, 1))][-SHOWN:]
    rest = np.setdiff1d(known, shown)
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / "digits.zip", _labelled(images, labels, rest))
    _write(folder / "new-digits.zip", _labelled(images, labels, np.flatnonzero(np.isin(labels, NEW))))
    _write(folder / "unlabelled.zip", [(f"a-{labels[place]}-{place}.png", images[place]) for place in shown])


def _labelled(
    images: Pixels, labels: NDArray[np.int64], places: Sequence[int] | NDArray[np.int64]
) -> list[tuple[str, Pixels]]:
    """File names, in folders named after the class, with their images."""
    return [(f"{labels[place]}/{place:04}.png", images[place]) for place in places]


def _write(path: Path, files: Iterable[tuple[str, Pixels]]) -> None:
    """A zip whose bytes depend on its content only."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, image in files:
            out = io.BytesIO()
            Image.fromarray(image).save(out, "PNG")
            archive.writestr(zipfile.ZipInfo(name), out.getvalue())


if __name__ == "__main__":
    write_digits(Path(sys.argv[1]))
