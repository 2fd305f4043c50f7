"""Idempotency keys in SQL."""

from datetime import datetime

from sqlalchemy import ColumnElement, delete, select, tuple_, update

from registry.key_records import FirstAnswer, RequestKey
from registry.names import Digest
from storage.tables import RequestKeyRow
from storage.transaction import Transaction

FORGOTTEN_AT_ONCE = 100


class SqlRequestKeyRecords:
    """Which requests were made under which key. The row of a key is its lock, until the transaction ends."""

    def __init__(self, transaction: Transaction) -> None:
        """Args: transaction: the one all records of a unit of work share."""
        self._transaction = transaction

    def reserve(self, key: RequestKey, *, at: datetime, since: datetime) -> FirstAnswer | None:
        """Take a key for this transaction, or give the answer that is kept under it since then."""
        self._forget_before(since)
        values = {"fingerprint": key.fingerprint, "answer": "", "created": False, "about": None, "at": at}
        new = self._transaction.insert(RequestKeyRow).values(owner=key.owner, key=key.key, **values)
        taken = new.on_conflict_do_update(
            index_elements=[RequestKeyRow.owner, RequestKeyRow.key], set_=values, where=RequestKeyRow.at < since
        )
        if self._transaction.changed(taken.returning(RequestKeyRow.key)):
            return None
        wanted = select(RequestKeyRow.fingerprint, RequestKeyRow.answer, RequestKeyRow.created)
        row = self._transaction.first(wanted.where(*_is(key)))
        if row is None:
            return self.reserve(key, at=at, since=since)  # it was forgotten just now
        return FirstAnswer(fingerprint=row[0], answer=row[1], created=row[2])

    def keep(self, key: RequestKey, *, answer: str, created: bool, about: Digest | None) -> None:
        """Keep the answer under a key that was taken."""
        kept = update(RequestKeyRow).where(*_is(key)).values(answer=answer, created=created, about=about)
        self._transaction.change(kept)

    def forget_about(self, data: Digest) -> None:
        """Forget the answers that tell of a dataset."""
        self._transaction.change(delete(RequestKeyRow).where(RequestKeyRow.about == data))

    def _forget_before(self, since: datetime) -> None:
        """Forget some that are older; those that somebody else forgets just now are left to them."""
        old = select(RequestKeyRow.owner, RequestKeyRow.key).where(RequestKeyRow.at < since)
        some = old.order_by(RequestKeyRow.at).limit(FORGOTTEN_AT_ONCE).with_for_update(skip_locked=True)
        self._transaction.change(delete(RequestKeyRow).where(tuple_(RequestKeyRow.owner, RequestKeyRow.key).in_(some)))


def _is(key: RequestKey) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return RequestKeyRow.owner == key.owner, RequestKeyRow.key == key.key
