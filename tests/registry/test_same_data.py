"""Scores on data that a module saw in training say so: the very bytes, near-duplicates, and modules below."""

import io
import zipfile

import numpy as np
import pytest
from sklearn.datasets import load_digits

from registry.dataset_sketch import DatasetSketch
from registry.errors import NotFoundError
from registry.names import Digest
from registry.rankings import ModuleSets, Ranking, RankingQuestion, SetQuestion
from registry.records import Dataset
from registry.same_data import data_warnings
from registry.sketches import sketch_images
from registry.zoo import Zoo
from tests.builders import digest_of
from tests.numpy_joint import join_all
from tests.numpy_worker import OWNER, add_dataset, hidden_module, linear_module, png, publish, work_all

IMAGES = (load_digits().images * 15).astype(np.uint8)
ELSEWHERE = digest_of("elsewhere")


def digits_zip(indices: np.ndarray) -> bytes:
    """Digits in two folders."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for place, index in enumerate(indices):
            archive.writestr(zipfile.ZipInfo(f"{'ab'[place % 2]}/{index:04}.png"), png(IMAGES[index]))
    return packed.getvalue()


def sketch_of(indices: np.ndarray) -> DatasetSketch:
    return sketch_images(IMAGES[indices][..., None])


def trained(data: Digest, sketch: DatasetSketch | None = None) -> dict[str, object]:
    """What a manifest says of a training set."""
    classes = [{"label": label, "merged": [label]} for label in "ab"]
    told = {"data": data, "classes": classes, "examples": 40, "labels_known": 0, "pairs_known": 100}
    return told if sketch is None else {**told, "sketch": sketch.model_dump()}


def warnings_of(zoo: Zoo, data: Digest, module: str = "ada/digits@1") -> list[str]:
    """The warnings about data of a module's score."""
    query = zoo.reusability.ask_ranking(RankingQuestion(task=data, candidates=(module,)), owner=OWNER)
    work_all(zoo)
    answer = zoo.queries.state(query, owner=OWNER).answer
    assert isinstance(answer, Ranking)
    return [warning for warning in answer.ranking[0].warnings if " data: " in warning]


def test_an_upload_is_sketched_and_only_lists_leave_the_sketch_out(zoo: Zoo) -> None:
    data = add_dataset(zoo, digits_zip(np.arange(60)))
    assert zoo.datasets.get(data, owner=OWNER).sketch == sketch_of(np.arange(60))
    assert zoo.datasets.list(owner=OWNER, limit=5, cursor=None).items[0].sketch is None


def test_a_sketch_goes_with_its_dataset(zoo: Zoo) -> None:
    data = add_dataset(zoo, digits_zip(np.arange(60)))
    zoo.datasets.remove(data, owner=OWNER)
    with pytest.raises(NotFoundError):
        zoo.datasets.get(data, owner=OWNER)


def test_a_record_from_before_there_were_sketches_is_still_read(zoo: Zoo) -> None:
    data = zoo.datasets.get(add_dataset(zoo), owner=OWNER)
    assert Dataset.model_validate_json(data.model_dump_json(exclude={"sketch"})).sketch is None


def test_the_very_data_is_told_by_its_digest(zoo: Zoo) -> None:
    data = add_dataset(zoo, digits_zip(np.arange(60)))
    publish(zoo, "ada/digits", linear_module(0, task=trained(data, sketch_of(np.arange(60)))))
    assert warnings_of(zoo, data) == ["same data: the module was trained on this very dataset"]


def test_images_of_the_training_set_in_another_file_are_told_with_their_share(zoo: Zoo) -> None:
    publish(zoo, "ada/digits", linear_module(0, task=trained(ELSEWHERE, sketch_of(np.arange(30, 230)))))
    (told,) = warnings_of(zoo, add_dataset(zoo, digits_zip(np.arange(60))))
    assert told.startswith("near-duplicate data: about 50 % of these images (37-62) are among those the module was")


@pytest.mark.parametrize("sketch", [None, sketch_of(np.arange(100, 300)), DatasetSketch(images=0, smallest="")])
def test_other_images_are_not_warned_of(zoo: Zoo, sketch: DatasetSketch | None) -> None:
    publish(zoo, "ada/digits", linear_module(0, task=trained(ELSEWHERE, sketch)))
    assert warnings_of(zoo, add_dataset(zoo, digits_zip(np.arange(60)))) == []


def test_what_a_module_below_was_trained_on_is_told_with_its_name(zoo: Zoo) -> None:
    below = publish(zoo, "ada/digits", linear_module(0, task=trained(ELSEWHERE, sketch_of(np.arange(60)))))
    above = publish(zoo, "ada/above", hidden_module(below.digest))
    data = zoo.datasets.get(add_dataset(zoo, digits_zip(np.arange(60))), owner=OWNER)
    (told,) = data_warnings([below, above], data)
    assert told.endswith("are among those ada/digits@1, on which the module stands, was trained on")


def test_a_training_set_of_several_modules_is_told_once(zoo: Zoo) -> None:
    task = trained(ELSEWHERE, sketch_of(np.arange(60)))
    one, other = (publish(zoo, f"ada/{name}", linear_module(seed, task=task)) for seed, name in enumerate("ab"))
    data = zoo.datasets.get(add_dataset(zoo, digits_zip(np.arange(60))), owner=OWNER)
    (told,) = data_warnings([one, other], data)
    assert told.endswith("are among those the module was trained on")
    assert told.startswith("near-duplicate data: about 100 % of these images (94-100)")


def test_sets_tell_near_duplicates_of_each_of_their_modules(zoo: Zoo) -> None:
    task = trained(ELSEWHERE, sketch_of(np.arange(60)))
    refs = [publish(zoo, f"ada/{name}", linear_module(seed, task=task)).ref for seed, name in enumerate("ab")]
    question = SetQuestion(task=add_dataset(zoo, digits_zip(np.arange(60))), candidates=tuple(refs))
    query = zoo.sets.ask(question, owner=OWNER)
    join_all(zoo)
    answer = zoo.queries.state(query, owner=OWNER).answer
    assert isinstance(answer, ModuleSets)
    told = [warning for warning in answer.warnings if " data: " in warning]
    assert sorted(warning.split(": ")[0] for warning in told) == refs
    assert all(": near-duplicate data: about 100 %" in warning for warning in told)
