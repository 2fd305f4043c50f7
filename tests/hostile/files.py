"""What every hostile file has: its bytes, made when asked for, the refusal it must meet, and words of it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from registry.errors import (
    InvalidArchitectureError,
    InvalidDatasetError,
    InvalidManifestError,
    InvalidModuleFileError,
    InvalidWeightsError,
    TooLargeError,
    ZooError,
)


@dataclass(frozen=True, slots=True)
class HostileFile:
    """One file made to do harm, or broken by accident; ``says`` must be in the refusal's sentence.

    Refusing it may take ``most_bytes`` of memory, as far as Python and NumPy tell.
    """

    error: type[ZooError]
    name: str
    says: str
    make: Callable[[], bytes]
    most_bytes: int = 80 * 1024 * 1024


no_module = partial(HostileFile, InvalidModuleFileError)
no_manifest = partial(HostileFile, InvalidManifestError)
no_architecture = partial(HostileFile, InvalidArchitectureError)
no_weights = partial(HostileFile, InvalidWeightsError)
no_dataset = partial(HostileFile, InvalidDatasetError)
too_large = partial(HostileFile, TooLargeError)
