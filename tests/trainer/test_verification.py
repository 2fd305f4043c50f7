"""What a worker finds when it builds a module and runs it."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from registry.module_file import PipelinePart, read_module
from tests.builders import digest_of
from tests.numpy_worker import hidden_module, linear_module, output_module, quadrant_module
from trainer.verification import fault_of, verdict_on

BELOW = digest_of("below")


class Odd(nn.Module):
    """A network that does what a test wants, around one that does it right."""

    def __init__(self, network: nn.Module, forward: Callable[[nn.Module, Tensor], Tensor]) -> None:
        super().__init__()
        self.network, self.wanted = network, forward
        self.runs = 0

    def forward(self, x: Tensor) -> Tensor:
        self.runs += 1
        return self.wanted(self, x)


@pytest.fixture
def part(tmp_path: Path) -> PipelinePart:
    return read_module(written(tmp_path, linear_module(1)))


@pytest.fixture
def odd(part: PipelinePart, monkeypatch) -> Callable[[Callable[[nn.Module, Tensor], Tensor]], str | None]:
    """What is found of a module whose network does this instead."""
    from_file = torch.nn.Sequential(nn.Flatten(), nn.Linear(64, 4)).requires_grad_(requires_grad=False)

    def found(forward: Callable[[nn.Module, Tensor], Tensor]) -> str | None:
        monkeypatch.setattr("trainer.verification.load", lambda *_: Odd(from_file, forward).eval())
        return fault_of(part)

    return found


def written(folder: Path, data: bytes) -> Path:
    path = folder / "module.safetensors"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    "data",
    [linear_module(1), quadrant_module(), hidden_module(BELOW), output_module(BELOW)],
    ids=["input", "quadrants", "hidden", "output"],
)
def test_a_module_that_does_what_it_says_is_verified(tmp_path, data):
    verdict = verdict_on(BELOW, written(tmp_path, data))
    assert (verdict.module, verdict.refused) == (BELOW, None)


def test_a_file_that_is_no_module_is_refused_and_no_error(tmp_path):
    verdict = verdict_on(BELOW, written(tmp_path, b"rubbish"))
    assert "not a module file" in str(verdict.refused)


def test_outputs_that_are_not_finite_are_refused(part):
    large = {name: values * 1e38 for name, values in part.tensors.items()}
    assert "not finite" in str(fault_of(PipelinePart(part.manifest, large)))


def test_weights_that_do_not_fit_are_refused(part):
    assert "cannot be built" in str(fault_of(PipelinePart(part.manifest, {})))


def test_global_randomness_stays_as_it_was(part):
    before = torch.get_rng_state()
    assert fault_of(part) is None
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("forward", "said"),
    [
        (lambda self, x: self.network(x)[:, :3], "its manifest says float32 of shape (2, 4)"),
        (lambda self, x: self.network(x)[:1], "shape (1, 4)"),
        (lambda self, x: self.network(x).double(), "gives float64"),
        (lambda self, x: (self.network(x),), "gives a tuple"),
        (lambda self, x: self.network(x) + self.runs, "the second time"),
        (lambda self, x: self.network(x) - self.network(x).mean(), "depend on the others"),
        (lambda self, x: self.network(x.mul_(2)), "changes its inputs"),
        (lambda self, x: self.network(x.flatten()), "it fails on inputs of shape (2, 1, 8, 8): IndexError"),
        (lambda self, x: self.network(x) / 0, "not finite"),
    ],
    ids=["width", "batch", "dtype", "tuple", "state", "batch-dependent", "in-place", "raises", "infinite"],
)
def test_each_way_of_not_doing_it_is_named(odd, forward, said):
    assert said in str(odd(forward))


def test_a_module_that_is_too_slow_is_refused(part, monkeypatch):
    monkeypatch.setattr("trainer.verification.LONGEST_PASS_SECONDS", -1.0)
    assert "too slow" in str(fault_of(part))
