import io
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from client.cache import digest_of_bytes
from registry.errors import InvalidTaskError
from registry.manifest import Preprocessing
from registry.recipes import TaskSpec, TrainingRecipe
from registry.work import ScoreWork
from tests.trainer.examples import DIGITS, recipe
from trainer.reading import read_images, read_task, read_training_data

PIXELS = Preprocessing(colour="rgb", height=6, width=6, mean=(0.5,) * 3, std=(0.5,) * 3)


def arrays(path: Path, *, colours: int = 1) -> Path:
    images = np.random.default_rng(0).integers(0, 256, size=(60, 10, 12, colours), dtype=np.uint8)
    np.savez(path, images=images, labels=np.repeat([0, 1, 2], 20))
    return path


def folders(path: Path, shapes: list[tuple[int, int]], *, mode: str = "L") -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for index, size in enumerate(shapes):
            image = io.BytesIO()
            Image.new(mode, size, index).save(image, format="PNG")
            archive.writestr(f"{'ab'[index % 2]}/{index}.png", image.getvalue())
    return path


def of_task(classes: dict[str, tuple[str, ...]] | None = None, **changes: object) -> TrainingRecipe:
    return recipe(task=TaskSpec(dataset=DIGITS, classes=classes or {}), **changes)


def test_images_of_one_shape_keep_it_and_grey_ones_stay_grey(tmp_path):
    data = read_training_data(arrays(tmp_path / "a.npz"), of_task())
    assert data.images.shape == (60, 10, 12, 1)
    assert data.preprocessing.colour == "grey"
    assert data.preprocessing.mean == pytest.approx((data.images.mean() / 255,), abs=1e-5)
    assert data.names == ("0", "1", "2")


def test_colour_images_stay_in_colour(tmp_path):
    data = read_training_data(arrays(tmp_path / "a.npz", colours=3), of_task())
    assert data.preprocessing.shape == (3, 10, 12)


@pytest.mark.parametrize(
    ("sizes", "image_size", "shape"),
    [
        ([(9, 9), (9, 9), (10, 9), (9, 9)], None, (32, 32)),
        ([(9, 9)] * 4, 16, (16, 16)),
        ([(9, 7)] * 4, None, (7, 9)),
        ([(200, 9)] * 4, None, (32, 32)),
    ],
)
def test_images_that_differ_or_are_large_become_squares(tmp_path, sizes, image_size, shape):
    data = read_training_data(folders(tmp_path / "a.zip", sizes), of_task(image_size=image_size))
    assert data.images.shape[1:3] == shape


def test_one_colour_image_makes_all_of_them_colour(tmp_path):
    path = folders(tmp_path / "a.zip", [(5, 5)] * 3)
    with zipfile.ZipFile(path, "a") as archive:
        image = io.BytesIO()
        Image.new("RGB", (5, 5), (255, 0, 0)).save(image, format="PNG")
        archive.writestr("b/red.png", image.getvalue())
    assert read_training_data(path, of_task()).preprocessing.colour == "rgb"


def test_classes_are_merged_and_others_left_out(tmp_path):
    data = read_training_data(arrays(tmp_path / "a.npz"), of_task({"even": ("0", "2"), "odd": ("1",)}))
    assert np.bincount(data.labels).tolist() == [40, 20]
    assert [known.merged for known in data.classes] == [("0", "2"), ("1",)]
    fewer = read_training_data(arrays(tmp_path / "a.npz"), of_task({"two": ("2",), "one": ("1",)}))
    assert fewer.labels.tolist() == [1] * 20 + [0] * 20


def test_only_so_many_examples_are_read_and_each_class_by_its_share(tmp_path):
    data = read_training_data(arrays(tmp_path / "a.npz"), of_task(examples=15))
    assert np.bincount(data.labels).tolist() == [5, 5, 5]


def test_a_label_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InvalidTaskError, match="no label '7'"):
        read_training_data(arrays(tmp_path / "a.npz"), of_task({"a": ("0",), "b": ("7",)}))


def test_a_score_reads_only_the_examples_it_draws(tmp_path):
    work = ScoreWork(
        task=TaskSpec(dataset=DIGITS, classes={"b": ("1",), "a": ("0", "2")}),
        chains=((digest_of_bytes(b"m"),),),
        examples=30,
    )
    loaded = read_task(arrays(tmp_path / "a.npz"), work, preprocessing=PIXELS)
    assert loaded.images.shape == (30, 6, 6, 3)
    assert np.bincount(loaded.labels).tolist() == [10, 20]
    assert loaded.classes == ("b", "a")


def test_slices_of_a_task_share_no_example_and_have_each_class_by_its_share(tmp_path):
    path, chains = arrays(tmp_path / "a.npz"), ((digest_of_bytes(b"m"),),)
    task = TaskSpec(dataset=DIGITS, classes={"b": ("1",), "a": ("0", "2")})
    read = [
        read_task(path, ScoreWork(task=task, chains=chains, start=start, examples=end, seed=3), preprocessing=PIXELS)
        for start, end in ((0, 12), (12, 30), (30, 999), (0, 30))
    ]
    assert [np.bincount(part.labels).tolist() for part in read] == [[4, 8], [6, 12], [10, 20], [10, 20]]
    sums = [Counter(part.images.reshape(len(part.images), -1).sum(axis=1).tolist()) for part in read]
    assert sums[0] + sums[1] == sums[3]
    assert (sums[0] + sums[1] + sums[2]).total() == 60


def test_images_to_predict_on_need_no_labels(tmp_path):
    path = tmp_path / "one.png"
    Image.new("L", (20, 30), 7).save(path)
    named = read_images(path, PIXELS)
    assert named.images.shape == (1, 6, 6, 3)


def test_pairs_count_all_images_of_the_file_also_broken_ones(tmp_path):
    path = folders(tmp_path / "a.zip", [(5, 5)] * 6)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("a/broken.png", b"no image")
        for name in ("b/6.png", "a/7.png"):
            image = io.BytesIO()
            Image.new("L", (5, 5), 9).save(image, format="PNG")
            archive.writestr(name, image.getvalue())
    pairs = tmp_path / "pairs.csv"
    pairs.write_text("i,j,same\n0,2,1\n0,4,1\n3,5,0\n5,8,1\n")  # 4 is a/broken.png, for paths are sorted
    table = read_training_data(path, of_task(), pairs=pairs).pairs
    found = zip(table.first.tolist(), table.second.tolist(), table.same.tolist(), strict=True)
    assert list(found) == [(0, 2, True), (3, 4, False), (4, 7, True)]
    assert table.examples == 8


def test_pairs_are_told_in_positions_among_the_examples_that_are_drawn(tmp_path):
    pairs = tmp_path / "pairs.csv"
    pairs.write_text("i,j,same\n" + "".join(f"{i},{i + 1},1\n" for i in range(59)))
    whole = read_training_data(arrays(tmp_path / "a.npz"), of_task(), pairs=pairs)
    assert (len(whole.pairs.first), whole.pairs.examples) == (59, 60)
    drawn = read_training_data(arrays(tmp_path / "a.npz"), of_task({"b": ("1",), "c": ("2",)}), pairs=pairs)
    assert (len(drawn.pairs.first), drawn.pairs.examples) == (39, 40)
