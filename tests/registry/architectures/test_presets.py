"""Backbones with a name, cut into modules wherever an activation begins."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel_methods.kernels import Pooling
from registry.architectures.contracts import (
    TensorType,
    blocks_of,
    gives,
    multiply_adds,
    parameter_count,
)
from registry.architectures.presets import (
    DEFAULT_WIDTHS,
    backbone,
    cut_points,
    family_spec,
    output_module,
    split,
    split_at,
)
from registry.architectures.specs import BlocksSpec, FamilyName, LeNet5Arguments, LeNet5Spec, TanhSpec
from registry.errors import InvalidArchitectureError

FAMILIES: list[FamilyName] = ["lenet5", "mlp", "resnet18", "resnet34"]
SHAPES = [(1, 8, 8), (1, 28, 28), (3, 32, 32), (3, 17, 40), (3, 224, 224)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_takes_small_and_large_images(family: FamilyName, shape: tuple[int, int, int]) -> None:
    takes = TensorType(shape=shape)
    spec = family_spec(family, takes, width=8)
    assert gives(spec, takes) == gives(BlocksSpec(blocks=backbone(family, takes, width=8)), takes)


def kinds(family: FamilyName, shape: tuple[int, ...]) -> list[str]:
    return [block.block for block in backbone(family, TensorType(shape=shape))]


def test_lenet5_is_a_list_of_blocks() -> None:
    assert kinds("lenet5", (1, 28, 28)) == [
        *("conv2d", "relu", "max_pool", "conv2d", "relu", "max_pool"),
        *("flatten", "linear", "relu", "linear"),
    ]


def test_resnet18_is_a_stem_and_eight_blocks() -> None:
    assert kinds("resnet18", (3, 32, 32)) == ["conv2d", "batch_norm", *["relu", "basic_block"] * 8]
    assert kinds("resnet18", (3, 224, 224))[:4] == ["conv2d", "batch_norm", "relu", "max_pool"]
    assert kinds("resnet34", (3, 32, 32)).count("basic_block") == 16


def test_an_mlp_flattens_first() -> None:
    assert kinds("mlp", (1, 8, 8)) == ["flatten", "linear", "relu", "linear", "relu", "linear"]
    assert gives(family_spec("mlp", TensorType(shape=(5,)), width=7), TensorType(shape=(5,))).shape == (7,)


@pytest.mark.parametrize("side", [28, 32])
def test_lenet5_has_as_many_parameters_as_published(side: int) -> None:
    """The fully connected version has 61,706; 850 of them are the ten outputs'."""
    assert parameter_count(family_spec("lenet5", TensorType(shape=(1, side, side)))) == 61_706 - 850


def test_the_activation_is_the_one_that_is_asked_for() -> None:
    for family in FAMILIES:
        blocks = backbone(family, TensorType(shape=(3, 32, 32)), width=2, activation="tanh")
        assert all(blocks[cut] == TanhSpec() for cut in cut_points(blocks))
        assert cut_points(blocks)


@pytest.mark.parametrize("family", ["lenet5", "resnet18", "resnet34"])
def test_images_are_needed_by_all_but_the_mlp(family: FamilyName) -> None:
    with pytest.raises(InvalidArchitectureError, match=r"\[64\]; choose mlp"):
        family_spec(family, TensorType(shape=(64,)))


def test_images_too_small_for_lenet5_are_refused() -> None:
    with pytest.raises(InvalidArchitectureError, match="images of 3 x 28 pixels"):
        backbone("lenet5", TensorType(shape=(1, 3, 28)))
    tiny = LeNet5Arguments(in_channels=1, height=8, width=8, kernel=31)
    with pytest.raises(InvalidArchitectureError, match="kernel 31"):
        blocks_of(LeNet5Spec(arguments=tiny))


def test_images_too_large_for_lenet5_are_refused() -> None:
    huge = LeNet5Arguments(in_channels=1, height=16_384, width=16_384)
    with pytest.raises(InvalidArchitectureError, match="1 to 1,048,576"):
        blocks_of(LeNet5Spec(arguments=huge))


