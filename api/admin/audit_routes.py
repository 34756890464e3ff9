"""Routes of the audit log: /api/admin/audit."""

import uuid
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from fastapi.responses import StreamingResponse

from api.admin.schemas import AuditEntry
from api.dependencies import App, CallerAddress, CurrentAdmin, Session
from api.envelope import EnvelopeRoute
from api.errors import ErrorType
from api.openapi import ADMIN_TYPES, errors
from api.pagination import Page, Paging
from api.periods import AskedSpan
from api.spreadsheets import AskedFormat, ExportFormat, download, exported, lines, table
from db.engine import Sessions, session_scope
from db.models import AuditEvent
from db.queries import audit
from db.queries.audit import Action, Filters

router = APIRouter(prefix="/api/admin/audit", tags=["admin"], route_class=EnvelopeRoute)

BATCH = 1000
"""Events of an export that are in memory at a time."""
COLUMNS = tuple(AuditEntry.model_fields)


def _filters(
    span: AskedSpan,
    actor_id: Annotated[uuid.UUID | None, Query(description="Who did it")] = None,
    owner_id: Annotated[uuid.UUID | None, Query(description="Whose thing it was")] = None,
    action: Annotated[Action | None, Query(description="What was done")] = None,
    subject: Annotated[
        str | None,
        Query(
            max_length=64,
            # As ids and names of sections are; a NUL could not be asked for.
            pattern=r"^[\x21-\x7e]+$",
            description="The id of what it was done to, such as a file's",
        ),
    ] = None,
) -> Filters:
    return Filters(actor_id, owner_id, action, subject, *span)


Wanted = Annotated[Filters, Depends(_filters)]


@router.get(
    "",
    summary="The audit log",
    response_description="Events, newest first",
    responses=errors(*ADMIN_TYPES, ErrorType.validation_error),
)
async def list_events(
    session: Session, _: CurrentAdmin, paging: Paging, filters: Wanted
) -> Page[AuditEntry]:
    """What was done with power over others and with accounts, newest first.

    Reading this log is not written to it; exporting it is.
    """
    rows, total = await audit.page(session, filters, limit=paging.page_size, offset=paging.offset)
    return paging.of([AuditEntry.model_validate(row) for row in rows], total)


@router.get(
    "/export",
    summary="Export the audit log",
    response_class=StreamingResponse,
    responses=exported("The events, newest first"),
)
async def export_events(
    services: App,
    session: Session,
    admin: CurrentAdmin,
    address: CallerAddress,
    filters: Wanted,
    format: AskedFormat,  # noqa: A002
) -> StreamingResponse:
    """All events that match, newest first, as a download; that it was made is written down.

    In CSV a cell that a spreadsheet would take for a formula begins with an apostrophe.
    """
    audit.add(
        session,
        Action.audit_exported,
        actor_id=admin.id,
        address=address,
        details={"format": format, "filters": filters.told()},
    )
    return download(_exported(services.sessions, filters, format), format, "audit")


async def _exported(
    sessions: Sessions, filters: Filters, written: ExportFormat
) -> AsyncIterator[str]:
    """The text, batch by batch, without a transaction open while the client reads."""
    if written is ExportFormat.csv:
        yield table([COLUMNS])
    last: AuditEvent | None = None
    while True:
        async with session_scope(sessions) as session:
            batch = await audit.before(session, filters, last, BATCH)
        if not batch:
            return
        entries = [AuditEntry.model_validate(event).model_dump(mode="json") for event in batch]
        yield lines(entries, written)
        last = batch[-1]
