"""Muon: momentum whose every step is made orthogonal, for matrices and for convolutions read as matrices.

torch has a Muon of its own, for matrices alone and one after the other; here convolutions are the point, and
weights of one shape move together, which on a GPU is what makes it cheap.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
ITERATIONS = 5
SMALLEST_NORM = 1e-7


def orthogonalised(matrices: Tensor) -> Tensor:
    """Matrices with nearly the same singular vectors and all singular values near one.

    Args:
        matrices: shape (m, rows, columns), float32.

    Returns:
        Same shape and type; singular values between about 0.7 and 1.2, a matrix of zeros stays zero.

    Source:
        Jordan et al. (2024), Muon: An optimizer for hidden layers in neural networks; a quintic iteration of
        Newton and Schulz. On a GPU it runs in bfloat16, which it bears.
    """
    wide = matrices.mT if matrices.shape[-2] > matrices.shape[-1] else matrices
    x = wide.bfloat16() if matrices.device.type == "cuda" else wide
    x = x / (torch.linalg.vector_norm(x, dim=(-2, -1), keepdim=True) + SMALLEST_NORM)
    a, b, c = COEFFICIENTS
    for _ in range(ITERATIONS):
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    turned: Tensor = x.to(matrices.dtype)
    return turned.mT if matrices.shape[-2] > matrices.shape[-1] else turned


def fits_muon(parameter: nn.Parameter) -> bool:
    """Whether a parameter is a matrix, or a convolution, that Muon can move."""
    return parameter.ndim > 1


class Muon(Optimizer):
    """Nesterov momentum, made orthogonal, scaled so that a step has the same size whatever a weight's shape."""

    def __init__(
        self,
        parameters: Iterable[nn.Parameter] | list[dict[str, object]],
        *,
        lr: float,
        momentum: float,
        weight_decay: float,
    ) -> None:
        """Args: parameters: matrices and convolutions; lr: size of a step; momentum, weight_decay: shares."""
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Move every parameter that has a gradient. Raises ValueError for a closure, which is not supported."""
        if closure is not None:
            raise ValueError("Muon takes no closure")
        for group in self.param_groups:
            alike: dict[tuple[int, ...], list[nn.Parameter]] = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is not None:
                    alike[tuple(parameter.shape)].append(parameter)
            for parameters in alike.values():
                self._move(parameters, rate=group["lr"], momentum=group["momentum"], decay=group["weight_decay"])

    def _move(self, parameters: Sequence[nn.Parameter], *, rate: float, momentum: float, decay: float) -> None:
        """Move parameters of one shape."""
        steps = []
        for parameter in parameters:
            steps.append(self._nesterov(parameter, momentum).flatten(start_dim=1))
        rows, columns = steps[0].shape
        turned = orthogonalised(torch.stack(steps)) * max(1.0, rows / columns) ** 0.5
        for parameter, step in zip(parameters, turned, strict=True):
            parameter.mul_(1 - rate * decay).add_(step.view_as(parameter), alpha=-rate)

    def _nesterov(self, parameter: nn.Parameter, momentum: float) -> Tensor:
        """The gradient, looked at a step ahead along the momentum."""
        gradient = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        state = self.state[parameter]
        if not state:
            state["momentum"] = torch.zeros_like(parameter)
        state["momentum"].lerp_(gradient, 1 - momentum)
        return torch.lerp(gradient, state["momentum"], momentum)
