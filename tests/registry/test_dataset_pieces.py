"""Pixels are made piece by piece, and are the same as if they were made at once."""

import io

import numpy as np
import pytest
from PIL import Image

from registry.dataset_file import load_arrays, read_examples
from registry.dataset_formats import images
from registry.dataset_formats.arrays import PIECE_BYTES
from registry.errors import InvalidDatasetError
from registry.manifest import Preprocessing
from tests.registry.dataset_samples import LIMITS, image_bytes, npz_bytes, pixels, tensor_bytes

RGB = Preprocessing(colour="rgb", height=300, width=301, mean=(0.5,) * 3, std=(0.5,) * 3)


def stacked(data):
    return np.stack([example.image for example in read_examples(io.BytesIO(data), limits=LIMITS)])


@pytest.mark.parametrize("kind", ["<f2", ">f4", "<f8", "<f16"])
@pytest.mark.parametrize("shape", [(5, 300, 301), (3, 3, 300, 301), (900, 20, 20, 3)])
def test_floats_that_take_many_pieces_become_the_levels_that_are_nearest(kind, shape):
    values = np.random.default_rng(0).random(shape).astype(kind)
    assert values.nbytes > PIECE_BYTES
    expected = np.rint(values.astype(np.float64) * 255).astype(np.uint8)
    expected = expected.transpose(0, 2, 3, 1) if shape[1] == 3 else expected.reshape(*shape[:3], -1)
    assert (stacked(npz_bytes(images=values, labels=np.arange(shape[0]) % 2)) == expected).all()


@pytest.mark.parametrize("place", [0, 100_000, -1])
@pytest.mark.parametrize(("value", "told"), [(1.5, "from 0.25 to 1.5"), (-0.5, "from -0.5 to 0.25"), (np.nan, "nan")])
def test_a_value_that_does_not_fit_is_told_in_whatever_piece_it_is(place, value, told):
    values = np.full((2, 300, 300, 3), 0.25)
    values.reshape(-1)[place] = value
    with pytest.raises(InvalidDatasetError, match=told):
        stacked(npz_bytes(images=values, labels=[0, 1]))


@pytest.mark.parametrize("make", [npz_bytes, tensor_bytes])
def test_images_that_nobody_asks_for_are_passed_over(make):
    wide = pixels(60, 300, 301, 3)
    data = make(images=wide, labels=np.arange(60) % 3)
    loaded = load_arrays(io.BytesIO(data), preprocessing=RGB, limits=LIMITS, rows=[0, 40, 59])
    assert (loaded.images == wide[[0, 40, 59]]).all()
    assert loaded.labels.tolist() == [0, 1, 2]


def test_an_image_is_never_made_of_what_has_been_passed_over():
    data = npz_bytes(images=pixels(60, 300, 301, 3), labels=np.arange(60) % 3)
    first, *_ = read_examples(io.BytesIO(data), limits=LIMITS).candidates()
    with pytest.raises(ValueError, match="rows 0 to 14 have been passed over"):
        first.load()


def deep(mode):
    """An image of more than 8 bits a pixel."""
    levels = np.random.default_rng(0).integers(-70_000, 140_000, (40, 30))
    return Image.fromarray(levels.astype(np.uint16 if mode == "I;16" else np.int32))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16", "I"])
@pytest.mark.parametrize("piece", [1, 7, 100])
def test_an_image_decoded_in_pieces_is_the_image(monkeypatch, mode, piece):
    picture = deep(mode) if mode.startswith("I") else Image.fromarray(pixels(40, 30, 4)).convert(mode)
    out = io.BytesIO()
    picture.save(out, "PPM" if mode == "I" else "PNG")
    whole = images.decode_image(out.getvalue(), item="x", pixel_limit=10_000)
    monkeypatch.setattr(images, "PIECE_PIXELS", piece)
    assert whole.any()
    assert (images.decode_image(out.getvalue(), item="x", pixel_limit=10_000) == whole).all()


def test_deep_levels_are_cut_to_eight_bits():
    levels = np.arange(65_536, dtype=np.uint16).reshape(256, 256)
    read = images.decode_image(image_bytes(levels), item="x", pixel_limit=100_000)
    assert (read[:, :, 0] == levels // 257).all()
