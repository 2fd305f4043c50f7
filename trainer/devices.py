"""Where a run computes, and how precisely: bfloat16 and channels last on a GPU, float32 on a CPU."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from registry.errors import InvalidRecipeError

Precision = Literal["auto", "float32", "bfloat16"]


@dataclass(frozen=True, slots=True)
class Placement:
    """A device, the number format that layers compute in there, and the layout of images."""

    device: torch.device
    precision: torch.dtype

    @property
    def memory_format(self) -> torch.memory_format:
        """Channels last on a GPU, where its convolutions are fastest; row-major on a CPU."""
        return torch.channels_last if self.device.type == "cuda" else torch.contiguous_format

    def autocast(self) -> AbstractContextManager[object]:
        """Inside, layers compute in `precision`; weights and statistics stay float32."""
        if self.precision == torch.float32:
            return nullcontext()
        return torch.autocast(self.device.type, dtype=self.precision)

    def wait(self) -> None:
        """Wait until the device has done what it was asked; only measuring time needs this."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def place(self, module: nn.Module) -> nn.Module:
        """Move a module here, in this layout."""
        return module.to(device=self.device, memory_format=self.memory_format)  # type: ignore[call-overload, no-any-return]

    def place_images(self, images: Tensor) -> Tensor:
        """Move images of shape (n, c, h, w) here, in this layout; other tensors keep theirs."""
        layout = self.memory_format if images.ndim == 4 else torch.contiguous_format
        return images.to(device=self.device).contiguous(memory_format=layout)


def choose_placement(precision: Precision = "auto", *, device: str | None = None) -> Placement:
    """The GPU when there is one, else the CPU; bfloat16 unless told otherwise on a GPU, float32 on a CPU.

    Args:
        precision: ``auto`` follows the device.
        device: a torch device to use instead, such as ``cpu`` or ``cuda:1``.

    Raises:
        InvalidRecipeError: bfloat16 is asked for on a GPU that cannot compute in it.
    """
    chosen = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    if precision == "auto":
        precision = "bfloat16" if chosen.type == "cuda" and torch.cuda.is_bf16_supported() else "float32"
    if precision == "bfloat16" and chosen.type == "cuda" and not torch.cuda.is_bf16_supported():
        raise InvalidRecipeError(f"precision bfloat16 is not possible on {chosen}; use float32 or auto")
    return Placement(chosen, torch.bfloat16 if precision == "bfloat16" else torch.float32)
