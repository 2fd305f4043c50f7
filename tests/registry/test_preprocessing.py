import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError
from torchvision.transforms._presets import ImageClassification

from registry.manifest import Preprocessing
from registry.preprocessing import RESAMPLING, prepare_image
from tests.registry.dataset_samples import pixels


def preparation(colour="rgb", height=8, width=8, resampling="bilinear"):
    count = 3 if colour == "rgb" else 1
    return Preprocessing(
        colour=colour, height=height, width=width, resampling=resampling, mean=(0.5,) * count, std=(0.5,) * count
    )


def test_an_image_that_fits_already_is_given_back_as_it_is():
    image = pixels(8, 8, 3)
    assert prepare_image(image, preparation()) is image


def test_grey_becomes_rgb_by_repeating_it():
    image = pixels(8, 8, 1)
    prepared = prepare_image(image, preparation())
    assert prepared.shape == (8, 8, 3)
    assert all((prepared[..., channel] == image[..., 0]).all() for channel in range(3))


def test_rgb_becomes_grey_by_the_weights_of_bt_601():
    image = pixels(8, 8, 3)
    prepared = prepare_image(image, preparation("grey"))
    expected = image @ np.array([0.299, 0.587, 0.114])
    assert prepared.shape == (8, 8, 1)
    assert np.abs(prepared[..., 0] - expected).max() <= 1


@pytest.mark.parametrize("resampling", RESAMPLING)
def test_every_resampling_squashes_to_the_size_as_pillow_does(resampling):
    image = pixels(9, 5, 3)
    prepared = prepare_image(image, preparation(height=4, width=7, resampling=resampling))
    expected = Image.fromarray(image).resize((7, 4), RESAMPLING[resampling])
    assert prepared.shape == (4, 7, 3)
    assert (prepared == np.asarray(expected)).all()


def test_height_and_width_are_not_swapped():
    image = np.zeros((2, 4, 1), dtype=np.uint8)
    image[1] = 255
    prepared = prepare_image(image, preparation("grey", height=4, width=2, resampling="nearest"))
    assert prepared[:, 0, 0].tolist() == [0, 0, 255, 255]


@pytest.mark.parametrize("shape", [(8, 8), (8, 8, 2), (8, 8, 4), (1, 8, 8, 3)])
def test_other_shapes_are_a_mistake_of_the_caller(shape):
    with pytest.raises(ValueError, match="must have shape"):
        prepare_image(pixels(*shape), preparation())


@pytest.mark.parametrize(("height", "width"), [(64, 64), (60, 91), (83, 50)])
def test_a_crop_keeps_the_middle_as_torchvision_does_in_two_steps(height, width):
    rows, columns = np.mgrid[:height, :width]
    image = np.stack([rows * 2, columns * 2, rows + columns], axis=2).astype(np.uint8)
    two_steps = ImageClassification(crop_size=28, resize_size=32, mean=(0, 0, 0), std=(1, 1, 1))
    expected = two_steps(Image.fromarray(image)).numpy().transpose(1, 2, 0) * 255
    prepared = prepare_image(image, preparation(height=28, width=28).model_copy(update={"crop": 28 / 32}))
    assert prepared.shape == (28, 28, 3)
    assert np.abs(prepared - expected).mean() < 1
    squashed = prepare_image(image, preparation(height=28, width=28))
    assert np.abs(squashed - expected).mean() > 2


def test_a_crop_of_everything_keeps_a_square_image_as_it_is():
    image = pixels(8, 8, 3)
    assert prepare_image(image, preparation().model_copy(update={"crop": 1.0})) is image


def test_a_crop_has_the_proportions_of_what_the_module_takes():
    image = np.zeros((4, 8, 1), dtype=np.uint8)
    image[:, 2:6] = 255
    prepared = prepare_image(image, preparation("grey", 2, 2, "nearest").model_copy(update={"crop": 1.0}))
    assert (prepared == 255).all()


@pytest.mark.parametrize("crop", [0.0, 1.5, float("nan")])
def test_a_crop_that_keeps_nothing_or_too_much_is_refused(crop):
    with pytest.raises(ValidationError, match="crop"):
        Preprocessing(colour="grey", height=8, width=8, crop=crop, mean=(0.5,), std=(0.5,))
