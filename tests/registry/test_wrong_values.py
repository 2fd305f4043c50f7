"""What a model refuses is told with the value seen."""

from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from registry.manifest import Tag
from registry.wrong_values import SHOWN_CHARACTERS, told


class Form(BaseModel):
    """Fields of every kind that requests have."""

    model_config = ConfigDict(extra="forbid")

    limit: Annotated[int, Field(ge=1)] = 1
    kind: Literal["zip", "npz"] = "zip"
    tag: Tag = "a"
    token: Annotated[str, Field(max_length=3)] = "a"
    names: Annotated[tuple[str, ...], Field(min_length=1)] = ("a",)
    text: Annotated[str, Field(max_length=200)] = ""
    shape: tuple[int, int, int] = (1, 1, 1)


def refusal(**fields: object) -> str:
    with pytest.raises(ValidationError) as caught:
        Form.model_validate(fields)
    wrong = caught.value.errors()[0]
    return told(wrong, str(wrong["loc"][0]))


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"limit": 0}, "limit must be greater than or equal to 1, got 0"),
        ({"limit": "many"}, "limit must be a whole number, got 'many'"),
        ({"limit": None}, "limit must be a whole number, got null"),
        ({"kind": "rar"}, "kind must be 'zip' or 'npz', got 'rar'"),
        ({"names": []}, "names must have at least 1 item, got a list of 0"),
        ({"names": {"a": 1}}, "names must be a list, got an object of 1 keys"),
        ({"text": 7}, "text must be text, got 7"),
        ({"shape": [32, 32]}, "shape has no item 3, it is a list of 2; give all items"),
        ({"shape": [1, 2, 3, 4]}, "shape must have at most 3 items, got a list of 4"),
        ({"colour": 7}, "colour is not known here"),
    ],
)
def test_the_sentence_has_the_field_the_demand_and_the_value(fields: dict[str, object], sentence: str) -> None:
    assert refusal(**fields) == sentence


def test_a_pattern_is_told_in_words() -> None:
    assert refusal(tag="Bad Tag") == (
        "tag must be 1 to 64 lower-case letters, digits, '-', '_' or '.', starting with a letter or digit, "
        "got 'Bad Tag'"
    )


def test_a_long_value_is_cut_and_a_secret_one_left_out() -> None:
    assert len(refusal(text="x" * 10_000)) < SHOWN_CHARACTERS + 60
    assert "hush" not in refusal(token="hush hush")
