"""Routes that edit a transcript: /api/files/{file_id}/transcript/segments and /edits."""

import uuid

from fastapi import APIRouter, Response

from api.dependencies import App, CurrentUser, Session
from api.envelope import EnvelopeRoute
from api.errors import ErrorType
from api.openapi import owned_errors
from api.pagination import Page, Paging
from api.transcripts import editing
from api.transcripts.edit_schemas import (
    EditOut,
    PastEdit,
    SegmentChange,
    SegmentMerge,
    SegmentSplit,
)
from api.transcripts.editing import Held
from api.transcripts.versions import MATCH_TYPES, IfMatch, etag
from db.queries import edits, reading

router = APIRouter(prefix="/api/files", tags=["transcripts"], route_class=EnvelopeRoute)


def _tagged(response: Response, held: Held, answer: EditOut) -> EditOut:
    response.headers["ETag"] = etag(held.transcript, answer.version)
    return answer


@router.put(
    "/{file_id}/transcript/segments/{segment_id}",
    summary="Edit a segment",
    response_description="Segment edited",
    responses=owned_errors(*MATCH_TYPES, ErrorType.name_taken, ErrorType.conflict),
)
async def edit_segment(
    services: App,
    session: Session,
    user: CurrentUser,
    response: Response,
    file_id: uuid.UUID,
    segment_id: uuid.UUID,
    wanted: SegmentChange,
    if_match: IfMatch = "",
) -> EditOut:
    """Change what is said, who says it, or both; search and exports follow.

    Words that stay keep their times; others share the time of those they replace, or the pause.
    Edits live until the file is computed anew (`POST /api/files/{file_id}/reprocess`).
    """
    most = services.voices.max_speakers_per_file
    held = await editing.hold(session, user.id, file_id, if_match, most)
    return _tagged(response, held, await editing.change(held, segment_id, wanted))


@router.post(
    "/{file_id}/transcript/segments/{segment_id}/split",
    summary="Split a segment",
    response_description="Segment split",
    responses=owned_errors(*MATCH_TYPES),
)
async def split_segment(
    services: App,
    session: Session,
    user: CurrentUser,
    response: Response,
    file_id: uuid.UUID,
    segment_id: uuid.UUID,
    wanted: SegmentSplit,
    if_match: IfMatch = "",
) -> EditOut:
    """Make two segments of one: the first keeps the id, both have at least one word.

    Where words have speakers of their own, each half belongs to whoever says most of it.
    """
    most = services.voices.max_speakers_per_file
    held = await editing.hold(session, user.id, file_id, if_match, most)
    return _tagged(response, held, await editing.split(held, segment_id, wanted))


@router.post(
    "/{file_id}/transcript/segments/merge",
    summary="Merge segments",
    response_description="Segments merged",
    responses=owned_errors(*MATCH_TYPES),
)
async def merge_segments(
    services: App,
    session: Session,
    user: CurrentUser,
    response: Response,
    file_id: uuid.UUID,
    wanted: SegmentMerge,
    if_match: IfMatch = "",
) -> EditOut:
    """Make one segment of several that follow each other: it keeps the first one's id.

    It belongs to whoever says most of it; its words keep their speakers, so that a split gives
    them back.
    """
    most = services.voices.max_speakers_per_file
    held = await editing.hold(session, user.id, file_id, if_match, most)
    return _tagged(response, held, await editing.merge(held, wanted))


@router.get(
    "/{file_id}/transcript/edits",
    summary="The history of edits",
    response_description="Edits",
    responses=owned_errors(),
)
async def list_edits(
    session: Session, user: CurrentUser, paging: Paging, file_id: uuid.UUID
) -> Page[PastEdit]:
    """Who changed what into what, newest first; also when the file was computed anew."""
    file = await reading.file(session, user, file_id)
    found, total = await edits.page(session, file.id, limit=paging.page_size, offset=paging.offset)
    return paging.of([PastEdit.of(edit, who) for edit, who in found], total)


@router.post(
    "/{file_id}/transcript/edits/{edit_id}/undo",
    summary="Undo the latest edit",
    response_description="Edit undone",
    responses=owned_errors(*MATCH_TYPES, ErrorType.conflict),
)
async def undo_edit(
    services: App,
    session: Session,
    user: CurrentUser,
    response: Response,
    file_id: uuid.UUID,
    edit_id: uuid.UUID,
    if_match: IfMatch = "",
) -> EditOut:
    """Give the segments back as they were before, ids included.

    That is an edit too: undoing it makes the first one again.
    """
    most = services.voices.max_speakers_per_file
    held = await editing.hold(session, user.id, file_id, if_match, most)
    return _tagged(response, held, await editing.undo(held, edit_id))
