"""A zoo that is served, with the digits in it, and workers for it."""

import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from client.zoo import Zoo
from registry.names import Digest
from registry.recipes import TaskSpec, TrainingRecipe
from tests.trainer.examples import digit_arrays, recipe
from trainer.worker import Worker


def digits_file(examples: int = 300) -> bytes:
    """The first digits as an npz file of arrays."""
    images, labels = digit_arrays()
    file = io.BytesIO()
    np.savez(file, images=images[:examples, :, :, 0], labels=labels[:examples])
    return file.getvalue()


def digits_recipe(dataset: Digest, **changes: object) -> TrainingRecipe:
    """A tiny run that tells 0, 1 and 2 from 3 and 4."""
    classes = {"low": ("0", "1", "2"), "high": ("3", "4")}
    return recipe(task=TaskSpec(dataset=dataset, classes=classes), **changes)


@contextmanager
def working(url: str, cache: Path) -> Iterator[Worker]:
    """A worker in threads of this process."""
    with Zoo(url, cache=cache) as zoo:
        worker = Worker(zoo, name="tester", wait_seconds=0.2)
        thread = threading.Thread(target=worker.run, daemon=True)
        thread.start()
        try:
            yield worker
        finally:
            worker.stop.set()
            thread.join(20)
            assert not thread.is_alive()
