import pytest
import torch
from torch import Tensor, nn

from tests.trainer.examples import bench_of
from trainer.data import Augmentation
from trainer.hidden import train_hidden
from trainer.inputs import KeptInputs, OutputsOf, above, run_all
from trainer.learners import Learner
from trainer.output import train_output
from trainer.stages import Stage
from trainer.workbench import Trained, Workbench


def bench(**changes: object) -> Workbench:
    return bench_of(examples=120, **{"family": "resnet18", "width": 4, "modules": 2, "epochs": 1, **changes})


def state_of(trained: Trained) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in trained.module.state_dict().items()}


def below(workbench: Workbench, *, keep: bool) -> tuple[Trained, KeptInputs | OutputsOf]:
    """The first module, frozen, and the inputs of the second."""
    first = train_hidden(workbench)[0]
    return first, above(workbench.training, first.module, placement=workbench.placement, keep=keep)


@pytest.mark.parametrize("augment", [False, True], ids=["kept", "computed-again"])
def test_training_the_second_module_leaves_the_first_bit_for_bit(augment, monkeypatch):
    states: list[dict[str, Tensor]] = []
    run = Stage.run

    def watched(stage: Stage) -> tuple[float, ...]:
        states.append({name: t.clone() for name, t in stage.learner.parts[0].module.state_dict().items()})
        objectives = run(stage)
        states.append({name: t.clone() for name, t in stage.learner.parts[0].module.state_dict().items()})
        return objectives

    monkeypatch.setattr(Stage, "run", watched)
    first, second = train_hidden(bench(augment=augment))
    fresh_first, trained_first, fresh_second, trained_second = states
    assert any("running_mean" in name for name in trained_first)
    assert same(trained_first, first.module)
    assert same(trained_second, second.module)
    assert not same(fresh_first, first.module)
    assert not same(fresh_second, second.module)


def same(state: dict[str, Tensor], module: nn.Module) -> bool:
    now = module.state_dict()
    return all(torch.equal(tensor, now[name]) for name, tensor in state.items())


@pytest.mark.parametrize("keep", [True, False], ids=["kept", "computed-again"])
def test_no_gradient_reaches_a_module_below(keep):
    workbench = bench()
    first, inputs = below(workbench, keep=keep)
    batch = inputs.batch(torch.arange(8))
    assert not batch.requires_grad
    assert batch.grad_fn is None
    assert all(parameter.grad is None and not parameter.requires_grad for parameter in first.module.parameters())
    assert not any(part.training for part in first.module.modules())


def test_at_once_no_gradient_passes_from_a_part_to_the_one_below(monkeypatch):
    """The lower part learns the same whatever the upper one raises."""
    step = Learner.step

    def upper_ten_times_as_much(learner, batch, *, done):
        upper = learner.parts[1].objective
        if not hasattr(upper, "scaled"):
            upper.scaled = True
            upper.register_forward_hook(lambda _module, _inputs, raised: raised._replace(value=10 * raised.value))
        return step(learner, batch, done=done)

    plain = train_hidden(bench(schedule="at-once"))
    monkeypatch.setattr(Learner, "step", upper_ten_times_as_much)
    other = train_hidden(bench(schedule="at-once"))
    assert same(state_of(plain[0]), other[0].module)
    assert not same(state_of(plain[1]), other[1].module)


def test_the_output_module_leaves_all_hidden_modules_as_they_are():
    workbench = bench()
    hidden = train_hidden(workbench)
    before = [state_of(trained) for trained in hidden]
    inputs = workbench.training
    for trained in hidden:
        inputs = above(inputs, trained.module, placement=workbench.placement, keep=False)
    train_output(workbench, workbench.plan.output, inputs)
    assert all(same(was, trained.module) for was, trained in zip(before, hidden, strict=True))


def test_kept_outputs_are_those_computed_again():
    workbench = bench()
    first, kept = below(workbench, keep=True)
    again = OutputsOf(workbench.training, first.module, workbench.placement)
    assert isinstance(kept, KeptInputs)
    assert torch.allclose(run_all(kept), run_all(again), atol=1e-5)


def test_kept_outputs_refuse_to_be_augmented():
    kept = KeptInputs(torch.zeros(3, 2), torch.zeros(3, dtype=torch.int64))
    with pytest.raises(ValueError, match="cannot be augmented"):
        kept.batch(torch.arange(2), augment=Augmentation(torch.Generator()))


def test_outputs_too_large_to_keep_are_computed_again(monkeypatch):
    monkeypatch.setattr("trainer.inputs.KEPT_SHARE", 0.0)
    _, inputs = below(bench(), keep=True)
    assert isinstance(inputs, OutputsOf)
