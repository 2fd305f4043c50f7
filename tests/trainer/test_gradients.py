import pytest
import torch
from torch import Tensor

from tests.trainer.examples import digits, ignore, never, recipe
from trainer.hidden import train_hidden
from trainer.inputs import Inputs, KeptInputs, OutputsOf, above, run_all
from trainer.output import train_output
from trainer.workbench import Trained, Workbench


def bench(**changes: object) -> Workbench:
    wanted = recipe(family="resnet18", width=4, modules=2, epochs=1, **changes)
    return Workbench.set_up(wanted, digits(examples=120), report=ignore, should_stop=never)


def first_module(workbench: Workbench, *, keep: bool) -> tuple[Trained, Inputs]:
    trained = train_hidden(workbench, workbench.plan.hidden[0], workbench.training, index=0)
    lifted = above(workbench.training, trained.module, placement=workbench.placement, keep=keep)
    return trained, lifted


def state_of(trained: Trained) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in trained.module.state_dict().items()}


@pytest.mark.parametrize("keep", [True, False], ids=["kept", "computed-again"])
def test_training_the_second_module_leaves_the_first_bit_for_bit(keep):
    workbench = bench()
    first, inputs = first_module(workbench, keep=keep)
    before = state_of(first)
    train_hidden(workbench, workbench.plan.hidden[1], inputs, index=1)
    after = first.module.state_dict()
    assert any("running_mean" in name for name in before)
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("keep", [True, False], ids=["kept", "computed-again"])
def test_no_gradient_reaches_a_module_below(keep):
    workbench = bench()
    first, inputs = first_module(workbench, keep=keep)
    batch = inputs.batch(torch.arange(8))
    assert not batch.requires_grad
    assert batch.grad_fn is None
    second = train_hidden(workbench, workbench.plan.hidden[1], inputs, index=1)
    for parameter in (*first.module.parameters(), *second.module.parameters()):
        assert not parameter.requires_grad
        assert parameter.grad is None


def test_a_frozen_module_is_in_eval_mode_and_the_next_one_learned():
    workbench = bench()
    first, inputs = first_module(workbench, keep=True)
    assert not any(part.training for part in first.module.modules())
    fresh = workbench.fresh(workbench.plan.hidden[1].architecture, index=1).state_dict()
    second = train_hidden(workbench, workbench.plan.hidden[1], inputs, index=1)
    assert any(not torch.equal(fresh[name], tensor) for name, tensor in second.module.state_dict().items())


def test_the_output_module_leaves_all_hidden_modules_as_they_are():
    workbench = bench()
    first, inputs = first_module(workbench, keep=True)
    second = train_hidden(workbench, workbench.plan.hidden[1], inputs, index=1)
    before = [state_of(first), state_of(second)]
    lifted = above(inputs, second.module, placement=workbench.placement, keep=False)
    train_output(workbench, workbench.plan.output, lifted)
    for trained, was in zip((first, second), before, strict=True):
        assert all(torch.equal(tensor, was[name]) for name, tensor in trained.module.state_dict().items())


def test_kept_outputs_are_those_computed_again():
    workbench = bench()
    trained, kept = first_module(workbench, keep=True)
    again = OutputsOf(workbench.training, trained.module, workbench.placement)
    assert isinstance(kept, KeptInputs)
    assert torch.allclose(run_all(kept), run_all(again), atol=1e-5)


def test_kept_outputs_refuse_to_be_augmented():
    kept = KeptInputs(torch.zeros(3, 2), torch.zeros(3, dtype=torch.int64))
    with pytest.raises(ValueError, match="cannot be augmented"):
        kept.batch(torch.arange(2), augment=torch.Generator())


def test_outputs_too_large_to_keep_are_computed_again(monkeypatch):
    monkeypatch.setattr("trainer.inputs.KEPT_BYTES", 1000)
    _, inputs = first_module(bench(), keep=True)
    assert isinstance(inputs, OutputsOf)
