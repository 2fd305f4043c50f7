"""Options of commands: a frozen dataclass a command, so that what belongs together stays together."""

import inspect
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import MISSING, Field, dataclass, fields
from functools import wraps
from pathlib import Path
from typing import Annotated, TypeVar, get_type_hints

import typer
from pydantic import ValidationError

from client.credentials import TokenFile
from client.zoo import Zoo
from registry.errors import InvalidInputError, SettingsError
from registry.names import ModuleName, ModuleRef, parse_word
from registry.settings import Settings
from registry.wrong_values import told

DEFAULT_URL = "http://127.0.0.1:8000"
CONFIG_NAME = "module-zoo"
_TENSOR_TYPE = re.compile(r"float32\[[0-9]+(,[0-9]+)*\]|[0-9]+(,[0-9]+)*")

Options = TypeVar("Options")


@dataclass(frozen=True, kw_only=True)
class ZooOptions:
    """What every command that talks to a zoo takes."""

    url: Annotated[str | None, typer.Option(help="Address of the zoo; default: ZOO_URL, or this machine.")] = None
    token: Annotated[str | None, typer.Option(help="Bearer token; default: ZOO_TOKEN, or what `zoo login` kept.")] = (
        None
    )
    json: Annotated[bool, typer.Option("--json", help="Write JSON to standard output, and nothing else.")] = False


def takes(options: type[Options]) -> Callable[[Callable[[Options], None]], Callable[..., None]]:
    """Make a function of one dataclass into a command that has an argument or option for each of its fields."""
    hints = get_type_hints(options, include_extras=True)
    parameters = [_parameter(field, hints[field.name]) for field in fields(options)]  # type: ignore[arg-type]

    def as_command(function: Callable[[Options], None]) -> Callable[..., None]:
        @wraps(function)
        def command(**values: object) -> None:
            function(options(**values))

        command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        command.__annotations__ = hints
        del command.__wrapped__
        return command

    return as_command


def _parameter(field: "Field[object]", hint: object) -> inspect.Parameter:
    """A dataclass's field as a parameter of a function."""
    default = field.default
    if field.default_factory is not MISSING:
        default = field.default_factory()
    elif default is MISSING:
        default = inspect.Parameter.empty
    return inspect.Parameter(field.name, inspect.Parameter.KEYWORD_ONLY, annotation=hint, default=default)


def token_file() -> TokenFile:
    """Where `zoo login` keeps tokens: the user's configuration folder, as the platform has it."""
    return TokenFile(Path(typer.get_app_dir(CONFIG_NAME)) / "tokens.json")


@contextmanager
def wrong_use() -> Iterator[None]:
    """Turn the refusal of what was typed, or set in the environment, into wrong use, which ends with 2."""
    try:
        yield
    except (InvalidInputError, SettingsError) as error:
        raise typer.BadParameter(error.detail) from error
    except ValidationError as error:
        raise typer.BadParameter("; ".join(told(wrong, _option(wrong["loc"])) for wrong in error.errors())) from error


def _option(place: tuple[int | str, ...]) -> str:
    """The option that a field of a question is asked by."""
    return f"--{place[0]}".replace("_", "-") if place else "the question"


def settings() -> Settings:
    """What the environment says, or wrong use."""
    with wrong_use():
        return Settings.load()


def address(options: ZooOptions) -> str:
    """The zoo's address: as the option, the environment or the default has it."""
    return (options.url or settings().url or DEFAULT_URL).rstrip("/")


def secret(options: ZooOptions) -> str | None:
    """The zoo's token: as the option, the environment or `zoo login` has it."""
    held = settings().token
    return options.token or (held.get_secret_value() if held else None) or token_file().token(address(options))


@contextmanager
def opened(options: ZooOptions) -> Iterator[Zoo]:
    """The zoo that a command talks to."""
    with zoo_at(address(options), secret(options)) as zoo:
        yield zoo


def zoo_at(url: str, token: str | None) -> Zoo:
    """The zoo at an address that is one, with a token that can be one, or wrong use."""
    if token is not None and not (token.isascii() and token.isprintable()):
        raise typer.BadParameter("the token holds what no token does: only ASCII, on one line; copy it again")
    with wrong_use():
        return Zoo(url, token)


def module_name(text: str) -> str:
    """``namespace/name``, or wrong use."""
    with wrong_use():
        return str(ModuleName.parse(text))


def module_ref(text: str) -> str:
    """A reference to a version, or wrong use."""
    with wrong_use():
        return str(ModuleRef.parse(text))


def word(text: str, *, what: str) -> str:
    """A namespace or another name of one word, or wrong use."""
    with wrong_use():
        return parse_word(text, what=what)


def tensor_type(text: str | None, *, option: str) -> str | None:
    """A tensor's type, written ``float32[1,8,8]`` or by its shape alone, or wrong use; spaces do not count."""
    if text is None:
        return None
    compact = "".join(text.split())
    if not _TENSOR_TYPE.fullmatch(compact):
        raise typer.BadParameter(f"{text[:100]!r} is not a type; write it as float32[1,8,8]", param_hint=option)
    return compact
