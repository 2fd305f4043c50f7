"""Random architectures that fit their inputs, for hypothesis."""

from hypothesis import strategies as st

from registry.architectures.arithmetic import Shape, output_shape
from registry.architectures.contracts import TensorType
from registry.architectures.specs import (
    AdaptiveAveragePoolSpec,
    AveragePoolSpec,
    BasicBlockSpec,
    BatchNorm1dSpec,
    BatchNormSpec,
    BlockSpec,
    BlocksSpec,
    Conv2dSpec,
    FlattenSpec,
    GlobalAveragePoolSpec,
    LinearSpec,
    MaxPoolSpec,
    ReluSpec,
    SigmoidSpec,
    TanhSpec,
    UnitNormSpec,
)

SIZES = st.integers(1, 9)


@st.composite
def architectures(draw: st.DrawFn) -> tuple[BlocksSpec, TensorType]:
    """A list of one to eight blocks, and the type of inputs that it takes."""
    takes = draw(st.one_of(st.tuples(SIZES), st.tuples(SIZES, st.integers(1, 14), st.integers(1, 14))))
    shape: Shape = takes
    blocks: list[BlockSpec] = []
    for _ in range(draw(st.integers(1, 8))):
        blocks.append(draw(flat_blocks(shape) if len(shape) == 1 else image_blocks(shape)))
        shape = output_shape(blocks[-1], shape)
    return BlocksSpec(blocks=tuple(blocks)), TensorType(shape=takes)


def plain_blocks() -> st.SearchStrategy[BlockSpec]:
    return st.sampled_from([ReluSpec(), TanhSpec(), SigmoidSpec(), FlattenSpec()])


def flat_blocks(shape: Shape) -> st.SearchStrategy[BlockSpec]:
    linear = st.builds(LinearSpec, in_features=st.just(shape[0]), out_features=SIZES, bias=st.booleans())
    same = st.sampled_from([UnitNormSpec(), BatchNorm1dSpec(features=shape[0])])
    return st.one_of(linear, same, plain_blocks())


@st.composite
def windows(draw: st.DrawFn, shape: Shape, *, padded: bool = True) -> dict[str, int]:
    """Kernel, stride and padding that fit an image, the padding at most half the kernel."""
    kernel = draw(st.integers(1, min(shape[1:])))
    padding = {"padding": draw(st.integers(0, kernel // 2))} if padded else {}
    return {"kernel": kernel, "stride": draw(st.integers(1, 3)), **padding}


def image_blocks(shape: Shape) -> st.SearchStrategy[BlockSpec]:
    channels = shape[0]
    sizes = st.fixed_dictionaries({"in_channels": st.just(channels), "out_channels": SIZES})
    convolution = st.tuples(sizes, windows(shape), st.booleans()).map(
        lambda drawn: Conv2dSpec(**drawn[0], **drawn[1], bias=drawn[2])
    )
    return st.one_of(
        convolution,
        st.tuples(sizes, st.integers(1, 3)).map(lambda drawn: BasicBlockSpec(**drawn[0], stride=drawn[1])),
        windows(shape).map(lambda window: MaxPoolSpec(**window)),
        windows(shape, padded=False).map(lambda window: AveragePoolSpec(**window)),
        st.integers(1, 5).map(lambda grid: AdaptiveAveragePoolSpec(grid=grid)),
        st.sampled_from([GlobalAveragePoolSpec(), BatchNormSpec(channels=channels)]),
        plain_blocks(),
    )
