"""A network cut into the sections between its block boundaries: where one may look at what it has made so far."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from torch import nn

from trainer.loaded import LoadedModule


@dataclass(frozen=True, slots=True)
class Section:
    """Blocks that run between two boundaries: one with weights, and those without that lead up to it.

    Args:
        module: position of its module in the pipeline.
        block: from 1, within the module.
        what: names of its blocks.
        network: the blocks, one after the other, frozen.
        ends_module: whether its outputs are the module's.
    """

    module: int
    block: int
    what: str
    network: nn.Sequential
    ends_module: bool


def sections_of(modules: Sequence[LoadedModule]) -> tuple[Section, ...]:
    """All sections of a pipeline, from the images up; every module has one at least.

    A boundary is behind each block with weights. A norm right behind it belongs to it, for the network looks at no
    features in between; so do the last blocks of a module if they have no weights.
    """
    return tuple(section for index, module in enumerate(modules) for section in _sections(index, module.network))


def _sections(index: int, network: nn.Module) -> Iterator[Section]:
    parts = _parts(list(_unrolled(network)))
    for place, blocks in enumerate(parts, start=1):
        what = ", ".join(_name(block) for block in blocks)
        yield Section(index, place, what, nn.Sequential(*blocks).eval(), ends_module=place == len(parts))


def _unrolled(network: nn.Module) -> Iterator[nn.Module]:
    """Blocks that run one after the other; a plain Sequential stands for its own."""
    if type(network) is not nn.Sequential:
        yield network
        return
    for child in network:
        yield from _unrolled(child)


def _parts(blocks: Sequence[nn.Module]) -> list[list[nn.Module]]:
    """Blocks in the groups that end at a boundary."""
    parts: list[list[nn.Module]] = [[]]
    for block in blocks:
        done = any(_has_weights(each) for each in parts[-1])
        if done and _has_weights(block) and not (_has_weights(parts[-1][-1]) and _is_norm(block)):
            parts.append(_tail(parts[-1]))
        parts[-1].append(block)
    return parts


def _tail(part: list[nn.Module]) -> list[nn.Module]:
    """Take the blocks behind the last one with weights out of a part: they lead up to the next."""
    last = max(place for place, block in enumerate(part) if _has_weights(block))
    behind = part[last + 1 :]
    del part[last + 1 :]
    return behind


def _has_weights(block: nn.Module) -> bool:
    return any(True for _ in block.parameters())


def _is_norm(block: nn.Module) -> bool:
    """Whether all that a block does with weights is to scale and shift channels."""
    return all(weight.ndim <= 1 for weight in block.parameters())


def _name(block: nn.Module) -> str:
    """BasicBlock is basic_block, ReLU is relu."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z][a-z])", "_", type(block).__name__).lower()
