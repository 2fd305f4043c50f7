import pytest
import torch
from torch import Tensor

from registry.errors import JobFailedError
from tests.trainer.examples import bench_of
from trainer.hidden import train_hidden
from trainer.learners import Part
from trainer.optimisation import Ascent
from trainer.workbench import Trained

FITS = 20
PLAIN = {"family": "mlp", "epochs": 2, "batch_size": 64}


def states(trained: list[Trained]) -> list[dict[str, Tensor]]:
    return [{name: tensor.clone() for name, tensor in one.module.state_dict().items()} for one in trained]


def short_of_memory(monkeypatch: pytest.MonkeyPatch, *, fits: int = FITS, error: type[RuntimeError] | None = None):
    """A device on which no more than ``fits`` examples can be run with their graph."""
    run, sizes = Part.run, []

    def scarce(part: Part, inputs: Tensor) -> Tensor:
        if torch.is_grad_enabled():
            if len(inputs) > fits:
                raise (error or torch.OutOfMemoryError)(f"can't allocate memory for {len(inputs)}")
            sizes.append(len(inputs))
        return run(part, inputs)

    monkeypatch.setattr(Part, "run", scarce)
    return sizes


@pytest.mark.parametrize("error", [torch.OutOfMemoryError, RuntimeError], ids=["gpu", "cpu"])
@pytest.mark.parametrize("schedule", ["in-turn", "at-once"])
def test_too_little_memory_gives_smaller_portions_and_the_same_result(schedule, error, monkeypatch):
    changes = {**PLAIN, "modules": 2, "schedule": schedule, "head": "convolutions"}
    whole = states(train_hidden(bench_of(**changes)))
    sizes = short_of_memory(monkeypatch, error=error)
    parted = states(train_hidden(bench_of(**changes)))
    assert max(sizes) <= FITS
    for one, other in zip(whole, parted, strict=True):
        assert all(torch.allclose(one[name], other[name], atol=1e-5) for name in one)


def test_what_an_objective_remembers_is_remembered_once(monkeypatch):
    """The first try fails after the objective was taken: a second one must not add to its memory again."""
    changes = {**PLAIN, "objective": "prototype_momentum"}
    whole = states(train_hidden(bench_of(**changes)))
    rise, failed = Ascent.rise, []

    def fails_once(ascent: Ascent, objective: Tensor) -> None:
        if not failed:
            failed.append(True)
            raise torch.OutOfMemoryError("no more")
        rise(ascent, objective)

    monkeypatch.setattr(Ascent, "rise", fails_once)
    parted = states(train_hidden(bench_of(**changes)))
    assert failed
    assert all(torch.allclose(whole[0][name], parted[0][name], atol=1e-5) for name in whole[0])


def test_batch_norm_cannot_be_run_in_portions_and_says_so(monkeypatch):
    short_of_memory(monkeypatch)
    with pytest.raises(JobFailedError) as raised:
        train_hidden(bench_of(family="resnet18", width=4, epochs=1))
    told = str(raised.value)
    assert told.startswith("module 1 does not fit into the memory of cpu with 60 images a batch: it has batch norm")
    assert "choose a smaller batch size, more modules or a narrower network" in told


def test_a_single_example_that_does_not_fit_ends_the_run(monkeypatch):
    short_of_memory(monkeypatch, fits=0)
    with pytest.raises(JobFailedError, match="a single example is already too much"):
        train_hidden(bench_of(**PLAIN))


def test_another_error_is_not_taken_for_a_lack_of_memory(monkeypatch):
    def broken(part: Part, inputs: Tensor) -> Tensor:
        raise RuntimeError("shapes do not fit")

    monkeypatch.setattr(Part, "run", broken)
    with pytest.raises(RuntimeError, match="shapes do not fit"):
        train_hidden(bench_of(**PLAIN))
