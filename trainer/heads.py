"""What a local objective sees of a module: its outputs through the planned head, if any, and the feature map."""

import torch
from torch import Tensor, nn

from kernel_methods.feature_maps import feature_map
from kernel_methods.kernels import pooled_features
from registry.manifest import FeatureMap
from registry.training_plan import PlannedModule
from trainer.devices import Placement


def features_of(outputs: Tensor, phi: FeatureMap) -> Tensor:
    """Unit feature vectors of raw outputs: shape (n, ...) to (n, d), float32."""
    return feature_map(outputs.float(), activation=phi.activation, pooling=phi.pooling)


class Sight(nn.Module):
    """Raw outputs of a module to the unit features that its objective is taken of, through the head where it has one.

    Args:
        planned: the module; `seen_through` is the feature map.
        head: the head's blocks; an empty sequence where there is none.
        placement: its precision.
    """

    def __init__(self, planned: PlannedModule, head: nn.Sequential, placement: Placement) -> None:
        super().__init__()
        self.head = head
        self.phi = planned.seen_through
        self.size = pooled_features(planned.seen_shape, self.phi.pooling)
        self._placement = placement

    def forward(self, outputs: Tensor) -> Tensor:
        """Shape (n, ...) to (n, size), float32."""
        with self._placement.autocast():
            seen: Tensor = self.head(outputs)
        return features_of(seen, self.phi)


def copy_blocks(source: nn.Sequential, target: nn.Sequential, *, count: int) -> None:
    """Give the first blocks of one module the weights of another's: a head's work is the next module's start."""
    with torch.no_grad():
        for index in range(count):
            target[index].load_state_dict(source[index].state_dict())
