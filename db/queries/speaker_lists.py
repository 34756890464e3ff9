"""Lists of voices of one user: all of them, their names, what was decided about them."""

import uuid
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, SQLColumnExpression, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import defer

from db.errors import NotFound
from db.models import ChangeAction, MediaFile, Speaker, SpeakerChange, SpeakerProfile
from db.queries import speaker_status
from db.queries.among import one_of
from db.queries.speaker_status import Thresholds
from db.queries.speakers import readable_by

MAX_TOLD = 100
"""Voices that a list tells of one change: one that renames a person has thousands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeakerFilters:
    """Which voices a list shows; what is left out narrows nothing."""

    file_id: uuid.UUID | None = None
    profile_id: uuid.UUID | None = None
    cluster_id: uuid.UUID | None = None
    verified: Collection[bool] = ()
    """All of these: one that is asked to be both is nobody."""
    named: bool | None = None
    suggested: Thresholds | None = None
    """Those that have a name or that somebody may be, by these thresholds."""
    unknown: Thresholds | None = None
    """The others."""
    search: str | None = None
    """A part of the name or label, in any letter case."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A voice with what is told beside it; `speaker.embedding` is not loaded."""

    speaker: Speaker
    file_title: str
    profile_name: str | None
    has_voiceprint: bool


def _listed() -> Select[Speaker, str, str, bool]:
    return (
        select(
            Speaker,
            func.coalesce(MediaFile.title, MediaFile.filename),
            SpeakerProfile.name,
            Speaker.embedding.is_not(None),
        )
        .join(MediaFile, MediaFile.id == Speaker.media_file_id)
        .outerjoin(SpeakerProfile, SpeakerProfile.id == Speaker.profile_id)
        # A kilobyte a row that nobody is shown.
        .options(defer(Speaker.embedding, raiseload=True))
        .execution_options(populate_existing=True)
    )


async def page(
    session: AsyncSession,
    user_id: uuid.UUID,
    filters: SpeakerFilters,
    *,
    limit: int,
    offset: int,
) -> tuple[Sequence[Listed], int]:
    """One page of a user's voices, the newest first, and how many there are in all."""
    matching = [readable_by(user_id), *_conditions(filters)]
    rows = await session.execute(
        _listed()
        .where(*matching)
        .order_by(Speaker.created_at.desc(), Speaker.media_file_id, Speaker.label)
        .limit(limit)
        .offset(offset)
    )
    total = await session.scalar(select(func.count()).select_from(Speaker).where(*matching))
    return [Listed(*row) for row in rows], total or 0


async def of_ids(
    session: AsyncSession, user_id: uuid.UUID, ids: Collection[uuid.UUID]
) -> Sequence[Listed]:
    """Those of these voices that are there and this user's, by file and label."""
    rows = await session.execute(
        _listed()
        .where(Speaker.id == one_of(ids), readable_by(user_id))
        .order_by(Speaker.media_file_id, Speaker.label)
    )
    return [Listed(*row) for row in rows]


def _conditions(filters: SpeakerFilters) -> Iterator[ColumnElement[bool]]:
    if filters.file_id is not None:
        yield Speaker.media_file_id == filters.file_id
    if filters.profile_id is not None:
        yield Speaker.profile_id == filters.profile_id
    if filters.cluster_id is not None:
        yield Speaker.cluster_id == filters.cluster_id
    for verified in filters.verified:
        yield Speaker.verified.is_(verified)
    if filters.named is not None:
        yield Speaker.display_name.is_not(None) if filters.named else Speaker.display_name.is_(None)
    if filters.suggested is not None:
        yield speaker_status.is_suggested(filters.suggested)
    if filters.unknown is not None:
        yield ~speaker_status.is_suggested(filters.unknown)
    if filters.search is not None:
        yield _is_called(filters.search)


def _is_called(part: str) -> ColumnElement[bool]:
    # What has no name goes by its label.
    shown = func.coalesce(Speaker.display_name, Speaker.label)
    return shown.icontains(part, autoescape=True) | Speaker.label.icontains(part, autoescape=True)


@dataclass(frozen=True, slots=True)
class Name:
    """A name that voices have."""

    name: str
    profile_id: uuid.UUID | None
    speakers: int
    files: int


async def names(
    session: AsyncSession, user_id: uuid.UUID, *, limit: int, offset: int
) -> tuple[Sequence[Name], int]:
    """One page of the names of a user's voices, most used first, and how many there are."""
    named = (readable_by(user_id), Speaker.display_name.is_not(None))
    rows = await session.execute(
        select(
            Speaker.display_name,
            Speaker.profile_id,
            func.count().label("speakers"),
            func.count(Speaker.media_file_id.distinct()),
        )
        .where(*named)
        .group_by(Speaker.display_name, Speaker.profile_id)
        .order_by(func.count().desc(), func.lower(Speaker.display_name), Speaker.profile_id)
        .limit(limit)
        .offset(offset)
    )
    distinct = select(Speaker.display_name, Speaker.profile_id).where(*named).distinct().subquery()
    total = await session.scalar(select(func.count()).select_from(distinct))
    found = [Name(name, who, speakers, files) for name, who, speakers, files in rows if name]
    return found, total or 0


async def count_in(session: AsyncSession, file_id: uuid.UUID) -> int:
    """How many voices a file has."""
    count = select(func.count()).select_from(Speaker).where(Speaker.media_file_id == file_id)
    return await session.scalar(count) or 0


@dataclass(frozen=True, slots=True)
class PastChange:
    """A change with at most `MAX_TOLD` of its voices: what each was and became."""

    id: uuid.UUID
    action: ChangeAction
    undone: bool
    created_at: datetime
    speakers: int
    before: dict[str, Any]
    after: dict[str, Any]


async def changes(
    session: AsyncSession, user_id: uuid.UUID, *, limit: int, offset: int
) -> tuple[Sequence[PastChange], int]:
    """One page of what was decided about a user's voices, newest first, and how much there is."""
    mine = SpeakerChange.user_id == user_id
    voices = func.jsonb_object_keys(SpeakerChange.after).table_valued("key").alias("voice")
    count = select(func.count()).select_from(voices).scalar_subquery()
    rows = await session.execute(
        select(
            SpeakerChange.id,
            SpeakerChange.action,
            SpeakerChange.undone,
            SpeakerChange.created_at,
            count,
            _first(SpeakerChange.before),
            _first(SpeakerChange.after),
        )
        .where(mine)
        .order_by(SpeakerChange.created_at.desc(), SpeakerChange.id)
        .limit(limit)
        .offset(offset)
    )
    total = await session.scalar(select(func.count()).select_from(SpeakerChange).where(mine))
    return [PastChange(*row) for row in rows], total or 0


def _first(voices: SQLColumnExpression[Any]) -> ColumnElement[Any]:
    """The same ones of each change's `before` and `after`."""
    each = func.jsonb_each(voices).table_valued("key", "value").alias("each")
    told = select(each.c.key, each.c.value).order_by(each.c.key).limit(MAX_TOLD).subquery("told")
    return select(func.jsonb_object_agg(told.c.key, told.c.value)).scalar_subquery()


async def change(session: AsyncSession, user_id: uuid.UUID, change_id: uuid.UUID) -> SpeakerChange:
    """One change, locked.

    Raises:
        NotFound: there is none that this user may see.
    """
    found: SpeakerChange | None = await session.scalar(
        select(SpeakerChange)
        .where(SpeakerChange.id == change_id, SpeakerChange.user_id == user_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    if found is None:
        raise NotFound("change", str(change_id))
    return found
