import io
import json
import time
import zipfile

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from registry.dataset_file import (
    detect_format,
    in_natural_order,
    limits_from,
    load_arrays,
    load_images,
    read_examples,
    read_labels,
    summarise,
)
from registry.errors import InvalidDatasetError, InvalidTaskError, TooLargeError
from registry.manifest import Preprocessing
from registry.settings import Settings
from tests.registry.dataset_samples import (
    LIMITS,
    folders,
    image_bytes,
    npz_bytes,
    parquet_bytes,
    pixels,
    table_bytes,
    tensor_bytes,
    zip_bytes,
)

GREY = Preprocessing(colour="grey", height=4, width=4, mean=(0.5,), std=(0.5,))
RGB = Preprocessing(colour="rgb", height=8, width=8, mean=(0.5,) * 3, std=(0.5,) * 3)
IMAGES = pixels(6, 8, 8)
LABELS = [2, 10, 2, 10, 2, 0]


def summary_of(data, **options):
    return summarise(io.BytesIO(data), limits=LIMITS, **options)


def examples_of(data, **options):
    return list(read_examples(io.BytesIO(data), limits=LIMITS, **options))


def decoded(data, name="cat/x.png"):
    """The one image of a zip, decoded."""
    (example,) = examples_of(zip_bytes({name: data}), labelled=False)
    return example.image


def test_a_zip_of_class_folders_is_summarised():
    summary = summary_of(zip_bytes(folders(classes=["10", "9", "cat"], each=2)))
    assert summary.format == "zip"
    assert summary.classes == ("9", "10", "cat")
    assert summary.counts == (2, 2, 2)
    assert summary.examples == 6
    assert summary.shape == (8, 8, 3)
    assert summary.same_shape
    assert summary.left_out == ()


def test_one_common_folder_above_the_classes_is_tolerated():
    files = {f"pets/{name}": data for name, data in folders().items()}
    assert summary_of(zip_bytes(files)).classes == ("cat", "dog")


def test_examples_of_a_zip_come_by_name_in_whatever_order_they_were_packed():
    files = folders()
    backwards = dict(reversed(list(files.items())))
    items = [example.item for example in examples_of(zip_bytes(backwards))]
    assert items == sorted(files)


def test_what_is_no_image_is_left_out_with_the_reason():
    extras = ["README.txt", ".DS_Store", "__MACOSX/cat/._0.png", "cat/Thumbs.db", "cat/.hidden.png", "empty/"]
    summary = summary_of(zip_bytes({**folders(), **dict.fromkeys(extras, b"text")}))
    assert summary.examples == 6
    assert {left.item: left.reason.split(" (")[0] for left in summary.left_out} == {
        "README.txt": "not an image",
        ".DS_Store": "hidden",
        "__MACOSX/cat/._0.png": "a file of macOS",
        "cat/Thumbs.db": "a file of Windows",
        "cat/.hidden.png": "hidden",
        "empty/": "empty folder",
    }


def test_folders_are_empty_that_hold_no_file_however_deep():
    names = ["cat/", "a/", "a/b/", "a/b/c/", "a/b/c/x.txt", "a-b/", "ab/", ".git/", ".git/x", "./e/", "e/f/", "z."]
    summary = summary_of(zip_bytes({**folders(), **dict.fromkeys(names, b"text")}))
    assert [left.item for left in summary.left_out if left.reason == "empty folder"] == ["a-b/", "ab/", "./e/", "e/f/"]


def test_an_image_may_be_in_thirty_folders_and_in_no_more():
    name = "/".join(f"f{depth}" for depth in range(30)) + "/x.png"
    assert len(examples_of(zip_bytes({name: image_bytes()}), labelled=False)) == 1
    with pytest.raises(InvalidDatasetError, match=r"'b/f0/.*x.png' is in 31 folders, .* at most 30 .* move it up"):
        examples_of(zip_bytes({f"b/{name}": image_bytes()}), labelled=False)


def test_an_image_is_known_by_its_bytes_where_its_name_does_not_tell():
    summary = summary_of(zip_bytes({**folders(), "cat/photo": image_bytes(pixels(8, 8, 3, seed=9))}))
    assert summary.examples == 7


def test_only_the_first_fifty_left_out_are_named_and_all_are_counted():
    summary = summary_of(zip_bytes({**folders(), **{f"{index}.txt": b"" for index in range(60)}}))
    assert len(summary.left_out) == 50
    assert summary.left_out_count == 60


