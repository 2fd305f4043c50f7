import copy

import numpy as np
import pytest
import torch

from kernel_methods.statistics import TaskStatistics, merge, unpack
from registry.dataset_file import LabelledImages
from registry.errors import JobFailedError
from registry.names import Digest
from registry.networks.build import load
from registry.recipes import OutputSpec, TaskSpec
from registry.work import ModuleFailure, ScoreWork
from tests.trainer.examples import DIGITS, digits, ignore, never, recipe
from trainer.data import normalise
from trainer.devices import choose_placement
from trainer.heads import features_of
from trainer.loaded import LoadedModule
from trainer.prediction import predict
from trainer.progress import Stopped, Tracker
from trainer.run import TrainedNetwork, train
from trainer.scoring import ScoredModule, deal, forwards, group_chains, score, shuffle_labels

CPU = choose_placement("float32", device="cpu")


@pytest.fixture(scope="module")
def network() -> TrainedNetwork:
    wanted = recipe(modules=2, family="lenet5", width=3, epochs=2, output=OutputSpec(epochs=3))
    return train(wanted, digits(), report=ignore, should_stop=never)


@pytest.fixture(scope="module")
def modules(network: TrainedNetwork) -> dict[Digest, LoadedModule]:
    loaded = {}
    for module in network.modules:
        weights = {name: torch.from_numpy(values) for name, values in module.tensors.items()}
        loaded[module.digest] = LoadedModule(module.manifest, load(module.manifest.architecture, weights))
    return loaded


@pytest.fixture
def chains(network: TrainedNetwork) -> tuple[tuple[Digest, ...], ...]:
    first, second, _ = (module.digest for module in network.modules)
    return ((first,), (first, second))


def work(chains: tuple[tuple[Digest, ...], ...], **changes: object) -> ScoreWork:
    classes = {str(i): (str(i),) for i in range(4)}
    fields = {"task": TaskSpec(dataset=DIGITS, classes=classes), "chains": chains, "examples": 200, "shards": 5}
    return ScoreWork.model_validate(fields | changes)


def task() -> LabelledImages:
    data = digits()
    return LabelledImages(data.images, data.labels, data.names)


def run(wanted: ScoreWork, modules: dict[Digest, LoadedModule]) -> list[ScoredModule | ModuleFailure]:
    tracker = Tracker(total=1, report=ignore, should_stop=never)
    return list(score(wanted, task(), modules, placement=CPU, tracker=tracker))


def slow_statistics(wanted: ScoreWork, modules: dict, chain: tuple[Digest, ...]) -> TaskStatistics:
    data = task()
    rows = np.concatenate(deal(data.labels, wanted))
    images = torch.from_numpy(data.images[rows].transpose(0, 3, 1, 2).copy())
    pixels = modules[chain[0]].preprocessing
    outputs = normalise(images, mean=pixels.mean, std=pixels.std)
    for digest in chain:
        outputs = modules[digest].network(outputs)
    features = features_of(outputs, modules[chain[-1]].feature_map)
    return TaskStatistics.of(features.detach().numpy(), data.labels[rows], classes=4)


def test_the_shards_add_up_to_the_statistics_of_the_drawn_examples(modules, chains):
    wanted = work(chains)
    for scored, chain in zip(run(wanted, modules), chains, strict=True):
        total, slow = merge(unpack(scored.packed, limit_bytes=10**8)), slow_statistics(wanted, modules, chain)
        assert scored.module == chain[-1]
        assert np.array_equal(total.counts, slow.counts)
        assert np.allclose(total.class_sums, slow.class_sums, atol=1e-4)
        assert np.allclose(total.second_moment, slow.second_moment, atol=1e-4)
        assert scored.milliseconds > 0


def test_the_same_work_gives_the_same_bytes(modules, chains):
    wanted = work(chains)
    assert [one.packed for one in run(wanted, modules)] == [one.packed for one in run(wanted, modules)]


def test_chains_scored_apart_have_the_statistics_of_those_scored_together(modules, chains, monkeypatch):
    together = run(work(chains), modules)
    monkeypatch.setattr("trainer.scoring.STATISTICS_BYTES", 1)
    assert len(group_chains(work(chains), modules)) == 2
    assert forwards(work(chains), modules, examples=150) == 300
    apart = run(work(chains), modules)
    assert [one.packed for one in together] == [one.packed for one in apart]


def any_chain() -> tuple[tuple[Digest, ...], ...]:
    return ((Digest("sha256:" + "0" * 64),),)


