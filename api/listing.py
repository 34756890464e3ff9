"""Pages of files with their tags and collections, for every route that lists some."""

import uuid
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession

from api.pagination import Page, PageRequest
from api.schemas import EXAMPLE_FILE, EXAMPLE_ID, FileOut, documented
from db.models import MediaFile
from db.queries import file_labels, file_lists
from db.queries.file_filters import FileFilters
from db.queries.file_lists import Order

EXAMPLE_LABELS: dict[str, Any] = {
    "tags": ["interview", "team 7"],
    "collections": [{"id": EXAMPLE_ID, "name": "Spring"}],
}


class CollectionName(BaseModel):
    """A collection that a file is in."""

    id: uuid.UUID
    """The collection's id."""
    name: str
    """The collection's name."""

    model_config = documented(EXAMPLE_LABELS["collections"][0])


class ListedFile(FileOut):
    """A media file with its labels."""

    tags: Sequence[str] = ()
    """Names of its tags, in alphabetical order."""
    collections: Sequence[CollectionName] = ()
    """The collections that it is in, in alphabetical order."""

    model_config = documented({**EXAMPLE_FILE, **EXAMPLE_LABELS})


async def with_labels(session: AsyncSession, files: Sequence[MediaFile]) -> list[ListedFile]:
    """These files with their labels, by two questions in all."""
    ids = [file.id for file in files]
    tags = await file_labels.tags(session, ids)
    collections = await file_labels.collections(session, ids)
    return [
        ListedFile.model_validate(file).model_copy(
            update={
                "tags": tags.get(file.id, ()),
                "collections": [
                    CollectionName.model_validate(each) for each in collections.get(file.id, ())
                ],
            }
        )
        for file in files
    ]


async def page_of_files(
    session: AsyncSession,
    user_id: uuid.UUID,
    filters: FileFilters,
    order: Order,
    paging: PageRequest,
) -> Page[ListedFile]:
    """One page of a user's files."""
    rows, total = await file_lists.page(
        session, user_id, filters, order, limit=paging.page_size, offset=paging.offset
    )
    return paging.of(await with_labels(session, rows) if rows else [], total)
