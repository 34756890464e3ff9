"""Routes that read transcripts: /api/files/{file_id}/transcript and its exports."""

import asyncio
import uuid
from collections.abc import Mapping
from pathlib import PurePath
from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncSession

from api.dependencies import CurrentUser, Session
from api.envelope import EnvelopeRoute, rendered
from api.errors import ErrorType
from api.headers import content_disposition
from api.openapi import Responses, owned_errors
from api.pagination import Page, Paging
from api.readiness import not_ready
from api.transcripts import rows
from api.transcripts.edit_schemas import MAX_SECONDS
from api.transcripts.schemas import SegmentOut, TranscriptOut
from api.transcripts.versions import IfNoneMatch, etag, is_current
from db.models import MediaFile, Transcript, User
from db.queries import reading, transcripts
from db.queries.transcripts import SegmentFilter, StoredTranscript
from pipelines import documents
from pipelines.exports import MEDIA_TYPES, ExportFormat, render

router = APIRouter(prefix="/api/files", tags=["transcripts"], route_class=EnvelopeRoute)

NOT_MODIFIED: Responses = {304: {"description": "Not changed since `If-None-Match`"}}

Second = Annotated[float, Field(ge=0, le=MAX_SECONDS, allow_inf_nan=False)]


async def _head(
    session: AsyncSession, user: User, file_id: uuid.UUID
) -> tuple[MediaFile, Transcript]:
    file = await reading.file(session, user, file_id)
    transcript = await transcripts.head(session, file.user_id, file_id)
    if transcript is None:
        raise not_ready(file)
    return file, transcript


async def _transcribed(
    session: AsyncSession, user: User, file_id: uuid.UUID
) -> tuple[MediaFile, StoredTranscript]:
    file = await reading.file(session, user, file_id)
    stored = await transcripts.of_file(session, file.user_id, file_id)
    if stored is None:
        raise not_ready(file)
    return file, stored


def _whole(stored: StoredTranscript, headers: Mapping[str, str]) -> Response:
    return rendered(rows.answer(stored), "Transcript", headers)


@router.get(
    "/{file_id}/transcript",
    summary="The transcript",
    response_description="Transcript",
    responses={**NOT_MODIFIED, **owned_errors(ErrorType.transcript_not_ready)},
)
async def get_transcript(
    session: Session, user: CurrentUser, file_id: uuid.UUID, if_none_match: IfNoneMatch = ""
) -> TranscriptOut | Response:
    """Segments with words and speakers; `notes` says what a reader should know.

    While a file is processed anew, and if that fails, this is the transcript it had before. The
    `ETag` is what an edit sends as `If-Match`.
    """
    await reading.at_one_moment(session)
    file, transcript = await _head(session, user, file_id)
    headers = {"ETag": etag(transcript), "Cache-Control": "private, no-cache"}
    if is_current(transcript, if_none_match):
        return Response(status_code=304, headers=headers)
    stored = await transcripts.of_file(session, file.user_id, file_id)
    if stored is None:
        raise not_ready(file)
    return await asyncio.to_thread(_whole, stored, headers)


@router.get(
    "/{file_id}/transcript/segments",
    summary="Segments, page by page",
    response_description="Segments",
    responses=owned_errors(ErrorType.transcript_not_ready),
)
async def list_segments(
    session: Session,
    user: CurrentUser,
    response: Response,
    paging: Paging,
    file_id: uuid.UUID,
    start: Annotated[
        Second | None, Query(alias="from", description="Seconds: what ends later")
    ] = None,
    end: Annotated[
        Second | None, Query(alias="to", description="Seconds: what begins earlier")
    ] = None,
    speaker: Annotated[
        list[uuid.UUID] | None, Query(max_length=100, description="Ids of who may say it")
    ] = None,
) -> Page[SegmentOut]:
    """The transcript in pieces, in order; the `ETag` is that of the whole transcript."""
    await reading.at_one_moment(session)
    _, transcript = await _head(session, user, file_id)
    speakers = await transcripts.speakers(session, file_id)
    found, total = await transcripts.page(
        session,
        transcript.id,
        SegmentFilter(start, end, speaker or ()),
        limit=paging.page_size,
        offset=paging.offset,
    )
    response.headers["ETag"] = etag(transcript)
    labels = rows.labels_of(speakers)
    return paging.of([rows.segment_answer(row, labels) for row in found], total)


def _export(file: MediaFile, stored: StoredTranscript, export_format: ExportFormat) -> str:
    return render(documents.of_rows(file, stored), export_format)


@router.get(
    "/{file_id}/exports/{export_format}",
    summary="The transcript as a file",
    response_class=Response,
    responses={
        200: {
            "description": "txt, srt, vtt, json, rttm or ctm",
            "content": {
                media_type.partition(";")[0]: {
                    "schema": {"type": "object" if media_type == "application/json" else "string"}
                }
                for media_type in MEDIA_TYPES.values()
            },
        },
        **owned_errors(ErrorType.transcript_not_ready),
    },
)
async def export_transcript(
    session: Session, user: CurrentUser, file_id: uuid.UUID, export_format: ExportFormat
) -> Response:
    """Text that may not be what was said is marked with `[?]`; edits and names are in it.

    Turns (rttm, json) are what diarization heard, overlaps included, until a person gives words to
    another speaker: then they follow the words.
    """
    await reading.at_one_moment(session)
    file, stored = await _transcribed(session, user, file_id)
    text = await asyncio.to_thread(_export, file, stored, export_format)
    title = file.title or file.filename
    disposition = content_disposition(
        "attachment", f"{PurePath(title).stem or title}.{export_format}"
    )
    return Response(
        text,
        media_type=MEDIA_TYPES[export_format],
        headers={"content-disposition": disposition, "x-content-type-options": "nosniff"},
    )