def test_broken_images_are_refused_each_by_name_or_left_out_when_asked():
    broken = {f"cat/bad{index}.png": b"bad" for index in range(30)}
    data = zip_bytes({**folders(), **broken})
    with pytest.raises(InvalidDatasetError, match=r"30 images cannot be read.*ask for broken .*left out") as caught:
        summary_of(data)
    assert caught.value.faults[0].pointer == "/cat/bad0.png"
    assert len(caught.value.faults) == 21
    summary = summary_of(data, leave_out_broken=True)
    assert summary.examples == 6
    assert summary.left_out_count == 30


def test_a_class_of_which_nothing_is_left_is_no_class():
    data = zip_bytes({**folders(classes=["cat"]), "dog/1.png": b"bad"})
    with pytest.raises(InvalidDatasetError, match="found 1: 'cat'"):
        summary_of(data, leave_out_broken=True)


def test_the_shape_is_that_of_most_images():
    files = {
        "a/0.png": image_bytes(pixels(9, 9, 3)),
        "b/0.png": image_bytes(pixels(8, 7)),
        "b/1.png": image_bytes(pixels(8, 7)),
    }
    summary = summary_of(zip_bytes(files))
    assert summary.shape == (8, 7, 1)
    assert not summary.same_shape


@pytest.mark.parametrize("name", ["PNG", "BMP", "PPM", "GIF", "WEBP", "JPEG"])
def test_every_accepted_format_is_decoded(name):
    image = np.full((6, 5, 3), 200, dtype=np.uint8)
    read = decoded(image_bytes(image, name=name))
    assert read.shape == (6, 5, 3)
    assert np.abs(read.astype(int) - 200).max() <= 2


def test_grey_images_keep_one_channel_and_sixteen_bits_become_eight():
    assert decoded(image_bytes(pixels(5, 4))).shape == (5, 4, 1)
    deep = np.array([[0, 257, 65535]], dtype=np.uint16)
    assert decoded(image_bytes(deep)).tolist() == [[[0], [1], [255]]]
    assert decoded(image_bytes(pixels(5, 4), mode="1")).shape == (5, 4, 1)


def test_what_is_transparent_lies_on_white():
    clear = np.zeros((2, 2, 4), dtype=np.uint8)
    assert (decoded(image_bytes(clear)) == 255).all()
    assert decoded(image_bytes(clear)).shape == (2, 2, 3)
    assert decoded(image_bytes(clear, mode="LA")).tolist() == [[[255], [255]]] * 2


@pytest.mark.parametrize(("name", "mode"), [("PNG", "P"), ("JPEG", "CMYK")])
def test_palettes_and_cmyk_become_rgb(name, mode):
    image = np.full((4, 4, 3), (255, 0, 0), dtype=np.uint8)
    read = decoded(image_bytes(image, name=name, mode=mode))
    assert read.shape == (4, 4, 3)
    assert np.abs(read.astype(int) - (255, 0, 0)).max() <= 3


def test_the_orientation_that_cameras_note_is_applied():
    out = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.zeros((4, 9, 3), dtype=np.uint8)).save(out, "JPEG", exif=exif)
    assert decoded(out.getvalue()).shape == (9, 4, 3)


def test_a_parquet_file_is_read_as_the_hub_lays_it_out():
    data = parquet_bytes([image_bytes(image) for image in IMAGES], LABELS)
    summary = summary_of(data)
    assert summary.format == "parquet"
    assert summary.classes == ("0", "2", "10")
    assert summary.counts == (1, 3, 2)
    assert [example.item for example in examples_of(data)] == ["0", "1", "2", "3", "4", "5"]
    assert all((example.image[..., 0] == image).all() for example, image in zip(examples_of(data), IMAGES, strict=True))


def test_class_names_come_from_the_hubs_metadata():
    features = {"info": {"features": {"kind": {"names": ["cat", "dog"], "_type": "ClassLabel"}}}}
    table = pa.table(
        {"photo": pa.array([image_bytes()] * 3, pa.binary()), "kind": [1, 0, 1]},
        metadata=None,
    ).replace_schema_metadata({"huggingface": json.dumps(features)})
    summary = summary_of(table_bytes(table))
    assert summary.classes == ("cat", "dog")
    assert summary.counts == (1, 2)


