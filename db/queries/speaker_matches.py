"""Where else a voice speaks: voices of its profile, and those of other files that sound like it."""

import uuid
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    UUID,
    ColumnElement,
    Select,
    SQLColumnExpression,
    Subquery,
    false,
    func,
    literal,
    or_,
    select,
    true,
    union_all,
)
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from db.models import ProfileMatch, Speaker, SpeakerMatch
from db.queries import speaker_rulings, speaker_status
from db.queries.among import one_of
from db.queries.speaker_status import Thresholds, sides
from db.queries.speakers import readable_by

Mine = aliased(Speaker)


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """A voice of another file."""

    speaker_id: uuid.UUID
    same_person: bool
    """Whether it has the same profile; else it only sounds alike."""
    similarity: float | None
    """Cosine; None: the two were not compared, or are not alike."""


async def elsewhere(
    session: AsyncSession, speaker: Speaker, medium: float, *, limit: int, offset: int
) -> tuple[Sequence[Elsewhere], int]:
    """One page of a voice's other appearances, surest first, and how many there are."""
    found = union_all(_of_the_profile(speaker), _alike(speaker, medium)).subquery("found")
    rows = await session.execute(
        select(found.c.id, found.c.same_person, found.c.similarity)
        .order_by(found.c.same_person.desc(), found.c.similarity.desc().nulls_last(), found.c.id)
        .limit(limit)
        .offset(offset)
    )
    total = await session.scalar(select(func.count()).select_from(found))
    return [Elsewhere(*row) for row in rows], total or 0


def _near(speaker_id: uuid.UUID) -> Subquery:
    """Voices that one was matched with."""
    return union_all(
        *(
            select(theirs.label("voice_id"), SpeakerMatch.similarity).where(mine == speaker_id)
            for mine, theirs in sides(SpeakerMatch)
        )
    ).subquery("near")


def _of_the_profile(speaker: Speaker) -> Select[Any]:
    near = _near(speaker.id)
    return (
        select(Speaker.id, true().label("same_person"), near.c.similarity)
        .outerjoin(near, near.c.voice_id == Speaker.id)
        .where(
            # A parameter: whoever has no profile is like nobody else without one.
            Speaker.profile_id == literal(speaker.profile_id, UUID),
            Speaker.media_file_id != speaker.media_file_id,
            readable_by(speaker.user_id),
        )
    )


def _alike(speaker: Speaker, medium: float) -> Select[Any]:
    near = _near(speaker.id)
    return (
        select(Speaker.id, false(), near.c.similarity)
        .join(near, near.c.voice_id == Speaker.id)
        .where(
            near.c.similarity >= medium,
            Speaker.embedding_model == speaker.embedding_model,
            Speaker.media_file_id != speaker.media_file_id,
            readable_by(speaker.user_id),
            _is_another(literal(speaker.profile_id, UUID), Speaker.profile_id),
            *_may_be_one(literal(speaker.id, UUID), literal(speaker.profile_id, UUID), Speaker),
        )
    )


def _is_another(mine: SQLColumnExpression[Any], theirs: Any) -> ColumnElement[bool]:
    return or_(mine.is_(None), theirs.is_distinct_from(mine))


def _may_be_one(
    speaker_id: Any, profile_id: Any, other: type[Speaker]
) -> tuple[ColumnElement[bool], ...]:
    """Nobody said that two voices are different people's."""
    return (
        ~speaker_rulings.apart(speaker_id, other.id),
        ~speaker_rulings.rejected(speaker_id, other.profile_id),
        ~speaker_rulings.rejected(other.id, profile_id),
    )


async def counts(
    session: AsyncSession, speakers: Sequence[Speaker], thresholds: Thresholds
) -> Mapping[uuid.UUID, int]:
    """How many voices `elsewhere` finds for each of these; three queries, however many they are."""
    known = [speaker for speaker in speakers if speaker.profile_id is not None]
    found = Counter(await _count_alike(session, [one.id for one in speakers], thresholds))
    if known:
        in_all = await _count_of_profiles(session, {one.profile_id for one in known})
        here = await _count_in_files(session, {one.media_file_id for one in known})
        for one in known:
            found[one.id] += in_all[one.profile_id] - here[one.media_file_id, one.profile_id]
    return found


