"""Profiles: people of a user, across files."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, ScalarSelect, Select, delete, func, select, true, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from db.errors import NameTaken, NotFound
from db.models import (
    Enrolment,
    ProfileVoiceprint,
    Speaker,
    SpeakerCollectionMember,
    SpeakerProfile,
)
from db.queries import names

UNIQUE_NAME = "uq_speaker_profile_user_name"
KIND = "profile"


@dataclass(frozen=True, slots=True)
class Described:
    """A profile and what is known by it."""

    profile: SpeakerProfile
    speaker_count: int
    """Voices of files."""
    file_count: int
    verified_count: int
    """Voices of which a person said that they are this one's."""
    speech_seconds: float
    """Of all its voices."""
    enrolment_count: int
    samples: int | None
    """Of how many voices and clips its voiceprint is, of the model with most; None: it has none."""


def readable_by(user_id: uuid.UUID) -> ColumnElement[bool]:
    """Profiles that are this user's."""
    return SpeakerProfile.user_id == user_id


async def get(
    session: AsyncSession, user_id: uuid.UUID, profile_id: uuid.UUID, *, lock: bool = False
) -> SpeakerProfile:
    """One profile; `lock` keeps it as it is until this transaction ends.

    Raises:
        NotFound: there is none that this user may see.
    """
    query = (
        select(SpeakerProfile)
        .where(SpeakerProfile.id == profile_id, readable_by(user_id))
        .execution_options(populate_existing=True)
    )
    if lock:
        query = query.with_for_update()
    profile: SpeakerProfile | None = await session.scalar(query)
    if profile is None:
        raise NotFound(KIND, str(profile_id))
    return profile


async def require(
    session: AsyncSession, user_id: uuid.UUID, profile_id: uuid.UUID, *, lock: bool = False
) -> None:
    """See that a profile is there; `lock` keeps it there until this transaction ends.

    Raises:
        NotFound: there is none that this user may see.
    """
    query = select(SpeakerProfile.id).where(SpeakerProfile.id == profile_id, readable_by(user_id))
    if lock:
        query = query.with_for_update(read=True, key_share=True)
    if await session.scalar(query) is None:
        raise NotFound(KIND, str(profile_id))


async def add(
    session: AsyncSession, user_id: uuid.UUID, name: str, description: str
) -> SpeakerProfile:
    """Make a profile.

    Raises:
        NameTaken: the user has another one of this name, however close the race.
    """
    statement = insert(SpeakerProfile).values(user_id=user_id, name=name, description=description)
    made: SpeakerProfile | None = await session.scalar(
        statement.on_conflict_do_nothing().returning(SpeakerProfile)
    )
    if made is None:
        raise NameTaken(KIND, name)
    return made


async def ensure(session: AsyncSession, user_id: uuid.UUID, name: str) -> SpeakerProfile:
    """The user's profile of this name in any letter case, made where there is none.

    Locked until the transaction ends. It keeps the letter case of the name that it has.
    """
    statement = insert(SpeakerProfile).values(user_id=user_id, name=name)
    # An update that changes nothing: it locks the row, so that nobody deletes it meanwhile.
    found = statement.on_conflict_do_update(
        index_elements=[SpeakerProfile.user_id, func.lower(SpeakerProfile.name)],
        set_={"name": SpeakerProfile.name},
    ).returning(SpeakerProfile)
    return (await session.scalars(found)).one()


async def called(session: AsyncSession, user_id: uuid.UUID, name: str) -> uuid.UUID | None:
    """The user's profile of this name in any letter case; None: there is none."""
    query = select(SpeakerProfile.id).where(
        readable_by(user_id), func.lower(SpeakerProfile.name) == func.lower(name)
    )
    found: uuid.UUID | None = await session.scalar(query)
    return found


async def names_of(session: AsyncSession, user_id: uuid.UUID, limit: int) -> Sequence[str]:
    """What a user's people are called, those that were changed last first."""
    found = await session.scalars(
        select(SpeakerProfile.name)
        .where(readable_by(user_id))
        .order_by(SpeakerProfile.updated_at.desc(), SpeakerProfile.id)
        .limit(limit)
    )
    return found.all()


