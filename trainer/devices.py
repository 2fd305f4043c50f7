"""Where a run computes, and how precisely: bfloat16 and channels last on a GPU, float32 on a CPU."""

import os
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
import torch.compiler.config as compiler_config
from torch import Tensor, nn

from registry.errors import InvalidRecipeError
from registry.networks.blocks import BasicBlock

Precision = Literal["auto", "float32", "bfloat16"]
BLOCK_SHAPES = 64
"""Variants of one block that are compiled, at most; what is beyond runs uncompiled."""

MEMORY_FILE = Path("/proc/meminfo")


@dataclass(frozen=True, slots=True)
class Placement:
    """A device, the number format that layers compute in there, and the layout of images."""

    device: torch.device
    precision: torch.dtype

    def free_bytes(self) -> int:
        """Memory that is free on the device now; on a CPU what the system can give without swapping."""
        if self.device.type == "cuda":
            unused = torch.cuda.memory_reserved(self.device) - torch.cuda.memory_allocated(self.device)
            return int(torch.cuda.mem_get_info(self.device)[0]) + unused
        return _available_bytes()

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
        """Move a module here, its convolutions with channels last."""
        return module.to(device=self.device, memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]

    def compiled(self, module: nn.Module) -> nn.Module:
        """The module, its blocks compiled where there is a GPU; equal blocks of other modules use the same code.

        torch reads TORCH_COMPILE_DISABLE=1 to leave them as they are.
        """
        if self.device.type == "cuda":
            compile_blocks(module)
        return module

    def place_images(self, images: Tensor) -> Tensor:
        """Move images of shape (n, c, h, w) here, channels last, as convolutions are fastest; others row-major."""
        layout = torch.channels_last if images.ndim == 4 else torch.contiguous_format
        return images.to(device=self.device).contiguous(memory_format=layout)

    def all_alike(self) -> "tuple[Placement, ...]":
        """This one and, where it is a GPU that nobody chose by number, all of the same kind that can be seen.

        CUDA_VISIBLE_DEVICES says which can.
        """
        if self.device.type != "cuda" or self.device.index is not None:
            return (self,)
        current = torch.cuda.current_device()
        kind = _kind_of_gpu(current)
        others = (index for index in range(torch.cuda.device_count()) if index != current)
        alike = (index for index in others if _kind_of_gpu(index) == kind)
        return (self, *(Placement(torch.device("cuda", index), self.precision) for index in alike))


def _kind_of_gpu(index: int) -> tuple[str, int]:
    """Name and bytes of memory."""
    about = torch.cuda.get_device_properties(index)
    return about.name, about.total_memory


def _available_bytes() -> int:
    """What Linux calls available, page cache counted in; elsewhere all there is."""
    told = MEMORY_FILE.read_text().splitlines() if MEMORY_FILE.exists() else []
    kilobytes = next((line.split()[1] for line in told if line.startswith("MemAvailable:")), None)
    if kilobytes is not None:
        return int(kilobytes) * 1024
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def compile_blocks(module: nn.Module) -> None:
    """Compile the residual blocks of a module, in place; weights keep their names."""
    # One code serves all blocks of a shape, but a network has a shape for each stage, in training and in eval mode.
    compiler_config.recompile_limit = max(compiler_config.recompile_limit, BLOCK_SHAPES)
    for block in module.modules():
        if isinstance(block, BasicBlock):
            block.compile(dynamic=False)


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
