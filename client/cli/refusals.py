"""What a command's own options refuse, told with the value seen, before a command's function is called."""

import typer
from pydantic import ValidationError
from typer.core import TyperCommand

from registry.wrong_values import told

VALUE_ERROR = "value_error"


class TellingCommand(TyperCommand):
    """A command that names the value it refuses: ``must be greater than or equal to 4, got '2'``."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        """Read the arguments. Raises typer.BadParameter naming the option and the value that it cannot be."""
        try:
            return super().parse_args(ctx, args)
        except typer.BadParameter as error:
            if isinstance(error.__cause__, ValidationError):
                error.message = _told(error.__cause__, error.message)
            raise


def _told(refused: ValidationError, message: str) -> str:
    """The first refusal as a sentence; what a check of our own says stays as the message has it, escaped."""
    first = refused.errors()[0]
    if first["type"] == VALUE_ERROR:
        return message.removeprefix("Value error, ")
    return told(first, "it").removeprefix("it ")
