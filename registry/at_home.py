"""Questions about data that stays at home: where a task is scored, and with which noise."""

from registry.errors import ConflictError, InvalidInputError
from registry.names import Digest
from registry.noise import Noise, SharedNoise
from registry.plans import PlannedTask
from registry.ports import UnitOfWork


def place(work: UnitOfWork, task: PlannedTask, *, noise: Noise | None, modules: int) -> PlannedTask:
    """The task with where it is scored: by the zoo's workers, or by whoever holds its images.

    Args:
        work: the transaction to read in.
        task: the task.
        noise: what the question asks to be added at home.
        modules: over how many modules the noise keeps its promise.

    Raises:
        InvalidInputError: noise is asked for, but the zoo has the images.
    """
    dataset = work.datasets.get(task.dataset, owner=None)
    held = dataset is None or dataset.held
    if held and noise is not None:
        raise InvalidInputError(
            f"the zoo holds the bytes of dataset {task.dataset}, so noise would protect nobody; leave `noise` out, or "
            "remove the dataset and ask with `zoo rank DATA --here`"
        )
    shared = None if noise is None else SharedNoise(epsilon=noise.epsilon, delta=noise.delta, modules=modules)
    return task.model_copy(update={"held": held, "noise": shared})


def require_bytes(work: UnitOfWork, dataset: Digest, *, what: str) -> None:
    """Raises ConflictError where the zoo was told of a dataset, but does not have its bytes."""
    found = work.datasets.get(dataset, owner=None)
    if found is not None and not found.held:
        raise ConflictError(
            f"{what} needs the images of dataset {dataset}, but only a description of it was sent; upload the file "
            "with POST /datasets first (`zoo train` and `zoo rank --send` do that)"
        )
