"""What a worker measures beside statistics equals the estimators on features that were computed apart from it."""

import numpy as np
import pytest
import torch

from kernel_methods.estimators.knn import knn_accuracy
from kernel_methods.estimators.leep import leep
from kernel_methods.estimators.linear_probe import probe_accuracy
from kernel_methods.evidence import Evidence
from kernel_methods.measured import Measured
from kernel_methods.shuffles import SUM_BYTES
from kernel_methods.statistics import TaskStatistics
from registry.names import Digest
from registry.networks.build import load
from registry.recipes import OutputSpec, TaskSpec
from registry.work import ScoreWork
from tests.trainer.examples import DIGITS, digits, ignore, never, recipe
from trainer.beside import FOLDS, NEIGHBOURS, wanted_of
from trainer.data import normalise
from trainer.devices import choose_placement
from trainer.heads import features_of
from trainer.loaded import LoadedModule
from trainer.progress import Tracker
from trainer.run import TrainedNetwork, train
from trainer.scoring import ScoredModule, deal, group_chains, score
from trainer.seeds import Purpose, stream

CPU = choose_placement("float32", device="cpu")
GROUPS = ((0, 3), (1,), (2,))
EVERYTHING = ("class_moments", "knn", "linear_probe", "source_head")

Modules = dict[Digest, LoadedModule]
Chain = tuple[Digest, ...]


@pytest.fixture(scope="module")
def network() -> TrainedNetwork:
    return train(recipe(modules=2, epochs=1, output=OutputSpec(epochs=2)), digits(), report=ignore, should_stop=never)


@pytest.fixture(scope="module")
def modules(network: TrainedNetwork) -> Modules:
    return {
        module.digest: LoadedModule(
            module.manifest,
            load(module.manifest.architecture, {name: torch.from_numpy(part) for name, part in module.tensors.items()}),
        )
        for module in network.modules
    }


@pytest.fixture
def chain(network: TrainedNetwork) -> Chain:
    return tuple(module.digest for module in network.modules[:2])


def work(*chains: Chain, **changes: object) -> ScoreWork:
    task = TaskSpec(dataset=DIGITS, classes={str(i): (str(i),) for i in range(4)})
    fields = {"task": task, "chains": chains, "examples": 120, "shards": 3, "seed": 5}
    return ScoreWork.model_validate(fields | changes)


def asking(network: TrainedNetwork, chain: Chain) -> ScoreWork:
    """Work that asks for everything there is; the second module has a source head, the first has none."""
    return work(chain[:1], chain, beside=EVERYTHING, groups=GROUPS, heads={chain[1]: network.modules[2].digest})


def run(wanted: ScoreWork, modules: Modules) -> list[Evidence]:
    tracker = Tracker(total=1, report=ignore, should_stop=never)
    made = list(score(wanted, digits(), modules, placement=CPU, tracker=tracker))
    assert all(isinstance(each, ScoredModule) for each in made)
    return [Evidence.from_bytes(each.packed, limit_bytes=10**8) for each in made]


def measured(wanted: ScoreWork, modules: Modules) -> list[Measured]:
    found = [each.beside for each in run(wanted, modules)]
    assert None not in found
    return [each for each in found if each is not None]


@torch.no_grad()
def outputs_of(wanted: ScoreWork, modules: Modules, chain: Chain) -> tuple[torch.Tensor, np.ndarray]:
    """Raw outputs of the last module of a chain, and the labels, in the order the examples pass."""
    data = digits()
    rows = np.concatenate(deal(data.labels, wanted))
    pixels = modules[chain[0]].preprocessing
    images = torch.from_numpy(data.images[rows].transpose(0, 3, 1, 2).copy())
    outputs = normalise(images, mean=pixels.mean, std=pixels.std)
    for digest in chain:
        outputs = modules[digest].network(outputs)
    return outputs, data.labels[rows]


def test_references_and_moments_equal_the_estimators_on_features_computed_apart(network, modules, chain):
    wanted = asking(network, chain)
    for found, part in zip(measured(wanted, modules), (chain[:1], chain), strict=True):
        outputs, labels = outputs_of(wanted, modules, part)
        features = features_of(outputs, modules[part[-1]].feature_map).numpy()
        merged = np.array([0, 1, 2, 0])[labels]
        folds = stream(wanted.seed, Purpose.FOLDS)
        slow = TaskStatistics.of(features, labels, classes=4, class_moments=True)
        assert found.groups == GROUPS
        assert found.values["knn"] == pytest.approx(knn_accuracy(features, merged, neighbours=NEIGHBOURS), abs=0.01)
        probe = probe_accuracy(features, merged, folds=FOLDS, generator=folds)
        assert found.values["linear_probe"] == pytest.approx(probe, abs=0.01)
        assert np.allclose(found.class_moments, slow.class_moments, atol=1e-4)


