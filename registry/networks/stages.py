"""Networks of other libraries as stages that run one after the other, and the part of one that is a module."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain

import torch
from torch import Tensor, nn

from kernel_methods.kernels import Activation

Forward = Callable[[nn.Module, Tensor], Tensor]


@dataclass(frozen=True, slots=True)
class Step:
    """One piece of a network's forward pass.

    Args:
        owns: paths of the submodules and tensors of the network that it needs.
        forward: the piece; None runs the one submodule that it owns.
    """

    owns: tuple[str, ...]
    forward: Forward | None = None

    def run(self, network: nn.Module, x: Tensor) -> Tensor:
        """Outputs of this piece of ``network``."""
        if self.forward is not None:
            return self.forward(network, x)
        outputs: Tensor = network.get_submodule(self.owns[0])(x)
        return outputs


Stage = tuple[Step, ...]


def unchanged(x: Tensor) -> Tensor:
    """The layout of networks that keep images as (n, c, h, w) all along."""
    return x


@dataclass(frozen=True, slots=True)
class Stages:
    """A network without its classifier: what it may be cut into, in the order in which it runs.

    Args:
        stages: the pieces between two places where a cut is possible.
        inside: the activation of feature maps where the network is cut.
        last: the same at its end; "identity" where negative outputs mean something.
        outward: from the network's own layout to (n, c, h, w), where it is cut.
        inward: the way back.
        whole: all of it in one piece, where that is more than its stages one after the other.
    """

    stages: tuple[Stage, ...]
    inside: Activation
    last: Activation
    outward: Callable[[Tensor], Tensor] = unchanged
    inward: Callable[[Tensor], Tensor] = unchanged
    whole: Stage = ()

    def activation(self, stop: int) -> Activation:
        """Activation of the feature map of outputs after stage ``stop``."""
        return self.last if stop == len(self.stages) else self.inside


def in_turn(*stages: str) -> tuple[Stage, ...]:
    """Stages of submodules that run one after the other; each stage names them with spaces in between."""
    return tuple(tuple(Step((path,)) for path in stage.split()) for stage in stages)


def numbered(prefix: str, ends: Sequence[int]) -> tuple[Stage, ...]:
    """Stages of the numbered submodules of a sequence, each up to an end, which is left out."""
    starts = (0, *ends[:-1])
    return in_turn(*(" ".join(f"{prefix}.{i}" for i in range(a, b)) for a, b in zip(starts, ends, strict=True)))


class PartOfNetwork(nn.Module):
    """Stages ``start`` to ``stop`` (left out) of a network; ``network`` keeps only what these stages need."""

    def __init__(self, network: nn.Module, stages: Stages, *, start: int, stop: int) -> None:
        """Take the network over and take it apart; it is not to be used elsewhere any more."""
        super().__init__()
        self.network = network
        whole = start == 0 and stop == len(stages.stages)
        self._steps = stages.whole if whole and stages.whole else tuple(chain(*stages.stages[start:stop]))
        self._inward = stages.inward if start > 0 else unchanged
        self._outward = stages.outward if stop < len(stages.stages) else unchanged
        _prune(network, owned=[path for step in self._steps for path in step.owns])
        _forget_counts(network)

    def forward(self, x: Tensor) -> Tensor:
        """Raw outputs: shape (n, c, h, w) to (n, c', h', w') or (n, d)."""
        x = self._inward(x)
        for step in self._steps:
            x = step.run(self.network, x)
        return self._outward(x).contiguous()

    def weights(self) -> dict[str, Tensor]:
        """The tensors that its file holds, by their names in the network; they are the network's own.

        Whole numbers are left out: they follow from the architecture, or count batches.
        """
        state = self.network.state_dict()
        return {name: tensor for name, tensor in state.items() if torch.is_floating_point(tensor)}


def _prune(network: nn.Module, *, owned: Sequence[str]) -> None:
    """Take out of a network everything that is neither owned, nor within, nor around what is."""
    if "" in owned:
        return
    direct = [*network.named_parameters(recurse=False), *network.named_buffers(recurse=False)]
    for name, _ in direct:
        if name not in owned:
            delattr(network, name)
    for name, child in list(network.named_children()):
        within = [path.removeprefix(name).removeprefix(".") for path in owned if _begins(path, name)]
        if within:
            _prune(child, owned=within)
        else:
            delattr(network, name)


def _begins(path: str, name: str) -> bool:
    return path == name or path.startswith(f"{name}.")


def _forget_counts(network: nn.Module) -> None:
    """Take out the counts of batches, which nothing reads: batch norm here has a fixed momentum or is in eval mode."""
    for part in network.modules():
        if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d):
            part.num_batches_tracked = None
