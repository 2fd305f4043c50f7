"""Sketches of real digits: what is found again, what is not, how sure the estimate is, and what is no sketch."""

import base64
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pydantic import ValidationError
from scipy.fft import dctn
from sklearn.datasets import load_digits

from registry.dataset_sketch import SKETCH_SIZE, DatasetSketch
from registry.sketches import (
    LEVELS,
    SIGNS,
    STEP,
    SketchBuilder,
    _cells,
    _measures,
    _waves,
    estimate_overlap,
    fingerprints,
    sketch_images,
)

DIGITS = (load_digits().images * 15).astype(np.uint8)[..., None]
ORDER = np.random.default_rng(0).permutation(len(DIGITS))


def jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    out = io.BytesIO()
    Image.fromarray(image[..., 0]).save(out, "JPEG", quality=quality)
    return np.asarray(Image.open(io.BytesIO(out.getvalue())))[..., None]


def colour(seed: int, height: int = 30, width: int = 20, count: int = 6) -> np.ndarray:
    """Smooth pictures in colour."""
    coarse = np.random.default_rng(seed).integers(0, 256, (count, 5, 4, 3), dtype=np.uint8)
    return np.stack(
        [np.asarray(Image.fromarray(one).resize((width, height), Image.Resampling.BICUBIC)) for one in coarse]
    )


def means_by_definition(image: np.ndarray) -> list[float]:
    """Mean brightness of 8 x 8 parts of an image in which each pixel is 8 x 8 small ones."""
    height, width = image.shape[:2]
    small = np.kron(image @ np.array([0.299, 0.587, 0.114]), np.ones((8, 8)))
    parts = [small[height * row : height * (row + 1)] for row in range(8)]
    return [float(part[:, width * column : width * (column + 1)].mean()) for part in parts for column in range(8)]


@pytest.mark.parametrize(("height", "width"), [(8, 8), (30, 20), (3, 5), (100, 131), (1, 1)])
def test_means_are_those_of_equal_parts_of_the_image_by_their_definition(height, width):
    images = np.random.default_rng(0).integers(0, 256, (2, height, width, 3), dtype=np.uint8)
    assert np.allclose(_cells(images), [means_by_definition(image) for image in images], atol=1e-3)


def test_the_means_of_a_large_image_are_near_those_of_its_parts():
    image = colour(0, height=300, width=90, count=1)
    assert np.allclose(_cells(image), [means_by_definition(image[0])], atol=0.5)


def test_the_means_of_an_extremely_long_image_are_near_those_of_all_its_pixels():
    line = np.linspace(0, 255, 50_000).astype(np.uint8)[None, :, None]
    assert np.allclose(_cells(line[None])[0].reshape(8, 8), (np.arange(8) + 0.5) * 255 / 8, atol=1.0)


def test_waves_are_the_slowest_of_the_cosine_transform():
    cells = np.random.default_rng(1).normal(size=(8, 8))
    transform = dctn(cells, norm="ortho")
    speeds = sorted((row**2 + column**2, row, column) for row in range(8) for column in range(8))[1 : SIGNS + 1]
    assert np.allclose(_waves() @ cells.ravel(), [transform[row, column] for _, row, column in speeds])
    assert np.allclose(_measures() @ _measures().T, np.eye(8))


def test_a_fingerprint_is_its_definition():
    cells = _cells(DIGITS[:50])
    for number, values in zip(fingerprints(DIGITS[:50]).tolist(), cells, strict=True):
        waves = _waves() @ ((values - values.mean()) / values.std())
        steps = [int(np.floor(value / STEP)) % LEVELS for value in _measures() @ waves]
        assert number & (2**24 - 1) == sum(step << 3 * place for place, step in enumerate(steps))


