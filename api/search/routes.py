"""Routes that search in one's own recordings: /api/search."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query

from api.dependencies import App, CurrentUser, Services, Session
from api.envelope import EnvelopeRoute
from api.errors import ErrorType
from api.openapi import SIGNED_IN, SIGNED_IN_TYPES, errors
from api.pagination import Paging
from api.search import answers
from api.search.filters import Filters, Text, refused
from api.search.schemas import FacetsOut, SearchAnswer, SuggestionsOut
from api.text import one_line
from db.queries import search_facets
from pipelines.search.finding import (
    Asked,
    Mode,
    NothingAsked,
    SearchStores,
    Sort,
    find,
)
from pipelines.search.suggesting import suggest

router = APIRouter(prefix="/api/search", tags=["search"], route_class=EnvelopeRoute)

MODE = "By words and meaning, or by one of them"
SORT = "What files are sorted by; what is not known yet counts as the least"


def stores_of(services: Services) -> SearchStores:
    """What searches ask."""
    return SearchStores(
        sessions=services.sessions,
        keywords=services.keywords,
        vectors=services.vectors,
        embedder=services.text_embedder,
        settings=services.search,
    )


@router.get(
    "",
    summary="Search my recordings",
    response_description="What was found",
    responses=errors(
        *SIGNED_IN_TYPES,
        ErrorType.validation_error,
        ErrorType.store_unavailable,
        ErrorType.speech_unavailable,
    ),
)
async def search(
    services: App,
    user: CurrentUser,
    text: Text,
    filters: Filters,
    paging: Paging,
    search_mode: Annotated[Mode, Query(description=MODE)] = Mode.hybrid,
    sort_by: Annotated[Sort, Query(description=SORT)] = Sort.relevance,
    sort_order: Annotated[
        Literal["asc", "desc"], Query(description="`desc`: best, newest, longest, largest first")
    ] = "desc",
) -> SearchAnswer:
    """Files in which something matches, each with its best places, speakers, times and reasons.

    A file is shown if it meets every filter. Both stores are asked at the same time, each within
    its own time; one that does not answer is named in `degraded_reasons`, and if none does, the
    request is refused. Files are found among the best passages of each store
    (`RAYSCRIBE_SEARCH_WINDOW`, 500); `capped` says that there may be more.
    """
    asked = Asked(
        user_id=user.id,
        text=text,
        mode=search_mode,
        filters=filters,
        sort=sort_by,
        descending=sort_order == "desc",
        limit=paging.page_size,
        offset=paging.offset,
    )
    try:
        found = await find(asked, stores_of(services))
    except NothingAsked as error:
        raise refused(str(error)) from error
    return answers.search(found, search_mode, paging)


@router.get(
    "/suggestions",
    summary="Suggestions as one types",
    response_description="Suggestions",
    responses=errors(*SIGNED_IN_TYPES, ErrorType.validation_error),
)
async def suggestions(
    services: App,
    user: CurrentUser,
    q: Annotated[
        str, Query(min_length=2, max_length=200, description="What is typed so far"), one_line
    ],
    limit: Annotated[int, Query(ge=1, le=20, description="Most suggestions")] = 8,
) -> SuggestionsOut:
    """Titles, speakers and tags that have what is typed; words that were said and begin so."""
    return answers.suggestions(await suggest(user.id, q, limit, stores_of(services)))


@router.get(
    "/filters",
    summary="What a search can be narrowed by",
    response_description="Values with counts",
    responses=SIGNED_IN,
)
async def filters_of_user(session: Session, user: CurrentUser) -> FacetsOut:
    """What your transcribed files have: speakers, tags, collections, types, languages, bounds."""
    return answers.facets(await search_facets.facets(session, user.id))
