"""The tables. A row never leaves `storage`: records are kept whole as JSON text, beside the columns they are found
by.
"""

from storage.tables.access import BlobOwnerRow, NamespaceMemberRow, NamespaceRow, PipelineNamespaceRow, TokenRow
from storage.tables.blobs import TurnRow, UnreferredBlobRow, UploadPieceRow, UploadRow
from storage.tables.declared import Table
from storage.tables.history import AuditRow, CounterRow, DeliveryRow, RequestKeyRow, WebhookRow
from storage.tables.modules import (
    AliasMoveRow,
    AliasRow,
    ModuleRow,
    PipelineModuleRow,
    PipelineRow,
    VerificationRow,
    VersionRow,
    WordRow,
)
from storage.tables.work import (
    DatasetOwnerRow,
    DatasetRow,
    JobRow,
    OutcomeRow,
    QueryAskerRow,
    QueryDataRow,
    QueryJobRow,
    QueryNamespaceRow,
    QueryRow,
    StandingRow,
    StatisticsRow,
    TaskOwnerRow,
    TaskRow,
)

__all__ = [
    "AliasMoveRow",
    "AliasRow",
    "AuditRow",
    "BlobOwnerRow",
    "CounterRow",
    "DatasetOwnerRow",
    "DatasetRow",
    "DeliveryRow",
    "JobRow",
    "ModuleRow",
    "NamespaceMemberRow",
    "NamespaceRow",
    "OutcomeRow",
    "PipelineModuleRow",
    "PipelineNamespaceRow",
    "PipelineRow",
    "QueryAskerRow",
    "QueryDataRow",
    "QueryJobRow",
    "QueryNamespaceRow",
    "QueryRow",
    "RequestKeyRow",
    "StandingRow",
    "StatisticsRow",
    "Table",
    "TaskOwnerRow",
    "TaskRow",
    "TokenRow",
    "TurnRow",
    "UnreferredBlobRow",
    "UploadPieceRow",
    "UploadRow",
    "VerificationRow",
    "VersionRow",
    "WebhookRow",
    "WordRow",
]
