import pytest
import torch
from torch import Tensor, nn

from trainer.muon import Muon, fits_muon, orthogonalised

SHAPES = [(4, 4), (16, 64), (64, 16), (3, 500), (1, 9), (32, 32)]


def matrices(rows: int, columns: int, *, count: int = 3) -> Tensor:
    return torch.randn(count, rows, columns, generator=torch.Generator().manual_seed(rows * columns))


@pytest.mark.parametrize(("rows", "columns"), SHAPES)
def test_singular_values_come_near_one_and_vectors_stay(rows, columns):
    given = matrices(rows, columns)
    turned = orthogonalised(given)
    left, before, right = torch.linalg.svd(given, full_matrices=False)
    inside = left.mT @ turned @ right.mT
    values = inside.diagonal(dim1=-2, dim2=-1)
    sound = before > 0.02 * before.amax(dim=1, keepdim=True)
    assert float(values[sound].min()) >= 0.6
    assert float(values.max()) <= 1.3
    assert torch.allclose(inside - torch.diag_embed(values), torch.zeros(()), atol=1e-3)


@pytest.mark.parametrize(("rows", "columns"), SHAPES)
def test_matrices_together_are_matrices_one_by_one(rows, columns):
    given = matrices(rows, columns)
    alone = torch.cat([orthogonalised(matrix[None]) for matrix in given])
    assert torch.allclose(orthogonalised(given), alone, atol=1e-4)


def test_the_size_of_a_gradient_does_not_matter_and_zeros_stay_zeros():
    given = matrices(8, 16)
    assert torch.allclose(orthogonalised(given * 1000), orthogonalised(given), atol=1e-3)
    assert torch.equal(orthogonalised(torch.zeros(1, 3, 4)), torch.zeros(1, 3, 4))


def moved(parameters: list[nn.Parameter], *, steps: int = 3) -> list[Tensor]:
    muon = Muon(parameters, lr=0.1, momentum=0.9, weight_decay=0.5)
    for step in range(steps):
        for parameter in parameters:
            parameter.grad = torch.sin(parameter.detach() * (step + 1))
        muon.step()
    return [parameter.detach() for parameter in parameters]


def fresh(*shape: int, seed: int = 0) -> nn.Parameter:
    return nn.Parameter(torch.randn(shape, generator=torch.Generator().manual_seed(seed)))


def test_weights_of_one_shape_move_together_as_they_would_alone():
    shapes = [((8, 3, 3, 3), 0), ((8, 3, 3, 3), 1), ((5, 7), 2)]
    together = moved([fresh(*shape, seed=seed) for shape, seed in shapes])
    alone = [moved([fresh(*shape, seed=seed)])[0] for shape, seed in shapes]
    for one, other in zip(together, alone, strict=True):
        assert torch.allclose(one, other, atol=1e-5)


def test_a_step_is_that_of_its_definition():
    parameter = fresh(6, 4)
    before = parameter.detach().clone()
    parameter.grad = torch.sin(before)
    muon = Muon([parameter], lr=0.1, momentum=0.9, weight_decay=0.5)
    muon.step()
    nesterov = torch.sin(before) * (0.1 + 0.9 * 0.1)
    expected = before * (1 - 0.1 * 0.5) - 0.1 * (6 / 4) ** 0.5 * orthogonalised(nesterov[None])[0]
    assert torch.allclose(parameter.detach(), expected, atol=1e-5)


def test_a_convolution_with_channels_last_moves_as_one_without():
    plain, laid = fresh(8, 3, 3, 3), fresh(8, 3, 3, 3)
    laid.data = laid.data.contiguous(memory_format=torch.channels_last)
    assert torch.allclose(moved([plain])[0], moved([laid])[0], atol=1e-5)


def test_weights_without_a_gradient_stay():
    still, moving = fresh(3, 3), fresh(3, 3)
    before = still.detach().clone()
    moving.grad = torch.ones(3, 3)
    Muon([still, moving], lr=0.1, momentum=0.9, weight_decay=0.5).step()
    assert torch.equal(still, before)


def test_matrices_and_convolutions_fit_and_vectors_do_not():
    assert [fits_muon(fresh(*shape)) for shape in [(3, 4), (2, 3, 3, 3), (5,), ()]] == [True, True, False, False]


def test_a_closure_is_refused():
    with pytest.raises(ValueError, match="no closure"):
        Muon([fresh(2, 2)], lr=0.1, momentum=0.9, weight_decay=0.0).step(lambda: 0.0)
