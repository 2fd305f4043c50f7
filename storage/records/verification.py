"""What workers found of modules, in SQL."""

from collections.abc import Iterable

from sqlalchemy import ColumnElement, delete, select, update

from registry.names import Digest
from registry.records import Verification, VerificationState
from storage.tables import VerificationRow, VersionRow
from storage.transaction import Transaction, chunks


class SqlVerificationRecords:
    """What workers found of modules, told of their bytes."""

    def __init__(self, transaction: Transaction) -> None:
        """Args: transaction: the one all records of a unit of work share."""
        self._transaction = transaction

    def get(self, modules: Iterable[Digest]) -> dict[Digest, Verification]:
        """Those of the modules of which something was found."""
        found: dict[Digest, Verification] = {}
        for some in chunks(dict.fromkeys(modules)):
            wanted = select(VerificationRow.digest, VerificationRow.record).where(VerificationRow.digest.in_(some))
            rows = self._transaction.rows(wanted)
            found |= {Digest(digest): Verification.model_validate_json(record) for digest, record in rows}
        return found

    def hold(self, module: Digest) -> None:
        """Wait until nobody else holds these bytes, and hold them: what is found of them stays until this one ends."""
        self._transaction.hold_bytes(module)

    def put(self, module: Digest, verification: Verification) -> None:
        """Record what was found, in place of what was found before."""
        self.hold(module)
        values = {"state": verification.state, "record": verification.model_dump_json()}
        new = self._transaction.insert(VerificationRow).values(digest=module, **values)
        self._transaction.change(new.on_conflict_do_update(index_elements=[VerificationRow.digest], set_=values))
        mark_versions(self._transaction, module)


def mark_versions(transaction: Transaction, module: Digest) -> None:
    """Have the versions with these bytes found as verified, or not. The bytes are held."""
    marked = update(VersionRow).where(VersionRow.digest == module, VersionRow.verified != is_verified(module))
    transaction.change(marked.values(verified=is_verified(module)))


def is_verified(module: Digest) -> ColumnElement[bool]:
    """Whether a worker has built and run these bytes with success."""
    verdict = select(VerificationRow.digest).where(VerificationRow.digest == module)
    return verdict.where(VerificationRow.state == VerificationState.VERIFIED).correlate(None).exists()


def forget_orphan(transaction: Transaction, module: Digest) -> None:
    """Forget what was found of bytes that no version has any more. The bytes are held."""
    held = select(VersionRow.id).where(VersionRow.digest == module).exists()
    transaction.change(delete(VerificationRow).where(VerificationRow.digest == module, ~held))
