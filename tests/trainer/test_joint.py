"""Modules side by side, run by a worker: the same examples for all, each group of inputs read once."""

import copy

import numpy as np
import pytest
import torch

from kernel_methods.evidence import Evidence
from kernel_methods.joint import JointLayout, subset_evidence
from kernel_methods.statistics import merge
from registry.dataset_file import LabelledImages
from registry.errors import JobFailedError
from registry.manifest import Preprocessing
from registry.names import Digest
from registry.networks.build import load
from registry.recipes import TaskSpec
from registry.work import ScoreWork
from tests.trainer.examples import DIGITS, digits, ignore, never, recipe
from trainer.chains import Modules
from trainer.devices import choose_placement
from trainer.joint import Joined, Joining
from trainer.loaded import LoadedModule
from trainer.progress import Stopped, Tracker
from trainer.run import train
from trainer.scoring import score

CPU = choose_placement("float32", device="cpu")
OTHER = Digest("sha256:" + "e" * 64)
Chains = tuple[tuple[Digest, ...], ...]


@pytest.fixture(scope="module")
def modules() -> dict[Digest, LoadedModule]:
    """An input and a hidden module, and the input module again for inputs that are normalised in another way."""
    network = train(recipe(modules=2, epochs=1), digits(), report=ignore, should_stop=never)
    loaded = {}
    for module in network.modules[:2]:
        weights = {name: torch.from_numpy(values) for name, values in module.tensors.items()}
        loaded[module.digest] = LoadedModule(module.manifest, load(module.manifest.architecture, weights))
    first = next(iter(loaded.values()))
    darker = first.preprocessing.model_copy(update={"mean": (0.7,)})
    manifest = first.manifest.model_copy(update={"preprocessing": darker})
    return {**loaded, OTHER: LoadedModule(manifest, first.network)}


@pytest.fixture
def chains(modules: dict[Digest, LoadedModule]) -> Chains:
    first, second, other = modules
    return ((first,), (first, second), (other,))


def work(chains: Chains, **changes: object) -> ScoreWork:
    classes = {str(i): (str(i),) for i in range(4)}
    fields = {"task": TaskSpec(dataset=DIGITS, classes=classes), "chains": chains, "examples": 200, "shards": 5}
    return ScoreWork.model_validate(fields | changes)


class Reader:
    """Gives the digits, and counts how often it was asked."""

    def __init__(self, *, leave_out: int = 0) -> None:
        self.asked: list[Preprocessing] = []
        self.leave_out = leave_out

    def __call__(self, *, preprocessing: Preprocessing) -> LabelledImages:
        data, some = digits(), slice(self.leave_out * len(self.asked), None)
        self.asked.append(preprocessing)
        return LabelledImages(data.images[some], data.labels[some], data.names)


def join(wanted: ScoreWork, modules: Modules, reader: Reader | None = None) -> Joined:
    return Joining(wanted, reader or Reader(), modules, CPU).run(report=ignore, should_stop=never)


def evidence_of(packed: bytes | None) -> Evidence:
    assert packed is not None
    return Evidence.from_bytes(packed, limit_bytes=len(packed))


def width(module: LoadedModule) -> int:
    return module.manifest.gives.shape[0]


def test_each_module_in_it_has_the_statistics_that_it_has_by_itself(modules, chains):
    reader = Reader()
    joined = join(work(chains), modules, reader)
    assert joined.modules == tuple(chain[-1] for chain in chains)
    assert (len(reader.asked), joined.failures) == (2, ())
    assert joined.milliseconds > 0
    evidence, layout = evidence_of(joined.packed), JointLayout(tuple(width(modules[c[-1]]) for c in chains))
    tracker = Tracker(total=1, report=ignore, should_stop=never)
    for place, chain in enumerate(chains):
        (alone,) = score(work((chain,)), Reader()(preprocessing=None), modules, placement=CPU, tracker=tracker)
        found, slow = subset_evidence(evidence, layout, [place]), evidence_of(alone.packed)
        for one, other in zip(found.shards, slow.shards, strict=True):
            assert np.array_equal(one.counts, other.counts)
            assert np.allclose(one.class_sums, other.class_sums, atol=1e-4)
            assert np.allclose(one.second_moment, other.second_moment, atol=1e-4)
        shuffles = len(found.shuffled.sums)
        assert np.allclose(found.shuffled.sums, slow.shuffled.sums[:shuffles], atol=1e-3)


def test_the_same_work_gives_the_same_bytes(modules, chains):
    assert join(work(chains), modules).packed == join(work(chains), modules).packed


def test_a_pair_is_in_the_statistics_of_all(modules, chains):
    layout = JointLayout(tuple(width(modules[chain[-1]]) for chain in chains))
    of_all = subset_evidence(evidence_of(join(work(chains), modules).packed), layout, (2, 0))
    alone = evidence_of(join(work((chains[2], chains[0])), modules).packed)
    pair = subset_evidence(alone, JointLayout((layout.features[2], layout.features[0])), (0, 1))
    one, other = merge(of_all.shards), merge(pair.shards)
    assert np.allclose(one.second_moment, other.second_moment, atol=1e-9)
    assert np.allclose(one.class_sums, other.class_sums, atol=1e-9)


def test_a_module_whose_outputs_overflow_is_left_out(modules, chains):
    bad = Digest("sha256:" + "b" * 64)
    network = copy.deepcopy(modules[chains[1][-1]].network)
    for tensor in network.state_dict().values():
        tensor.mul_(1e38)
    together = {**modules, bad: LoadedModule(modules[chains[1][-1]].manifest, network)}
    joined = join(work((*chains, (chains[0][0], bad))), together)
    assert [(each.module, "not finite" in each.reason) for each in joined.failures] == [(bad, True)]
    assert joined.modules == tuple(chain[-1] for chain in chains)
    assert joined.packed == join(work(chains), modules).packed
    pair = join(work((chains[0], (chains[0][0], bad))), together)
    assert (pair.modules, pair.packed) == (chains[0], None)


def test_images_that_only_one_module_can_read_are_told(modules, chains):
    with pytest.raises(JobFailedError, match="400 images could be read for one input module and 397 for another"):
        join(work(chains), modules, Reader(leave_out=3))


def test_it_stops_when_told_to(modules, chains):
    with pytest.raises(Stopped):
        Joining(work(chains), Reader(), modules, CPU).run(report=ignore, should_stop=lambda: True)
