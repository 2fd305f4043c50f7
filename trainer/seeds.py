"""Seeds of a run's parts, each its own stream, all from the recipe's one seed."""

from enum import IntEnum

import numpy as np
import torch


class Purpose(IntEnum):
    """What randomness is for; numbers are part of a recipe's meaning and never change."""

    EXAMPLES = 1
    HELD_OUT = 2
    LABELS = 3
    WEIGHTS = 4
    ORDER = 5
    SCORE = 6
    SHARDS = 7
    SHUFFLES = 8
    HEADS = 9
    CLASSIFIERS = 10
    DECODERS = 11
    PAIRS = 12
    FOLDS = 13


def stream(seed: int, purpose: Purpose, index: int = 0) -> np.random.Generator:
    """Randomness in NumPy for one purpose, and one module where it belongs to a module."""
    return np.random.default_rng([seed, int(purpose), index])


def torch_stream(seed: int, purpose: Purpose, index: int = 0, *, device: torch.device | str = "cpu") -> torch.Generator:
    """Randomness in torch for one purpose, on a device."""
    drawn = int(stream(seed, purpose, index).integers(2**63 - 1))
    return torch.Generator(device).manual_seed(drawn)
