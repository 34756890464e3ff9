"""Routes of comments: /api/comments."""

import uuid
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.exceptions import RequestValidationError

from api.comments.schemas import CommentChanges, CommentIn, CommentOut
from api.dependencies import CurrentUser, Session
from api.envelope import EnvelopeRoute
from api.openapi import owned_errors
from api.pagination import Page, Paging
from db.models import MediaFile
from db.queries import comments, media_files, reading
from db.queries.comments import CommentSort

router = APIRouter(prefix="/api/comments", tags=["comments"], route_class=EnvelopeRoute)


def _require_within(timestamp: float | None, file: MediaFile) -> None:
    """Refuse a moment behind the end, where the end is known."""
    if timestamp is None or file.duration is None or timestamp <= file.duration:
        return
    message = f"The recording ends at {file.duration:.3f} seconds"
    problem = {"loc": ("body", "timestamp"), "msg": message, "type": "less_than_equal"}
    raise RequestValidationError([problem])


@router.get(
    "/files/{file_id}",
    summary="List a file's comments",
    response_description="Comments",
    responses=owned_errors(),
)
async def list_comments(
    session: Session,
    user: CurrentUser,
    paging: Paging,
    file_id: uuid.UUID,
    sort: Annotated[
        CommentSort,
        Query(description="`created_at`: oldest first; `timestamp`: in the recording's order"),
    ] = CommentSort.created_at,
) -> Page[CommentOut]:
    """What was remarked on a file; what is about no moment of it comes before what is."""
    file = await reading.file(session, user, file_id)
    rows, total = await comments.page(
        session, file.id, sort=sort, limit=paging.page_size, offset=paging.offset
    )
    return paging.of([CommentOut.model_validate(row) for row in rows], total)


@router.post(
    "/files/{file_id}",
    status_code=201,
    summary="Comment on a file",
    response_description="Comment written",
    responses=owned_errors(),
)
async def create_comment(
    session: Session, user: CurrentUser, file_id: uuid.UUID, wanted: CommentIn
) -> CommentOut:
    """On the whole file, or on the moment that `timestamp` names."""
    file = await media_files.get(session, user.id, file_id, lock=True)
    _require_within(wanted.timestamp, file)
    comment = await comments.add(
        session,
        user_id=user.id,
        file_id=file.id,
        text=wanted.text,
        timestamp=wanted.timestamp,
    )
    return CommentOut.model_validate(comment)


@router.get(
    "/{comment_id}",
    summary="One comment",
    response_description="Comment",
    responses=owned_errors(),
)
async def get_comment(session: Session, user: CurrentUser, comment_id: uuid.UUID) -> CommentOut:
    """A comment that you wrote, or one on your file."""
    return CommentOut.model_validate(await reading.comment(session, user, comment_id))


@router.put(
    "/{comment_id}",
    summary="Change a comment",
    response_description="Comment changed",
    responses=owned_errors(),
)
async def change_comment(
    session: Session, user: CurrentUser, comment_id: uuid.UUID, wanted: CommentChanges
) -> CommentOut:
    """Changes the text, the moment, or both; only who wrote a comment changes it."""
    changed = await comments.change(session, user.id, comment_id, wanted.changes())
    file = await session.get_one(MediaFile, changed.media_file_id)
    _require_within(wanted.timestamp, file)
    return CommentOut.model_validate(changed)


@router.delete(
    "/{comment_id}", status_code=204, summary="Delete a comment", responses=owned_errors()
)
async def delete_comment(session: Session, user: CurrentUser, comment_id: uuid.UUID) -> None:
    """Who wrote a comment can delete it, and so can the file's owner."""
    await comments.remove(session, user.id, comment_id)
