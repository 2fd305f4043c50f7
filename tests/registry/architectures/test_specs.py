"""Specs are data: they come back from JSON as they were, and say no to what is not on the list."""

import json

import pytest
from hypothesis import given
from pydantic import TypeAdapter, ValidationError

from registry.architectures.contracts import TensorType
from registry.architectures.specs import ArchitectureSpec, BlocksSpec, ReluSpec, ResNetSpec
from tests.registry.architectures.strategies import architectures

ARCHITECTURE: TypeAdapter[ArchitectureSpec] = TypeAdapter(ArchitectureSpec)
LENET5 = {"in_channels": 1, "height": 28, "width": 28}
FAMILIES = [
    {"family": "lenet5", "arguments": LENET5, "start": 0, "stop": 4},
    {"family": "lenet5", "arguments": {**LENET5, "paddings": [0, 0], "activation": "tanh"}},
    {"family": "mlp", "arguments": {"in_features": 64, "widths": [32, 16]}, "start": 1},
    {"family": "resnet18"},
    {"family": "resnet34", "arguments": {"stem": "imagenet", "width": 8}, "start": 3, "stop": 9},
]


@given(architectures())
def test_a_list_of_blocks_comes_back_from_json_as_it_was(drawn: tuple[BlocksSpec, TensorType]) -> None:
    spec, _ = drawn
    text = ARCHITECTURE.dump_json(spec)
    assert ARCHITECTURE.validate_json(text) == spec
    assert ARCHITECTURE.dump_json(ARCHITECTURE.validate_json(text)) == text


@pytest.mark.parametrize("written", FAMILIES, ids=lambda written: str(written["family"]))
def test_a_family_comes_back_from_json_as_it_was(written: dict[str, object]) -> None:
    spec = ARCHITECTURE.validate_json(json.dumps(written))
    assert ARCHITECTURE.validate_json(ARCHITECTURE.dump_json(spec)) == spec
    assert ARCHITECTURE.validate_python(spec) == spec


def linear(**changes: object) -> dict[str, object]:
    return {"blocks": [{"block": "linear", "in_features": 2, "out_features": 2, **changes}]}


REFUSED = [
    pytest.param({}, "blocks", id="neither-blocks-nor-family"),
    pytest.param([], "blocks", id="not-an-object"),
    pytest.param(None, "blocks", id="null"),
    pytest.param({"blocks": []}, "at least 1 item", id="no-blocks"),
    pytest.param({"blocks": [{"block": "relu"}] * 1001}, "at most 1000", id="too-many-blocks"),
    pytest.param({"blocks": [{"block": "lambda"}]}, "lambda", id="a-block-off-the-list"),
    pytest.param({"blocks": [{"block": "os.system"}]}, "os.system", id="an-import-path"),
    pytest.param({"blocks": [{}]}, "discriminator", id="a-block-without-a-name"),
    pytest.param({"blocks": [{"block": "relu", "inplace": True}]}, "Extra", id="an-unknown-key"),
    pytest.param({"blocks": [{"block": "relu"}], "family": "mlp"}, "Extra", id="both-ways-at-once"),
    pytest.param(linear(out_features=0), "greater than or equal to 1", id="no-features"),
    pytest.param(linear(out_features=2**63), "1048576", id="features-over-the-bound"),
    pytest.param(linear(out_features=True), "integer", id="true-for-a-number"),
    pytest.param(linear(out_features="2"), "integer", id="text-for-a-number"),
    pytest.param(linear(out_features=2.0), "integer", id="a-fraction-for-a-number"),
    pytest.param(linear(bias="yes"), "boolean", id="text-for-a-truth-value"),
    pytest.param({"family": "vgg"}, "vgg", id="an-unknown-family"),
    pytest.param({"family": "mlp"}, "arguments", id="a-family-without-arguments"),
    pytest.param({"family": "mlp", "arguments": {"in_features": 2, "widths": []}}, "at least 1", id="no-widths"),
    pytest.param({"family": "resnet18", "arguments": {"depth": 3}}, "Extra", id="an-unknown-argument"),
    pytest.param({"family": "resnet18", "start": -1}, "greater than or equal to 0", id="before-the-start"),
]


@pytest.mark.parametrize(("written", "said"), REFUSED)
def test_what_is_not_on_the_list_is_refused(written: object, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        ARCHITECTURE.validate_json(json.dumps(written))


def test_specs_do_not_change() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        ResNetSpec(family="resnet18").start = 2
    assert hash(BlocksSpec(blocks=(ReluSpec(),))) == hash(BlocksSpec(blocks=(ReluSpec(),)))


def test_the_schema_can_be_published() -> None:
    schema = json.dumps(ARCHITECTURE.json_schema())
    assert all(word in schema for word in ("basic_block", "lenet5", "resnet34", '"additionalProperties": false'))


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        pytest.param((), "at least 1 item", id="no-sides"),
        pytest.param((1, 2, 3, 4), "at most 3 items", id="four-sides"),
        pytest.param((0, 2, 2), "greater than or equal to 1", id="an-empty-side"),
        pytest.param((4096, 4096, 4096), "68,719,476,736", id="more-values-than-allowed"),
        pytest.param((True,), "integer", id="true-for-a-side"),
    ],
)
def test_a_tensor_type_has_bounded_sides(shape: tuple[int, ...], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        TensorType(shape=shape)


def test_only_float32_flows_between_modules() -> None:
    with pytest.raises(ValidationError, match="float32"):
        TensorType.model_validate_json('{"dtype": "float16", "shape": [3]}')
