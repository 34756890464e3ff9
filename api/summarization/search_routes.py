"""Routes over all summaries of a user: /api/summarization/search and …/analytics."""

from typing import Annotated

from fastapi import APIRouter, Query

from api.dependencies import CurrentUser, Session
from api.envelope import EnvelopeRoute
from api.errors import ErrorType
from api.openapi import SIGNED_IN_TYPES, errors
from api.pagination import Page, Paging
from api.periods import DAY, Moment, end, require_order, start
from api.summarization import search_answers
from api.summarization.search_schemas import SummaryAnalytics, SummaryHit, SummarySearch
from db.queries import summary_figures, summary_search
from db.queries.summary_search import SummaryFilters

router = APIRouter(prefix="/api/summarization", tags=["summarization"], route_class=EnvelopeRoute)

REFUSALS = errors(*SIGNED_IN_TYPES, ErrorType.validation_error)


@router.post(
    "/search",
    summary="Search in my summaries",
    response_description="Summaries",
    responses=REFUSALS,
)
async def search(
    session: Session, user: CurrentUser, wanted: SummarySearch, paging: Paging
) -> Page[SummaryHit]:
    """The newest summary of each file that meets everything asked for; best first, then newest."""
    least, before = wanted.period
    filters = SummaryFilters(
        words=wanted.query,
        speakers=wanted.speakers,
        from_date=least,
        before_date=before,
        has_action_items=wanted.has_pending_actions,
    )
    rows, total = await summary_search.page(
        session, user.id, filters, limit=paging.page_size, offset=paging.offset
    )
    return paging.of([search_answers.hit(row, wanted.query) for row in rows], total)


@router.get(
    "/analytics",
    summary="Figures about my summaries",
    response_description="Analytics",
    responses=REFUSALS,
)
async def analytics(
    session: Session,
    user: CurrentUser,
    date_from: Annotated[Moment | None, Query(description=f"Made not before; {DAY}")] = None,
    date_to: Annotated[Moment | None, Query(description=f"Made not after; {DAY}")] = None,
) -> SummaryAnalytics:
    """Who and what is named, what is to be done, and what the models took.

    Names and topics are of the newest summary of each file; what models took is of all versions.
    """
    least = None if date_from is None else start(date_from)
    before = None if date_to is None else end(date_to)
    require_order({("date_from", "date_to"): (least, before)})
    return search_answers.analytics(await summary_figures.figures(session, user.id, least, before))
