"""Tokens: by address, for their owner only."""

from pathlib import Path

import pytest

from client.credentials import TokenFile
from registry.errors import ConflictError


def test_a_token_is_found_under_its_address_only(tmp_path: Path) -> None:
    file = TokenFile(tmp_path / "config" / "tokens.json")
    assert file.token("http://one") is None
    file.keep("http://one/", "first")
    file.keep("http://two", "second")
    file.keep("http://one", "third")
    assert (file.token("http://one"), file.token("http://two/")) == ("third", "second")


def test_only_the_owner_can_read_the_file(tmp_path: Path) -> None:
    path = TokenFile(tmp_path / "config" / "tokens.json").keep("http://one", "secret")
    assert path.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in path.parent.iterdir()] == ["tokens.json"]


def test_a_damaged_file_is_named_with_the_remedy(tmp_path: Path) -> None:
    path = tmp_path / "tokens.json"
    path.write_text("[")
    with pytest.raises(ConflictError, match="login"):
        TokenFile(path).token("http://one")