def test_shards_are_disjoint_and_of_one_size():
    labels = task().labels
    shards = deal(labels, work(any_chain(), examples=40, shards=10))
    assert len({int(row) for shard in shards for row in shard}) == 40
    assert [len(shard) for shard in shards] == [4] * 10


def test_a_later_part_of_the_examples_is_dealt_whole_and_apart_from_the_first():
    labels = task().labels[:60]
    first, later = (deal(labels, work(any_chain(), start=start, examples=start + 60)) for start in (0, 100))
    assert sorted(np.concatenate(later).tolist()) == sorted(np.concatenate(first).tolist()) == list(range(60))
    assert not all(np.array_equal(a, b) for a, b in zip(first, later, strict=True))
    assert len(first) == len(later) == 5


def test_parts_of_the_examples_are_shuffled_apart():
    labels, drawn = task().labels, np.arange(50)
    first, later = (shuffle_labels(labels, drawn, seed=1, start=start) for start in (0, 50))
    assert not np.array_equal(first, later)
    assert np.array_equal(later, shuffle_labels(labels, drawn, seed=1, start=50))
    assert (np.sort(later[:, :50]) == np.sort(labels[:50])).all()


def test_shards_repeat_with_their_seed_and_change_with_it():
    labels = task().labels
    one, same, other = (deal(labels, work(any_chain(), seed=seed)) for seed in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(one, same, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_the_classes_of_a_shard_vary_as_in_a_random_part():
    labels = np.repeat([0, 1], [90, 10])
    dealt = (deal(labels, work(any_chain(), seed=seed, examples=100, shards=10)) for seed in range(300))
    rare = [int(labels[shard].sum()) for shards in dealt for shard in shards]
    hypergeometric = 10 * 0.1 * 0.9 * (100 - 10) / (100 - 1)
    assert np.mean(rare) == pytest.approx(1)
    assert np.var(rare) == pytest.approx(hypergeometric, rel=0.15)


def test_a_few_examples_make_fewer_shards_of_at_least_two():
    shards = deal(np.array([0, 0, 0, 1, 1]), work(any_chain(), shards=10))
    assert [len(shard) for shard in shards] == [3, 2]


def test_too_few_examples_are_told():
    with pytest.raises(JobFailedError, match="the task has 3 examples, a score needs at least 4"):
        deal(np.array([0, 1, 1]), work(any_chain()))


def overflowing(module: LoadedModule, *, factor: float) -> LoadedModule:
    """The same module with finite weights that make its outputs too large."""
    network = copy.deepcopy(module.network)
    for tensor in network.state_dict().values():
        tensor.mul_(factor)
    return LoadedModule(module.manifest, network)


@pytest.mark.parametrize("factor", [1e38, 1e25], ids=["infinite-outputs", "infinite-norm"])
def test_a_module_whose_outputs_overflow_fails_alone(modules, chains, factor):
    bad = Digest("sha256:" + "b" * 64)
    first, (_, second) = chains
    together = {**modules, bad: overflowing(modules[second], factor=factor)}
    failed, *sound = run(work(((*first, bad), *chains)), together)
    assert isinstance(failed, ModuleFailure)
    assert failed.module == bad
    assert "not finite, or too large" in failed.reason
    assert [one.packed for one in sound] == [one.packed for one in run(work(chains), modules)]


def test_scoring_stops_when_told_to(modules, chains):
    tracker = Tracker(total=1, report=ignore, should_stop=lambda: True)
    with pytest.raises(Stopped):
        list(score(work(chains), task(), modules, placement=CPU, tracker=tracker))


def test_predictions_are_softmax_probabilities_under_the_names_of_the_classes(modules, network):
    data = digits()
    chain = [modules[module.digest] for module in network.modules]
    items = [f"digit {i}" for i in range(300)]
    made = predict(chain, data.images[:300], items=items, placement=CPU)
    assert [prediction.item for prediction in made] == items
    for prediction in made:
        assert sum(prediction.probabilities.values()) == pytest.approx(1)
        assert prediction.label == max(prediction.probabilities, key=prediction.probabilities.__getitem__)
    hits = np.mean([p.label == str(label) for p, label in zip(made, data.labels, strict=False)])
    assert hits > 0.7


def test_a_pipeline_without_an_output_module_cannot_predict(modules, chains):
    with pytest.raises(JobFailedError, match="must end in an output module"):
        predict([modules[chains[0][0]]], digits().images[:2], items=("a", "b"), placement=CPU)


def test_a_chain_must_begin_with_an_input_module(modules, network):
    with pytest.raises(JobFailedError, match="must begin with an input module, not with a hidden module"):
        assert modules[network.modules[1].digest].preprocessing
