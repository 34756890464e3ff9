"""Server-sent events: /api/files/streaming/{file_id}/events."""

import uuid
from typing import Annotated

from fastapi import APIRouter, Header, Query, Response
from fastapi.responses import StreamingResponse

from api.dependencies import App, CurrentSession
from api.envelope import EnvelopeRoute
from api.errors import ApiError, ErrorType
from api.events.hub import LARGEST_ID
from api.events.stream import EventResponse, FileStream
from api.openapi import Responses, owned_errors
from db.engine import session_scope
from db.queries import media_files

router = APIRouter(prefix="/api/files/streaming", tags=["events"], route_class=EnvelopeRoute)

EXAMPLE = (
    "id: 17\nevent: transcription_status\n"
    'data: {"task_id":"…","task_state":"running","stage":"transcribe","progress":42.0,…}\n\n'
)
RESPONSES: Responses = {
    200: {
        "description": "Events until the newest task is over",
        "content": {"text/event-stream": {"schema": {"type": "string"}, "example": EXAMPLE}},
    },
    **owned_errors(ErrorType.server_busy, ErrorType.store_unavailable),
}


@router.get(
    "/{file_id}/events",
    summary="A file's events as they happen",
    response_class=StreamingResponse,
    responses=RESPONSES,
)
async def stream_events(
    services: App,
    signed_in: CurrentSession,
    file_id: uuid.UUID,
    header_id: Annotated[
        int | None,
        Header(alias="Last-Event-ID", ge=0, le=LARGEST_ID, description="Go on after this event"),
    ] = None,
    last_event_id: Annotated[
        int | None, Query(ge=0, le=LARGEST_ID, description="The same; the header goes first")
    ] = None,
    follow: Annotated[bool, Query(description="Stay after the newest task is over")] = False,
) -> Response:
    """First how the newest task stands, then what was missed, then what happens.

    The stream ends with the newest task (`docs/events.md`).
    """
    async with session_scope(services.sessions) as session:
        await media_files.get(session, signed_in.user.id, file_id)
    if services.hub.is_full(signed_in.user.id):
        raise ApiError(ErrorType.server_busy, "You have too many event streams: close some.")
    stream = FileStream(services, signed_in, file_id, follow=follow)
    return EventResponse(stream.after(last_event_id if header_id is None else header_id))