def test_a_label_beyond_the_named_classes_is_refused_with_its_row():
    features = {"info": {"features": {"label": {"names": ["cat", "dog"]}}}}
    table = pa.table({"image": pa.array([image_bytes()] * 2, pa.binary()), "label": [1, 2]})
    data = table_bytes(table.replace_schema_metadata({"huggingface": json.dumps(features)}))
    with pytest.raises(InvalidDatasetError, match="row 1: label is 2, but the file names only 2"):
        summary_of(data)


@pytest.mark.parametrize(
    "labels",
    [
        pa.array(["cat", "dog", "cat"]),
        pa.array(["cat", "dog", "cat"]).dictionary_encode(),
        pa.array(["cat", "dog", "cat"], pa.large_string()),
    ],
)
def test_texts_are_labels_however_they_are_stored(labels):
    assert summary_of(parquet_bytes([image_bytes()] * 3, labels)).classes == ("cat", "dog")


def test_many_row_groups_and_pages_are_read_in_order():
    data = parquet_bytes([image_bytes(pixels(4, 4, seed=index)) for index in range(500)], [i % 7 for i in range(500)],
                         row_group_size=90, data_page_size=512)  # fmt: skip
    assert read_labels(io.BytesIO(data), limits=LIMITS) == tuple(str(index % 7) for index in range(500))


@pytest.mark.parametrize("make", [npz_bytes, tensor_bytes])
@pytest.mark.parametrize(
    ("images", "channels"),
    [
        (IMAGES, 1),
        (IMAGES[..., None], 1),
        (IMAGES[:, None], 1),
        (pixels(6, 8, 8, 3), 3),
        (pixels(6, 3, 8, 8), 3),
        (IMAGES / 255, 1),
        ((IMAGES / 255).astype(np.float32), 1),
    ],
)
def test_arrays_are_read_in_every_layout(make, images, channels):
    data = make(images=images, labels=np.array(LABELS))
    summary = summary_of(data)
    assert summary.shape == (8, 8, channels)
    assert summary.counts == (1, 3, 2)
    expected = np.rint(images * 255) if images.dtype.kind == "f" else images
    if images.shape[1] == channels and images.ndim == 4:
        expected = expected.transpose(0, 2, 3, 1)
    read = np.stack([example.image for example in examples_of(data)])
    assert (read == expected.reshape(6, 8, 8, channels)).all()


@pytest.mark.parametrize(
    "labels", [["a", "b"] * 3, [b"a", b"b"] * 3, [0.0, 1.0] * 3, [[0], [1]] * 3, [False, True] * 3]
)
def test_labels_of_arrays_may_be_texts_or_whole_numbers(labels):
    assert summary_of(npz_bytes(X=IMAGES, y=labels)).counts == (3, 3)


def test_many_chunks_of_images_go_with_their_labels():
    images = np.arange(1500, dtype=np.uint16).astype(">u2").view(np.uint8).reshape(1500, 1, 2)
    large = np.repeat(images, 2000, axis=1)
    data = npz_bytes(images=large, labels=np.arange(1500) % 3)
    for index, example in enumerate(examples_of(data)):
        assert example.label == str(index % 3)
        assert tuple(example.image[0, :, 0]) == tuple(divmod(index, 256))


def test_formats_are_told_by_their_bytes():
    files = {
        "zip": zip_bytes(folders()),
        "parquet": parquet_bytes([image_bytes()], [0]),
        "npz": npz_bytes(images=IMAGES, labels=LABELS),
        "safetensors": tensor_bytes(images=IMAGES),
        "image": image_bytes(),
    }
    assert {name: detect_format(io.BytesIO(data)) for name, data in files.items()} == {name: name for name in files}


def test_unlabelled_uploads_are_read_for_prediction():
    uploads = {
        "image": (image_bytes(), ["image"]),
        "zip": (
            zip_bytes({"b.png": image_bytes(), "deep/er/a.png": image_bytes(), "x.txt": b""}),
            ["b.png", "deep/er/a.png"],
        ),
        "parquet": (parquet_bytes([image_bytes()] * 2, None), ["0", "1"]),
        "npz": (npz_bytes(x=IMAGES[:2]), ["0", "1"]),
    }
    for data, items in uploads.values():
        loaded = load_images(io.BytesIO(data), preprocessing=GREY, limits=LIMITS)
        assert list(loaded.items) == items
        assert loaded.images.shape == (len(items), 4, 4, 1)


def test_labels_that_prediction_does_not_need_are_not_judged():
    data = parquet_bytes([image_bytes()], [-1])
    assert len(load_images(io.BytesIO(data), preprocessing=GREY, limits=LIMITS).items) == 1


