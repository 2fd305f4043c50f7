"""Names, references and digests: parsed once, at the door, and trusted from there on."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, NewType, Self

from pydantic import AfterValidator, Field

from registry.errors import InvalidNameError

Digest = NewType("Digest", str)
"""Identity of bytes, written ``sha256:<64 lower-case hex digits>``."""

WORD_PATTERN = r"[a-z0-9][a-z0-9._-]{0,63}"
DIGEST_PATTERN = r"sha256:[0-9a-f]{64}"
"""What words and digests look like, also for descriptions."""

_WORD = re.compile(WORD_PATTERN)
_DIGEST = re.compile(DIGEST_PATTERN)
_DIGITS = re.compile(r"[0-9]{1,18}")


def parse_digest(text: str) -> Digest:
    """Raises InvalidNameError unless ``text`` is ``sha256:`` and 64 lower-case hex digits."""
    if not _DIGEST.fullmatch(text):
        raise InvalidNameError(f"{text[:200]!r} is not a digest; write sha256: and 64 lower-case hex digits")
    return Digest(text)


def parse_word(text: str, *, what: str) -> str:
    """Raises InvalidNameError unless ``text`` may be a namespace or a name."""
    if not _WORD.fullmatch(text):
        raise InvalidNameError(
            f"{text[:200]!r} is not a valid {what}; use 1 to 64 lower-case letters, digits, '-', '_' or '.', "
            "starting with a letter or digit"
        )
    return text


def parse_alias(text: str) -> str:
    """Raises InvalidNameError unless ``text`` is a word that cannot be taken for a version."""
    word = parse_word(text, what="alias")
    if word.isdigit():
        raise InvalidNameError(f"{text!r} cannot be an alias because it reads as a version; use a word")
    if word == LATEST:
        raise InvalidNameError(f"{LATEST!r} always means the newest version; choose another alias")
    return word


LATEST = "latest"
"""The alias that every module has: its newest version that is not yanked."""


@dataclass(frozen=True, slots=True, order=True)
class ModuleName:
    """Name of a module, written ``namespace/name``."""

    namespace: str
    name: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises InvalidNameError unless ``text`` is ``namespace/name``."""
        namespace, slash, name = text.partition("/")
        if not slash:
            raise InvalidNameError(f"{text[:200]!r} is not namespace/name")
        return cls(parse_word(namespace, what="namespace"), parse_word(name, what="name"))

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Selector:
    """Which version of a module is meant: exactly one of the three is set."""

    version: int | None = None
    digest: Digest | None = None
    alias: str | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises InvalidNameError unless ``text`` is a positive integer, a digest or an alias."""
        if _DIGITS.fullmatch(text) and int(text) >= 1:
            return cls(version=int(text))
        if text.isascii() and text.isdigit():
            raise InvalidNameError(f"there is no version {text[:40]}; versions are 1 and up, of at most 18 digits")
        if ":" in text:
            return cls(digest=parse_digest(text))
        if text == LATEST:
            return cls(alias=LATEST)
        return cls(alias=parse_alias(text))

    def __str__(self) -> str:
        return str(self.version or self.digest or self.alias)


@dataclass(frozen=True, slots=True)
class ModuleRef:
    """One version of a module, written ``namespace/name@3``, ``@sha256:...`` or ``@alias``."""

    name: ModuleName
    selector: Selector

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises InvalidNameError unless ``text`` is a name and, after ``@``, a selector; without ``@`` the latest."""
        name, at, selector = text.partition("@")
        return cls(ModuleName.parse(name), Selector.parse(selector if at else LATEST))

    def __str__(self) -> str:
        return f"{self.name}@{self.selector}"


def namespaces_of(refs: Iterable[str]) -> tuple[str, ...]:
    """The namespaces that references are in, by name, each once."""
    return tuple(sorted({ref.partition("/")[0] for ref in refs}))


def _digest_in_model(text: str) -> Digest:
    """As `parse_digest`, with the error that pydantic collects."""
    try:
        return parse_digest(text)
    except InvalidNameError as error:
        raise ValueError(error.detail) from error


DigestField = Annotated[
    Digest, AfterValidator(_digest_in_model), Field(json_schema_extra={"pattern": f"^{DIGEST_PATTERN}$"})
]
"""A digest inside a pydantic model."""
