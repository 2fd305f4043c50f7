"""Questions over HTTP: which modules serve a task, how well one does, the map of tasks."""

from collections.abc import Callable, Iterator
from typing import Literal, TypeVar

import httpx

from client.connection import Call, Connection
from client.errors import UnexpectedAnswerError, error_with_code
from client.events import follow
from registry.errors import JobFailedError
from registry.rankings import (
    MapPanels,
    MapQuestion,
    ModuleSets,
    QueryState,
    Ranking,
    RankingQuestion,
    Reusability,
    ReusabilityQuestion,
    SetQuestion,
    TaskMap,
)
from registry.records import QueryStatus

WAIT_SECONDS = 2
PlotFormat = Literal["png", "svg"]
MEDIA_TYPES: dict[PlotFormat, str] = {"png": "image/png", "svg": "image/svg+xml"}

Answer = TypeVar("Answer", Ranking, Reusability, TaskMap, ModuleSets)
OnState = Callable[[QueryState], None]


def ignore_state(state: QueryState) -> None:
    """Tell nobody."""


class Queries:
    """Questions to the zoo. Each waits for its answer, and tells `on_state` how far it is."""

    def __init__(self, connection: Connection) -> None:
        """Args: connection: the zoo."""
        self._connection = connection

    def rank(self, question: RankingQuestion, *, on_state: OnState = ignore_state) -> Ranking:
        """The modules that serve a task, best first. Raises NotFoundError, NotScorableError, JobFailedError."""
        return self._answer(_asking(question, "/transferability"), Ranking, on_state=on_state)

    def reusability(self, question: ReusabilityQuestion, *, on_state: OnState = ignore_state) -> Reusability:
        """How well one module serves a task. Raises NotFoundError, NotScorableError, JobFailedError."""
        return self._answer(_asking(question, "/reusability"), Reusability, on_state=on_state)

    def map(self, question: MapQuestion, *, on_state: OnState = ignore_state) -> TaskMap:
        """How well modules serve tasks. Raises NotFoundError, NotScorableError, InvalidInputError, JobFailedError."""
        options = question.model_dump(mode="json", exclude={"tasks", "sources"})
        params = {"task": question.tasks, "source": question.sources, **options}
        call = Call("GET", "/transferability/map", params=params, headers=_prefer(WAIT_SECONDS))
        return self._answer(call, TaskMap, on_state=on_state)

    def sets(self, question: SetQuestion, *, on_state: OnState = ignore_state) -> ModuleSets:
        """Which few modules together serve a task best.

        Raises NotFoundError, ConflictError, InvalidInputError, NotScorableError, JobFailedError.
        """
        return self._answer(_asking(question, "/transferability/sets"), ModuleSets, on_state=on_state)

    def ask(self, question: RankingQuestion) -> QueryState:
        """Ask for a ranking without waiting for it; `events` follows it."""
        call = _asking(question, "/transferability", wait_seconds=0)
        response = self._connection.send(call)
        if response.status_code == httpx.codes.ACCEPTED:
            return self._connection.read(response, QueryState)
        return self.show(self._connection.read(response, Ranking).query)

    def show(self, query_id: str) -> QueryState:
        """A question as it is now. Raises NotFoundError."""
        return self._connection.ask(Call("GET", f"/queries/{query_id}"), QueryState)

    def cancel(self, query_id: str) -> QueryState:
        """Stop a question and its jobs; one that has ended stays as it is. Raises NotFoundError."""
        return self._connection.ask(Call("DELETE", f"/queries/{query_id}"), QueryState)

    def ranking_of(self, state: QueryState) -> Ranking:
        """The answer of a question that has ended. Raises the error that it ended with, or JobFailedError."""
        return _answered(state, Ranking)

    def events(self, query_id: str) -> Iterator[QueryState]:
        """The question as it is now, and each time it changes, until it has ended."""
        return follow(self._connection, f"/queries/{query_id}", QueryState, ended=_ended)

    def plot(self, query_id: str, format_: PlotFormat, *, panels: MapPanels = "both") -> bytes:
        """The answer of a question as a picture; `panels` says which parts of a map.

        Raises NotFoundError, ConflictError while there is no answer.
        """
        headers = {"Accept": MEDIA_TYPES[format_]}
        call = Call("GET", f"/queries/{query_id}", params={"plot": panels}, headers=headers)
        response = self._connection.send(call)
        media_type = response.headers.get("Content-Type", "none")
        if not media_type.startswith(MEDIA_TYPES[format_]):
            raise UnexpectedAnswerError(f"the zoo answered with {media_type} instead of {MEDIA_TYPES[format_]}")
        return response.content

    def _answer(self, call: Call, answer: type[Answer], *, on_state: OnState) -> Answer:
        """The answer of a question, at once or when it has come."""
        response = self._connection.send(call)
        if response.status_code != httpx.codes.ACCEPTED:
            return self._connection.read(response, answer)
        state = self._connection.read(response, QueryState)
        return _answered(self._followed(state, on_state=on_state), answer)

    def _followed(self, state: QueryState, *, on_state: OnState) -> QueryState:
        """The last state of a question, when it has ended."""
        on_state(state)
        last = state
        for last in () if _ended(state) else self.events(state.id):
            on_state(last)
        return last


def _asking(
    question: RankingQuestion | ReusabilityQuestion | SetQuestion, path: str, *, wait_seconds: int = WAIT_SECONDS
) -> Call:
    """The request that asks a question."""
    prefer = _prefer(wait_seconds)
    return Call("POST", path, body=question, headers=prefer, wait_seconds=wait_seconds, harmless=True)


def _prefer(wait_seconds: int) -> dict[str, str]:
    """How long the zoo may hold an answer back before it gives a place to look for it (RFC 7240)."""
    return {"Prefer": f"wait={wait_seconds}"}


def _ended(state: QueryState) -> bool:
    """Whether nothing will change any more."""
    return state.status is not QueryStatus.RUNNING


def _answered(state: QueryState, answer: type[Answer]) -> Answer:
    """The answer of a question that has ended. Raises the ZooError that it failed with, JobFailedError without one."""
    if state.status is not QueryStatus.DONE:
        detail = state.error or f"query {state.id} is {state.status}, and no reason was given; ask again"
        raise error_with_code(state.error_code, detail, otherwise=JobFailedError)
    if not isinstance(state.answer, answer):
        raise UnexpectedAnswerError(f"query {state.id} was answered with no {answer.__name__}")
    return state.answer
