"""Private namespaces and their members in SQL; a namespace that is not here is public."""

from datetime import datetime

from sqlalchemy import delete, select

from registry.access import Sight
from registry.namespace_records import Namespace, Visibility
from storage.records.sight import memberships
from storage.tables import NamespaceMemberRow, NamespaceRow
from storage.transaction import Transaction


class SqlNamespaceRecords:
    """Private namespaces. What is asked about somebody's sight is asked about that of the unit of work."""

    def __init__(self, transaction: Transaction, sight: Sight) -> None:
        """Args: transaction: the one all records of a unit of work share; sight: what may be known of."""
        self._transaction, self._sight = transaction, sight

    def get(self, namespace: str) -> Namespace:
        """A namespace, private or not; also one that nothing was published in yet."""
        if self._transaction.first(select(NamespaceRow.namespace).where(NamespaceRow.namespace == namespace)) is None:
            return Namespace(namespace=namespace, visibility=Visibility.PUBLIC)
        members = select(NamespaceMemberRow.owner).where(NamespaceMemberRow.namespace == namespace)
        rows = self._transaction.rows(members.order_by(NamespaceMemberRow.owner))
        listed = tuple(owner for (owner,) in rows)
        return Namespace(namespace=namespace, visibility=Visibility.PRIVATE, members=listed)

    def all_private(self) -> tuple[Namespace, ...]:
        """Every private namespace, by name."""
        rows = self._transaction.rows(select(NamespaceRow.namespace).order_by(NamespaceRow.namespace))
        return tuple(self.get(namespace) for (namespace,) in rows)

    def put(self, namespace: Namespace, *, at: datetime) -> None:
        """Make a namespace what it is to be, with these members and no others."""
        self._transaction.change(delete(NamespaceMemberRow).where(NamespaceMemberRow.namespace == namespace.namespace))
        if namespace.visibility is Visibility.PUBLIC:
            self._transaction.change(delete(NamespaceRow).where(NamespaceRow.namespace == namespace.namespace))
            return
        private = self._transaction.insert(NamespaceRow).values(namespace=namespace.namespace, created_at=at)
        self._transaction.change(private.on_conflict_do_nothing())
        members = [{"namespace": namespace.namespace, "owner": owner} for owner in sorted(set(namespace.members))]
        if members:
            self._transaction.change(self._transaction.insert(NamespaceMemberRow).values(members))

    def in_sight(self, namespace: str) -> bool:
        """Whether a namespace is public, or private and within the sight of this unit of work."""
        private = select(NamespaceRow.namespace).where(NamespaceRow.namespace == namespace)
        return self._transaction.first(private) is None or namespace in self.private_in_sight()

    def private_in_sight(self) -> tuple[str, ...]:
        """The private namespaces within the sight of this unit of work, by name."""
        seen = memberships(self._sight).subquery()
        rows = self._transaction.rows(select(seen.c.namespace).order_by(seen.c.namespace))
        return tuple(str(namespace) for (namespace,) in rows)
