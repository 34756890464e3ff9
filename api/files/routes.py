"""Routes of media files and their transcripts: /api/files."""

import asyncio
import uuid
from pathlib import PurePath
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response
from sqlalchemy.ext.asyncio import AsyncSession

from api.dependencies import App, CurrentUser, Session
from api.envelope import EnvelopeRoute
from api.errors import ApiError, ErrorType
from api.files import removal, transcripts
from api.files.intake import undisturbed
from api.files.names import content_disposition
from api.files.schemas import FileDetail, FileOut, TranscriptOut
from api.openapi import SIGNED_IN_TYPES, errors, owned_errors
from api.pagination import Page, Paging
from api.waiting import task_answer
from db.models import FileStatus, MediaFile
from db.queries import media_files, tasks
from db.queries import transcripts as transcript_rows
from db.queries.media_files import FileSort
from db.queries.transcripts import StoredTranscript
from pipelines.exports import MEDIA_TYPES, ExportFormat, render

router = APIRouter(prefix="/api/files", tags=["files"], route_class=EnvelopeRoute)


@router.get(
    "",
    summary="List files",
    response_description="Files",
    responses=errors(*SIGNED_IN_TYPES, ErrorType.validation_error),
)
async def list_files(
    session: Session,
    user: CurrentUser,
    paging: Paging,
    status: Annotated[list[FileStatus] | None, Query(description="Only these")] = None,
    sort: FileSort = FileSort.created_at,
    order: Literal["asc", "desc"] = "desc",
) -> Page[FileOut]:
    """Your files, newest first unless sorted otherwise."""
    rows, total = await media_files.page(
        session,
        user.id,
        statuses=status or [],
        sort=sort,
        descending=order == "desc",
        limit=paging.page_size,
        offset=paging.offset,
    )
    return paging.of([FileOut.model_validate(row) for row in rows], total)


@router.get("/{file_id}", summary="One file", response_description="File", responses=owned_errors())
async def get_file(session: Session, user: CurrentUser, file_id: uuid.UUID) -> FileDetail:
    """A file with what its header and its decoding told, and its latest task."""
    file = await media_files.get(session, user.id, file_id)
    task = await tasks.latest_of_file(session, file_id)
    detail = FileDetail.model_validate(file)
    return detail.model_copy(update={"task": await task_answer(session, task) if task else None})


@router.delete(
    "/{file_id}",
    status_code=204,
    summary="Delete a file",
    responses=owned_errors(ErrorType.file_busy, ErrorType.store_unavailable),
)
async def delete_file(services: App, user: CurrentUser, file_id: uuid.UUID) -> None:
    """Delete a file with its media, transcript, speakers and tasks; a waiting task is cancelled."""
    await undisturbed(removal.remove(services, user.id, file_id))


async def _transcribed(
    session: AsyncSession, user_id: uuid.UUID, file_id: uuid.UUID
) -> tuple[MediaFile, StoredTranscript]:
    file = await media_files.get(session, user_id, file_id)
    stored = await transcript_rows.of_file(session, user_id, file_id)
    if stored is None:
        raise ApiError(
            ErrorType.transcript_not_ready,
            f"The file is {file.status}; its transcript exists when it is completed.",
            file_status=file.status,
        )
    return file, stored


@router.get(
    "/{file_id}/transcript",
    summary="The transcript",
    response_description="Transcript",
    responses=owned_errors(ErrorType.transcript_not_ready),
)
async def get_transcript(session: Session, user: CurrentUser, file_id: uuid.UUID) -> TranscriptOut:
    """Segments with words and speakers; `notes` says what a reader should know.

    While a file is processed anew, and if that fails, this is the transcript it had before.
    """
    return transcripts.answer(*await _transcribed(session, user.id, file_id))


@router.get(
    "/{file_id}/exports/{export_format}",
    summary="The transcript as a file",
    response_class=Response,
    responses={
        200: {
            "description": "txt, srt, vtt, json, rttm or ctm",
            "content": {
                media_type.partition(";")[0]: {"schema": {"type": "string"}}
                for media_type in MEDIA_TYPES.values()
            },
        },
        **owned_errors(ErrorType.transcript_not_ready),
    },
)
async def export_transcript(
    session: Session, user: CurrentUser, file_id: uuid.UUID, export_format: ExportFormat
) -> Response:
    """Text that may not be what was said is marked with `[?]`."""
    file, stored = await _transcribed(session, user.id, file_id)
    document = transcripts.document(file, stored)
    text = await asyncio.to_thread(render, document, export_format)
    stem = PurePath(document.title).stem or document.title
    disposition = content_disposition("attachment", f"{stem}.{export_format}")
    return Response(
        text,
        media_type=MEDIA_TYPES[export_format],
        headers={"content-disposition": disposition, "x-content-type-options": "nosniff"},
    )
