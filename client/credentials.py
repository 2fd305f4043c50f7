"""Tokens by address, in a file that only its owner can read."""

import os
import uuid
from pathlib import Path

from pydantic import RootModel, ValidationError

from registry.errors import ConflictError


class _Tokens(RootModel[dict[str, str]]):
    """A token for each address."""


class TokenFile:
    """The file of tokens; it is made when the first token is kept."""

    def __init__(self, path: Path) -> None:
        """Args: path: where it is, or will be."""
        self._path = path

    def token(self, url: str) -> str | None:
        """The token for an address. Raises ConflictError when the file is damaged."""
        return self._read().get(url.rstrip("/"))

    def keep(self, url: str, token: str) -> Path:
        """Keep a token for an address: whole or not at all, readable by the owner only."""
        tokens = _Tokens({**self._read(), url.rstrip("/"): token})
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft = self._path.with_name(f"{self._path.name}.{uuid.uuid4().hex}")
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(tokens.model_dump_json(indent=2))
        draft.replace(self._path)
        return self._path

    def _read(self) -> dict[str, str]:
        """All tokens."""
        try:
            return _Tokens.model_validate_json(self._path.read_bytes()).root
        except FileNotFoundError:
            return {}
        except ValidationError as error:
            raise ConflictError(f"{self._path} is damaged; delete it and `zoo login` again") from error
