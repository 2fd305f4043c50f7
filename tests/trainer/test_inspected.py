"""Inspection finds the part at fault, and none in a sound network; its numbers equal those of the modules alone."""

import pytest
import torch

from kernel_methods.alignment import alignment, centred_alignment
from kernel_methods.feature_maps import relu_map
from kernel_methods.statistics import TaskStatistics
from registry.errors import InvalidDatasetError, JobFailedError, PipelineMisfitError
from registry.module_file import read_module, write_module_file
from tests.trainer.examples import digit_arrays
from tests.trainer.inspecting import SEEN, damage, inspected, order, unseen, unseen_pictures, write_network
from trainer import inspection
from trainer.devices import choose_placement
from trainer.loaded import load_module


@pytest.fixture
def network(tmp_path):
    return write_network(tmp_path)


@pytest.fixture
def data(tmp_path):
    return unseen(tmp_path)


def test_every_module_of_a_sound_network_adds(network, data):
    found = inspected(network, data)
    assert (found.verdict.finding, found.verdict.module) == ("every_module_adds", None)
    assert [each.module for each in found.boundaries if each.ends_module] == ["digits-input", "digits-hidden-1"]
    assert all(each.gain is not None and each.gain.is_above_zero for each in found.modules[:2])
    assert all(each.centred_alignment.low > each.chance for each in found.boundaries)
    assert all(each.stands_on_its_own for each in found.modules)
    assert found.read_out is not None
    assert found.read_out.accuracy.value > 0.9
    assert found.notes == ()


@pytest.mark.parametrize("index", [0, 1], ids=["input", "hidden"])
def test_a_hidden_part_with_random_weights_is_the_one_at_fault(network, data, index):
    damage(network[index])
    found = inspected(network, data)
    assert found.verdict.module == network[index].stem
    assert found.verdict.finding in ("takes_away", "adds_nothing", "falls_short")
    assert "its file reports" in found.verdict.sentence
    assert [each.stands_on_its_own for each in found.modules].index(False) == index + 1
    assert f"{network[index + 1].stem} was trained on another module" in found.notes[0]


def test_an_output_module_with_random_weights_is_the_one_at_fault(network, data):
    damage(network[2])
    found = inspected(network, data)
    assert (found.verdict.finding, found.verdict.module) == ("output_falls_short", network[2].stem)
    assert found.read_out is not None
    assert found.read_out.lead.is_below_zero
    assert found.read_out.class_means_accuracy > 0.9


def test_scores_at_the_ends_of_modules_are_those_of_the_modules(network, data):
    found = inspected(network, data, examples=10_000)
    images, labels = digit_arrays()
    chosen = order()[SEEN:]
    modules = [load_module(path, placement=choose_placement("float32", device="cpu")) for path in network[:2]]
    pixels = torch.from_numpy(images[chosen].transpose(0, 3, 1, 2).copy())
    outputs = inspection.normalise(pixels, mean=modules[0].preprocessing.mean, std=modules[0].preprocessing.std)
    for index, module in enumerate(modules):
        outputs = module.network(outputs)
        features = relu_map(outputs).numpy()
        stats = TaskStatistics.of(features, labels[chosen], classes=10)
        row = [each for each in found.boundaries if each.ends_module][index]
        assert row.centred_alignment.value == pytest.approx(centred_alignment(stats), abs=1e-6)
        assert row.alignment == pytest.approx(alignment(stats, k_min=0.0, k_max=1.0), abs=1e-6)
        assert row.dead_features == int((features == 0).all(axis=0).sum())
        assert row.gain is not None
    assert found.n == len(chosen)


def test_many_small_passes_find_what_one_pass_finds(network, data, monkeypatch):
    whole = inspected(network, data)
    monkeypatch.setattr(inspection, "STATISTICS_BYTES", 1)
    assert inspected(network, data) == whole


def test_a_network_without_an_output_module_is_inspected_too(network, data):
    found = inspected(network[:2], data)
    assert (found.read_out, found.verdict.finding) == (None, "every_module_adds")


def test_other_classes_are_judged_but_not_read_out(network, data):
    found = inspected(network, data, classes={"low": ("0", "1"), "high": ("8", "9")})
    assert found.read_out is None
    assert all(each.trained_alignment is None for each in found.modules)
    assert "its read-out is not judged" in found.notes[-1]


def test_images_that_cannot_be_read_are_refused_or_left_out_and_told(network, tmp_path):
    data = unseen_pictures(tmp_path, broken=3)
    with pytest.raises(InvalidDatasetError) as refused:
        inspected(network, data, examples=1000)
    assert {fault.code for fault in refused.value.faults} == {"broken_image"}
    found = inspected(network, data, examples=1000, leave_out_broken=True)
    assert found.n == len(order()) - SEEN
    assert found.notes[0].startswith("3 of the items were left out, the first of them 7/broken-0.png: ")


def test_modules_that_do_not_fit_are_named(network, data):
    with pytest.raises(PipelineMisfitError, match="digits-hidden-1"):
        inspected([network[1], network[0], network[2]], data)


def test_outputs_that_overflow_are_named_by_their_block(network, data):
    part = read_module(network[1])
    huge = {name: values * 1e38 for name, values in part.tensors.items()}
    write_module_file(network[1], part.manifest, huge)
    with pytest.raises(JobFailedError, match=r"block 1 \(relu, linear\) of module 2 are not finite"):
        inspected(network, data)


def test_modules_inspected_on_their_own_training_data_say_so(network, data, monkeypatch):
    trained_on = read_module(network[0]).manifest.task
    assert trained_on is not None
    monkeypatch.setattr("trainer.inspected.digest_of_file", lambda path: trained_on.data)
    found = inspected(network[:1], data)
    assert "trained on these very data" in found.notes[0]
