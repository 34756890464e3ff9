"""What transcribed files have, with how many have it: what a search can be narrowed by."""

import uuid
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    UUID,
    ColumnElement,
    Select,
    String,
    Text,
    bindparam,
    cast,
    distinct,
    func,
    literal,
    null,
    select,
    union_all,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession

from db.models import Collection as FileCollection
from db.models import CollectionMember, FileTag, MediaFile, Speaker, Tag, Transcript
from db.queries.media_files import readable_by

MOST_VALUES = 200
"""Of each kind; the most frequent ones, as nobody chooses from longer lists."""

Facet = Sequence[tuple[str, int]]
"""Values with the number of files that have them, most frequent first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facets:
    """What files have, by how many of them."""

    speakers: Facet = ()
    """Names that people gave; labels such as `SPEAKER_00` are left out."""
    tags: Facet = ()
    collections: Sequence[tuple[uuid.UUID, str, int]] = ()
    file_types: Facet = ()
    """`audio` and `video`."""
    languages: Facet = ()
    files: int = 0
    earliest: datetime | None = None
    latest: datetime | None = None
    min_duration: float | None = None
    max_duration: float | None = None
    min_file_size: int | None = None
    max_file_size: int | None = None


async def facets(
    session: AsyncSession, user_id: uuid.UUID, file_ids: Collection[uuid.UUID] | None = None
) -> Facets:
    """Of these files of the user's; None: of all that have a transcript."""
    wanted = [readable_by(user_id), _searched(file_ids)]
    counted = await session.execute(union_all(*_counts(user_id, wanted)))
    found: dict[str, list[Any]] = defaultdict(list)
    for kind, key, name, count in counted:
        found[kind].append((key, name, count))
    ends = (await session.execute(_ends(wanted))).one()
    return Facets(
        speakers=_named(found, "speakers"),
        tags=_named(found, "tags"),
        collections=found["collections"],
        file_types=_named(found, "file_types"),
        languages=_named(found, "languages"),
        files=ends[0],
        earliest=ends[1],
        latest=ends[2],
        min_duration=ends[3],
        max_duration=ends[4],
        min_file_size=ends[5],
        max_file_size=ends[6],
    )


def _searched(file_ids: Collection[uuid.UUID] | None) -> ColumnElement[bool]:
    if file_ids is None:
        return MediaFile.id.in_(select(Transcript.media_file_id))
    return MediaFile.id == func.any(bindparam(None, list(file_ids), type_=ARRAY(UUID())))


def _named(found: Mapping[str, Sequence[Any]], kind: str) -> Facet:
    return [(name, count) for _, name, count in found[kind]]


def _counts(
    user_id: uuid.UUID, wanted: Sequence[ColumnElement[bool]]
) -> Sequence[Select[*tuple[Any, ...]]]:
    """A question for each kind of value, all with the same columns."""
    of_files = select(MediaFile.id).where(*wanted)
    name = func.min(Speaker.display_name)
    speakers = (
        select(literal("speakers"), _nothing(), name, func.count(distinct(Speaker.media_file_id)))
        .where(
            Speaker.user_id == user_id,
            Speaker.display_name.is_not(None),
            Speaker.media_file_id.in_(of_files),
        )
        .group_by(func.lower(Speaker.display_name))
    )
    tags = (
        select(literal("tags"), _nothing(), Tag.name, func.count())
        .join(FileTag, FileTag.tag_id == Tag.id)
        .where(Tag.user_id == user_id, FileTag.media_file_id.in_(of_files))
        .group_by(Tag.id)
    )
    collections = (
        select(literal("collections"), FileCollection.id, FileCollection.name, func.count())
        .join(CollectionMember, CollectionMember.collection_id == FileCollection.id)
        .where(FileCollection.user_id == user_id, CollectionMember.media_file_id.in_(of_files))
        .group_by(FileCollection.id)
    )
    kinds = _column("file_types", func.split_part(MediaFile.content_type, "/", 1), wanted)
    languages = _column("languages", MediaFile.language, wanted)
    every: list[Any] = [speakers, tags, collections, kinds, languages]
    return [_most(each) for each in every]


def _nothing() -> Any:
    return cast(null(), UUID())


def _column(
    kind: str, value: Any, wanted: Sequence[ColumnElement[bool]]
) -> Select[*tuple[Any, ...]]:
    return (
        select(literal(kind), _nothing(), cast(value, Text), func.count())
        .where(*wanted, value.is_not(None))
        .group_by(value)
    )


def _most(counted: Select[*tuple[Any, ...]]) -> Select[*tuple[Any, ...]]:
    """The most frequent of them; of as frequent ones, the first in the alphabet."""
    _, _, name, count = counted.selected_columns
    first = counted.order_by(count.desc(), func.lower(cast(name, String))).limit(MOST_VALUES)
    return select(first.subquery())


def _ends(wanted: Sequence[ColumnElement[bool]]) -> Select[*tuple[Any, ...]]:
    columns = (MediaFile.created_at, MediaFile.duration, MediaFile.size_bytes)
    ends = [end(each) for each in columns for end in (func.min, func.max)]
    return select(func.count(), *ends).where(*wanted)