async def described(session: AsyncSession, user_id: uuid.UUID, profile_id: uuid.UUID) -> Described:
    """One profile with what is known by it.

    Raises:
        NotFound: there is none that this user may see.
    """
    found = await _described(
        session, _described_query([SpeakerProfile.id == profile_id, readable_by(user_id)])
    )
    if not found:
        raise NotFound(KIND, str(profile_id))
    return found[0]


async def page(
    session: AsyncSession,
    user_id: uuid.UUID,
    *,
    search: str | None = None,
    collection_id: uuid.UUID | None = None,
    limit: int,
    offset: int,
) -> tuple[Sequence[Described], int]:
    """One page of a user's profiles by name, and how many there are in all.

    `search` is a part of the name in any letter case; `collection_id` that of a collection of
    speakers.
    """
    matching = [readable_by(user_id)]
    if search:
        matching.append(SpeakerProfile.name.icontains(search, autoescape=True))
    if collection_id is not None:
        members = select(SpeakerCollectionMember.profile_id).where(
            SpeakerCollectionMember.collection_id == collection_id
        )
        matching.append(SpeakerProfile.id.in_(members))
    query = (
        _described_query(matching)
        .order_by(func.lower(SpeakerProfile.name), SpeakerProfile.id)
        .limit(limit)
        .offset(offset)
    )
    total = await session.scalar(select(func.count()).select_from(SpeakerProfile).where(*matching))
    return await _described(session, query), total or 0


def _described_query(matching: Sequence[ColumnElement[bool]]) -> Select[Any]:
    # For the profiles of the page alone: the lateral part runs once for each of them.
    voices = (
        select(
            func.count().label("speakers"),
            func.count(Speaker.media_file_id.distinct()).label("files"),
            func.count().filter(Speaker.verified).label("verified"),
            func.coalesce(func.sum(Speaker.speech_seconds), 0.0).label("seconds"),
        )
        .where(Speaker.profile_id == SpeakerProfile.id)
        .correlate(SpeakerProfile)
        .lateral("voices")
    )
    return (
        select(
            SpeakerProfile,
            voices.c.speakers,
            voices.c.files,
            voices.c.verified,
            voices.c.seconds,
            _count(Enrolment.profile_id),
            _samples(),
        )
        .join(voices, true())
        .where(*matching)
        .execution_options(populate_existing=True)
    )


def _count(column: InstrumentedAttribute[uuid.UUID]) -> ScalarSelect[int]:
    return (
        select(func.count())
        .where(column == SpeakerProfile.id)
        .correlate(SpeakerProfile)
        .scalar_subquery()
    )


def _samples() -> ScalarSelect[int]:
    return (
        select(func.max(ProfileVoiceprint.samples))
        .where(ProfileVoiceprint.profile_id == SpeakerProfile.id)
        .correlate(SpeakerProfile)
        .scalar_subquery()
    )


async def _described(session: AsyncSession, query: Select[Any]) -> list[Described]:
    return [Described(*row) for row in await session.execute(query)]


async def change(
    session: AsyncSession, user_id: uuid.UUID, profile_id: uuid.UUID, changes: Mapping[str, str]
) -> None:
    """Change the name or the description; its voices' names follow by `profile_voices.give`.

    Raises:
        NotFound: there is none that this user may see.
        NameTaken: the user has another one of this name.
    """
    async with names.unless_taken(session, UNIQUE_NAME, KIND, changes.get("name", "")):
        changed = await session.scalar(
            update(SpeakerProfile)
            .where(SpeakerProfile.id == profile_id, readable_by(user_id))
            .values(**changes)
            .returning(SpeakerProfile.id)
            .execution_options(synchronize_session=False)
        )
    if changed is None:
        raise NotFound(KIND, str(profile_id))


async def remove(session: AsyncSession, user_id: uuid.UUID, profile_id: uuid.UUID) -> None:
    """Delete a profile with its clips' rows; its voices stay, and belong to no profile.

    Raises:
        NotFound: there is none that this user may see.
    """
    statement = delete(SpeakerProfile).where(SpeakerProfile.id == profile_id, readable_by(user_id))
    if await session.scalar(statement.returning(SpeakerProfile.id)) is None:
        raise NotFound(KIND, str(profile_id))
