"""The tags and collections of files: one question each for a whole page."""

import uuid
from collections import defaultdict
from collections.abc import Collection as Ids
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from db.models import Collection, CollectionMember, FileTag, Tag


@dataclass(frozen=True, slots=True)
class CollectionName:
    """A collection, as a file in it names it."""

    id: uuid.UUID
    name: str


async def tags(
    session: AsyncSession, file_ids: Ids[uuid.UUID]
) -> Mapping[uuid.UUID, Sequence[str]]:
    """The names of the tags of each of these files; those without one are left out."""
    rows = await session.execute(
        select(FileTag.media_file_id, Tag.name)
        .join(Tag, Tag.id == FileTag.tag_id)
        .where(FileTag.media_file_id.in_(file_ids))
        .order_by(func.lower(Tag.name))
    )
    found: dict[uuid.UUID, list[str]] = defaultdict(list)
    for file_id, name in rows:
        found[file_id].append(name)
    return found


async def collections(
    session: AsyncSession, file_ids: Ids[uuid.UUID]
) -> Mapping[uuid.UUID, Sequence[CollectionName]]:
    """The collections that each of these files is in; those in none are left out."""
    rows = await session.execute(
        select(CollectionMember.media_file_id, Collection.id, Collection.name)
        .join(Collection, Collection.id == CollectionMember.collection_id)
        .where(CollectionMember.media_file_id.in_(file_ids))
        .order_by(func.lower(Collection.name), Collection.id)
    )
    found: dict[uuid.UUID, list[CollectionName]] = defaultdict(list)
    for file_id, collection_id, name in rows:
        found[file_id].append(CollectionName(collection_id, name))
    return found