async def _count_of_profiles(
    session: AsyncSession, profiles: Collection[uuid.UUID | None]
) -> Mapping[uuid.UUID | None, int]:
    rows = await session.execute(
        select(Speaker.profile_id, func.count())
        .where(Speaker.profile_id == one_of(profiles))
        .group_by(Speaker.profile_id)
    )
    return dict(rows.all())


async def _count_in_files(
    session: AsyncSession, files: Collection[uuid.UUID]
) -> Mapping[tuple[uuid.UUID, uuid.UUID | None], int]:
    rows = await session.execute(
        select(Speaker.media_file_id, Speaker.profile_id, func.count())
        .where(Speaker.media_file_id == one_of(files))
        .group_by(Speaker.media_file_id, Speaker.profile_id)
    )
    return {(file, profile): count for file, profile, count in rows}


async def _count_alike(
    session: AsyncSession, ids: Collection[uuid.UUID], thresholds: Thresholds
) -> Mapping[uuid.UUID, int]:
    pairs = union_all(
        *(
            select(mine.label("mine"), theirs.label("theirs"), SpeakerMatch.similarity).where(
                mine == one_of(ids)
            )
            for mine, theirs in sides(SpeakerMatch)
        )
    ).subquery("pairs")
    rows = await session.execute(
        select(Mine.id, func.count())
        .select_from(pairs)
        .join(Mine, Mine.id == pairs.c.mine)
        .join(Speaker, Speaker.id == pairs.c.theirs)
        .where(
            pairs.c.similarity >= thresholds.of(Mine.embedding_model),
            Speaker.embedding_model == Mine.embedding_model,
            Speaker.media_file_id != Mine.media_file_id,
            _is_another(Mine.profile_id, Speaker.profile_id),
            *_may_be_one(Mine.id, Mine.profile_id, Speaker),
        )
        .group_by(Mine.id)
    )
    return dict(rows.all())


@dataclass(frozen=True, slots=True)
class Follower:
    """A voice without a name that may be called like another one."""

    speaker_id: uuid.UUID
    similarity: float
    """The greater of the cosines to the voice and to the profile."""


async def followers(
    session: AsyncSession,
    speaker: Speaker,
    profile_id: uuid.UUID | None,
    thresholds: Thresholds,
    *,
    limit: int,
    offset: int = 0,
    among: Collection[uuid.UUID] | None = None,
) -> tuple[Sequence[Follower], int]:
    """Voices that may be this speaker's or profile's: unnamed, not verified, nobody ruled it out.

    Most similar first; all of them, or those `among` others; and how many there are.
    """
    near = _near(speaker.id)
    alike = [select(near.c.voice_id, near.c.similarity)]
    if profile_id is not None:
        by_profile = select(ProfileMatch.speaker_id, ProfileMatch.similarity)
        alike.append(by_profile.where(ProfileMatch.profile_id == profile_id))
    match = union_all(*alike).subquery("match")
    query = (
        select(Speaker.id, func.max(match.c.similarity).label("similarity"))
        .join(match, match.c.voice_id == Speaker.id)
        .where(
            readable_by(speaker.user_id),
            Speaker.id != speaker.id,
            Speaker.display_name.is_(None),
            ~Speaker.verified,
            Speaker.embedding_model.is_not(None),
            match.c.similarity >= thresholds.of(Speaker.embedding_model),
            ~speaker_rulings.apart(literal(speaker.id, UUID), Speaker.id),
        )
        .group_by(Speaker.id)
    )
    if profile_id is not None:
        query = query.where(~speaker_status.is_not(literal(profile_id, UUID)))
    if among is not None:
        query = query.where(Speaker.id == one_of(among))
    found = query.subquery("found")
    rows = await session.execute(
        select(found.c.id, found.c.similarity)
        .order_by(found.c.similarity.desc(), found.c.id)
        .limit(limit)
        .offset(offset)
    )
    total = await session.scalar(select(func.count()).select_from(found))
    return [Follower(*row) for row in rows], total or 0
