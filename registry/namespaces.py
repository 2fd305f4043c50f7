"""Namespaces: which are private, and who their members are."""

from registry.audit import note
from registry.errors import Fault, InvalidInputError, NotFoundError
from registry.names import parse_word
from registry.namespace_records import Namespace, Visibility
from registry.ports import Begin, Clock, UnitOfWork
from registry.records import STAFF, Page


class NamespaceService:
    """The rules about namespaces: what is in a private one is as if it were not there for all but its members."""

    def __init__(self, begin: Begin, clock: Clock) -> None:
        """Everything it needs from outside."""
        self._begin, self._clock = begin, clock

    def get(self, namespace: str) -> Namespace:
        """A namespace; one that was never heard of is public. Raises InvalidNameError."""
        parse_word(namespace, what="namespace")
        with self._begin() as work:
            return work.namespaces.get(namespace)

    def list(self) -> Page[Namespace]:
        """Every private namespace, by name."""
        with self._begin() as work:
            return Page[Namespace](items=work.namespaces.all_private())

    def set(self, namespace: Namespace, *, by: str = STAFF) -> Namespace:
        """Make a namespace private, with its members, or public. What is asked from here on has other answers.

        Raises:
            InvalidNameError: it cannot be a namespace.
            InvalidInputError: a public one is given members.
        """
        parse_word(namespace.namespace, what="namespace")
        if namespace.visibility is Visibility.PUBLIC and namespace.members:
            detail = "a public namespace has no members; leave them out, or make it private"
            raise InvalidInputError(detail, faults=[Fault("/members", detail)])
        with self._begin() as work:
            work.hold()
            at = self._clock()
            before = work.namespaces.get(namespace.namespace)
            work.namespaces.put(namespace, at=at)
            now = work.namespaces.get(namespace.namespace)
            if now != before:
                note(work, "namespace", namespace.namespace, at=at, by=by, detail=now.visibility.value)
        return now


def require_in_sight(work: UnitOfWork, namespace: str, *, what: str) -> None:
    """Raises NotFoundError, worded as for what is not there, where a namespace is not to be known of."""
    if not work.namespaces.in_sight(namespace):
        raise NotFoundError(f"there is no module {what}; `GET /modules?q={what.rpartition('/')[2]}` searches for it")
