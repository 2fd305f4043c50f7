"""Feature maps: raw outputs of a module become the unit vectors whose inner products are the kernel."""

from typing import assert_never

import torch
import torch.nn.functional as nnf
from torch import Tensor

from kernel_methods.kernels import Activation, Pooling, pooling_grid


def unit_norm(x: Tensor, eps: float = 1e-12) -> Tensor:
    """Scale every row to unit Euclidean norm; rows of zeros stay zero.

    Half precision is raised to float32 first, for a norm needs more than eight bits.

    Args:
        x: shape (n, d).
        eps: rows shorter than this are divided by it instead of by their norm.

    Returns:
        Shape (n, d), float32 or wider.

    Raises:
        ValueError: ``x`` is not two-dimensional.
    """
    if x.ndim != 2:
        raise ValueError(f"rows to be scaled need shape (n, d), got {tuple(x.shape)}")
    rows = _at_least_float32(x)
    norms: Tensor = torch.linalg.vector_norm(rows, dim=1, keepdim=True)
    return rows / norms.clamp_min(eps)


def feature_map(outputs: Tensor, *, activation: Activation, pooling: Pooling) -> Tensor:
    """Image phi of raw outputs: activation, pooling, flattening, unit norm.

    Args:
        outputs: raw outputs of a module. Shape (n, d), or (n, c, h, w) as every pooling but "none" needs.
        activation: the nonlinearity that follows the module.
        pooling: how the channels are averaged before flattening.

    Returns:
        Features of shape (n, d), rows of norm one, or zero where the activation gave only zeros.

    Raises:
        ValueError: the batch is the only axis, or outputs to be pooled are not (n, c, h, w).

    Source:
        Duan, Yu, Principe (2022), Modularizing Deep Learning via Pairwise Learning With Kernels, section II.
    """
    if outputs.ndim < 2:
        raise ValueError(f"outputs need shape (n, ...), got {tuple(outputs.shape)}")
    return unit_norm(pool(activate(outputs, activation), pooling).flatten(start_dim=1))


def relu_map(outputs: Tensor) -> Tensor:
    """Feature map of ReLU without pooling: shape (n, ...) to (n, d); kernel values in [0, 1]."""
    return feature_map(outputs, activation="relu", pooling="none")


def tanh_map(outputs: Tensor) -> Tensor:
    """Feature map of tanh without pooling: shape (n, ...) to (n, d); kernel values in [-1, 1]."""
    return feature_map(outputs, activation="tanh", pooling="none")


def sigmoid_map(outputs: Tensor) -> Tensor:
    """Feature map of the sigmoid without pooling: shape (n, ...) to (n, d); kernel values in [0, 1]."""
    return feature_map(outputs, activation="sigmoid", pooling="none")


def activate(outputs: Tensor, activation: Activation) -> Tensor:
    """The plain nonlinearity, without pooling or norm: what stands between two hidden modules."""
    match activation:
        case "relu":
            return torch.relu(outputs)
        case "tanh":
            return torch.tanh(outputs)
        case "sigmoid":
            return torch.sigmoid(outputs)
        case "identity":
            return outputs
        case _:
            assert_never(activation)


def pool(activations: Tensor, pooling: Pooling) -> Tensor:
    """Average each channel over a grid of equal parts; "none" gives the argument back.

    Args:
        activations: shape (n, c, h, w); any shape where ``pooling`` is "none".
        pooling: "average" leaves one value a channel, the others 2 x 2 or 4 x 4.

    Returns:
        Shape (n, c, grid, grid), float32 or wider; ``activations`` itself for "none".

    Raises:
        ValueError: something is to be pooled and ``activations`` is not (n, c, h, w).
    """
    grid = pooling_grid(pooling)
    if grid == 0:
        return activations
    if activations.ndim != 4:
        raise ValueError(f"pooling {pooling!r} needs shape (n, c, h, w), got {tuple(activations.shape)}")
    wide = _at_least_float32(activations)
    if grid == 1:
        return wide.mean(dim=(2, 3), keepdim=True)
    return nnf.adaptive_avg_pool2d(wide, grid)


def _at_least_float32(x: Tensor) -> Tensor:
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
