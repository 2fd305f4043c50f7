"""What somebody may know of, as a condition in SQL: every read of modules, pipelines and one's queries has it."""

from sqlalchemy import ColumnElement, Select, select, true
from sqlalchemy.orm import InstrumentedAttribute

from registry.access import Sight
from storage.tables import (
    NamespaceMemberRow,
    NamespaceRow,
    PipelineNamespaceRow,
    PipelineRow,
    QueryNamespaceRow,
    QueryRow,
)


def in_sight(
    namespace: InstrumentedAttribute[str] | InstrumentedAttribute[str | None], sight: Sight
) -> ColumnElement[bool]:
    """Whether a namespace is public, or one that its onlooker is a member of."""
    if sight.everything:
        return true()
    return namespace.not_in(select(NamespaceRow.namespace)) | namespace.in_(memberships(sight))


def memberships(sight: Sight) -> Select[str]:
    """The private namespaces that an onlooker may know of."""
    if sight.everything:
        return select(NamespaceRow.namespace)
    found = select(NamespaceMemberRow.namespace).where(NamespaceMemberRow.owner == sight.owner)
    return found if sight.within is None else found.where(NamespaceMemberRow.namespace.in_(sight.within))


def pipeline_in_sight(sight: Sight) -> ColumnElement[bool]:
    """Whether every module of a pipeline is of a namespace that its onlooker may know of; not where none is known."""
    if sight.everything:
        return true()
    known = select(PipelineNamespaceRow.pipeline_id).where(PipelineNamespaceRow.pipeline_id == PipelineRow.id)
    hidden = known.where(~in_sight(PipelineNamespaceRow.namespace, sight))
    return known.exists() & ~hidden.exists()


def query_in_sight(sight: Sight) -> ColumnElement[bool]:
    """Whether every candidate of a query is of a namespace that its onlooker may know of."""
    if sight.everything:
        return true()
    hidden = select(QueryNamespaceRow.query_id).where(
        QueryNamespaceRow.query_id == QueryRow.id, ~in_sight(QueryNamespaceRow.namespace, sight)
    )
    return ~hidden.exists()
