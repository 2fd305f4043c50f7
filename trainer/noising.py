"""Noise on packed statistics, drawn so that nobody can draw it again, before they are sent from home."""

import os

import numpy as np
from scipy.special import ndtri

from kernel_methods.evidence import Evidence
from kernel_methods.noise import noise_scale, with_gaussian_noise
from kernel_methods.statistics import Floats
from registry.noise import SharedNoise

UNIFORM_BITS = 52


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
