"""The one way data classes that travel as JSON are configured."""

from typing import Final, Self

from pydantic import BaseModel, ConfigDict, ModelWrapValidatorHandler, ValidationError, model_validator
from pydantic_core import PydanticCustomError

MOST_FAULTS = 1000
"""More wrong values of one request are counted only."""
TOO_MANY: Final = "{count} things in it are wrong, too many to name each"


class Frozen(BaseModel):
    """A value: it never changes, and a key it does not know is an error."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        populate_by_name=True,
        serialize_by_alias=True,
        allow_inf_nan=False,
    )


class Asked(Frozen):
    """The same for what a request brings as its body, in which anything may be wrong, and any number of times."""

    @model_validator(mode="wrap")
    @classmethod
    def _with_few_faults(cls, value: object, validate: ModelWrapValidatorHandler[Self]) -> Self:
        """Raises PydanticCustomError in the place of more faults than anyone reads: telling each takes seconds."""
        try:
            return validate(value)
        except ValidationError as error:
            if error.error_count() <= MOST_FAULTS:
                raise
            raise PydanticCustomError("too_many_faults", TOO_MANY, {"count": error.error_count()}) from None
