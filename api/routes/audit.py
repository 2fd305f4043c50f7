"""The audit over HTTP, for whoever keeps the zoo."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field
from starlette.responses import Response

from api.answers import answer
from api.inputs import LONGEST_PAGE, PAGE, Moment, TheZoo
from api.openapi import refusals
from registry.audit_records import AuditCheck, AuditEntry, AuditSearch, Kind
from registry.frozen import Frozen
from registry.records import Page

router = APIRouter(tags=["audit"])

LONGEST_REF = 300

Word = Annotated[str | None, Field(max_length=LONGEST_REF, pattern="^[^\x00]*$")]


class AuditParameters(Frozen):
    """Which entries, and which page of them."""

    ref: Annotated[Word, Field(description="only what was done to this")] = None
    actor: Annotated[Word, Field(description="only what was done on this one's request")] = None
    kind: Annotated[Kind | None, Field(description="only what was done in this way")] = None
    since: Annotated[Moment | None, Field(description="only from this moment on")] = None
    limit: Annotated[int, Field(ge=1, le=LONGEST_PAGE, description="most items of one page")] = PAGE
    cursor: Annotated[str | None, Field(max_length=1000, description="`next_cursor` of the page before")] = None


@router.get("/audit", response_model=Page[AuditEntry], operation_id="list_audit", responses=refusals())
def list_audit(zoo: TheZoo, wanted: Annotated[AuditParameters, Query()]) -> Response:
    """Who changed what, newest first: each entry with its hash, which covers all before it."""
    search = AuditSearch(ref=wanted.ref, actor=wanted.actor, kind=wanted.kind, since=wanted.since)
    return answer(zoo.audit.entries(search, limit=wanted.limit, cursor=wanted.cursor))


@router.get("/audit/check", response_model=AuditCheck, operation_id="check_audit", responses=refusals())
def check_audit(zoo: TheZoo) -> Response:
    """Whether every entry is as it was written; every hash is computed again."""
    return answer(zoo.audit.verify())
