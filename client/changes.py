"""Changes over HTTP: what has happened to the modules of the zoo since one looked last."""

from client.connection import Call, Connection
from registry.changes import MOST_CHANGES, ChangeFeed


class Changes:
    """The change feed of the zoo."""

    def __init__(self, connection: Connection) -> None:
        """Args: connection: the zoo."""
        self._connection = connection

    def since(
        self, serial: int, *, limit: int = MOST_CHANGES, namespace: str | None = None, wait_seconds: float = 0.0
    ) -> ChangeFeed:
        """What has changed after a serial, oldest first; go on from the answer's own serial, and nothing is missed.

        Args:
            serial: where the last answer ended; 0 for all.
            limit: most changes of one answer.
            namespace: only changes of this one.
            wait_seconds: how long to wait for a change where there is none yet.
        """
        params = {"since": serial, "limit": limit, "namespace": namespace}
        headers = {"Prefer": f"wait={int(wait_seconds)}"} if wait_seconds else {}
        return self._connection.ask(
            Call("GET", "/changes", params=params, headers=headers, wait_seconds=wait_seconds), ChangeFeed
        )
