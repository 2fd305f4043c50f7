from dataclasses import replace

import numpy as np
import pytest
import torch

from registry.errors import InvalidRecipeError
from tests.trainer.examples import digits
from trainer.data import (
    Augmentation,
    Examples,
    channel_moments,
    crop_and_flip,
    cut_out,
    draw,
    n_per_class,
    normalise,
    split,
)
from trainer.devices import choose_placement
from trainer.seeds import Purpose, stream, torch_stream

CPU = choose_placement("float32", device="cpu")


def unbalanced() -> np.ndarray:
    return np.random.default_rng(0).permutation(np.repeat([0, 1, 2], [200, 80, 20]))


def test_channel_moments_are_those_of_the_scaled_pixels():
    images = np.random.default_rng(0).integers(0, 256, size=(7, 5, 4, 3), dtype=np.uint8)
    mean, std = channel_moments(images)
    scaled = images.reshape(-1, 3) / 255
    assert mean == pytest.approx(scaled.mean(axis=0), abs=1e-6)
    assert std == pytest.approx(scaled.std(axis=0), abs=1e-6)


def test_a_channel_without_variation_is_not_divided_by_zero():
    assert channel_moments(np.full((3, 4, 4, 1), 255, np.uint8)) == ((1.0,), (1.0,))


def test_normalised_images_have_mean_zero_and_deviation_one():
    data = digits()
    examples = Examples.on(CPU, data, np.arange(len(data.labels)))
    inputs = examples.inputs(torch.arange(len(examples)))
    assert inputs.shape == (400, 1, 8, 8)
    assert float(inputs.mean()) == pytest.approx(0, abs=1e-4)
    assert float(inputs.std()) == pytest.approx(1, abs=1e-3)


def test_normalise_equals_its_definition():
    images = torch.randint(0, 256, (2, 3, 4, 5), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    mean, std = (0.1, 0.2, 0.3), (0.4, 0.5, 0.6)
    slow = (images.double() / 255 - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]
    assert torch.allclose(normalise(images, mean=mean, std=std).double(), slow, atol=1e-6)


def test_a_draw_keeps_the_shares_of_the_classes():
    labels = unbalanced()
    drawn = draw(labels, 30, seed=3)
    assert np.bincount(labels[drawn]).tolist() == [20, 8, 2]


def test_a_smaller_draw_is_part_of_a_larger_one():
    labels = unbalanced()
    assert set(draw(labels, 30, seed=3)) < set(draw(labels, 90, seed=3))


def test_all_are_drawn_where_there_are_not_so_many():
    assert draw(unbalanced(), 301, seed=0).tolist() == list(range(300))


def test_a_draw_depends_on_its_seed_and_its_purpose():
    labels = unbalanced()
    one, other = draw(labels, 50, seed=0), draw(labels, 50, seed=1)
    scoring = draw(labels, 50, seed=0, purpose=Purpose.SCORE)
    assert one.tolist() != other.tolist()
    assert one.tolist() != scoring.tolist()


def test_the_parts_of_a_split_are_disjoint_and_hold_every_class_by_its_share():
    labels = unbalanced()
    training, held_out = split(labels, 0.1, seed=5)
    assert sorted([*training, *held_out]) == list(range(300))
    assert np.bincount(labels[held_out]).tolist() == [20, 8, 2]


def test_nothing_is_held_out_for_a_share_of_zero():
    training, held_out = split(unbalanced(), 0.0, seed=5)
    assert (len(training), len(held_out)) == (300, 0)


def test_n_per_class_draws_n_of_every_class():
    labels = unbalanced()
    chosen = n_per_class(labels, 7, classes=("a", "b", "c"), seed=0)
    assert np.bincount(labels[chosen]).tolist() == [7, 7, 7]


def test_a_class_with_too_few_labels_is_named():
    with pytest.raises(InvalidRecipeError, match="class 'c' has 20 training images, the recipe asks for 21"):
        n_per_class(unbalanced(), 21, classes=("a", "b", "c"), seed=0)


def test_crops_are_windows_of_the_mirrored_image_or_of_its_flip():
    image = torch.arange(64, dtype=torch.uint8).reshape(1, 1, 8, 8)
    cropped = crop_and_flip(image.repeat(40, 1, 1, 1), generator=torch.Generator().manual_seed(0))
    padded = torch.nn.functional.pad(image.float(), (1, 1, 1, 1), mode="reflect").byte()[0, 0]
    windows = [padded[i : i + 8, j : j + 8] for i in range(3) for j in range(3)]
    allowed = {tuple(w.flatten().tolist()) for window in windows for w in (window, window.flip(1))}
    seen = {tuple(one.flatten().tolist()) for one in cropped}
    assert seen <= allowed
    assert len(seen) > 9


def test_augmentation_repeats_with_its_generator():
    images = torch.randint(0, 256, (5, 3, 12, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    one, other = (crop_and_flip(images, generator=torch.Generator().manual_seed(7)) for _ in range(2))
    assert torch.equal(one, other)
    assert one.shape == images.shape


def test_streams_of_different_purposes_and_modules_differ():
    first = {int(stream(0, purpose, index).integers(2**62)) for purpose in Purpose for index in range(3)}
    assert len(first) == 3 * len(Purpose)
    assert torch_stream(1, Purpose.ORDER).initial_seed() == torch_stream(1, Purpose.ORDER).initial_seed()


def pictures(count: int = 6) -> Examples:
    return Examples.on(CPU, digits(), np.arange(count))


def test_a_cutout_blanks_one_square_of_about_the_side_that_is_asked_for():
    blanked = cut_out(torch.ones(300, 2, 16, 16), share=0.5, generator=torch.Generator().manual_seed(0)) == 0
    assert torch.equal(blanked[:, 0], blanked[:, 1])
    heights, widths = blanked[:, 0].any(dim=2).sum(dim=1), blanked[:, 0].any(dim=1).sum(dim=1)
    assert torch.equal(blanked[:, 0].sum(dim=(1, 2)), heights * widths)
    assert int(heights.max()) == int(widths.max()) == 8
    assert int(heights.min()) >= 4
    assert blanked[:, 0].any(dim=0).all()


def test_no_cutout_gives_the_images_themselves_and_draws_nothing():
    generator, images = torch.Generator().manual_seed(0), torch.ones(2, 1, 8, 8)
    before = generator.get_state()
    assert cut_out(images, share=0.0, generator=generator) is images
    assert torch.equal(generator.get_state(), before)


def views_of(examples: Examples, views: int) -> torch.Tensor:
    return examples.inputs(torch.arange(6), augment=Augmentation(torch.Generator().manual_seed(0), views=views))


def test_two_views_of_an_image_differ_and_stand_one_batch_apart():
    one, two = views_of(pictures(), 1), views_of(pictures(), 2)
    assert two.shape == (12, 1, 8, 8)
    assert torch.equal(one, two[:6])
    assert not torch.equal(two[:6], two[6:])
    flat = replace(pictures(), images=torch.arange(6, dtype=torch.uint8)[:, None, None, None].expand(6, 1, 8, 8))
    assert torch.equal(views_of(flat, 2), flat.inputs(torch.arange(6).repeat(2)))
