"""How weights move: SGD with Nesterov momentum, AdamW or Muon, under one cycle of the learning rate."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import torch
from torch import Tensor, nn
from torch.optim import SGD, AdamW, Optimizer

from registry.recipes import OptimiserSpec
from trainer.muon import Muon, fits_muon


def one_cycle(step: float, *, steps: int, warm_up_share: float) -> float:
    """Share of the peak learning rate at one step: linear up from near 0, then linear down to near 0.

    Args:
        step: number of the step, from 0 to ``steps - 1``; it may lie between two where time sets the pace.
        steps: steps of the whole cycle.
        warm_up_share: share of the steps that go up, in [0, 1].

    Returns:
        A factor in (0, 1].

    Source:
        Smith, Topin (2018), Super-Convergence, section 3, with one momentum throughout.
    """
    rising = warm_up_share * steps
    if step + 1 <= rising:
        return (step + 1) / rising
    return min(1.0, max(steps - step, 1.0) / max(steps - rising, 1.0))


@dataclass(frozen=True, slots=True)
class ParameterGroup:
    """Modules that learn at one peak rate and weight decay.

    `to_classes` marks a map to class scores, whose rows are no directions of a space: Muon leaves it alone.
    """

    modules: tuple[nn.Module, ...]
    learning_rate: float
    weight_decay: float
    to_classes: bool = False

    def parameters(self) -> list[nn.Parameter]:
        """Everything in it that learns."""
        return [p for module in self.modules for p in module.parameters() if p.requires_grad]


@dataclass(frozen=True, slots=True)
class _Share:
    """Parameters for one optimiser, with their rate and decay."""

    parameters: list[nn.Parameter]
    rate: float
    decay: float

    def as_torch(self) -> dict[str, object]:
        """As torch's optimisers take it; `peak` is what the cycle is a share of."""
        return {"params": self.parameters, "lr": self.rate, "weight_decay": self.decay, "peak": self.rate}


class Ascent:
    """Raises an objective, one step after the other; here is the one minus sign of the house."""

    def __init__(self, groups: Iterable[ParameterGroup], *, spec: OptimiserSpec, steps: int) -> None:
        """Args: groups: what learns; spec: how; steps: length of the cycle."""
        self._spec, self._steps = spec, steps
        self._groups = tuple(groups)
        self.optimisers = tuple(_optimisers(self._groups, spec))

    def clear(self) -> None:
        """Forget all gradients."""
        for optimiser in self.optimisers:
            optimiser.zero_grad(set_to_none=True)

    def rise(self, objective: Tensor) -> None:
        """Gradients of an objective, a scalar that is to grow, added to those there are."""
        torch.autograd.backward(-objective)

    def move(self, *, done: float) -> None:
        """Move the weights along their gradients; ``done`` is the share of the cycle that is over, in [0, 1)."""
        share = one_cycle(done * self._steps, steps=self._steps, warm_up_share=self._spec.warm_up_share)
        for optimiser in self.optimisers:
            for group in optimiser.param_groups:
                group["lr"] = group["peak"] * share
            optimiser.step()

    @property
    def learning_rate(self) -> float:
        """The rate of the last step, of the first group."""
        return float(self.optimisers[0].param_groups[0]["lr"])

    def broken(self) -> str | None:
        """Which kind of number is no longer finite, for the error: a weight or a gradient, and its shape."""
        for parameter in chain.from_iterable(group.parameters() for group in self._groups):
            for what, tensor in (("weight", parameter.detach()), ("gradient", parameter.grad)):
                if tensor is not None and not bool(torch.isfinite(tensor).all()):
                    return f"a {what} of shape {tuple(tensor.shape)}"
        return None


def _optimisers(groups: Sequence[ParameterGroup], spec: OptimiserSpec) -> Iterator[Optimizer]:
    if spec.name == "sgd":
        momentum = spec.usual_momentum
        yield SGD(_as_torch(_by_rank(groups)), lr=spec.peak_rate, momentum=momentum, nesterov=momentum > 0)
    elif spec.name == "adamw":
        yield AdamW(_as_torch(_by_rank(groups)), lr=spec.peak_rate)
    else:
        yield from _muon_and_adamw(groups, spec)


def _muon_and_adamw(groups: Sequence[ParameterGroup], spec: OptimiserSpec) -> Iterator[Optimizer]:
    turned = [group for group in groups if not group.to_classes]
    shares = [
        _Share([p for p in group.parameters() if fits_muon(p)], group.learning_rate, group.weight_decay)
        for group in turned
    ]
    others = [_Share([p for p in group.parameters() if not fits_muon(p)], spec.other_rate, 0.0) for group in turned]
    others += [share for group in groups if group.to_classes for share in _by_rank([group])]
    if any(share.parameters for share in shares):
        yield Muon(_as_torch(shares), lr=spec.peak_rate, momentum=spec.usual_momentum, weight_decay=spec.weight_decay)
    if any(share.parameters for share in others):
        yield AdamW(_as_torch(others), lr=spec.other_rate)


def _by_rank(groups: Sequence[ParameterGroup]) -> list[_Share]:
    """Matrices and kernels decay, biases and the scales of norms do not."""
    shares = []
    for group in groups:
        parameters = group.parameters()
        shares.append(_Share([p for p in parameters if p.ndim > 1], group.learning_rate, group.weight_decay))
        shares.append(_Share([p for p in parameters if p.ndim <= 1], group.learning_rate, 0.0))
    return shares


def _as_torch(shares: Sequence[_Share]) -> list[dict[str, object]]:
    return [share.as_torch() for share in shares if share.parameters]
