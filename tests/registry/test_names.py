"""Names, references and digests are parsed once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.errors import InvalidNameError
from registry.names import ModuleName, ModuleRef, Selector, parse_alias, parse_digest

DIGEST = "sha256:" + "0a" * 32


@pytest.mark.parametrize("text", ["ada/net@3", f"ada/net@{DIGEST}", "ada/net@best", "a.b_c-1/0@latest"])
def test_a_reference_reads_back_as_it_was_written(text: str) -> None:
    assert str(ModuleRef.parse(text)) == text


def test_a_reference_without_a_version_means_the_latest() -> None:
    assert str(ModuleRef.parse("ada/net")) == "ada/net@latest"


WRONG = [
    "",
    "net",
    "ada/",
    "/net",
    "ada/Net",
    "ada/-net",
    "ada/net@",
    "ada/net@0",
    "ada/net@-1",
    "ada/net@a b",
    "a/b/c",
]
LONG = "ada/" + "x" * 65
ODD = [LONG, "ada/net@sha256:12", "ada/net@SHA256:" + "0a" * 32, "ada/nét", "../etc@1", "ada/net@²"]


@pytest.mark.parametrize("text", [*WRONG, *ODD])
def test_what_is_not_a_reference_is_refused(text: str) -> None:
    with pytest.raises(InvalidNameError):
        ModuleRef.parse(text)


@pytest.mark.parametrize("text", ["7", "latest", "a:b", ""])
def test_an_alias_cannot_be_taken_for_something_else(text: str) -> None:
    with pytest.raises(InvalidNameError):
        parse_alias(text)


@pytest.mark.parametrize("text", ["", DIGEST[:-1], DIGEST.upper(), DIGEST + "0", "md5:" + "0" * 32])
def test_what_is_not_a_digest_is_refused(text: str) -> None:
    with pytest.raises(InvalidNameError):
        parse_digest(text)


@given(st.text(max_size=80))
def test_any_text_is_a_name_or_a_clear_error(text: str) -> None:
    try:
        assert str(ModuleName.parse(text)) == text
    except InvalidNameError as error:
        assert error.detail  # noqa: PT017


@pytest.mark.parametrize("text", ["0", "00", "1" * 19, "9" * 400])
def test_a_number_that_no_version_has_is_told_as_a_number(text: str) -> None:
    with pytest.raises(InvalidNameError, match="versions are 1 and up"):
        Selector.parse(text)


@given(st.integers(min_value=1, max_value=10**17))
def test_a_whole_number_is_a_version(version: int) -> None:
    assert Selector.parse(str(version)) == Selector(version=version)
