import pytest
import torch
from torch import Tensor

from registry.module_file import PipelinePart
from tests.trainer.examples import bench_of, run
from trainer.hidden import train_hidden
from trainer.stages import Stage
from trainer.verification import fault_of

DEEP = {"family": "resnet18", "width": 4, "modules": 3, "epochs": 1}


class Stages:
    """What every stage began with and ended with: its module's weights, and those of the head on it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.modules_before: list[dict[str, Tensor]] = []
        self.heads_after: list[dict[str, Tensor]] = []
        go = Stage.run

        def watched(stage: Stage) -> tuple[float, ...]:
            part = stage.learner.parts[0]
            self.modules_before.append(copied(part.module))
            objectives = go(stage)
            self.heads_after.append(copied(part.objective.sight.head))
            return objectives

        monkeypatch.setattr(Stage, "run", watched)


def copied(module: torch.nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def test_a_look_ahead_head_hands_its_weights_on_to_the_next_module(monkeypatch):
    seen = Stages(monkeypatch)
    workbench = bench_of(**DEEP, head="look-ahead")
    train_hidden(workbench)
    assert [planned.head is not None for planned in workbench.plan.hidden] == [True, True, False]
    for index in (0, 1):
        head, following = seen.heads_after[index], seen.modules_before[index + 1]
        shared = {name for name in head if int(name.split(".")[0]) < workbench.plan.hidden[index].head.shared}
        assert shared
        assert all(torch.equal(head[name], following[name]) for name in shared)


@pytest.mark.parametrize("head", ["none", "convolutions", "look-ahead-halved"])
def test_other_heads_hand_nothing_on(head, monkeypatch):
    seen = Stages(monkeypatch)
    workbench = bench_of(**DEEP, head=head)
    train_hidden(workbench)
    for index in (1, 2):
        fresh = workbench.fresh(workbench.plan.hidden[index].architecture, index=index).state_dict()
        assert all(torch.equal(fresh[name], tensor) for name, tensor in seen.modules_before[index].items())


@pytest.mark.parametrize("schedule", ["in-turn", "at-once"])
@pytest.mark.parametrize("head", ["convolutions", "look-ahead", "look-ahead-halved"])
def test_heads_are_not_in_the_files(head, schedule):
    plain, headed = run(**DEEP), run(**DEEP, head=head, schedule=schedule)
    for one, other in zip(plain.modules, headed.modules, strict=True):
        assert one.manifest.architecture == other.manifest.architecture
        assert one.tensors.keys() == other.tensors.keys()
        assert fault_of(PipelinePart(other.manifest, other.tensors)) is None
    assert any((plain.modules[0].tensors[name] != headed.modules[0].tensors[name]).any() for name in one_of(plain))


def one_of(network) -> list[str]:
    return [name for name in network.modules[0].tensors if name.endswith("weight")]


def test_at_once_every_module_learns_and_the_time_is_shared():
    network = run(modules=2, schedule="at-once", epochs=8)
    first, second, output = network.modules
    assert first.seconds == second.seconds
    assert second.metric("upper_triangle_alignment") > 0.6
    assert output.metric("accuracy") > 0.9
