"""One unit of work: one session, one transaction, all records."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from registry.access import EVERYTHING, Sight
from registry.access_ports import BlobOwnerRecords, NamespaceRecords, TokenRecords
from registry.history_ports import ChangeRecords, RequestKeyRecords, WebhookRecords
from registry.ports import (
    Begin,
    BlobRecords,
    DatasetRecords,
    ModuleRecords,
    PipelineRecords,
    TaskRecords,
    UnitOfWork,
    VerificationRecords,
)
from registry.upload_records import UploadRecords
from registry.work_ports import JobRecords, OutcomeRecords, QueryRecords, StatisticsRecords
from storage.records.blob_owners import SqlBlobOwnerRecords
from storage.records.blobs import SqlBlobRecords
from storage.records.changes import SqlChangeRecords
from storage.records.datasets import SqlDatasetRecords
from storage.records.jobs import SqlJobRecords
from storage.records.modules import SqlModuleRecords
from storage.records.namespaces import SqlNamespaceRecords
from storage.records.outcomes import SqlOutcomeRecords
from storage.records.pipelines import SqlPipelineRecords
from storage.records.queries import SqlQueryRecords
from storage.records.request_keys import SqlRequestKeyRecords
from storage.records.statistics import SqlStatisticsRecords
from storage.records.tasks import SqlTaskRecords
from storage.records.tokens import SqlTokenRecords
from storage.records.uploads import SqlUploadRecords
from storage.records.verification import SqlVerificationRecords
from storage.records.webhooks import SqlWebhookRecords
from storage.transaction import Transaction
from storage.translation import translated


class SqlUnitOfWork:
    """All records within one transaction, which whoever opened it commits.

    Reads never wait. The first change takes the locks it needs: on SQLite the write lock, so that from there on
    nobody else writes; on PostgreSQL the rows. What was read before the first change may be out of date by then;
    where that matters, `hold` comes first, `next_version` first takes the module's lock, and alias and job changes
    compare and swap. Whoever changes a row and then holds may be refused with BusyError on PostgreSQL, as another
    holder may wait for that row: hold first.
    """

    modules: ModuleRecords
    verifications: VerificationRecords
    pipelines: PipelineRecords
    datasets: DatasetRecords
    tasks: TaskRecords
    jobs: JobRecords
    statistics: StatisticsRecords
    queries: QueryRecords
    outcomes: OutcomeRecords
    uploads: UploadRecords
    blobs: BlobRecords
    changes: ChangeRecords
    tokens: TokenRecords
    namespaces: NamespaceRecords
    blob_owners: BlobOwnerRecords
    request_keys: RequestKeyRecords
    webhooks: WebhookRecords

    def __init__(self, transaction: Transaction, sight: Sight = EVERYTHING) -> None:
        """Args: transaction: of a session that has begun; sight: what reads may find."""
        self._transaction = transaction
        self.modules = SqlModuleRecords(transaction, sight)
        self.verifications = SqlVerificationRecords(transaction)
        self.pipelines = SqlPipelineRecords(transaction, sight)
        self.datasets = SqlDatasetRecords(transaction)
        self.tasks = SqlTaskRecords(transaction)
        self.jobs = SqlJobRecords(transaction)
        self.statistics = SqlStatisticsRecords(transaction)
        self.queries = SqlQueryRecords(transaction, sight)
        self.outcomes = SqlOutcomeRecords(transaction, sight)
        self.uploads = SqlUploadRecords(transaction)
        self.blobs = SqlBlobRecords(transaction)
        self.changes = SqlChangeRecords(transaction, sight)
        self.request_keys = SqlRequestKeyRecords(transaction)
        self.webhooks = SqlWebhookRecords(transaction)
        self.tokens = SqlTokenRecords(transaction)
        self.namespaces = SqlNamespaceRecords(transaction, sight)
        self.blob_owners = SqlBlobOwnerRecords(transaction)

    def seeing_everything(self) -> UnitOfWork:
        """The same transaction, whose reads find everything."""
        return SqlUnitOfWork(self._transaction)

    def finish(self) -> None:
        """Write what waits for the end: the audit, whose row of serials everybody wants."""
        self._transaction.finish()

    def hold(self) -> None:
        """Wait until no other transaction holds, and hold until this one ends.

        On SQLite this is the write lock, so nobody else writes at all, and who waits longer than `BUSY_SECONDS` is
        refused with BusyError; on PostgreSQL it is one advisory lock, which others who hold wait for, and nobody else.
        """
        self._transaction.hold()

    def hold_shared(self) -> None:
        """Keep others from holding until this one ends, together with any number that do the same.

        On SQLite, where only one writes at a time anyway, this is `hold`.
        """
        self._transaction.hold_shared()


def units_of_work(engine: Engine) -> Begin:
    """Units of work on a database: each commits when its block ends without an error, else nothing happened."""

    @contextmanager
    def begin(sight: Sight = EVERYTHING) -> Iterator[UnitOfWork]:
        with translated(), Session(engine) as session, session.begin():
            work = SqlUnitOfWork(Transaction(session), sight)
            yield work
            work.finish()

    return begin
