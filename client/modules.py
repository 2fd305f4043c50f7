"""Modules over HTTP: publish, search, show, fetch, aliases, yank."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from client.cache import Cache, digest_of_file
from client.connection import Call, Connection
from client.paging import every
from client.transfer import Content, OnBytes, download, ignore_bytes, upload
from client.uploads import RESUMABLE_BYTES, Uploads
from registry.errors import InvalidInputError
from registry.frozen import Frozen
from registry.names import Digest, DigestField, ModuleName, ModuleRef, parse_alias
from registry.records import (
    Alias,
    AliasMove,
    Lineage,
    ModuleOverview,
    ModulePage,
    ModuleSearch,
    Page,
    PublishedModule,
    TensorListing,
)


class _PublishedBefore(Frozen):
    """Bytes that were uploaded before and are to be published."""

    digest: DigestField


class _AliasTarget(Frozen):
    """Where an alias is to point."""

    version: int


class _YankReason(Frozen):
    """Why a version is yanked; null takes it back."""

    reason: str | None


class Modules:
    """Modules of the zoo."""

    def __init__(self, connection: Connection, cache: Cache, uploads: Uploads) -> None:
        """Args: connection: the zoo; cache: where fetched files are kept; uploads: how large ones are sent."""
        self._connection, self._cache, self._uploads = connection, cache, uploads

    def publish(self, name: ModuleName | str, file: Path, *, on_bytes: OnBytes = ignore_bytes) -> PublishedModule:
        """Publish a module file as the next version, or get the version that has these bytes already.

        A large file goes on where it broke off, also when another process began to send it.

        Raises:
            InvalidModuleFileError: and its kin, each fault by itself; nothing was published.
            TransferBrokenError: the upload broke off every time.
        """
        if file.stat().st_size >= RESUMABLE_BYTES:
            return self._publish_large(name, file, on_bytes)
        call = Call("POST", f"{_path(name)}/versions")
        response = upload(self._connection, call, Content(file), on_bytes=on_bytes)
        return self._connection.read(response, PublishedModule)

    def _publish_large(self, name: ModuleName | str, file: Path, on_bytes: OnBytes) -> PublishedModule:
        """Upload a file first and publish it then; one that is refused does not stay."""
        digest = digest_of_file(file)
        self._uploads.send(Content(file), digest, on_bytes=on_bytes)
        try:
            published = self.publish_blob(name, digest)
        except InvalidInputError:
            self._uploads.end(digest)
            raise
        self._uploads.end(digest)
        return published

    def publish_blob(self, name: ModuleName | str, digest: Digest) -> PublishedModule:
        """Publish bytes that were put into the blob store before."""
        call = Call("POST", f"{_path(name)}/versions", body=_PublishedBefore(digest=digest))
        return self._connection.ask(call, PublishedModule)

    def show(self, ref: ModuleRef | str) -> PublishedModule:
        """The manifest of a version, with what and where it is. Raises NotFoundError."""
        return self._connection.ask(Call("GET", _version_path(ref)), PublishedModule)

    def overview(self, name: ModuleName | str) -> ModuleOverview:
        """The newest versions, at most 200, and all aliases of a module. Raises NotFoundError."""
        return self._connection.ask(Call("GET", _path(name)), ModuleOverview)

    def lineage(self, ref: ModuleRef | str, *, cursor: str | None = None) -> Lineage:
        """All a version stands on, and a page of all that stands on it."""
        return self._connection.ask(Call("GET", f"{_version_path(ref)}/lineage", params={"cursor": cursor}), Lineage)

    def tensors(self, ref: ModuleRef | str) -> TensorListing:
        """The tensors of a version's file, without their values."""
        return self._connection.ask(Call("GET", f"{_version_path(ref)}/tensors"), TensorListing)

    def fetch(self, ref: ModuleRef | str, *, on_bytes: OnBytes = ignore_bytes) -> Path:
        """The file of a version, verified, in the cache. Raises NotFoundError, WrongDigestError."""
        module = self.show(ref)
        path = f"/modules/{module.namespace}/{module.name}/versions/{module.digest}/file"
        return download(self._connection, path, digest=module.digest, cache=self._cache, on_bytes=on_bytes)

    def search(
        self, query: ModuleSearch, *, limit: int = 50, cursor: str | None = None, facets: bool = False
    ) -> ModulePage:
        """One page of the newest versions that fit."""
        params = {**query.model_dump(mode="json"), "limit": limit, "cursor": cursor, "facets": facets or None}
        return self._connection.ask(Call("GET", "/modules", params=params), ModulePage)

    def every(self, query: ModuleSearch, *, page_size: int = 200) -> Iterator[PublishedModule]:
        """The newest versions that fit, page after page."""
        return every(lambda cursor: self.search(query, limit=page_size, cursor=cursor))

    def alias(self, name: ModuleName | str, alias: str) -> Alias:
        """Where an alias points, and how often it has moved. Raises NotFoundError."""
        return self._connection.ask(Call("GET", _alias_path(name, alias)), Alias)

    def set_alias(self, name: ModuleName | str, alias: str, version: int, *, revision: int | None) -> Alias:
        """Point an alias at a version, if nobody moved it in between.

        Args:
            name: the module.
            alias: a word.
            version: where it is to point.
            revision: the alias's revision as it was seen; None for an alias that is to be new.

        Raises:
            PreconditionFailedError: it was moved, or made, meanwhile.
        """
        held = {"If-None-Match": "*"} if revision is None else {"If-Match": f'"{revision}"'}
        call = Call("PUT", _alias_path(name, alias), body=_AliasTarget(version=version), headers=held)
        return self._connection.ask(call, Alias)

    def remove_alias(self, name: ModuleName | str, alias: str, *, revision: int) -> None:
        """Take an alias away, if it is still at this revision. Raises NotFoundError, PreconditionFailedError."""
        self._connection.send(Call("DELETE", _alias_path(name, alias), headers={"If-Match": f'"{revision}"'}))

    def alias_history(self, name: ModuleName | str, alias: str, *, at: datetime | None = None) -> tuple[AliasMove, ...]:
        """Every move of an alias, oldest first; with a moment, the one that held then. Raises NotFoundError."""
        params = {"at": None if at is None else at.isoformat()}
        call = Call("GET", f"{_alias_path(name, alias)}/history", params=params)
        return self._connection.ask(call, Page[AliasMove]).items

    def yank(self, name: ModuleName | str, version: int, *, reason: str | None) -> PublishedModule:
        """Hide a version from searches; None takes that back."""
        path = f"{_path(name)}/versions/{version}/yank"
        return self._connection.ask(Call("PUT", path, body=_YankReason(reason=reason)), PublishedModule)

    def delete(self, name: ModuleName | str, version: int) -> None:
        """Delete a version. Raises ReferencedError naming what refers to it."""
        self._connection.send(Call("DELETE", f"{_path(name)}/versions/{version}"))


def _path(name: ModuleName | str) -> str:
    """A module's path. Raises InvalidNameError."""
    parsed = ModuleName.parse(name) if isinstance(name, str) else name
    return f"/modules/{parsed.namespace}/{parsed.name}"


def _version_path(ref: ModuleRef | str) -> str:
    """A version's path. Raises InvalidNameError."""
    parsed = ModuleRef.parse(ref) if isinstance(ref, str) else ref
    return f"{_path(parsed.name)}/versions/{parsed.selector}"


def _alias_path(name: ModuleName | str, alias: str) -> str:
    """An alias's path. Raises InvalidNameError."""
    return f"{_path(name)}/aliases/{parse_alias(alias)}"
