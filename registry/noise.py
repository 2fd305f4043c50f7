"""Noise that statistics made at home may carry: how much it promises, and over how many modules the promise is kept."""

from typing import Annotated

from pydantic import Field

from registry.frozen import Frozen

DEFAULT_DELTA = 1e-6
LARGEST_DELTA = 0.1


class Noise(Frozen):
    """Differential privacy of the images, their labels given: what the statistics of a question tell of one image.

    Whatever is computed from them is, with one image exchanged for another of its class, at most exp(epsilon) times
    as likely, but for a probability of delta; smaller is more private, and noisier.
    """

    epsilon: Annotated[float, Field(gt=0, le=100)]
    delta: Annotated[float, Field(gt=0, lt=LARGEST_DELTA)] = DEFAULT_DELTA


class SharedNoise(Noise):
    """Noise under which the statistics of so many modules keep the promise together."""

    modules: Annotated[int, Field(ge=1)]

    @property
    def warning(self) -> str:
        """What a reader of a score made from such statistics should know."""
        return (
            f"noise added: epsilon {self.epsilon:g}, delta {self.delta:g} over {self.modules} modules; scores err low, "
            "and intervals do not cover that: a larger epsilon, more images or fewer candidates lower the noise"
        )
