"""Routes of collections: /api/collections."""

import uuid
from dataclasses import replace

from fastapi import APIRouter

from api.collections.schemas import (
    CollectionChanges,
    CollectionIn,
    CollectionOut,
    MediaChanged,
    MediaList,
)
from api.dependencies import CurrentUser, Session
from api.envelope import EnvelopeRoute
from api.errors import ErrorType
from api.filters import Narrowed, Ordering
from api.listing import ListedFile, page_of_files
from api.openapi import SIGNED_IN_TYPES, errors, owned_errors
from api.pagination import Page, Paging
from db.queries import collections
from pipelines.search import notes as search_notes

router = APIRouter(prefix="/api/collections", tags=["collections"], route_class=EnvelopeRoute)


@router.get(
    "",
    summary="List collections",
    response_description="Collections",
    responses=errors(*SIGNED_IN_TYPES, ErrorType.validation_error),
)
async def list_collections(
    session: Session, user: CurrentUser, paging: Paging
) -> Page[CollectionOut]:
    """Your collections, by name."""
    rows, total = await collections.page(
        session, user.id, limit=paging.page_size, offset=paging.offset
    )
    return paging.of([CollectionOut.of(*row) for row in rows], total)


@router.post(
    "",
    status_code=201,
    summary="Make a collection",
    response_description="Collection made",
    responses=errors(*SIGNED_IN_TYPES, ErrorType.validation_error, ErrorType.name_taken),
)
async def create_collection(
    session: Session, user: CurrentUser, wanted: CollectionIn
) -> CollectionOut:
    """An empty collection."""
    made = await collections.add(session, user.id, wanted.name, wanted.description)
    return CollectionOut.of(made, 0)


@router.get(
    "/{collection_id}",
    summary="One collection",
    response_description="Collection",
    responses=owned_errors(),
)
async def get_collection(
    session: Session, user: CurrentUser, collection_id: uuid.UUID
) -> CollectionOut:
    """What it is and how many files are in it; `…/media` lists them."""
    return CollectionOut.of(*await collections.get(session, user.id, collection_id))


@router.put(
    "/{collection_id}",
    summary="Change a collection",
    response_description="Collection changed",
    responses=owned_errors(ErrorType.name_taken),
)
async def change_collection(
    session: Session, user: CurrentUser, collection_id: uuid.UUID, wanted: CollectionChanges
) -> CollectionOut:
    """Changes the name, the description, or both."""
    changed = await collections.change(session, user.id, collection_id, wanted.changes())
    return CollectionOut.of(*changed)


@router.delete(
    "/{collection_id}", status_code=204, summary="Delete a collection", responses=owned_errors()
)
async def delete_collection(session: Session, user: CurrentUser, collection_id: uuid.UUID) -> None:
    """Deletes the collection; the files that were in it stay."""
    files = await collections.remove(session, user.id, collection_id)
    await search_notes.note_files(session, user.id, files, spoken=False)


@router.get(
    "/{collection_id}/media",
    summary="List a collection's files",
    response_description="Files",
    responses=owned_errors(),
)
async def list_media(
    session: Session,
    user: CurrentUser,
    collection_id: uuid.UUID,
    filters: Narrowed,
    order: Ordering,
    paging: Paging,
) -> Page[ListedFile]:
    """Those of its files that meet every filter, as `GET /api/files` lists files."""
    await collections.require(session, user.id, collection_id)
    within = replace(filters, collection_id=collection_id)
    return await page_of_files(session, user.id, within, order, paging)


@router.post(
    "/{collection_id}/media",
    summary="Put files into a collection",
    response_description="Files are in the collection",
    responses=owned_errors(),
)
async def put_media(
    session: Session, user: CurrentUser, collection_id: uuid.UUID, wanted: MediaList
) -> MediaChanged:
    """Up to 1000 files; where one of them is not yours, none is put in. Again changes nothing."""
    await collections.require(session, user.id, collection_id, lock=True)
    added = await collections.put_in(session, user.id, collection_id, set(wanted.file_ids))
    await search_notes.note_files(session, user.id, wanted.file_ids, spoken=False)
    _, count = await collections.get(session, user.id, collection_id)
    return MediaChanged(changed=added, media_count=count)


# A body of DELETE has no defined meaning (RFC 9110, 9.3.5): clients and proxies drop it.
@router.post(
    "/{collection_id}/media/remove",
    summary="Take files out of a collection",
    response_description="Files are not in the collection",
    responses=owned_errors(),
)
async def remove_media(
    session: Session, user: CurrentUser, collection_id: uuid.UUID, wanted: MediaList
) -> MediaChanged:
    """Up to 1000 files; where one of them is not yours, none is taken out. The files stay."""
    await collections.require(session, user.id, collection_id, lock=True)
    removed = await collections.take_out(session, user.id, collection_id, set(wanted.file_ids))
    await search_notes.note_files(session, user.id, wanted.file_ids, spoken=False)
    _, count = await collections.get(session, user.id, collection_id)
    return MediaChanged(changed=removed, media_count=count)
