"""Routes of tags, and of tags on files: /api/tags."""

import uuid

from fastapi import APIRouter
from sqlalchemy.ext.asyncio import AsyncSession

from api.dependencies import App, CurrentUser, Session
from api.envelope import EnvelopeRoute
from api.errors import ApiError, ErrorType
from api.openapi import SIGNED_IN, SIGNED_IN_TYPES, errors, owned_errors
from api.pagination import Page, Paging
from api.tags.schemas import TagIn, TagOut, TagsRemoved, TagWithCount
from db.models import MediaFile, Tag
from db.queries import events, media_files, tags
from pipelines.notices import Notice, file_facts
from pipelines.search import notes as search_notes

router = APIRouter(prefix="/api/tags", tags=["tags"], route_class=EnvelopeRoute)

LISTED = errors(*SIGNED_IN_TYPES, ErrorType.validation_error)


def _counted(tag: Tag, usage_count: int) -> TagWithCount:
    return TagWithCount(
        id=tag.id, name=tag.name, created_at=tag.created_at, usage_count=usage_count
    )


async def _tell(session: AsyncSession, file: MediaFile) -> None:
    """Let search and the owner's clients know; the transaction's last statements."""
    await search_notes.note_files(session, file.user_id, [file.id], spoken=False)
    await events.append(
        session, file.user_id, Notice.file_updated, file_facts(file), media_file_id=file.id
    )


@router.get("", summary="List tags", response_description="Tags", responses=LISTED)
async def list_tags(session: Session, user: CurrentUser, paging: Paging) -> Page[TagWithCount]:
    """Your tags, most used first."""
    rows, total = await tags.page(session, user.id, limit=paging.page_size, offset=paging.offset)
    return paging.of([_counted(*row) for row in rows], total)


@router.post(
    "",
    status_code=201,
    summary="Make a tag",
    response_description="Tag made",
    responses=errors(*SIGNED_IN_TYPES, ErrorType.validation_error, ErrorType.name_taken),
)
async def create_tag(session: Session, user: CurrentUser, wanted: TagIn) -> TagOut:
    """A tag that is on no file yet; putting one on a file makes it as well."""
    return TagOut.model_validate(await tags.add(session, user.id, wanted.name))


@router.get(
    "/unused", summary="List unused tags", response_description="Unused tags", responses=LISTED
)
async def list_unused_tags(session: Session, user: CurrentUser, paging: Paging) -> Page[TagOut]:
    """Those of your tags that are on no file, by name."""
    rows, total = await tags.unused(session, user.id, limit=paging.page_size, offset=paging.offset)
    return paging.of([TagOut.model_validate(row) for row in rows], total)


@router.delete(
    "/unused",
    summary="Delete unused tags",
    response_description="Unused tags deleted",
    responses=SIGNED_IN,
)
async def delete_unused_tags(session: Session, user: CurrentUser) -> TagsRemoved:
    """Deletes those of your tags that are on no file."""
    return TagsRemoved(removed=await tags.remove_unused(session, user.id))


@router.put(
    "/{tag_id}",
    summary="Rename a tag",
    response_description="Tag renamed",
    responses=owned_errors(ErrorType.name_taken),
)
async def rename_tag(
    session: Session, user: CurrentUser, tag_id: uuid.UUID, wanted: TagIn
) -> TagWithCount:
    """Gives it another name on all its files.

    Where you have another tag of that name, this is refused: two tags are not made one by accident.
    """
    renamed = await tags.rename(session, user.id, tag_id, wanted.name)
    await search_notes.note_files(session, user.id, tags.files(tag_id), spoken=False)
    return _counted(*renamed)


@router.delete("/{tag_id}", status_code=204, summary="Delete a tag", responses=owned_errors())
async def delete_tag(session: Session, user: CurrentUser, tag_id: uuid.UUID) -> None:
    """Deletes a tag, also from the files that have it."""
    had_it = await tags.remove(session, user.id, tag_id)
    await search_notes.note_files(session, user.id, had_it, spoken=False)


@router.post(
    "/files/{file_id}",
    summary="Put a tag on a file",
    response_description="Tag is on the file",
    responses=owned_errors(ErrorType.conflict),
)
async def tag_file(
    services: App, session: Session, user: CurrentUser, file_id: uuid.UUID, wanted: TagIn
) -> TagOut:
    """Makes the tag where you have none of this name; again changes nothing."""
    file = await media_files.get(session, user.id, file_id, lock=True)
    tag = await tags.ensure(session, user.id, wanted.name)
    if await tags.put(session, tag.id, file.id):
        limit = services.api.max_tags_per_file
        if await tags.count_on(session, file.id) > limit:
            raise ApiError(
                ErrorType.conflict,
                f"A file can have {limit} tags; take one off first.",
                max_tags_per_file=limit,
            )
        await _tell(session, file)
    return TagOut.model_validate(tag)


@router.delete(
    "/files/{file_id}/{tag_id}",
    status_code=204,
    summary="Take a tag off a file",
    responses=owned_errors(),
)
async def untag_file(
    session: Session, user: CurrentUser, file_id: uuid.UUID, tag_id: uuid.UUID
) -> None:
    """Takes it off this file; the tag stays, unused perhaps."""
    file = await media_files.get(session, user.id, file_id, lock=True)
    await tags.take(session, tag_id, file.id)
    await _tell(session, file)