def test_images_without_any_are_refused_for_prediction():
    with pytest.raises(InvalidDatasetError, match="no images"):
        load_images(io.BytesIO(zip_bytes({"a.txt": b""})), preprocessing=GREY, limits=LIMITS)


def test_a_task_merges_labels_and_leaves_the_rest_out():
    data = npz_bytes(images=pixels(6, 8, 8, 3), labels=LABELS)
    loaded = load_arrays(
        io.BytesIO(data), preprocessing=RGB, limits=LIMITS, classes={"ten": ["10"], "small": ["0", "2"]}
    )
    assert loaded.classes == ("ten", "small")
    assert loaded.labels.tolist() == [1, 0, 1, 0, 1, 1]
    assert loaded.labels.dtype == np.int64
    assert (loaded.images == pixels(6, 8, 8, 3)).all()


@pytest.mark.parametrize("classes", [None, {}])
def test_without_a_task_the_classes_are_the_datasets_own(classes):
    data = npz_bytes(images=IMAGES, labels=LABELS)
    loaded = load_arrays(io.BytesIO(data), preprocessing=GREY, limits=LIMITS, classes=classes)
    assert loaded.classes == ("0", "2", "10")
    assert loaded.labels.tolist() == [1, 2, 1, 2, 1, 0]
    assert loaded.images.shape == (6, 4, 4, 1)


def test_only_the_chosen_rows_are_decoded():
    data = parquet_bytes([image_bytes(), b"broken", image_bytes(), image_bytes()], ["a", "b", "b", "c"])
    labels = read_labels(io.BytesIO(data), limits=LIMITS)
    assert labels == ("a", "b", "b", "c")
    loaded = load_arrays(
        io.BytesIO(data), preprocessing=GREY, limits=LIMITS, classes={"x": "a", "y": "b"}, rows=[2, 0, 3]
    )
    assert loaded.labels.tolist() == [0, 1]


def test_broken_rows_are_left_out_when_loading_unless_they_must_not_be():
    data = parquet_bytes([image_bytes(), b"broken", image_bytes()], ["a", "b", "b"])
    assert len(load_arrays(io.BytesIO(data), preprocessing=GREY, limits=LIMITS).labels) == 2
    with pytest.raises(InvalidDatasetError, match="row 1"):
        load_arrays(io.BytesIO(data), preprocessing=GREY, limits=LIMITS, leave_out_broken=False)


def test_a_task_without_images_or_with_a_label_in_two_classes_is_refused():
    data = npz_bytes(images=IMAGES, labels=LABELS)
    with pytest.raises(InvalidTaskError, match="zebra"):
        load_arrays(io.BytesIO(data), preprocessing=GREY, limits=LIMITS, classes={"z": ["zebra"]})
    with pytest.raises(InvalidTaskError, match="give it to one"):
        load_arrays(io.BytesIO(data), preprocessing=GREY, limits=LIMITS, classes={"a": ["2"], "b": ["2"]})


def test_prepared_images_are_bounded_before_they_are_made():
    wide = RGB.model_copy(update={"height": 1024, "width": 1024})
    data = npz_bytes(images=np.zeros((400, 2, 2), np.uint8), labels=np.arange(400) % 2)
    with pytest.raises(TooLargeError, match="use fewer examples"):
        load_arrays(io.BytesIO(data), preprocessing=wide, limits=LIMITS)


def test_limits_are_those_of_the_settings():
    limits = limits_from(Settings(dataset_limit_examples=7))
    assert limits.examples == 7
    assert limits.classes == 1000


def test_numbers_are_ordered_by_value_and_texts_after_them():
    assert in_natural_order({"b", "10", "9", "a", "09"}) == ("09", "9", "10", "a", "b")


def test_stored_and_large_archives_are_read_too():
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name, data in folders().items():
            with archive.open(name, "w", force_zip64=True) as entry:
                entry.write(data)
        archive.comment = b"a comment"
    assert summary_of(out.getvalue()).examples == 6


def test_two_thousand_small_jpegs_are_summarised_in_less_than_two_seconds():
    jpeg = image_bytes(pixels(32, 32, 3), name="JPEG")
    data = parquet_bytes([jpeg] * 2_000, [index % 10 for index in range(2_000)])
    started = time.process_time()
    assert summary_of(data).examples == 2_000
    assert time.process_time() - started < 2
