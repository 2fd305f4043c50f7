"""How much memory a training step holds for its backward pass: all that autograd keeps, at the worst moment."""

from collections import Counter
from types import TracebackType
from typing import Self

import torch
from torch import Tensor


class _Held:
    """A tensor that autograd keeps; its bytes are given back when the graph lets go of it."""

    def __init__(self, tensor: Tensor, meter: "ActivationMeter") -> None:
        self.tensor = tensor
        self._meter = None if tensor.is_leaf and tensor.requires_grad else meter
        if self._meter is not None:
            self._meter.hold(tensor)

    def __del__(self) -> None:
        if self._meter is not None:
            self._meter.release(self.tensor)


class ActivationMeter:
    """Counts, within its block, the bytes of distinct storages that graphs keep; `peak_bytes` is the most at a time.

    Weights are left out: they are there anyway. It sees what the step asks for, not what an allocator rounds it to,
    so that a CPU and a GPU give the same figure.
    """

    def __init__(self) -> None:
        self._held: Counter[int] = Counter()
        self._bytes = self.peak_bytes = 0
        self._hooks = torch.autograd.graph.saved_tensors_hooks(lambda t: _Held(t, self), lambda held: held.tensor)

    def __enter__(self) -> Self:
        self._hooks.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._hooks.__exit__(kind, error, trace)

    def hold(self, tensor: Tensor) -> None:
        """Count a tensor's storage, once however often it is kept."""
        place = tensor.untyped_storage().data_ptr()
        if not self._held[place]:
            self._bytes += tensor.untyped_storage().nbytes()
            self.peak_bytes = max(self.peak_bytes, self._bytes)
        self._held[place] += 1

    def release(self, tensor: Tensor) -> None:
        """Give a storage back when nothing keeps it any more."""
        place = tensor.untyped_storage().data_ptr()
        self._held[place] -= 1
        if not self._held[place]:
            self._bytes -= tensor.untyped_storage().nbytes()
            del self._held[place]
