"""Routes of use and cost: /api/admin/usage, and one's own at /api/users/me/usage."""

import uuid
from collections.abc import AsyncIterator, Sequence
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from fastapi.responses import StreamingResponse
from sqlalchemy.ext.asyncio import AsyncSession

from api.dependencies import App, CallerAddress, CurrentAdmin, CurrentUser, Services, Session
from api.envelope import EnvelopeRoute
from api.errors import ErrorType
from api.openapi import ADMIN_TYPES, SIGNED_IN_TYPES, errors
from api.pagination import Page, Paging
from api.periods import AskedSpan
from api.spreadsheets import AskedFormat, ExportFormat, download, exported, lines, table
from api.usage.schemas import Usage, UsageLine, UserUsage
from db.engine import session_scope
from db.queries import audit, usage
from db.queries.audit import Action
from db.queries.usage import Period
from pipelines.usage import one_cost

router = APIRouter(prefix="/api/admin/usage", tags=["admin"], route_class=EnvelopeRoute)
own_router = APIRouter(prefix="/api/users/me/usage", tags=["users"], route_class=EnvelopeRoute)

BATCH = 500
"""Users of an export that are in memory at a time."""


def _period(span: AskedSpan) -> Period:
    return Period(*span)


Wanted = Annotated[Period, Depends(_period)]
OneUser = Annotated[uuid.UUID | None, Query(description="Only this user's")]


@own_router.get(
    "",
    summary="What I have used",
    response_description="Use and cost",
    responses=errors(*SIGNED_IN_TYPES, ErrorType.validation_error),
)
async def show_own(services: App, session: Session, user: CurrentUser, period: Wanted) -> Usage:
    """Audio, model time and tokens of one's completed tasks, and what they cost.

    Files that are deleted still count: the work was done. Without `from` and `to`: since ever.
    """
    found = await usage.totals(session, [user.id], period)
    return Usage.of(found[user.id], services.prices)


@router.get(
    "",
    summary="What users have used",
    response_description="Use and cost by user",
    responses=errors(*ADMIN_TYPES, ErrorType.validation_error),
)
async def list_usage(
    services: App,
    session: Session,
    _: CurrentAdmin,
    paging: Paging,
    period: Wanted,
    user_id: OneUser = None,
) -> Page[UserUsage]:
    """Audio, model time and tokens of completed tasks by user, and what they cost.

    What was used stays when files, tasks or accounts are deleted. Work that was not published, by
    attempts that failed or died, is nobody's: metrics have it (`rayscribe_batch_busy_seconds`).
    """
    ids = await usage.users(
        session, period, user_id=user_id, limit=paging.page_size, offset=paging.offset
    )
    total = await usage.count_users(session, period, user_id)
    found = await usage.totals(session, ids, period)
    known = await usage.emails(session, ids)
    return paging.of(
        [
            UserUsage.of(found[one], services.prices, user_id=one, email=known.get(one))
            for one in ids
        ],
        total,
    )


@router.get(
    "/export",
    summary="Export what users have used",
    response_class=StreamingResponse,
    responses=exported("A line for each user and measure"),
)
async def export_usage(
    services: App,
    session: Session,
    admin: CurrentAdmin,
    address: CallerAddress,
    period: Wanted,
    format: AskedFormat,  # noqa: A002
    user_id: OneUser = None,
) -> StreamingResponse:
    """The same as a download, a line for each user and measure; that it was made is written down.

    In CSV a cell that a spreadsheet would take for a formula begins with an apostrophe.
    """
    asked = {"from": period.date_from, "to": period.date_to, "user_id": user_id}
    told = {name: str(value) for name, value in asked.items() if value is not None}
    audit.add(
        session,
        Action.usage_exported,
        actor_id=admin.id,
        address=address,
        details={"format": format, "filters": told},
    )
    return download(_exported(services, period, user_id, format), format, "usage")


async def _exported(
    services: Services, period: Period, user_id: uuid.UUID | None, written: ExportFormat
) -> AsyncIterator[str]:
    """The text, batch by batch, without a transaction open while the client reads."""
    if written is ExportFormat.csv:
        yield table([UsageLine.model_fields])
    last: uuid.UUID | None = None
    while True:
        async with session_scope(services.sessions) as session:
            ids = await usage.users(session, period, user_id=user_id, limit=BATCH, after=last)
            found = await _lines(session, services, ids, period)
        if not ids:
            return
        yield lines([line.model_dump(mode="json") for line in found], written)
        last = ids[-1]


async def _lines(
    session: AsyncSession, services: Services, ids: Sequence[uuid.UUID], period: Period
) -> list[UsageLine]:
    found = await usage.totals(session, ids, period)
    known = await usage.emails(session, ids)
    prices = services.prices
    return [
        UsageLine(
            user_id=one,
            email=known.get(one),
            measure=amount.measure,
            stage=amount.stage,
            model=amount.model,
            amount=round(amount.amount, 3),
            cost=round(one_cost(amount, prices), 6),
            currency=prices.currency,
        )
        for one in ids
        for amount in found[one]
    ]
