"""Modules run over batches without gradients, and what chains share runs once."""

from collections import Counter
from collections.abc import Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from registry.names import Digest
from registry.networks.embed import PrefixTree, embed, forward, plan_prefixes, run_trie

NAMES = [Digest(letter) for letter in "abcde"]
CHAINS = st.lists(st.lists(st.sampled_from(NAMES), min_size=1, max_size=4).map(tuple), max_size=6)


class Counted(nn.Module):
    """A linear map that counts how often it runs."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        drawn = torch.randn(3, 3, generator=torch.Generator().manual_seed(seed))
        self.weight = nn.Parameter(drawn)
        self.runs = 0

    def forward(self, x: Tensor) -> Tensor:
        self.runs += 1
        return torch.relu(x) @ self.weight


def zoo() -> dict[Digest, Counted]:
    return {name: Counted(seed).eval() for seed, name in enumerate(NAMES)}


def batches(count: int = 1) -> Iterator[Tensor]:
    generator = torch.Generator().manual_seed(0)
    for _ in range(count):
        yield torch.randn(4, 3, generator=generator)


@settings(deadline=None)
@given(CHAINS)
def test_every_shared_beginning_runs_exactly_once(chains: list[tuple[Digest, ...]]) -> None:
    modules = zoo()
    tree = plan_prefixes(chains)
    list(run_trie(tree, modules, next(batches())))
    beginnings = {chain[:length] for chain in chains for length in range(1, len(chain) + 1)}
    assert tree.forwards == len(beginnings)
    expected = Counter(beginning[-1] for beginning in beginnings)
    assert {name: module.runs for name, module in modules.items() if module.runs} == expected


@settings(deadline=None)
@given(CHAINS)
def test_outputs_equal_those_of_the_plain_chain(chains: list[tuple[Digest, ...]]) -> None:
    modules = zoo()
    (batch,) = batches()
    found = list(run_trie(plan_prefixes(chains), modules, batch))
    assert len(found) == len(set(chains))
    assert {prefix for prefix, _ in found} == set(chains)
    for prefix, outputs in found:
        (plain,) = embed([modules[name] for name in prefix], [batch])
        assert torch.equal(outputs, plain)


def test_beginnings_that_are_asked_for_are_given_on_the_way() -> None:
    chain = tuple(NAMES[:3])
    tree = plan_prefixes(chain[:length] for length in (1, 2, 3))
    assert [prefix for prefix, _ in run_trie(tree, zoo(), next(batches()))] == [chain[:1], chain[:2], chain]
    assert tree.forwards == 3


def test_one_module_on_two_others_gives_two_outputs() -> None:
    a, b, shared, *_ = NAMES
    found = dict(run_trie(plan_prefixes([(a, shared), (b, shared)]), zoo(), next(batches())))
    assert not torch.equal(found[a, shared], found[b, shared])


def test_no_chains_need_no_forwards() -> None:
    tree = plan_prefixes([])
    assert tree == PrefixTree()
    assert tree.forwards == 0
    assert list(run_trie(tree, {}, next(batches()))) == []


def test_a_chain_without_modules_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one module"):
        plan_prefixes([()])


def test_a_module_that_is_not_there_is_named() -> None:
    with pytest.raises(KeyError, match="a"):
        list(run_trie(plan_prefixes([NAMES[:1]]), {}, next(batches())))


def test_embedding_runs_modules_in_turn_and_reads_batches_when_needed() -> None:
    modules = list(zoo().values())[:2]
    outputs = embed(modules, batches(3))
    assert modules[0].runs == 0
    assert [tuple(part.shape) for part in outputs] == [(4, 3)] * 3
    assert [module.runs for module in modules] == [3, 3]


def test_outputs_carry_no_gradients_and_may_be_trained_on() -> None:
    frozen, trained = zoo()[NAMES[0]], Counted(seed=9)
    (outputs,) = embed([frozen], batches())
    assert not outputs.requires_grad
    trained(outputs).sum().backward()
    assert trained.weight.grad is not None
    assert frozen.weight.grad is None


def test_a_module_in_training_mode_is_refused() -> None:
    half = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3).train()).eval()
    half[1].train()
    with pytest.raises(ValueError, match="training mode"):
        forward(half, next(batches()))
