"""Files and lines behind the passages that a search finds; all of one owner."""

import uuid
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    UUID,
    ColumnElement,
    Double,
    and_,
    bindparam,
    column,
    func,
    or_,
    select,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession

from db.keywords.port import PassageFilters
from db.models import MediaFile, Segment, Speaker, Transcript
from db.queries import file_filters
from db.queries.file_filters import FileFilters
from db.queries.media_files import readable_by

CALLED = func.coalesce(func.nullif(MediaFile.title, ""), MediaFile.filename)
"""What a file is called."""
SHOWN = func.coalesce(Speaker.display_name, Speaker.label)
"""What a speaker is called."""


@dataclass(frozen=True, slots=True)
class FoundRow:
    """A file as its row describes it."""

    id: uuid.UUID
    filename: str
    title: str | None
    content_type: str
    size_bytes: int
    duration: float | None
    language: str | None
    created_at: datetime
    completed_at: datetime | None

    @property
    def called(self) -> str:
        """Its title, else its file name."""
        return self.title or self.filename


@dataclass(frozen=True, slots=True)
class Place:
    """A stretch of a recording, in seconds."""

    id: uuid.UUID
    media_file_id: uuid.UUID
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class SaidLine:
    """A line that is spoken, at least in part, in a place."""

    start: float
    end: float
    text: str
    speaker: str | None
    """As shown; None: nobody knows."""


async def matching(
    session: AsyncSession, user_id: uuid.UUID, filters: PassageFilters
) -> Sequence[uuid.UUID] | None:
    """Files that the filters leave; None: they narrow no files."""
    of_files = FileFilters(**filters.narrowing)
    wanted = list(_beside(filters))
    if of_files == FileFilters() and not wanted:
        return None
    owned = file_filters.conditions(user_id, of_files)
    rows = await session.scalars(select(MediaFile.id).where(*owned, *wanted))
    return rows.all()


def _beside(filters: PassageFilters) -> Sequence[ColumnElement[bool]]:
    """What lists of files do not ask for."""
    wanted: list[ColumnElement[bool]] = []
    if filters.media_file_ids is not None:
        wanted.append(_is_one_of(MediaFile.id, filters.media_file_ids))
    if filters.title is not None:
        wanted.append(CALLED.icontains(filters.title, autoescape=True))
    return wanted


def _is_one_of(key: Any, ids: Collection[uuid.UUID]) -> ColumnElement[bool]:
    """As one parameter, however many they are."""
    given = bindparam(None, list(ids), type_=ARRAY(UUID()))
    matches: ColumnElement[bool] = key == func.any(given)
    return matches


async def speakers_called(
    session: AsyncSession, user_id: uuid.UUID, names: Collection[str]
) -> Sequence[uuid.UUID]:
    """The user's speakers who are shown under one of these names, in any letter case."""
    lowered = [func.lower(name) for name in names]
    unnamed = and_(Speaker.display_name.is_(None), func.lower(Speaker.label).in_(lowered))
    rows = await session.scalars(
        select(Speaker.id).where(
            Speaker.user_id == user_id, or_(func.lower(Speaker.display_name).in_(lowered), unnamed)
        )
    )
    return rows.all()


async def rows(
    session: AsyncSession, user_id: uuid.UUID, file_ids: Collection[uuid.UUID]
) -> Mapping[uuid.UUID, FoundRow]:
    """Those of these files that are there and the user's."""
    found = await session.execute(
        select(
            MediaFile.id,
            MediaFile.filename,
            MediaFile.title,
            MediaFile.content_type,
            MediaFile.size_bytes,
            MediaFile.duration,
            MediaFile.language,
            MediaFile.created_at,
            MediaFile.completed_at,
        ).where(readable_by(user_id), _is_one_of(MediaFile.id, file_ids))
    )
    return {row.id: FoundRow(*row) for row in found}


async def speakers(
    session: AsyncSession, user_id: uuid.UUID, file_ids: Collection[uuid.UUID]
) -> Mapping[uuid.UUID, Sequence[str]]:
    """Who speaks in each of these files, as shown, who speaks most first."""
    found = await session.execute(
        select(Speaker.media_file_id, SHOWN)
        .where(Speaker.user_id == user_id, _is_one_of(Speaker.media_file_id, file_ids))
        .order_by(Speaker.speech_seconds.desc(), Speaker.label)
    )
    names: dict[uuid.UUID, dict[str, None]] = defaultdict(dict)
    for file_id, name in found:
        names[file_id][name] = None
    return {file_id: tuple(each) for file_id, each in names.items()}


async def said(
    session: AsyncSession, user_id: uuid.UUID, places: Collection[Place]
) -> Mapping[uuid.UUID, Sequence[SaidLine]]:
    """What is said in each of these places of the user's files, by its id, in order."""
    wanted = _table_of(places)
    found = await session.execute(
        select(wanted.c.id, Segment.start, Segment.end, Segment.text, SHOWN)
        .select_from(wanted)
        .join(MediaFile, MediaFile.id == wanted.c.file_id)
        .join(Transcript, Transcript.media_file_id == MediaFile.id)
        .join(Segment, Segment.transcript_id == Transcript.id)
        .outerjoin(Speaker, Speaker.id == Segment.speaker_id)
        .where(
            readable_by(user_id),
            Segment.start < wanted.c.till,
            Segment.end > wanted.c.since,
        )
        .order_by(wanted.c.id, Segment.index)
    )
    lines: dict[uuid.UUID, list[SaidLine]] = defaultdict(list)
    for key, *line in found:
        lines[key].append(SaidLine(*line))
    return lines


def _table_of(places: Collection[Place]) -> Any:
    columns: Sequence[tuple[list[Any], Any]] = (
        ([place.id for place in places], UUID()),
        ([place.media_file_id for place in places], UUID()),
        ([place.start for place in places], Double()),
        ([place.end for place in places], Double()),
    )
    arrays = [bindparam(None, values, type_=ARRAY(kind)) for values, kind in columns]
    return (
        func.unnest(*arrays)
        .table_valued(
            column("id", UUID()),
            column("file_id", UUID()),
            column("since", Double()),
            column("till", Double()),
            name="places",
        )
        .render_derived()
    )
