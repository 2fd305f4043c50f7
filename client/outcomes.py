"""Outcomes over HTTP: tell what modules really reached, and see how well that was predicted."""

from collections.abc import Iterator, Sequence

from client.connection import Call, Connection
from client.paging import every
from registry.outcome_records import Calibration, How, KeptOutcomes, Outcome, PostedOutcome, PostedOutcomes
from registry.records import Page


class Outcomes:
    """Outcomes of one's own queries."""

    def __init__(self, connection: Connection) -> None:
        """Args: connection: the zoo."""
        self._connection = connection

    def post(self, query_id: str, outcomes: Sequence[PostedOutcome]) -> KeptOutcomes:
        """Tell what modules reached on the task of a query, all or none; what is told again replaces what was told.

        Args:
            query_id: the `query` of the ranking.
            outcomes: 1 to 1000 of them, of modules in the ranking.

        Raises:
            NotFoundError: there is no such query.
            ConflictError: it has no answer.
            InvalidInputError: each module that the answer lacks, or that is told twice.
        """
        call = Call("POST", f"/queries/{query_id}/outcomes", body=PostedOutcomes(outcomes=tuple(outcomes)), keyed=True)
        return self._connection.ask(call, KeptOutcomes)

    def list(self, query_id: str, *, limit: int = 50, cursor: str | None = None) -> Page[Outcome]:
        """One page of a query's outcomes, by module. Raises NotFoundError."""
        call = Call("GET", f"/queries/{query_id}/outcomes", params={"limit": limit, "cursor": cursor})
        return self._connection.ask(call, Page[Outcome])

    def every(self, query_id: str) -> Iterator[Outcome]:
        """All outcomes of a query. Raises NotFoundError."""
        return every(lambda cursor: self.list(query_id, limit=200, cursor=cursor))

    def calibration(self, *, metric: str | None = None, how: How | None = None) -> Calibration:
        """How well each estimator has predicted the outcomes so far, the static ranker beside."""
        return self._connection.ask(Call("GET", "/calibration", params={"metric": metric, "how": how}), Calibration)
