import numpy as np
import pytest
import torch

from kernel_methods.known_pairs import DENSE_GROUPS, KnownPairsLookup
from kernel_methods.pairs import PairTable, all_pairs, close, draw_partners, known_of


def tables():
    labels = np.arange(60) % 4
    nothing = np.empty(0, dtype=np.int64)
    yield pytest.param(close(draw_partners(labels, 1, np.random.default_rng(0))), id="one-partner")
    yield pytest.param(close(draw_partners(labels, 3, np.random.default_rng(0))), id="three-partners")
    yield pytest.param(all_pairs(labels), id="all")
    yield pytest.param(close(PairTable(nothing, nothing, nothing.astype(np.bool_), 60)), id="nothing-known")


@pytest.mark.parametrize("dense_groups", [0, DENSE_GROUPS])
@pytest.mark.parametrize("known", list(tables()))
def test_a_lookup_on_a_device_says_what_the_table_says(known, dense_groups):
    indices = np.random.default_rng(1).integers(0, 60, 40)
    lookup = KnownPairsLookup.of(known, dense_groups=dense_groups)
    assert lookup.dense == (dense_groups > 0)
    found = lookup(torch.from_numpy(indices))
    for one, other in zip(found, known_of(known, indices), strict=True):
        assert one.dtype == torch.bool
        assert np.array_equal(one.numpy(), other)


def test_an_example_is_known_to_be_of_one_class_with_itself():
    known = close(draw_partners(np.arange(10), 1, np.random.default_rng(0)))
    same, found = KnownPairsLookup.of(known)(torch.tensor([4, 4, 5]))
    assert same.tolist()[0][:2] == [True, True]
    assert found.diagonal().all()


@pytest.mark.parametrize("dense_groups", [0, DENSE_GROUPS])
def test_a_lookup_reads_nothing_back(dense_groups):
    """Under vmap, reading a value and shapes that depend on values both raise."""
    lookup = KnownPairsLookup.of(all_pairs(np.arange(20) % 3), dense_groups=dense_groups)
    indices = torch.randint(0, 20, (4, 6), generator=torch.Generator().manual_seed(0))
    each = [lookup(batch) for batch in indices]
    for found, expected in zip(torch.vmap(lookup)(indices), zip(*each, strict=True), strict=True):
        assert torch.equal(found, torch.stack(expected))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("dense_groups", [0, DENSE_GROUPS])
def test_a_gpu_says_the_same_without_a_synchronisation(dense_groups):
    lookup = KnownPairsLookup.of(all_pairs(np.arange(50) % 3), dense_groups=dense_groups)
    indices = torch.arange(0, 50, 3)
    expected = lookup(indices)
    there, on_device = lookup.cuda(), indices.cuda()
    torch.cuda.set_sync_debug_mode("error")
    try:
        found = there(on_device)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert all(torch.equal(one.cpu(), other) for one, other in zip(found, expected, strict=True))
