"""What architectures take, give, weigh and cost; the comparison with torch is in tests/registry/networks."""

import pytest

from registry.architectures.contracts import (
    Bounds,
    TensorEntrySpec,
    TensorType,
    blocks_of,
    check_tensors,
    gives,
    multiply_adds,
    multiply_adds_of_blocks,
    parameter_count,
    tensors,
)
from registry.architectures.specs import (
    BasicBlockSpec,
    BatchNormSpec,
    BlockSpec,
    BlocksSpec,
    Conv2dSpec,
    FlattenSpec,
    LinearSpec,
    MaxPoolSpec,
    ReluSpec,
    ResNetSpec,
    UnitNormSpec,
)
from registry.errors import InvalidArchitectureError

IMAGE = TensorType(shape=(3, 8, 8))
CONVOLUTION = Conv2dSpec(in_channels=3, out_channels=4, kernel=3, padding=1)


def spec_of(*blocks: BlockSpec) -> BlocksSpec:
    return BlocksSpec(blocks=blocks)


def test_an_architecture_gives_what_its_last_block_does() -> None:
    assert gives(spec_of(CONVOLUTION, ReluSpec(), FlattenSpec()), IMAGE) == TensorType(shape=(256,))


MISFITS = [
    pytest.param([CONVOLUTION, LinearSpec(in_features=4, out_features=2)], 1, "(4,)", "(4, 8, 8)", id="linear"),
    pytest.param([FlattenSpec(), CONVOLUTION], 1, "(c, h, w)", "(192,)", id="convolution-on-a-row"),
    pytest.param([CONVOLUTION, CONVOLUTION], 1, "(3, h, w)", "(4, 8, 8)", id="channels"),
    pytest.param([BatchNormSpec(channels=5)], 0, "(5, h, w)", "(3, 8, 8)", id="batch-norm"),
    pytest.param([ReluSpec(), UnitNormSpec()], 1, "flatten", "(3, 8, 8)", id="unit-norm-on-images"),
    pytest.param([MaxPoolSpec(kernel=9, stride=1)], 0, "9 x 9", "(3, 8, 8)", id="window-over-the-image"),
    pytest.param([MaxPoolSpec(kernel=3, stride=1, padding=2)], 0, "padding 2", "(3, 8, 8)", id="padding"),
    pytest.param([BasicBlockSpec(in_channels=4, out_channels=4)], 0, "(4, h, w)", "(3, 8, 8)", id="residual"),
]


@pytest.mark.parametrize(("blocks", "index", "wanted", "got"), MISFITS)
def test_a_misfit_names_the_block_and_both_shapes(blocks: list[BlockSpec], index: int, wanted: str, got: str) -> None:
    with pytest.raises(InvalidArchitectureError) as caught:
        gives(spec_of(*blocks), IMAGE)
    (fault,) = caught.value.faults
    assert fault.pointer == f"/architecture/blocks/{index}"
    assert wanted in fault.detail
    assert got in fault.detail


def test_a_million_million_parameters_are_refused_by_counting() -> None:
    wide = LinearSpec(in_features=1_000_000, out_features=1_000_000, bias=False)
    with pytest.raises(InvalidArchitectureError, match=r"1,000,000,000,000 parameters; at most 1,000,000,000"):
        gives(spec_of(wide), TensorType(shape=(1_000_000,)))


def test_activations_of_all_blocks_are_bounded_together() -> None:
    deep = spec_of(*[ReluSpec()] * 10)
    with pytest.raises(InvalidArchitectureError, match="1,920 activations an example; at most 1,919"):
        gives(deep, IMAGE, bounds=Bounds(activations=1919))
    assert gives(deep, IMAGE, bounds=Bounds(activations=1920)) == IMAGE


def test_one_huge_activation_is_refused_at_its_block() -> None:
    widening = Conv2dSpec(in_channels=3, out_channels=65_536, kernel=1)
    with pytest.raises(InvalidArchitectureError, match=r"gives \(65536, 64, 64\): 268,435,456 values") as caught:
        gives(spec_of(ReluSpec(), widening), TensorType(shape=(3, 64, 64)))
    assert caught.value.faults[0].pointer == "/architecture/blocks/1"


def test_work_is_bounded() -> None:
    with pytest.raises(InvalidArchitectureError, match="6,912 multiply-adds an example; at most 6,911"):
        gives(spec_of(CONVOLUTION), IMAGE, bounds=Bounds(multiply_adds=6911))


def test_multiply_adds_are_counted_block_for_block() -> None:
    spec = spec_of(CONVOLUTION, ReluSpec(), FlattenSpec(), LinearSpec(in_features=256, out_features=10))
    assert multiply_adds_of_blocks(spec, IMAGE) == (64 * 4 * 27, 0, 0, 2560)
    assert multiply_adds(spec, IMAGE) == 64 * 4 * 27 + 2560


def test_running_statistics_are_tensors_but_not_parameters() -> None:
    spec = spec_of(BatchNormSpec(channels=5))
    assert list(tensors(spec)) == ["0.weight", "0.bias", "0.running_mean", "0.running_var"]
    assert parameter_count(spec) == 10


def test_a_part_of_a_family_is_a_slice_of_its_blocks() -> None:
    whole = blocks_of(ResNetSpec(family="resnet18"))
    part = ResNetSpec(family="resnet18", start=2, stop=5)
    assert blocks_of(part) == whole[2:5]
    assert gives(part, TensorType(shape=(64, 8, 8))).shape == (64, 8, 8)


@pytest.mark.parametrize(("start", "stop"), [(0, 19), (4, 4), (5, 4), (18, None), (900, 1000)])
def test_a_part_beyond_its_family_is_refused(start: int, stop: int | None) -> None:
    with pytest.raises(InvalidArchitectureError, match="blocks 0 to 18"):
        blocks_of(ResNetSpec(family="resnet18", start=start, stop=stop))


def test_a_misfit_inside_a_family_is_told_at_the_architecture() -> None:
    with pytest.raises(InvalidArchitectureError, match=r"block 0, conv2d, needs \(3, h, w\)") as caught:
        gives(ResNetSpec(family="resnet18"), TensorType(shape=(1, 8, 8)))
    assert caught.value.faults[0].pointer == "/architecture"


def test_the_tensors_of_an_architecture_fit_it() -> None:
    spec = ResNetSpec(family="resnet18")
    assert check_tensors(spec, tensors(spec)) == ()


def test_every_tensor_that_differs_is_a_fault() -> None:
    spec = spec_of(LinearSpec(in_features=2, out_features=3), LinearSpec(in_features=3, out_features=1))
    entries = tensors(spec) | {
        "0.weight": TensorEntrySpec((2, 3)),
        "0.bias": TensorEntrySpec((3,), "F16"),
        "a/b~c": TensorEntrySpec((1,)),
    }
    del entries["1.bias"]
    faults = {fault.pointer: fault.detail for fault in check_tensors(spec, entries)}
    assert set(faults) == {"/tensors/0.weight", "/tensors/0.bias", "/tensors/1.bias", "/tensors/a~1b~0c"}
    assert "F32 (2, 3), but the architecture has it as F32 (3, 2)" in faults["/tensors/0.weight"]
    assert "F16 (3,)" in faults["/tensors/0.bias"]
    assert "is missing" in faults["/tensors/1.bias"]
    assert "no such tensor" in faults["/tensors/a~1b~0c"]
