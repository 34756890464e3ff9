"""Routes of figures about a conversation: /api/files/{file_id}/analytics."""

import uuid

from fastapi import APIRouter

from api.dependencies import App, CurrentUser
from api.envelope import EnvelopeRoute
from api.errors import ErrorType
from api.openapi import owned_errors
from api.transcripts import figures
from api.transcripts.analytics_schemas import AnalyticsOut
from db.engine import session_scope
from db.queries import media_files, reading

router = APIRouter(prefix="/api/files", tags=["transcripts"], route_class=EnvelopeRoute)


@router.get(
    "/{file_id}/analytics",
    summary="Figures about the conversation",
    response_description="Analytics",
    responses=owned_errors(ErrorType.transcript_not_ready),
)
async def get_analytics(services: App, user: CurrentUser, file_id: uuid.UUID) -> AnalyticsOut:
    """Who speaks how long and how fast, turns, questions, interruptions, silence.

    Computed when they are asked for first, and again after an edit.
    """
    async with session_scope(services.sessions) as session:
        file = await reading.file(session, user, file_id)
        found = await figures.stored(session, file)
    return found or await figures.computed(services, file)


@router.post(
    "/{file_id}/analytics/refresh",
    summary="Compute the figures anew",
    response_description="Analytics",
    responses=owned_errors(ErrorType.transcript_not_ready),
)
async def refresh_analytics(services: App, user: CurrentUser, file_id: uuid.UUID) -> AnalyticsOut:
    """The figures, counted now; needed only if there is doubt about those that are stored."""
    async with session_scope(services.sessions) as session:
        file = await media_files.get(session, user.id, file_id)
        await figures.version(session, file)
    return await figures.computed(services, file)
