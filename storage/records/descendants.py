"""What stands on a module, on what stands on it, and so on, in SQL."""

from sqlalchemy import Integer, Text, cast, literal, select, tuple_

from registry.access import Sight
from registry.names import Digest
from registry.records import Page
from storage.cursors import read_cursor, write_cursor
from storage.records.sight import in_sight
from storage.tables import ModuleRow, VersionRow
from storage.transaction import Transaction

ORDER = "descendants"
DEEPEST = 1000
"""So many steps up are followed; no chain of modules is as long."""


def find_descendants(
    transaction: Transaction, sight: Sight, digest: Digest, *, limit: int, cursor: str | None
) -> Page[str]:
    """References of every version above in sight, those of the nearest step first, within a step the oldest first."""
    start = select(cast(literal(digest), Text).label("digest"), cast(literal(0), Integer).label("depth"))
    tree = start.cte("above", recursive=True)
    step = select(VersionRow.digest, tree.c.depth + 1).join(tree, VersionRow.below == tree.c.digest)
    tree = tree.union(step.where(tree.c.depth < DEEPEST))
    found = select(tree.c.depth, VersionRow.id, ModuleRow.namespace, ModuleRow.name, VersionRow.version)
    found = found.select_from(tree).join(VersionRow, VersionRow.digest == tree.c.digest)
    found = found.join(ModuleRow, ModuleRow.id == VersionRow.module_id).where(
        tree.c.depth > 0, in_sight(ModuleRow.namespace, sight)
    )
    if cursor is not None:
        depth, row = read_cursor(cursor, ORDER, (int, int))
        found = found.where(tuple_(tree.c.depth, VersionRow.id) > tuple_(literal(depth), literal(row)))
    rows = transaction.rows(found.order_by(tree.c.depth, VersionRow.id).limit(limit + 1))
    more = write_cursor(ORDER, rows[limit - 1][:2]) if len(rows) > limit else None
    refs = tuple(f"{namespace}/{name}@{version}" for _, _, namespace, name, version in rows[:limit])
    return Page(items=refs, next_cursor=more)
