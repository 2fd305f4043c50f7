"""The one front door to objectives on labels: by name, as a module that holds whatever it must remember."""

from typing import Required, TypedDict, Unpack

from torch import Tensor, nn

from kernel_methods.kernels import ObjectiveName, check_kernel_range, check_objective
from kernel_methods.objectives import Objective, proxy_objective
from kernel_methods.remembered import MomentumPrototype, RememberedContrastive


class ObjectiveOptions(TypedDict, total=False):
    """What else `build_objective` may be told.

    Attributes:
        classes: number of classes; labels are in 0..classes-1.
        features: number of features d of phi.
        temperature: scale of kernel values in contrastive and prototype objectives, 0.2.
        smoothing: share of each target that is spread evenly, where an objective has targets, 0.
        momentum: share of the remembered class means in "prototype_momentum", 0.9.
        memory: how many features the forms with a memory keep, 4096.
    """

    classes: Required[int]
    features: Required[int]
    temperature: float
    smoothing: float
    momentum: float
    memory: int


class BatchOnly(nn.Module):
    """An objective that looks at one batch and remembers nothing."""

    def __init__(self, of_batch: Objective) -> None:
        super().__init__()
        self.of_batch = of_batch

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        """Value of a batch: features (n, d) and labels (n,)."""
        return self.of_batch(features, labels)


def build_objective(
    name: ObjectiveName, *, k_min: float, k_max: float, **options: Unpack[ObjectiveOptions]
) -> nn.Module:
    """The objective of that name, as a module of features (n, d) and labels (n,) to a scalar to be raised.

    It has no parameters. What it remembers of earlier batches, if anything, lies in buffers: move it to the device
    of the features, keep its `state_dict` with the run, and call it in training mode while training.

    Args:
        name: which objective.
        k_min: ideal kernel value of a different-class pair.
        k_max: ideal kernel value of a same-class pair.
        options: the rest, see `ObjectiveOptions`; ``classes`` and ``features`` are needed.

    Raises:
        ValueError: an option is out of its range, or the objective is undefined for this ``k_min`` or ``smoothing``.

    Example:
        ``build_objective("prototype", k_min=0.0, k_max=1.0, classes=10, features=512)(features, labels)``
    """
    check_kernel_range(k_min=k_min, k_max=k_max)
    check_objective(name, k_min=k_min)
    temperature, smoothing = options.get("temperature", 0.2), options.get("smoothing", 0.0)
    classes, features, memory = options["classes"], options["features"], options.get("memory", 4096)
    match name:
        case "prototype_momentum":
            momentum = options.get("momentum", 0.9)
            return MomentumPrototype(
                classes=classes, features=features, momentum=momentum, temperature=temperature, smoothing=smoothing
            )
        case "contrastive_memory" | "prototype_memory":
            return RememberedContrastive(
                features=features,
                memory=memory,
                temperature=temperature,
                smoothing=smoothing,
                classes=classes if name == "prototype_memory" else None,
            )
        case _:
            return BatchOnly(
                proxy_objective(name, k_min=k_min, k_max=k_max, temperature=temperature, smoothing=smoothing)
            )
