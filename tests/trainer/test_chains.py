import pytest
import torch

from registry.names import Digest
from registry.networks.build import load
from registry.recipes import TaskSpec
from registry.work import ScoreWork
from tests.trainer.examples import DIGITS, digits, ignore, never, recipe
from trainer.chains import LONGEST_REASON, SortedChains, sort_chains
from trainer.loaded import LoadedModule
from trainer.run import train

NONE = Digest("sha256:" + "0" * 64)


@pytest.fixture(scope="module")
def modules() -> dict[Digest, LoadedModule]:
    network = train(
        recipe(family="lenet5", width=3, modules=3, epochs=1), digits(examples=60), report=ignore, should_stop=never
    )
    loaded = {}
    for module in network.modules:
        weights = {name: torch.from_numpy(values) for name, values in module.tensors.items()}
        loaded[module.digest] = LoadedModule(module.manifest, load(module.manifest.architecture, weights))
    return loaded


def sort(chains: list[tuple[Digest, ...]], modules: dict, broken: dict[Digest, str] | None = None) -> SortedChains:
    work = ScoreWork(task=TaskSpec(dataset=DIGITS), chains=tuple(chains), examples=10)
    return sort_chains(work, modules, broken=broken or {})


def test_chains_that_can_run_are_sound_and_each_is_wanted_once(modules):
    first, second, *_ = modules
    found = sort([(first,), (first, second), (first,)], modules)
    assert found == SortedChains(((first,), (first, second)), ())


def test_a_broken_module_fails_the_chains_that_hold_it_and_no_other(modules):
    first, second, third, _ = modules
    rest = {digest: module for digest, module in modules.items() if digest != second}
    found = sort([(first,), (first, second), (first, second, third)], rest, {second: "there is no blob"})
    assert found.sound == ((first,),)
    assert [failed.module for failed in found.failures] == [second, third]
    assert found.failures[0].reason == "its file cannot be used: there is no blob"
    assert second in found.failures[1].reason


def test_a_chain_must_begin_with_an_input_module_fit_and_end_in_a_feature_map(modules):
    first, second, third, output = modules
    found = sort([(second,), (first, third), (first, second, third, output)], modules)
    assert found.sound == ()
    begins, fits, ends = (failed.reason for failed in found.failures)
    assert "must begin with an input module, not with a hidden module" in begins
    assert "takes" in fits
    assert "gives" in fits
    assert "a module of role output has no feature map" in ends


def test_a_reason_is_no_longer_than_may_travel(modules):
    found = sort([(NONE,)], {}, {NONE: "x" * 3000})
    assert len(found.failures[0].reason) == LONGEST_REASON