def test_brightness_and_contrast_and_grey_do_not_matter():
    pictures = colour(0)
    grey = np.rint(pictures @ np.array([0.299, 0.587, 0.114])).astype(np.uint8)[..., None]
    dim = (pictures // 2 + 40).astype(np.uint8)
    whole = sketch_images(pictures)
    assert [estimate_overlap(whole, sketch_images(other)).share for other in (grey, dim)] == [1.0, 1.0]


def test_blank_images_have_no_fingerprint():
    assert len(fingerprints(np.full((3, 8, 8, 1), 7, dtype=np.uint8))) == 0
    assert sketch_images([np.zeros((4, 4, 3), dtype=np.uint8)]).images == 0


def test_order_and_batches_do_not_matter():
    builder = SketchBuilder()
    for index in ORDER[:600]:
        builder.add(DIGITS[index])
        if index % 50 == 0:
            builder.sketch()
    assert builder.sketch() == sketch_images(DIGITS[np.sort(ORDER[:600])])


def test_images_of_many_sizes_are_sketched_together():
    sizes = [(8, 8), (30, 30), (200, 300), (9, 64)]
    mixed = [image for size in sizes for image in colour(3, *size)]
    whole = sketch_images(mixed)
    assert 6 <= whole.images <= 24
    assert sketch_images([*mixed[::2], *mixed[1::2]]) == whole


def test_disjoint_digits_do_not_overlap():
    one, other = (sketch_images(DIGITS[part]) for part in (ORDER[:900], ORDER[900:]))
    overlap = estimate_overlap(one, other)
    assert overlap.share < 0.02
    assert overlap.low == 0.0


@pytest.mark.parametrize("known", [0, 150, 450, 900])
def test_the_share_that_is_elsewhere_is_within_the_interval(known):
    one, other = DIGITS[ORDER[:900]], DIGITS[ORDER[900 - known : 1800 - known]]
    overlap = estimate_overlap(sketch_images(one), sketch_images(other))
    assert overlap.low <= known / 900 <= overlap.high
    assert overlap.high - overlap.low < 0.2
    assert overlap.jaccard == pytest.approx(known / (1800 - known), abs=0.08)


def test_a_part_is_wholly_in_the_whole_and_the_whole_partly_in_the_part():
    part, whole = sketch_images(DIGITS[ORDER[:300]]), sketch_images(DIGITS)
    assert estimate_overlap(part, whole).share == 1.0
    assert estimate_overlap(whole, part).share == pytest.approx(300 / 1797, abs=0.08)


def test_the_interval_covers_the_truth_as_often_as_it_says():
    draws = np.random.default_rng(5)
    held = 0
    for _ in range(60):
        mixed = draws.permutation(len(DIGITS))
        overlap = estimate_overlap(sketch_images(DIGITS[mixed[:800]]), sketch_images(DIGITS[mixed[500:1300]]))
        held += overlap.low <= 300 / 800 <= overlap.high
    assert held >= 52


def test_digits_encoded_again_are_usually_found():
    again = [jpeg(image, 95) for image in DIGITS[ORDER[:900]]]
    overlap = estimate_overlap(sketch_images(again), sketch_images(DIGITS))
    assert overlap.share > 0.75


def test_datasets_with_nothing_to_compare_have_no_overlap():
    nothing = DatasetSketch(images=0, smallest="")
    assert estimate_overlap(nothing, sketch_images(DIGITS)) is None
    assert estimate_overlap(sketch_images(DIGITS), nothing).share == 0.0


def test_kinds_of_images_that_all_look_alike_do_not_count_as_overlap():
    draws = np.random.default_rng(2)
    edges = [np.where(np.arange(16) < draws.integers(7, 10), 30, 200) for _ in range(800)]
    images = np.stack([np.tile(edge.astype(np.uint8), (16, 1)) for edge in edges])[..., None]
    noisy = images + draws.integers(0, 12, images.shape, dtype=np.uint8)
    overlap = estimate_overlap(sketch_images(noisy[:400]), sketch_images(noisy[400:]))
    assert overlap is None or overlap.low < 0.05


def test_a_dataset_of_twins_in_a_huge_one_of_twins_says_nothing():
    twins = np.array([high << 24 | low for high in range(120) for low in (0, 1)], dtype="<u8")
    text = base64.b64encode(twins.tobytes()).decode()
    small = DatasetSketch(images=len(twins), smallest=text)
    more = base64.b64encode(np.append(twins, np.arange(1, 17, dtype="<u8") << 40).tobytes()).decode()
    huge = DatasetSketch(images=2**53 - 1, smallest=more)
    assert estimate_overlap(small, huge).high == pytest.approx(1.0)
    assert estimate_overlap(huge, small).low >= 0.0


@given(st.sets(st.integers(0, 2**64 - 1), max_size=40))
@settings(max_examples=30)
def test_a_sketch_travels_as_text(numbers):
    ascending = np.array(sorted(numbers), dtype="<u8")
    text = base64.b64encode(ascending.tobytes()).decode()
    sketch = DatasetSketch(images=len(numbers), smallest=text)
    assert DatasetSketch.model_validate_json(sketch.model_dump_json()) == sketch
    assert list(sketch.numbers()) == sorted(numbers)


def test_a_sketch_of_many_images_is_short():
    sketch = sketch_images(DIGITS)
    assert len(sketch.numbers()) == SKETCH_SIZE < sketch.images
    assert len(sketch.model_dump_json()) < 3_000
    assert not sketch.complete


@pytest.mark.parametrize(
    "fields",
    [
        {"images": 1, "smallest": "no base64!"},
        {"images": 1, "smallest": "AAAA"},
        {"images": 2, "smallest": base64.b64encode(np.array([5, 5], dtype="<u8").tobytes()).decode()},
        {"images": 2, "smallest": base64.b64encode(np.array([5, 4], dtype="<u8").tobytes()).decode()},
        {"images": 3, "smallest": base64.b64encode(np.array([5], dtype="<u8").tobytes()).decode()},
        {"images": 0, "smallest": base64.b64encode(np.array([5], dtype="<u8").tobytes()).decode()},
        {"images": -1, "smallest": ""},
        {"images": 2**53, "smallest": base64.b64encode(np.arange(256, dtype="<u8").tobytes()).decode()},
        {"images": 300, "smallest": base64.b64encode(np.arange(300, dtype="<u8").tobytes()).decode()},
        {"images": 1, "smallest": "\N{SNOWMAN}"},
        {"images": 0, "smallest": "", "method": "other"},
    ],
)
def test_what_is_no_sketch_is_refused(fields):
    with pytest.raises(ValidationError):
        DatasetSketch(**fields)


@pytest.mark.parametrize("shape", [(2, 8, 8), (2, 8, 8, 2), (2, 0, 8, 1)])
def test_what_are_no_images_has_no_fingerprints(shape):
    with pytest.raises(ValueError, match="images must have shape"):
        fingerprints(np.zeros(shape, dtype=np.uint8))
