"""Composing pipelines on a real zoo."""

import pytest

from registry.errors import InvalidNameError, NotFoundError, PipelineMisfitError
from registry.records import Role
from registry.zoo import Zoo
from tests.numpy_worker import linear_module, output_module, publish, quadrant_module


@pytest.fixture
def parts(zoo: Zoo) -> Zoo:
    below = publish(zoo, "ada/input", quadrant_module())
    publish(zoo, "ada/output", output_module(below.digest))
    return zoo


def test_modules_that_fit_become_a_pipeline_pinned_to_digests(parts: Zoo) -> None:
    pipeline = parts.pipelines.compose("both", ["ada/input@latest", "ada/output@1"]).pipeline
    publish(parts, "ada/input", linear_module(1))
    kept = parts.pipelines.get(pipeline.id)
    assert [part.ref for part in kept.modules] == ["ada/input@1", "ada/output@1"]
    assert [part.role for part in kept.modules] == [Role.INPUT, Role.OUTPUT]
    assert kept.labels == ("a", "b")


def test_the_same_pipeline_is_made_once(parts: Zoo) -> None:
    first = parts.pipelines.compose("both", ["ada/input@1", "ada/output@1"])
    again = parts.pipelines.compose("both", ["ada/input", "ada/output"])
    assert (first.created, again.created) == (True, False)
    assert first.pipeline == again.pipeline


def test_every_misfit_is_in_one_answer(parts: Zoo) -> None:
    faults = parts.pipelines.check(["ada/output@1", "ada/nobody@3", "no name", "ada/input@1"])
    assert {(fault.pointer, fault.code) for fault in faults} >= {
        ("/modules/0", "wrong_role"),
        ("/modules/1", "not_found"),
        ("/modules/2", "invalid_name"),
        ("/modules/3", "wrong_role"),
    }


def test_misfits_are_refused_and_nothing_is_kept(parts: Zoo) -> None:
    with pytest.raises(PipelineMisfitError) as caught:
        parts.pipelines.compose("wrong", ["ada/input@1", "ada/input@1"])
    assert caught.value.faults
    assert parts.pipelines.list(limit=10, cursor=None).items == ()


def test_a_pipeline_name_is_a_word(parts: Zoo) -> None:
    with pytest.raises(InvalidNameError, match="pipeline name"):
        parts.pipelines.compose("Both Of Them", ["ada/input@1", "ada/output@1"])


def test_a_name_means_the_newest_pipeline_of_that_name(parts: Zoo) -> None:
    parts.pipelines.compose("both", ["ada/input@1", "ada/output@1"])
    publish(parts, "ada/input", linear_module(1))
    newest = parts.pipelines.compose("both", ["ada/input@2", "ada/output@1"]).pipeline
    assert parts.pipelines.get("both") == newest


def test_an_unknown_pipeline_is_not_found(zoo: Zoo) -> None:
    with pytest.raises(NotFoundError, match="POST /pipelines"):
        zoo.pipelines.get("pipeline-nowhere")
