"""Routes of subtitles, alone and in the video: /api/files/streaming/{file_id}/subtitles."""

import asyncio
import uuid
from typing import Annotated

from fastapi import APIRouter, Query, Response
from fastapi.responses import StreamingResponse
from sqlalchemy.ext.asyncio import AsyncSession

from api.dependencies import App, CurrentUser, Session
from api.envelope import EnvelopeRoute
from api.errors import ErrorType
from api.headers import content_disposition
from api.openapi import owned_errors
from api.readiness import not_ready
from api.streaming import subtitled
from api.streaming.reader import SubtitledReader
from api.streaming.representation import Conditional, binary_responses, respond
from api.streaming.schemas import SubtitleFormat, SubtitleValidation
from db.engine import session_scope
from db.models import MediaFile, User
from db.queries import media_files, reading, transcripts
from db.queries.transcripts import StoredTranscript
from pipelines import documents, subtitles
from pipelines.exports import MEDIA_TYPES, ExportFormat
from serving.muxing import VideoFormat

router = APIRouter(prefix="/api/files/streaming", tags=["media"], route_class=EnvelopeRoute)

ISSUES_SHOWN = 100

Speakers = Annotated[bool, Query(description="Whether to say who speaks")]


async def _transcribed(
    session: AsyncSession, user: User, file_id: uuid.UUID
) -> tuple[MediaFile, StoredTranscript]:
    await reading.at_one_moment(session)
    file = await reading.file(session, user, file_id)
    stored = await transcripts.of_file(session, file.user_id, file_id)
    if stored is None:
        raise not_ready(file)
    return file, stored


@router.get(
    "/{file_id}/subtitles",
    summary="Subtitles",
    response_class=Response,
    responses={
        200: {
            "description": "SubRip or WebVTT",
            "content": {
                MEDIA_TYPES[ExportFormat(each)].partition(";")[0]: {"schema": {"type": "string"}}
                for each in SubtitleFormat
            },
        },
        **owned_errors(ErrorType.transcript_not_ready),
    },
)
async def get_subtitles(
    session: Session,
    user: CurrentUser,
    file_id: uuid.UUID,
    subtitle_format: Annotated[
        SubtitleFormat, Query(alias="format", description="SubRip or WebVTT")
    ] = SubtitleFormat.srt,
    speakers: Speakers = True,
) -> Response:
    """At most two lines of 42 columns and 6 seconds at a time, cut where sentences end.

    Text that may not be what was said is marked with `[?]`.
    """
    file, stored = await _transcribed(session, user, file_id)
    text = await asyncio.to_thread(_text, file, stored, subtitle_format, speakers=speakers)
    name = f"{subtitled.name_of(file)}.{subtitle_format}"
    return Response(
        text,
        media_type=MEDIA_TYPES[ExportFormat(subtitle_format)],
        headers={
            "content-disposition": content_disposition("attachment", name),
            "cache-control": "private, no-cache",
            "x-content-type-options": "nosniff",
        },
    )


def _text(
    file: MediaFile, stored: StoredTranscript, wanted: SubtitleFormat, *, speakers: bool
) -> str:
    write = subtitles.vtt if wanted is SubtitleFormat.vtt else subtitles.srt
    return write(documents.of_rows(file, stored), speakers=speakers)


@router.get(
    "/{file_id}/subtitles/validate",
    summary="Whether a transcript makes good subtitles",
    response_description="Validation",
    responses=owned_errors(ErrorType.transcript_not_ready),
)
async def validate_subtitles(
    session: Session, user: CurrentUser, file_id: uuid.UUID
) -> SubtitleValidation:
    """What to correct: impossible times, segments without text, cues nobody can read in time."""
    return await asyncio.to_thread(_validation, *await _transcribed(session, user, file_id))


def _validation(file: MediaFile, stored: StoredTranscript) -> SubtitleValidation:
    document = documents.of_rows(file, stored)
    shown = subtitles.cues(document)
    issues = list(subtitles.problems(document, shown))
    return SubtitleValidation(
        is_valid=not issues,
        issues=issues[:ISSUES_SHOWN],
        total_issues=len(issues),
        total_segments=len(document.segments),
        total_cues=len(shown),
        total_duration=shown[-1].end if shown else 0.0,
    )


@router.head("/{file_id}/subtitled", include_in_schema=False)
@router.get(
    "/{file_id}/subtitled",
    summary="The video with subtitles in it",
    response_class=StreamingResponse,
    responses=binary_responses(
        *(each.media_type for each in VideoFormat),
        also=(
            ErrorType.transcript_not_ready,
            ErrorType.no_video,
            ErrorType.unsupported_media,
            ErrorType.invalid_media,
            ErrorType.decoder_limit,
            ErrorType.server_busy,
            ErrorType.speech_unavailable,
        ),
    ),
)
async def subtitled_video(
    services: App,
    user: SubtitledReader,
    conditions: Conditional,
    file_id: uuid.UUID,
    speakers: Speakers = True,
) -> Response:
    """Picture and sound as they were uploaded, and subtitles that can be switched on and off.

    MP4 stays MP4 and WebM stays WebM; anything else becomes Matroska. The first request makes it,
    which takes as long as copying the video; then it is kept until the transcript changes.
    """
    found = await subtitled.get(services, user, file_id, speakers=speakers)
    return respond(services.objects, found, conditions)


@router.delete(
    "/{file_id}/cache",
    status_code=204,
    summary="Drop the videos with subtitles that are kept",
    responses=owned_errors(ErrorType.store_unavailable),
)
async def drop_cache(services: App, user: CurrentUser, file_id: uuid.UUID) -> None:
    """They are made anew when asked for; edits need no such call."""
    async with session_scope(services.sessions) as session:
        file = await media_files.get(session, user.id, file_id)
    await services.objects.delete_prefix(subtitled.prefix(file))
