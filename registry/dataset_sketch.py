"""The sketch of a dataset as it travels: in the dataset's record, and in the manifests of modules trained on it."""

import base64
import binascii
import sys
from array import array
from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from registry.frozen import Frozen

SKETCH_SIZE = 256
"""So many fingerprints a sketch holds at most."""

BYTES = 8


class DatasetSketch(Frozen):
    """The smallest fingerprints of a dataset's images, ascending, as base64 of little-endian 64-bit numbers.

    `images` counts the different fingerprints of the whole dataset. `registry.sketches` makes and compares them.
    """

    method: Literal["waves-28"] = "waves-28"
    images: Annotated[int, Field(ge=0, lt=2**53)]
    smallest: Annotated[str, Field(max_length=4 * -(-SKETCH_SIZE * BYTES // 3))]

    @model_validator(mode="after")
    def _check_numbers(self) -> Self:
        numbers = self.numbers()
        if any(one >= next_ for one, next_ in pairwise(numbers)):
            raise ValueError("the fingerprints of a sketch must ascend, each once")
        if len(numbers) != min(self.images, SKETCH_SIZE):
            raise ValueError(
                f"a sketch of {self.images} images has {min(self.images, SKETCH_SIZE)} fingerprints, got {len(numbers)}"
            )
        return self

    def numbers(self) -> "array[int]":
        """The fingerprints. Raises ValueError unless the text is base64 of whole numbers."""
        try:
            data = base64.b64decode(self.smallest, validate=True)
        except (binascii.Error, ValueError) as error:
            raise ValueError("the fingerprints of a sketch must be base64") from error
        if len(data) % BYTES:
            raise ValueError(f"the fingerprints of a sketch take {BYTES} bytes each, got {len(data)} bytes")
        numbers = array("Q", data)
        if sys.byteorder == "big":
            numbers.byteswap()
        return numbers

    @property
    def complete(self) -> bool:
        """Whether every fingerprint of the dataset is here."""
        return self.images <= SKETCH_SIZE
