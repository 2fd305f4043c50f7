"""Run modules over data in batches, without gradients; where chains begin alike, each beginning runs once."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import torch
from torch import Tensor, nn

from registry.names import Digest

Prefix: TypeAlias = tuple[Digest, ...]
"""Digests of the modules that a batch has run through, from the input module up."""


@dataclass(frozen=True, slots=True)
class PrefixTree:
    """Chains of modules, their common beginnings told once; the root stands for the batch itself.

    ``wanted`` says that a chain ends here, so that the outputs at this point are asked for.
    """

    prefix: Prefix = ()
    wanted: bool = False
    above: tuple["PrefixTree", ...] = ()

    @property
    def forwards(self) -> int:
        """How many times a module runs for one batch."""
        return bool(self.prefix) + sum(tree.forwards for tree in self.above)


def plan_prefixes(chains: Iterable[Sequence[Digest]]) -> PrefixTree:
    """The tree of chains of module digests, in the order in which they first appear.

    Args:
        chains: digests from the input module up. A module may stand on different ones in different chains;
            a chain given twice is wanted once. To see every depth of a chain, give its beginnings too.

    Raises:
        ValueError: a chain is empty.
    """
    root = _Growing()
    for chain in chains:
        if not chain:
            raise ValueError("a chain needs at least one module")
        node = root
        for digest in chain:
            node = node.above.setdefault(digest, _Growing())
        node.wanted = True
    return _grown(root, prefix=())


@dataclass(slots=True)
class _Growing:
    """A tree while chains are still added to it."""

    wanted: bool = False
    above: dict[Digest, "_Growing"] = field(default_factory=dict)


def _grown(node: _Growing, *, prefix: Prefix) -> PrefixTree:
    above = tuple(_grown(child, prefix=(*prefix, digest)) for digest, child in node.above.items())
    return PrefixTree(prefix, wanted=node.wanted, above=above)


def run_trie(tree: PrefixTree, modules: Mapping[Digest, nn.Module], batch: Tensor) -> Iterator[tuple[Prefix, Tensor]]:
    """Raw outputs of every chain of a tree for one batch; each shared beginning runs once.

    Depth first, so that only the outputs along one chain are held at a time.

    Args:
        tree: from `plan_prefixes`.
        modules: every module of the tree, in eval mode.
        batch: inputs of the lowest modules. Shape (n, ...).

    Yields:
        The chain, and its raw outputs of shape (n, ...); the chain's last digest is the module's.

    Raises:
        KeyError: a module of the tree is not among ``modules``.
        ValueError: a module is in training mode.
    """
    if tree.wanted:
        yield tree.prefix, batch
    for child in tree.above:
        yield from run_trie(child, modules, forward(modules[child.prefix[-1]], batch))


def embed(modules: Sequence[nn.Module], batches: Iterable[Tensor]) -> Iterator[Tensor]:
    """Run modules one after the other over batches; a batch is read only when its outputs are asked for.

    Args:
        modules: the lowest first, in eval mode.
        batches: inputs of shape (n, ...).

    Yields:
        Raw outputs of the last module for each batch, shape (n, ...).

    Raises:
        ValueError: a module is in training mode.
    """
    for batch in batches:
        outputs = batch
        for module in modules:
            outputs = forward(module, outputs)
        yield outputs


@torch.no_grad()  # not inference_mode: what a frozen module gives may be the input of one that is trained
def forward(module: nn.Module, batch: Tensor) -> Tensor:
    """Raw outputs of one module in eval mode, without gradients; shape (n, ...) to (n, ...).

    Raises:
        ValueError: the module is in training mode, so that its outputs would depend on the rest of the batch.
    """
    if any(part.training for part in module.modules()):
        raise ValueError("a module is in training mode; call eval() on it before it embeds data")
    outputs: Tensor = module(batch)
    return outputs
