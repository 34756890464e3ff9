"""What search is to have of each file, and what its stores have: asked of all users' files."""

import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import (
    ColumnElement,
    Select,
    and_,
    delete,
    exists,
    func,
    not_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import load_only

from db.models import Destination, IndexedFile, MediaFile, Segment, Speaker, Transcript
from db.queries import file_labels
from db.queries.among import one_of

FACTS = (
    MediaFile.user_id,
    MediaFile.created_at,
    MediaFile.content_type,
    MediaFile.size_bytes,
    MediaFile.duration,
    MediaFile.language,
)
"""Columns of a file's row that are read: a waveform is large."""


@dataclass(frozen=True, slots=True)
class Said:
    """A line of a transcript."""

    start: float
    end: float
    text: str
    speaker: str
    """As shown; empty: nobody knows."""
    speaker_id: uuid.UUID | None


@dataclass(frozen=True, slots=True)
class Owned:
    """A file, and whose it is."""

    file_id: uuid.UUID
    owner_id: uuid.UUID


@dataclass(frozen=True, slots=True)
class SpokenFile:
    """A file with all that its passages are found by."""

    id: uuid.UUID
    owner_id: uuid.UUID
    title: str
    created_at: datetime
    content_type: str
    size_bytes: int
    duration: float | None
    language: str | None
    """What is spoken."""
    translated_to: str | None
    """In which language the transcript is, where it is not the one spoken."""
    version: int
    """Of the transcript."""
    tags: tuple[str, ...]
    collections: tuple[uuid.UUID, ...]
    lines: tuple[Said, ...]


async def read(
    session: AsyncSession, file_id: uuid.UUID, *, lock: bool = False
) -> SpokenFile | None:
    """A file as it is; None: it is gone, or has no transcript.

    With `lock` it is not deleted before this transaction ends; whoever is deleting it is waited
    for.
    """
    title = func.coalesce(func.nullif(MediaFile.title, ""), MediaFile.filename)
    query = (
        select(MediaFile, title, Transcript.version, Transcript.task, Transcript.id)
        .join(Transcript, Transcript.media_file_id == MediaFile.id)
        .where(MediaFile.id == file_id)
        .options(load_only(*FACTS))
        .execution_options(populate_existing=True)
    )
    if lock:
        query = query.with_for_update(read=True, key_share=True, of=MediaFile)
    row = (await session.execute(query)).one_or_none()
    if row is None:
        return None
    file, shown, version, task, transcript_id = row
    tags = await file_labels.tags(session, [file_id])
    into = await file_labels.collections(session, [file_id])
    return SpokenFile(
        id=file.id,
        owner_id=file.user_id,
        title=shown,
        created_at=file.created_at,
        content_type=file.content_type,
        size_bytes=file.size_bytes,
        duration=file.duration,
        language=file.language,
        # Whisper translates into English alone.
        translated_to="en" if task == "translate" else None,
        version=version,
        tags=tuple(tags.get(file_id, ())),
        collections=tuple(sorted(one.id for one in into.get(file_id, ()))),
        lines=await _lines(session, transcript_id),
    )


async def _lines(session: AsyncSession, transcript_id: uuid.UUID) -> tuple[Said, ...]:
    shown = func.coalesce(Speaker.display_name, Speaker.label, "")
    rows = await session.execute(
        select(Segment.start, Segment.end, Segment.text, shown, Segment.speaker_id)
        .outerjoin(Speaker, Speaker.id == Segment.speaker_id)
        .where(Segment.transcript_id == transcript_id)
        .order_by(Segment.index)
    )
    return tuple(Said(*row) for row in rows)


async def note_stored(
    session: AsyncSession,
    file: SpokenFile,
    destination: Destination,
    places: Collection[str],
    passages: int,
) -> None:
    """Write down that these places of a store have a file as it is."""
    rows = [
        {
            "media_file_id": file.id,
            "destination": destination,
            "place": place,
            "transcript_version": file.version,
            "passages": passages,
        }
        for place in sorted(places)
    ]
    statement = insert(IndexedFile).values(rows)
    await session.execute(
        statement.on_conflict_do_update(
            index_elements=[IndexedFile.media_file_id, IndexedFile.destination, IndexedFile.place],
            set_={
                "transcript_version": statement.excluded.transcript_version,
                "passages": statement.excluded.passages,
                "indexed_at": func.now(),
            },
        )
    )


async def forget(session: AsyncSession, destination: Destination, file_id: uuid.UUID) -> None:
    """Write down that a store has nothing of a file."""
    await session.execute(
        delete(IndexedFile)
        .where(IndexedFile.destination == destination, IndexedFile.media_file_id == file_id)
        .execution_options(synchronize_session=False)
    )


def at(destination: Destination, place: str) -> ColumnElement[bool]:
    """What one place of a store has."""
    return and_(IndexedFile.destination == destination, IndexedFile.place == place)


async def empty(session: AsyncSession, destination: Destination, place: str) -> None:
    """Write down that a place has nothing any more."""
    await session.execute(
        delete(IndexedFile)
        .where(at(destination, place))
        .execution_options(synchronize_session=False)
    )


async def empty_but(session: AsyncSession, destination: Destination, place: str) -> None:
    """Write down that all other places of a store have nothing any more."""
    await session.execute(
        delete(IndexedFile)
        .where(IndexedFile.destination == destination, IndexedFile.place != place)
        .execution_options(synchronize_session=False)
    )


async def move(session: AsyncSession, destination: Destination, place: str, to: str) -> None:
    """Write down that what one place has is in another from now on, and nothing else there."""
    await empty(session, destination, to)
    await session.execute(
        update(IndexedFile)
        .where(at(destination, place))
        .values(place=to)
        .execution_options(synchronize_session=False)
    )


def _stored(destination: Destination, place: str, since: datetime | None) -> ColumnElement[bool]:
    """Whether a transcript's file was brought to a place, at this moment or later."""
    of_it = [IndexedFile.media_file_id == Transcript.media_file_id, at(destination, place)]
    return exists().where(*of_it, *([IndexedFile.indexed_at >= since] if since else []))


async def left(
    session: AsyncSession,
    destination: Destination,
    place: str,
    limit: int,
    since: datetime | None = None,
) -> Sequence[Owned]:
    """Some files with transcripts that a place does not have, or not since a moment."""
    rows = await session.execute(
        select(MediaFile.id, MediaFile.user_id)
        .join(Transcript, Transcript.media_file_id == MediaFile.id)
        .where(not_(_stored(destination, place, since)))
        .order_by(MediaFile.id)
        .limit(limit)
    )
    return [Owned(*row) for row in rows]


async def owners(session: AsyncSession, file_ids: Collection[uuid.UUID]) -> Sequence[Owned]:
    """Those of these files that are there, and whose they are."""
    rows = await session.execute(
        select(MediaFile.id, MediaFile.user_id)
        .where(MediaFile.id == one_of(file_ids))
        .order_by(MediaFile.id)
    )
    return [Owned(*row) for row in rows]


async def progress(
    session: AsyncSession,
    destination: Destination,
    place: str,
    since: datetime | None = None,
) -> tuple[int, int]:
    """How many files with transcripts a place has (since a moment), and how many there are."""
    row = await session.execute(
        select(
            func.count().filter(_stored(destination, place, since)),
            func.count(),
        ).select_from(Transcript)
    )
    stored, total = row.one()
    return stored, total


def outdated(destination: Destination, place: str) -> Select[uuid.UUID]:
    """Files with transcripts that a place does not have as they are."""
    current = IndexedFile.transcript_version == Transcript.version
    return (
        select(Transcript.media_file_id)
        .outerjoin(
            IndexedFile,
            and_(IndexedFile.media_file_id == Transcript.media_file_id, at(destination, place)),
        )
        .where(func.coalesce(current, False).is_(False))
    )


@dataclass(frozen=True, slots=True)
class Stored:
    """A file with a transcript, and how many passages of it a place was given; None: nothing."""

    file_id: uuid.UUID
    passages: int | None


async def stored(
    session: AsyncSession,
    destination: Destination,
    place: str,
    after: uuid.UUID | None,
    limit: int,
) -> Sequence[Stored]:
    """Some files with transcripts in order of their ids, those that follow one."""
    query = select(Transcript.media_file_id, IndexedFile.passages).outerjoin(
        IndexedFile,
        and_(IndexedFile.media_file_id == Transcript.media_file_id, at(destination, place)),
    )
    if after is not None:
        query = query.where(Transcript.media_file_id > after)
    rows = await session.execute(query.order_by(Transcript.media_file_id).limit(limit))
    return [Stored(*row) for row in rows]


async def places(session: AsyncSession, destination: Destination) -> Mapping[str, datetime]:
    """Places of a store that were written to, and when last."""
    rows = await session.execute(
        select(IndexedFile.place, func.max(IndexedFile.indexed_at))
        .where(IndexedFile.destination == destination)
        .group_by(IndexedFile.place)
    )
    return dict(rows.all())
