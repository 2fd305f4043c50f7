"""Noise on packed statistics, drawn so that nobody can draw it again, before they are sent from home."""

import os

import numpy as np
from scipy.special import ndtri

from kernel_methods.evidence import Evidence
from kernel_methods.noise import noise_scale, with_gaussian_noise
from kernel_methods.statistics import Floats
from registry.errors import JobFailedError
from registry.noise import Noise, SharedNoise

UNIFORM_BITS = 52


class NoisePromise:
    """Holds the zoo to the noise that was asked for: none of the statistics of one question leaves with less.

    Noise that is drawn anew averages out, so that no more leave than it was shared among: what an attempt has sent is
    spent, even if its job is done again.
    """

    def __init__(self, wanted: Noise) -> None:
        """Args: wanted: by whoever holds the images."""
        self._wanted = wanted
        self._shared: SharedNoise | None = None
        self._spent = 0

    def spend(self, noise: SharedNoise | None) -> None:
        """Count the statistics of one more module, before they are sent with this noise.

        Raises:
            JobFailedError: it is not the noise that was wanted, or there is none left.
        """
        if noise is None or (noise.epsilon, noise.delta) != (self._wanted.epsilon, self._wanted.delta):
            raise JobFailedError(f"the zoo asks for statistics with noise {noise}, not {self._wanted}; none are sent")
        if noise != (self._shared or noise) or self._spent >= noise.modules:
            raise JobFailedError(
                f"the zoo asks for more statistics than its noise hides: {self._spent} have been sent, with noise "
                f"{self._shared}; ask again, which spends as much once more"
            )
        self._shared = noise
        self._spent += 1


def with_noise(packed: bytes, noise: SharedNoise) -> bytes:
    """Packed evidence as it may be sent: the shards with noise, and nothing beside them.

    Sums under shuffled labels are left out: they are made of the same images, and would need noise of their own.
    """
    scale = noise_scale(epsilon=noise.epsilon, delta=noise.delta, modules=noise.modules)
    shards = Evidence.from_bytes(packed, limit_bytes=len(packed)).shards
    return Evidence(tuple(with_gaussian_noise(shard, scale=scale, normal=secret_normal) for shard in shards)).to_bytes()


def secret_normal(count: int) -> Floats:
    """Standard normal numbers from the system's own randomness, which no seed repeats. Shape (n,)."""
    bits = np.frombuffer(os.urandom(8 * count), np.uint64) >> np.uint64(64 - UNIFORM_BITS)
    return np.asarray(ndtri((bits + 0.5) / 2.0**UNIFORM_BITS), dtype=np.float64)
