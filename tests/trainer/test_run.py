import io
from dataclasses import replace

import numpy as np
import pytest
import torch

from registry.errors import InvalidArchitectureError, InvalidRecipeError, JobFailedError
from registry.manifest import Role
from registry.module_file import check_module_file
from registry.recipes import OptimiserSpec, OutputSpec, TrainingRecipe
from registry.records import Progress
from registry.sketches import estimate_overlap, sketch_images
from tests.trainer.examples import digests, digits, ignore, never, recipe, run
from trainer.data import split
from trainer.progress import Stopped
from trainer.run import train


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"modules": 2}, id="pairwise"),
        pytest.param({"family": "lenet5", "width": 3, "augment": True}, id="augmented"),
        pytest.param({"modules": 2, "method": "end-to-end"}, id="end-to-end"),
    ],
)
def test_a_seed_gives_the_same_files(changes):
    assert digests(run(**changes)) == digests(run(**changes))


def test_another_seed_gives_other_files():
    assert not set(digests(run(seed=1))) & set(digests(run(seed=2)))


def test_global_randomness_is_neither_used_nor_changed():
    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    first = digests(run())
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(1)
    assert digests(run()) == first


def test_modules_come_in_order_each_standing_on_the_one_below():
    modules = run(modules=3).modules
    assert [module.ending for module in modules] == ["input", "hidden-1", "hidden-2", "output"]
    roles = [module.manifest.role for module in modules]
    assert roles == [Role.INPUT, Role.HIDDEN, Role.HIDDEN, Role.OUTPUT]
    assert [module.manifest.below for module in modules] == [None, *digests_of(modules[:-1])]


def digests_of(modules: tuple) -> list[str]:
    return [module.digest for module in modules]


@pytest.mark.parametrize("method", ["pairwise", "end-to-end"])
def test_every_file_passes_the_check_of_the_service(method):
    for module in run(modules=2, method=method).modules:
        manifest = check_module_file(
            io.BytesIO(module.file), size_bytes=len(module.file), parameter_limit=10**7, features_limit=4096
        )
        assert manifest == module.manifest


def test_hidden_modules_are_told_pairs_and_output_modules_labels():
    first, second, output = run(modules=2, output=OutputSpec(labels_per_class=3, epochs=2)).modules
    count = first.manifest.task.examples
    assert count == 300
    for hidden in (first, second):
        task = hidden.manifest.task
        assert (task.labels_known, task.pairs_known) == (0, count * (count - 1) // 2)
    assert (output.manifest.task.labels_known, output.manifest.task.pairs_known) == (12, 0)


def test_every_manifest_has_the_sketch_of_the_training_examples():
    sketches = {module.manifest.task.sketch for module in run(modules=2, held_out_share=0.25).modules}
    assert len(sketches) == 1
    overlap = estimate_overlap(sketches.pop(), sketch_images(digits().images))
    assert overlap.share == 1.0
    assert overlap.jaccard < 0.9


def test_end_to_end_says_that_its_hidden_modules_saw_all_labels():
    network = run(method="end-to-end", output=OutputSpec(labels_per_class=3, epochs=2))
    assert [module.manifest.task.labels_known for module in network.modules] == [300, 12]
    assert [module.manifest.task.pairs_known for module in network.modules] == [0, 0]


@pytest.mark.parametrize("method", ["pairwise", "end-to-end"])
def test_training_learns_the_digits(method):
    network = run(method=method, epochs=8)
    assert network.modules[-1].metric("accuracy") > 0.9
    assert network.modules[0].metric("upper_triangle_alignment") > 0.6


def test_one_label_of_each_class_is_nearly_enough_above_trained_modules():
    few = run(epochs=8, output=OutputSpec(labels_per_class=1))
    assert few.modules[-1].metric("accuracy") > 0.85


def test_metrics_say_what_they_were_measured_on():
    measured = {(metric.name, metric.on) for metric in run().modules[0].manifest.metrics}
    assert ("objective", "training") in measured
    assert {("same_class_kernel", "held-out"), ("zero_features", "held-out")} <= measured
    without = run(held_out_share=0.0).modules[-1].manifest.metrics
    assert {metric.on for metric in without} == {"training"}


def test_without_an_output_module_the_network_is_no_pipeline():
    network = run(output=None)
    assert [module.ending for module in network.modules] == ["input"]
    assert not network.complete


def test_an_output_module_names_the_classes():
    output = run().modules[-1].manifest
    assert output.labels == ("0", "1", "2", "3")


def test_progress_ends_at_the_total():
    told: list[Progress] = []
    train(recipe(modules=2), digits(), report=told.append, should_stop=never)
    assert told[-1].done == told[-1].total == 300 * (4 + 4 + 10)
    assert told[-1].stage == "output module"
    assert told[-1].seconds_left == 0


def test_a_run_that_is_told_to_stop_gives_nothing():
    with pytest.raises(Stopped):
        train(recipe(), digits(), report=ignore, should_stop=lambda: True)


def test_an_objective_that_diverges_is_a_failure_with_its_place():
    wild = OptimiserSpec(name="sgd", learning_rate=10, weight_decay=1)
    with pytest.raises(JobFailedError, match="the objective became nan in module 1 of 1, epoch"):
        run(optimiser=wild, epochs=40)


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"k_min": -0.5}, InvalidRecipeError, "k_min=-0.5 is outside"),
        ({"objective": "alignment_neo"}, InvalidRecipeError, "alignment_neo is undefined for k_min = 0"),
        ({"output": OutputSpec(labels_per_class=99)}, InvalidRecipeError, "asks for 99 labels of each class"),
        ({"modules": 9}, InvalidArchitectureError, "not 9"),
    ],
)
def test_what_cannot_be_trained_is_refused_by_name(changes, error, words):
    with pytest.raises(error, match=words):
        run(**changes)


def test_a_task_of_one_class_has_no_pairs():
    with pytest.raises(InvalidRecipeError, match="at least two classes, the task has 1"):
        train(recipe(), digits(classes=1, examples=50), report=ignore, should_stop=never)


def test_the_held_out_part_is_never_trained_on():
    data = digits()
    _, held_out = split(data.labels, 0.25, seed=0)
    images = data.images.copy()
    images[held_out] = 255 - images[held_out]
    clean, spoiled = (
        train(recipe(), replace(data, images=pixels), report=ignore, should_stop=never)
        for pixels in (data.images, images)
    )
    for one, other in zip(clean.modules, spoiled.modules, strict=True):
        assert all(np.array_equal(one.tensors[name], other.tensors[name]) for name in one.tensors)
    assert clean.modules[-1].metric("accuracy") > spoiled.modules[-1].metric("accuracy")


def test_the_usual_objective_learns_the_digits_in_several_modules_with_heads():
    usual = TrainingRecipe.model_fields
    network = run(objective=usual["objective"].default, head=usual["head"].default, modules=2, epochs=8)
    assert network.modules[-1].metric("accuracy") > 0.9