@pytest.mark.parametrize("width", [0, -1, 10**9])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_width_out_of_bounds_is_refused(family: FamilyName, width: int) -> None:
    with pytest.raises(InvalidArchitectureError, match=f"{family} of width {width}"):
        family_spec(family, TensorType(shape=(3, 32, 32)), width=width)


@given(
    family=st.sampled_from(FAMILIES),
    modules=st.integers(1, 3),
    shape=st.sampled_from(SHAPES),
    known=st.booleans(),
)
def test_modules_of_a_split_make_the_backbone_again(
    family: FamilyName, modules: int, shape: tuple[int, ...], known: bool
) -> None:
    takes = TensorType(shape=shape)
    blocks = backbone(family, takes)
    parts = split(blocks, modules, takes if known else None)
    assert len(parts) == modules
    assert sum((part.blocks for part in parts), ()) == blocks
    assert all(part.blocks[0] == blocks[cut_points(blocks)[0]] for part in parts[1:])


def test_every_cut_of_a_backbone_can_be_made() -> None:
    blocks = backbone("resnet18", TensorType(shape=(3, 32, 32)))
    assert cut_points(blocks) == tuple(range(2, 18, 2))
    assert len(split(blocks, 9)) == 9
    assert len(split(blocks, 9, TensorType(shape=(3, 32, 32)))) == 9


def test_modules_of_a_split_cost_about_the_same() -> None:
    takes = TensorType(shape=(3, 32, 32))
    costs = []
    for part in split(backbone("resnet34", takes), 4, takes):
        costs.append(multiply_adds(part, takes))
        takes = gives(part, takes)
    assert max(costs) < 1.2 * min(costs)


@pytest.mark.parametrize("modules", [0, -1, 10])
def test_more_modules_than_places_to_cut_are_refused(modules: int) -> None:
    blocks = backbone("resnet18", TensorType(shape=(3, 32, 32)))
    with pytest.raises(InvalidArchitectureError, match=f"1 to 9 modules, not {modules}"):
        split(blocks, modules)


@pytest.mark.parametrize("cuts", [[1], [4, 2], [2, 2], [0], [18], [-2]])
def test_cuts_are_increasing_indices_of_activations(cuts: list[int]) -> None:
    blocks = backbone("resnet18", TensorType(shape=(3, 32, 32)))
    with pytest.raises(InvalidArchitectureError, match="increasing indices of activations"):
        split_at(blocks, cuts)


@pytest.mark.parametrize(
    ("pooling", "features"), [("none", 8 * 6 * 6), ("average", 8), ("average-2x2", 32), ("average-4x4", 128)]
)
def test_an_output_module_is_linear_on_the_feature_map(pooling: Pooling, features: int) -> None:
    below = TensorType(shape=(8, 6, 6))
    spec = output_module(below, activation="relu", pooling=pooling, classes=5)
    assert [block.block for block in spec.blocks][-3:] == ["flatten", "unit_norm", "linear"]
    assert gives(spec, below).shape == (5,)
    assert parameter_count(spec) == (features + 1) * 5


def test_flat_outputs_cannot_be_pooled() -> None:
    with pytest.raises(InvalidArchitectureError, match=r"use 'none' for flat outputs"):
        output_module(TensorType(shape=(8,)), activation="relu", pooling="average", classes=2)


def test_an_output_module_has_bounded_sides() -> None:
    with pytest.raises(InvalidArchitectureError, match="pool more"):
        output_module(TensorType(shape=(64, 256, 256)), activation="relu", pooling="none", classes=2)
    with pytest.raises(InvalidArchitectureError, match="0 classes"):
        output_module(TensorType(shape=(8,)), activation="relu", pooling="none", classes=0)


def test_every_family_has_a_width() -> None:
    assert set(DEFAULT_WIDTHS) == set(FAMILIES)


def test_an_output_module_over_the_identity_has_no_activation_of_its_own() -> None:
    below = TensorType(shape=(64, 8, 8))
    plain = output_module(below, activation="identity", pooling="average", classes=5)
    assert plain.blocks == output_module(below, activation="relu", pooling="average", classes=5).blocks[1:]
