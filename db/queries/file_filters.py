"""Which files a list shows: every question of a filter, as conditions in SQL.

All of them are on `media_file` alone, so that a page and its count have the same ones. What hangs
on a file (tags, speakers, collections, words) is asked of in semi-joins, which begin at an index.
"""

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.orm import InstrumentedAttribute

from db import vocabulary
from db.models import (
    Collection,
    CollectionMember,
    FileStatus,
    FileTag,
    MediaFile,
    Speaker,
    Tag,
    Transcript,
)
from db.narrowing import FileNarrowing

KINDS = frozenset({"audio", "video"})
"""What `file_types` may hold besides content types."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFilters(FileNarrowing):
    """What files a list shows; what is left out narrows nothing."""

    search: str | None = None
    """A part of the file name or of the title, in any letter case."""
    speakers: Sequence[str] = ()
    """Names or labels of speakers, of which a file has all."""
    statuses: Sequence[FileStatus] = ()
    transcript_search: str | None = None
    """Words that all occur in the transcript, each also as the beginning of a longer one."""

    @property
    def is_search(self) -> bool:
        """Whether it asks for more than the columns that an index of a user's files holds."""
        asked = (self.search, self.tags, self.speakers, self.collection_id, self.transcript_search)
        return any(asked)


def conditions(user_id: uuid.UUID, filters: FileFilters) -> list[ColumnElement[bool]]:
    """The conditions on this user's files.

    Raises:
        ValueError: `transcript_search` has no word.
    """
    return [
        MediaFile.user_id == user_id,
        *_of_the_row(filters),
        *_of_the_labels(user_id, filters),
        *_of_what_was_said(user_id, filters),
    ]


def _of_the_row(filters: FileFilters) -> Iterator[ColumnElement[bool]]:
    if filters.search is not None:
        part = f"%{_escaped(filters.search)}%"
        names = (MediaFile.title, MediaFile.filename)
        yield or_(*(name.ilike(part, escape="\\") for name in names))
    yield from _between(MediaFile.created_at, filters.from_date, None)
    if filters.before_date is not None:
        yield MediaFile.created_at < filters.before_date
    yield from _between(MediaFile.duration, filters.min_duration, filters.max_duration)
    yield from _between(MediaFile.size_bytes, filters.min_file_size, filters.max_file_size)
    if filters.file_types:
        yield or_(*(_of_type(wanted) for wanted in filters.file_types))
    if filters.statuses:
        yield MediaFile.status.in_(filters.statuses)
    if filters.language is not None:
        yield MediaFile.language == filters.language


def _escaped(part: str) -> str:
    return part.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _between(
    column: InstrumentedAttribute[int]
    | InstrumentedAttribute[float | None]
    | InstrumentedAttribute[datetime],
    least: float | datetime | None,
    most: float | datetime | None,
) -> Iterator[ColumnElement[bool]]:
    if least is not None:
        yield column >= least
    if most is not None:
        yield column <= most


def _of_type(wanted: str) -> ColumnElement[bool]:
    if wanted in KINDS:
        return MediaFile.content_type.startswith(f"{wanted}/")
    return MediaFile.content_type == wanted


def _of_the_labels(user_id: uuid.UUID, filters: FileFilters) -> Iterator[ColumnElement[bool]]:
    for name in filters.tags:
        yield MediaFile.id.in_(
            select(FileTag.media_file_id)
            .join(Tag, Tag.id == FileTag.tag_id)
            .where(Tag.user_id == user_id, func.lower(Tag.name) == func.lower(name))
        )
    if filters.collection_id is not None:
        yield MediaFile.id.in_(
            select(CollectionMember.media_file_id)
            .join(Collection, Collection.id == CollectionMember.collection_id)
            .where(Collection.user_id == user_id, Collection.id == filters.collection_id)
        )


def _of_what_was_said(user_id: uuid.UUID, filters: FileFilters) -> Iterator[ColumnElement[bool]]:
    for name in filters.speakers:
        called = (func.lower(Speaker.display_name), func.lower(Speaker.label))
        yield MediaFile.id.in_(
            select(Speaker.media_file_id).where(
                Speaker.user_id == user_id, or_(*(each == func.lower(name) for each in called))
            )
        )
    if filters.transcript_search is not None:
        holds = vocabulary.contains(Transcript.vocabulary.expression, filters.transcript_search)
        if holds is None:
            raise ValueError(f"{filters.transcript_search!r} holds no word")
        yield MediaFile.id.in_(select(Transcript.media_file_id).where(holds))
