"""Lineage: all that a version stands on, all that stands on it, and the pipelines that hold it."""

from collections.abc import Iterator

from registry.errors import NotFoundError
from registry.names import Digest
from registry.ports import UnitOfWork
from registry.records import Lineage, PublishedModule

MOST_RELATIVES = 200


def lineage_of(work: UnitOfWork, module: PublishedModule, *, limit: int, cursor: str | None) -> Lineage:
    """What a version stands on, nearest first, and a page of what stands on it.

    A module stands on bytes, so where these were published several times the oldest version that is still here is
    named; where none is, the digest is.
    """
    above = work.modules.descendants(module.digest, limit=limit, cursor=cursor)
    holding = work.pipelines.list(limit=limit, cursor=None, holding=module.digest)
    return Lineage(
        below=tuple(_named(part) for part in _down(work, module)),
        above=above.items,
        pipelines=tuple(pipeline.id for pipeline in holding.items),
        next_cursor=above.next_cursor,
    )


def chain_below(work: UnitOfWork, module: PublishedModule) -> tuple[PublishedModule, ...]:
    """The module and all it stands on, the input module first. Raises NotFoundError where the chain is broken."""
    chain = [module]
    for part in _down(work, module):
        if not isinstance(part, PublishedModule):
            raise NotFoundError(f"{chain[-1].ref} stands on {part}, which is not in this zoo")
        chain.append(part)
    return tuple(reversed(chain))


def _down(work: UnitOfWork, module: PublishedModule) -> Iterator[PublishedModule | Digest]:
    """All that a module stands on, nearest first; it ends with a digest where that is not here."""
    wanted = module.below
    while wanted is not None:
        found = work.modules.by_digest(wanted)
        yield found[0] if found else wanted
        wanted = found[0].below if found else None


def _named(part: PublishedModule | Digest) -> str:
    return part.ref if isinstance(part, PublishedModule) else part
