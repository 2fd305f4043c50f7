"""Modules that learn at once on several devices.

Tensors on the meta device of torch have shapes and no numbers: an operation that mixes them with others is refused, and
so is whatever would have a step wait for a number.
"""

from contextlib import nullcontext

import pytest
import torch

from registry.recipes import PairsSpec
from tests.trainer.examples import bench_of, digests, run
from trainer import devices
from trainer.devices import Placement
from trainer.hidden import _new
from trainer.learners import Batch, Learner
from trainer.workbench import Workbench

CPU = Placement(torch.device("cpu"), torch.float32)
META = Placement(torch.device("meta"), torch.float32)
DEEP = {"family": "resnet18", "width": 4, "modules": 2, "epochs": 1, "schedule": "at-once", "head": "convolutions"}
KINDS = [
    pytest.param({}, id="alignment"),
    pytest.param({"objective": "prototype_memory"}, id="memory"),
    pytest.param({"objective": "prototype_momentum"}, id="momentum"),
    pytest.param({"objective": "contrastive_per_anchor", "head": "look-ahead"}, id="look-ahead"),
    pytest.param({"pairs": PairsSpec(partners=20)}, id="pairs"),
    pytest.param({"method": "greedy"}, id="greedy"),
    pytest.param({"method": "similarity"}, id="similarity"),
    pytest.param({"method": "infopro"}, id="infopro"),
    pytest.param({"optimiser": {"name": "muon"}}, id="muon"),
]


def see(monkeypatch: pytest.MonkeyPatch, *placements: Placement) -> None:
    """Let a machine have these devices."""
    monkeypatch.setattr(Placement, "all_alike", lambda self: placements)


def learner_of(bench: Workbench) -> Learner:
    benches = bench.spread(len(bench.plan.hidden))
    return Learner([_new(own, index=index).part for index, own in enumerate(benches)])


def first_batch(bench: Workbench) -> Batch:
    indices = torch.arange(32)
    return Batch(bench.training.batch(indices), bench.training.labels[indices], indices)


@pytest.mark.parametrize("changes", KINDS)
def test_each_module_learns_on_its_own_device(changes, monkeypatch):
    see(monkeypatch, CPU, META)
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())  # there is none for meta
    bench = bench_of(**(DEEP | changes))
    learner = learner_of(bench)
    learner.train(learning=True)
    before = learner.parts[0].module[0].weight.detach().clone()
    first, second = learner.step(first_batch(bench), done=0.0)
    assert (first.value.device.type, second.value.device.type) == ("cpu", "meta")
    assert not torch.equal(learner.parts[0].module[0].weight, before)
    assert {each.device.type for each in learner.parts[1].module.parameters()} == {"meta"}


def test_neighbours_share_a_device(monkeypatch):
    bench = bench_of(**(DEEP | {"modules": 5}))
    placements = [bench.placement, *(Placement(torch.device("meta", index), torch.float32) for index in range(2))]
    see(monkeypatch, *placements)
    assert [each.placement for each in bench.spread(5)] == [placements[index] for index in (0, 0, 1, 1, 2)]
    assert [each.placement for each in bench.spread(2)] == placements[:2]


def test_where_there_is_one_device_the_bench_is_as_it_was():
    bench = bench_of(modules=2)
    assert [each.placement for each in bench.spread(2)] == [bench.placement] * 2


@pytest.mark.parametrize(
    "changes",
    [{}, {"pairs": PairsSpec(partners=20)}, {"patience": 1, "epochs": 2}],
    ids=["labels", "pairs", "patience"],
)
def test_a_run_on_several_devices_makes_the_same_files(changes, monkeypatch):
    alone = run(**(DEEP | changes))
    see(monkeypatch, CPU, Placement(torch.device("cpu"), torch.float32))
    assert digests(run(**(DEEP | changes))) == digests(alone)


def test_labels_come_along_from_the_part_below(monkeypatch):
    fetched = []

    class Label(torch.Tensor):
        """Remembers who is fetched from the first device."""

        def to(self, *args, **kwargs):
            fetched.append(args)
            return super().to(*args, **kwargs).as_subclass(torch.Tensor)

    see(monkeypatch, CPU, CPU, CPU)
    bench = bench_of(**(DEEP | {"modules": 3}))
    batch = first_batch(bench)
    learner_of(bench).step(batch._replace(labels=batch.labels.as_subclass(Label)), done=0.0)
    assert len(fetched) == 1


@pytest.mark.gpu
@pytest.mark.parametrize("changes", [{"epochs": 8}, {"epochs": 8, "patience": 3}], ids=["usual", "patience"])
def test_a_run_on_a_gpu_and_a_cpu_ends_with_a_pipeline_that_tells_digits(changes, monkeypatch):
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device here")
    see(monkeypatch, Placement(torch.device("cuda"), torch.float32), CPU)
    assert run(**(DEEP | changes)).modules[-1].metric("accuracy") > 0.6


def test_a_gpu_chosen_by_number_stays_alone():
    chosen = Placement(torch.device("cuda", 1), torch.float32)
    assert chosen.all_alike() == (chosen,)


def test_other_gpus_of_its_kind_help_one_that_nobody_chose_by_number(monkeypatch):
    gpus = [("large", 80), ("large", 80), ("small", 8), ("large", 80)]
    monkeypatch.setattr(torch.cuda, "device_count", lambda: len(gpus))
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(devices, "_kind_of_gpu", gpus.__getitem__)
    usual = Placement(torch.device("cuda"), torch.bfloat16)
    assert [str(each.device) for each in usual.all_alike()] == ["cuda", "cuda:1", "cuda:3"]
