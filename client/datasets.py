"""Datasets over HTTP: upload, show, list, remove."""

from pathlib import Path

from client.cache import digest_of_file
from client.connection import Call, Connection
from client.transfer import Content, OnBytes, ignore_bytes, upload
from registry.errors import ConflictError, NotFoundError
from registry.names import Digest
from registry.records import Dataset, Page
from registry.statements import DatasetStatement


class Datasets:
    """Datasets of the zoo; one sees one's own."""

    def __init__(self, connection: Connection) -> None:
        """Args: connection: the zoo."""
        self._connection = connection

    def publish(
        self,
        file: Path,
        *,
        leave_out_broken: bool = False,
        stated_too: bool = True,
        on_bytes: OnBytes = ignore_bytes,
    ) -> Dataset:
        """Send a zip of class folders, a parquet or an npz file, unless the zoo has it from us already.

        Args:
            file: the dataset.
            leave_out_broken: leave out images that cannot be read.
            stated_too: send it also where it was only stated until now, its bytes kept at home.
            on_bytes: told how many bytes are sent.

        Raises:
            ConflictError: it was only stated until now, and is to stay so; nothing was sent.
            InvalidDatasetError: what is wrong with it, each fault by itself.
            TooLargeError: a bound is passed.
        """
        known = self._known(digest_of_file(file))
        if known is not None and known.held:
            return known
        if known is not None and not stated_too:
            raise ConflictError(
                "these images stayed at home until now, the zoo has only a description of them "
                f"(dataset {known.digest}); run `zoo rank DATA --here`, or send them on purpose with --send"
            )
        params = {"broken": "leave_out"} if leave_out_broken else {}
        call = Call("POST", "/datasets", params=params)
        response = upload(self._connection, call, Content(file), on_bytes=on_bytes)
        return self._connection.read(response, Dataset)

    def _known(self, digest: Digest) -> Dataset | None:
        try:
            return self.show(digest)
        except NotFoundError:
            return None

    def state(self, statement: DatasetStatement) -> Dataset:
        """Tell the zoo of a dataset whose bytes stay here; one that it holds from us already stays as it is.

        Raises:
            InvalidDatasetError: no dataset can be as it is stated.
            ConflictError: something else was stated of these bytes before.
        """
        return self._connection.ask(Call("POST", "/datasets", body=statement), Dataset)

    def show(self, digest: Digest) -> Dataset:
        """One dataset. Raises NotFoundError."""
        return self._connection.ask(Call("GET", f"/datasets/{digest}"), Dataset)

    def list(self, *, limit: int = 50, cursor: str | None = None) -> Page[Dataset]:
        """One page of our datasets, newest first."""
        return self._connection.ask(Call("GET", "/datasets", params={"limit": limit, "cursor": cursor}), Page[Dataset])

    def delete(self, digest: Digest) -> None:
        """Remove a dataset: bytes, statistics and scores."""
        self._connection.send(Call("DELETE", f"/datasets/{digest}"))
