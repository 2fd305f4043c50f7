"""Blocks that torch does not have, or not quite so."""

import torch
import torch.nn.functional as nnf
from torch import Tensor, nn

from kernel_methods.feature_maps import unit_norm


class UnitNorm(nn.Module):
    """x / max(||x||, 1e-12), row by row: shape (n, d) to (n, d)."""

    def forward(self, x: Tensor) -> Tensor:
        """Scale every row to norm one; rows of zeros stay zero."""
        return unit_norm(x)


class BatchNorm(nn.Module):
    """Batch norm of (n, d) or (n, c, h, w), as torch has it but without its count of batches.

    The count is an integer that nothing reads here; without it a module's state is float32 and nothing else.

    Source:
        Ioffe, Szegedy (2015), Batch Normalization, Algorithms 1 and 2.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise by the batch while training, and by the running statistics in eval mode."""
        return nnf.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, training=self.training)


class BasicBlock(nn.Module):
    """A residual block without the relu before and after it: shape (n, c, h, w) to (n, c', h', w').

    Source:
        He, Zhang, Ren, Sun (2016), Deep Residual Learning for Image Recognition, Figure 5 left.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1, bias=False)
        self.bn1 = BatchNorm(out_channels)
        self.relu = nn.ReLU()
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.bn2 = BatchNorm(out_channels)
        self.shortcut = nn.Sequential()
        if stride != 1 or in_channels != out_channels:
            projection = nn.Conv2d(in_channels, out_channels, 1, stride=stride, bias=False)
            self.shortcut = nn.Sequential(projection, BatchNorm(out_channels))

    def forward(self, x: Tensor) -> Tensor:
        """Sum of the two convolutions' outputs and the shortcut's."""
        inner = self.relu(self.bn1(self.conv1(x)))
        outer: Tensor = self.bn2(self.conv2(inner)) + self.shortcut(x)
        return outer
