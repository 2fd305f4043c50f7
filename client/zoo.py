"""The zoo over HTTP: the same nouns and verbs as the registry, from wherever its address can be reached."""

from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from client.blobs import Blobs
from client.cache import Cache
from client.changes import Changes
from client.connection import Connection, Timeouts
from client.datasets import Datasets
from client.jobs import Jobs
from client.modules import Modules
from client.outcomes import Outcomes
from client.pipelines import Pipelines
from client.queries import Queries
from client.tasks import Tasks
from client.tokens import Tokens
from client.uploads import SessionFiles, Uploads
from registry.settings import Settings


class Zoo:
    """One zoo at one address; may be used from several threads at once.

    Errors are those of `registry.errors` that the zoo answered with, and those of `client.errors` for the way there.
    """

    def __init__(
        self,
        url: str,
        token: str | None = None,
        *,
        cache: Path | None = None,
        timeouts: Timeouts | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """Nothing is sent yet.

        Args:
            url: address of the zoo, such as http://127.0.0.1:8000.
            token: bearer token, where the zoo wants one.
            cache: folder of fetched files; without it, `cache` in ZOO_HOME. Beside it is told which uploads began.
            timeouts: how long to wait for what.
            transport: another way to send requests than over sockets.

        Raises:
            InvalidInputError: ``url`` is not an address.
        """
        self._connection = Connection(url, token=token, timeouts=timeouts, transport=transport)
        kept = Cache(cache if cache is not None else Settings.load().home / "cache")
        uploads = Uploads(self._connection, SessionFiles(kept.folder.parent / "uploads", self._connection.url))
        self.blobs = Blobs(self._connection, kept, uploads)
        self.modules = Modules(self._connection, kept, uploads)
        self.datasets = Datasets(self._connection)
        self.tasks = Tasks(self._connection)
        self.jobs = Jobs(self._connection)
        self.pipelines = Pipelines(self._connection, self.jobs)
        self.queries = Queries(self._connection)
        self.outcomes = Outcomes(self._connection)
        self.tokens = Tokens(self._connection)
        self.changes = Changes(self._connection)

    @property
    def url(self) -> str:
        """The zoo's address."""
        return self._connection.url

    def close(self) -> None:
        """Close every socket."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
