"""Routes of media files: /api/files."""

import uuid

from fastapi import APIRouter
from sqlalchemy.ext.asyncio import AsyncSession

from api.dependencies import App, CurrentUser, Session
from api.envelope import EnvelopeRoute
from api.errors import ErrorType
from api.files import removal
from api.files.intake import undisturbed
from api.files.schemas import FileDetail
from api.files.update_schemas import FileUpdate, MetadataFilters
from api.filters import Filters, Ordering
from api.listing import ListedFile, page_of_files, with_labels
from api.openapi import SIGNED_IN, SIGNED_IN_TYPES, errors, owned_errors
from api.pagination import Page, Paging
from api.waiting import task_answer
from db.models import MediaFile
from db.queries import events, file_facets, media_files, reading, tasks
from pipelines import notices
from pipelines.search import notes as search_notes

router = APIRouter(prefix="/api/files", tags=["files"], route_class=EnvelopeRoute)


@router.get(
    "",
    summary="List files",
    response_description="Files",
    responses=errors(*SIGNED_IN_TYPES, ErrorType.validation_error),
)
async def list_files(
    session: Session, user: CurrentUser, filters: Filters, order: Ordering, paging: Paging
) -> Page[ListedFile]:
    """Your files, newest first unless sorted otherwise; a file is shown if it meets every filter.

    Of a repeated `tag` or `speaker` it has all, of a repeated `status` or `file_type` one.
    """
    return await page_of_files(session, user.id, filters, order, paging)


@router.get(
    "/metadata-filters",
    summary="What files can be narrowed by",
    response_description="Values that occur",
    responses=SIGNED_IN,
)
async def metadata_filters(session: Session, user: CurrentUser) -> MetadataFilters:
    """The formats, codecs, languages, sizes, tags and speakers of your files."""
    return MetadataFilters.of(await file_facets.of_user(session, user.id))


@router.get("/{file_id}", summary="One file", response_description="File", responses=owned_errors())
async def get_file(session: Session, user: CurrentUser, file_id: uuid.UUID) -> FileDetail:
    """A file with its labels, what its header and its decoding told, and its latest task.

    Administrators may read anybody's; that is written to the audit log.
    """
    return await _detail(session, await reading.file(session, user, file_id))


async def _detail(session: AsyncSession, file: MediaFile) -> FileDetail:
    task = await tasks.latest_of_file(session, file.id)
    [listed] = await with_labels(session, [file])
    return FileDetail.model_validate(file).model_copy(
        update={
            "task": await task_answer(session, task) if task else None,
            "tags": listed.tags,
            "collections": listed.collections,
        }
    )


@router.put(
    "/{file_id}", summary="Describe a file", response_description="File", responses=owned_errors()
)
async def update_file(
    session: Session, user: CurrentUser, file_id: uuid.UUID, wanted: FileUpdate
) -> FileDetail:
    """Set its title, author, description or name; its clients are told (`file_updated`)."""
    file = await media_files.get(session, user.id, file_id)
    if changes := wanted.changes():
        file = await media_files.describe(session, user.id, file_id, changes)
    detail = await _detail(session, file)
    if changes:
        await search_notes.note_files(session, user.id, [file_id], spoken=False)
        await events.append(
            session,
            user.id,
            notices.Notice.file_updated,
            notices.file_facts(file),
            media_file_id=file_id,
        )
    return detail


@router.delete(
    "/{file_id}",
    status_code=204,
    summary="Delete a file",
    responses=owned_errors(ErrorType.file_busy, ErrorType.store_unavailable),
)
async def delete_file(services: App, user: CurrentUser, file_id: uuid.UUID) -> None:
    """Delete a file with its media, transcript, speakers and tasks; a waiting task is cancelled."""
    await undisturbed(removal.remove(services, user.id, file_id))