def test_the_source_head_is_run_on_the_outputs_of_the_module(network, modules, chain):
    wanted = asking(network, chain)
    without, found = measured(wanted, modules)
    outputs, labels = outputs_of(wanted, modules, chain)
    head = modules[network.modules[2].digest]
    with torch.no_grad():
        scores = head.network(outputs)
    predicted = scores.argmax(dim=1).numpy()
    table = [[int(np.sum((predicted == z) & (labels == c))) for c in range(4)] for z in range(4)]
    merged = np.array([0, 1, 2, 0])[labels]
    slow = leep(scores.softmax(dim=1).numpy(), merged, classes=3)
    assert found.head_counts.tolist() == table
    assert found.values["leep"] == pytest.approx(slow, abs=1e-4)
    assert without.head_counts is None
    assert "leep" not in without.values


def test_nothing_is_measured_that_nobody_asked_for(network, modules, chain):
    assert run(work(chain), modules)[0].beside is None
    found = measured(work(chain, beside=("class_moments",)), modules)[0]
    assert (dict(found.values), found.groups, found.head_counts) == ({}, (), None)
    found = measured(work(chain, beside=("knn",), groups=GROUPS), modules)[0]
    assert set(found.values) == {"knn"}
    assert found.class_moments is None


def test_what_is_measured_beside_leaves_statistics_as_they_are(network, modules, chain):
    plain, asked = run(work(chain[:1], chain), modules), run(asking(network, chain), modules)
    for one, other in zip(plain, asked, strict=True):
        assert Evidence(one.shards, one.shuffled).to_bytes() == Evidence(other.shards, other.shuffled).to_bytes()


def test_the_same_work_measures_the_same(network, modules, chain):
    wanted = asking(network, chain)
    assert [each.to_bytes() for each in run(wanted, modules)] == [each.to_bytes() for each in run(wanted, modules)]


def test_a_source_head_that_is_not_at_hand_is_left_out(network, modules, chain):
    here = {digest: module for digest, module in modules.items() if digest != network.modules[2].digest}
    found = measured(asking(network, chain), here)[1]
    assert found.head_counts is None
    assert set(found.values) == {"knn", "linear_probe"}


def test_a_source_head_whose_outputs_are_no_numbers_is_left_out(network, modules, chain):
    digest = network.modules[2].digest
    tensors = {name: torch.from_numpy(part) * float("nan") for name, part in network.modules[2].tensors.items()}
    broken = LoadedModule(modules[digest].manifest, load(modules[digest].manifest.architecture, tensors))
    found = measured(asking(network, chain), {**modules, digest: broken})[1]
    assert found.head_counts is None
    assert set(found.values) == {"knn", "linear_probe"}


def test_what_would_not_fit_into_memory_is_left_out(network, modules, chain, monkeypatch):
    monkeypatch.setattr("kernel_methods.measured.MOMENT_BYTES", 1)
    monkeypatch.setattr("kernel_methods.measured.FEATURE_BYTES", 1)
    first, second = (each.beside for each in run(asking(network, chain), modules))
    assert first is None
    assert second is not None
    assert [second.class_moments, dict(second.values)] == [None, {}]
    assert second.head_counts is not None


def test_a_task_of_one_class_has_statistics_and_no_value(modules, chain):
    asked = ("knn", "linear_probe")
    found = run(work(chain, beside=asked, groups=((0, 1, 2, 3),)), modules)[0]
    assert found.beside is None
    assert len(found.shards) == 3


def test_chains_are_grouped_by_what_measuring_holds_too(network, modules, chain, monkeypatch):
    wanted = asking(network, chain)
    each = [wanted_of(wanted, digest, modules, examples=wanted.examples) for digest in chain]
    assert all(one is not None and one.held_bytes > 4 * 120 * one.dimensions for one in each)
    usual = sum(8 * 3 * one.dimensions**2 + SUM_BYTES for one in each if one is not None)
    monkeypatch.setattr("trainer.scoring.STATISTICS_BYTES", usual)
    assert len(group_chains(work(chain[:1], chain), modules)) == 1
    assert len(group_chains(wanted, modules)) == 2
