"""What a person ruled out: voices that are not a profile's, or not each other's."""

import uuid
from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import (
    UUID,
    ColumnElement,
    Select,
    SQLColumnExpression,
    and_,
    case,
    delete,
    func,
    literal,
    or_,
    select,
    union,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from db.models import CannotLink, ProfileRejection, Speaker, SpeakerMatch
from db.queries.among import one_of

PAIR = ["first_id", "second_id"]


async def reject(session: AsyncSession, speaker_id: uuid.UUID, profile_id: uuid.UUID) -> None:
    """A voice is not this profile's, nor that of those of its voices which it sounds like."""
    values = {"speaker_id": speaker_id, "profile_id": profile_id}
    await session.execute(insert(ProfileRejection).values(values).on_conflict_do_nothing())
    alike = (
        select(SpeakerMatch.first_id, SpeakerMatch.second_id)
        .join(Speaker, Speaker.id.in_([SpeakerMatch.first_id, SpeakerMatch.second_id]))
        .where(
            or_(SpeakerMatch.first_id == speaker_id, SpeakerMatch.second_id == speaker_id),
            Speaker.id != speaker_id,
            Speaker.profile_id == profile_id,
        )
    )
    await session.execute(insert(CannotLink).from_select(PAIR, alike).on_conflict_do_nothing())


async def part(session: AsyncSession, one: uuid.UUID, other: uuid.UUID) -> None:
    """Two voices are not the same one's."""
    first, second = sorted((one, other))
    values = {"first_id": first, "second_id": second}
    await session.execute(insert(CannotLink).values(values).on_conflict_do_nothing())


async def lift(
    session: AsyncSession, speaker_ids: Collection[uuid.UUID], profile_id: uuid.UUID
) -> None:
    """Forget what was ruled out of voices that a person now says are this profile's."""
    these = one_of(speaker_ids)
    await session.execute(
        delete(ProfileRejection).where(
            ProfileRejection.speaker_id == these, ProfileRejection.profile_id == profile_id
        )
    )
    members = select(Speaker.id).where(or_(Speaker.profile_id == profile_id, Speaker.id == these))
    await session.execute(
        delete(CannotLink).where(
            or_(
                and_(CannotLink.first_id == these, CannotLink.second_id.in_(members)),
                and_(CannotLink.second_id == these, CannotLink.first_id.in_(members)),
            )
        )
    )


async def unite(session: AsyncSession, source: uuid.UUID, target: uuid.UUID) -> None:
    """What was ruled out of a voice is ruled out of another one too."""
    rejected = select(literal(target, UUID), ProfileRejection.profile_id).where(
        ProfileRejection.speaker_id == source
    )
    await session.execute(
        insert(ProfileRejection)
        .from_select(["speaker_id", "profile_id"], rejected)
        .on_conflict_do_nothing()
    )
    apart = _apart_from(source).subquery()
    other = apart.c.other_id
    pairs = select(
        func.least(other, literal(target, UUID)), func.greatest(other, literal(target, UUID))
    ).where(other != target)
    await session.execute(insert(CannotLink).from_select(PAIR, pairs).on_conflict_do_nothing())


def _apart_from(speaker_id: uuid.UUID) -> Select[tuple[uuid.UUID]]:
    other = case(
        (CannotLink.first_id == speaker_id, CannotLink.second_id), else_=CannotLink.first_id
    )
    return select(other.label("other_id")).where(
        or_(CannotLink.first_id == speaker_id, CannotLink.second_id == speaker_id)
    )


def apart(one: SQLColumnExpression[Any], other: SQLColumnExpression[Any]) -> ColumnElement[bool]:
    """Whether two voices were told apart, in SQL."""
    return (
        select(CannotLink.first_id)
        .where(
            CannotLink.first_id == func.least(one, other),
            CannotLink.second_id == func.greatest(one, other),
        )
        .correlate_except(CannotLink)
        .exists()
    )


def rejected(
    speaker: SQLColumnExpression[Any], profile: SQLColumnExpression[Any]
) -> ColumnElement[bool]:
    """Whether a voice is not a profile's, in SQL."""
    return (
        select(ProfileRejection.speaker_id)
        .where(ProfileRejection.speaker_id == speaker, ProfileRejection.profile_id == profile)
        .correlate_except(ProfileRejection)
        .exists()
    )


async def apart_from(
    session: AsyncSession, speaker_id: uuid.UUID, others: Collection[uuid.UUID]
) -> set[uuid.UUID]:
    """Those of these voices that were told apart from one."""
    told = _apart_from(speaker_id).subquery()
    these = one_of(others)
    rows = await session.scalars(select(told.c.other_id).where(told.c.other_id == these))
    return set(rows)


async def of_profile(
    session: AsyncSession, speaker_ids: Collection[uuid.UUID], profile_id: uuid.UUID
) -> set[uuid.UUID]:
    """Those of these voices which are not this profile's: it was said of it, or of its voices."""
    these = one_of(speaker_ids)
    named = and_(Speaker.profile_id == profile_id, Speaker.verified)
    said = union(
        select(ProfileRejection.speaker_id).where(
            ProfileRejection.speaker_id == these, ProfileRejection.profile_id == profile_id
        ),
        select(CannotLink.first_id)
        .join(Speaker, Speaker.id == CannotLink.second_id)
        .where(CannotLink.first_id == these, named),
        select(CannotLink.second_id)
        .join(Speaker, Speaker.id == CannotLink.first_id)
        .where(CannotLink.second_id == these, named),
    )
    found: Sequence[uuid.UUID] = (await session.scalars(said)).all()
    return set(found)
