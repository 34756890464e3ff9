"""Routes of what backfills came to: /api/admin/backfills/{backfill_id}/items and /report."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Annotated, BinaryIO

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse

from api.backfills.report_schemas import ItemOut, ReportOut
from api.backfills.routes import OF_ONE
from api.dependencies import App, CurrentAdmin, Session
from api.envelope import EnvelopeRoute
from api.headers import content_disposition
from api.openapi import errors
from api.pagination import Page, Paging
from db.models import ItemState
from db.queries import backfills
from pipelines.backfills import reporting

router = APIRouter(
    prefix="/api/admin/backfills/{backfill_id}", tags=["admin"], route_class=EnvelopeRoute
)

PARQUET = "application/vnd.apache.parquet"
CHUNK_BYTES = 1024 * 1024
REPORTED = {
    **errors(*OF_ONE),
    200: {
        "description": "A Parquet file, a row for each file",
        "content": {PARQUET: {"schema": {"type": "string", "format": "binary"}}},
    },
}


@router.get(
    "/items",
    summary="List the files of a backfill",
    response_description="Files in their order",
    responses=errors(*OF_ONE),
)
async def list_items(
    session: Session,
    _: CurrentAdmin,
    paging: Paging,
    backfill_id: uuid.UUID,
    state: Annotated[list[ItemState] | None, Query(description="Only these")] = None,
) -> Page[ItemOut]:
    """What became of each file, and why."""
    await backfills.get(session, backfill_id)
    rows, total = await backfills.items(
        session, backfill_id, state or [], limit=paging.page_size, offset=paging.offset
    )
    return paging.of([ItemOut.model_validate(row) for row in rows], total)


@router.get(
    "/report",
    summary="What a backfill came to",
    response_description="Report",
    responses=errors(*OF_ONE),
)
async def report(session: Session, _: CurrentAdmin, backfill_id: uuid.UUID) -> ReportOut:
    """Done, failed and skipped files with the reasons, and how fast it went."""
    return ReportOut.of(await reporting.report(session, backfill_id))


@router.get(
    "/report.parquet",
    summary="What became of each file, as Parquet",
    response_class=StreamingResponse,
    responses=REPORTED,
)
async def report_parquet(
    services: App, _: CurrentAdmin, backfill_id: uuid.UUID
) -> StreamingResponse:
    """A row for each file, for whatever reads Parquet."""
    async with AsyncExitStack() as stack:
        file = await stack.enter_async_context(reporting.parquet(services.sessions, backfill_id))
        kept = stack.pop_all()
    return StreamingResponse(
        _sent(file, kept),
        media_type=PARQUET,
        headers={
            "content-disposition": content_disposition("attachment", f"{backfill_id}.parquet"),
            "x-content-type-options": "nosniff",
            "cache-control": "no-store",
        },
    )


async def _sent(file: BinaryIO, kept: AsyncExitStack) -> AsyncIterator[bytes]:
    async with kept:
        while chunk := await asyncio.to_thread(file.read, CHUNK_BYTES):
            yield chunk
