"""Voiceprints as the rows have them: of a file's voices, of a profile's samples, of profiles."""

import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Select, delete, func, select, union_all
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from db.models import Enrolment, ProfileVoiceprint, Speaker, SpeakerProfile
from db.queries.among import one_of


@dataclass(frozen=True, slots=True)
class Voiceprint:
    """What a speaker or a profile, whose id this is, sounds like to a model."""

    id: uuid.UUID
    model: str
    embedding: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Sample:
    """A voice that a profile is known by, and how many seconds it speaks alone."""

    model: str
    embedding: tuple[float, ...]
    clean_seconds: float


@dataclass(frozen=True, slots=True)
class Mean:
    """A profile's voiceprint: of how many samples, and how many seconds they have."""

    embedding: tuple[float, ...]
    samples: int
    clean_seconds: float


def compared(min_clean_seconds: float) -> ColumnElement[bool]:
    """Speakers whose voiceprint is trusted enough to be compared with others."""
    return Speaker.embedding.is_not(None) & (Speaker.clean_seconds >= min_clean_seconds)


def _speakers(user_id: uuid.UUID, min_clean_seconds: float) -> Select[Speaker]:
    return (
        select(Speaker)
        .where(Speaker.user_id == user_id, compared(min_clean_seconds))
        .order_by(Speaker.id)
        .execution_options(populate_existing=True)
    )


def _of(speaker: Speaker) -> Voiceprint:
    return Voiceprint(speaker.id, speaker.embedding_model or "", tuple(speaker.embedding or ()))


async def of_file(
    session: AsyncSession,
    user_id: uuid.UUID,
    file_id: uuid.UUID,
    min_clean_seconds: float,
    *,
    lock: bool = False,
) -> list[Voiceprint]:
    """Those of a file's voices, by id; `lock` keeps the speakers there until this transaction ends.

    With `lock`, whoever is deleting them is waited for.
    """
    query = _speakers(user_id, min_clean_seconds).where(Speaker.media_file_id == file_id)
    if lock:
        query = query.with_for_update(read=True, key_share=True)
    return [_of(speaker) for speaker in await session.scalars(query)]


async def of_speakers(
    session: AsyncSession,
    user_id: uuid.UUID,
    ids: Collection[uuid.UUID],
    min_clean_seconds: float,
) -> list[Voiceprint]:
    """Those of these voices that are there, and stay until this transaction ends.

    Speakers whom somebody is deleting at this moment are left out: waiting for them could be
    waiting for each other.
    """
    rows = await session.scalars(
        _speakers(user_id, min_clean_seconds)
        .where(Speaker.id == one_of(ids))
        .with_for_update(read=True, key_share=True, skip_locked=True)
    )
    return [_of(speaker) for speaker in rows]


async def of_profiles(
    session: AsyncSession, user_id: uuid.UUID, ids: Collection[uuid.UUID], *, wait: bool = False
) -> list[Voiceprint]:
    """Those of these profiles, by id and model; the profiles stay until this transaction ends.

    Profiles that somebody is deleting at this moment are left out, or waited for.
    """
    there = await session.scalars(
        select(SpeakerProfile.id)
        .where(SpeakerProfile.id == one_of(ids), SpeakerProfile.user_id == user_id)
        .order_by(SpeakerProfile.id)
        .with_for_update(read=True, key_share=True, skip_locked=not wait)
    )
    rows = await session.scalars(
        select(ProfileVoiceprint)
        .where(ProfileVoiceprint.profile_id == one_of(there.all()))
        .order_by(ProfileVoiceprint.profile_id, ProfileVoiceprint.embedding_model)
        .execution_options(populate_existing=True)
    )
    return [Voiceprint(row.profile_id, row.embedding_model, tuple(row.embedding)) for row in rows]


async def speakers_of(
    session: AsyncSession, user_id: uuid.UUID, file_id: uuid.UUID
) -> set[uuid.UUID]:
    """All speakers of a file, with a voiceprint that is compared or without."""
    rows = await session.scalars(
        select(Speaker.id).where(Speaker.user_id == user_id, Speaker.media_file_id == file_id)
    )
    return set(rows)


async def samples(
    session: AsyncSession, profile_id: uuid.UUID, min_clean_seconds: float, most: int
) -> list[Sample]:
    """What a profile is known by: voices that a person verified, and enrolments.

    Of each model at most `most`: those with most speech.
    """
    verified = select(
        Speaker.id, Speaker.embedding_model, Speaker.embedding, Speaker.clean_seconds
    ).where(Speaker.profile_id == profile_id, Speaker.verified, compared(min_clean_seconds))
    enrolled = select(
        Enrolment.id, Enrolment.embedding_model, Enrolment.embedding, Enrolment.clean_seconds
    ).where(Enrolment.profile_id == profile_id, Enrolment.embedding.is_not(None))
    known = union_all(verified, enrolled).subquery()
    order = (known.c.clean_seconds.desc(), known.c.id)
    rank = func.row_number().over(partition_by=known.c.embedding_model, order_by=order)
    ranked = select(known, rank.label("rank")).subquery()
    rows = await session.execute(
        select(ranked.c.embedding_model, ranked.c.embedding, ranked.c.clean_seconds)
        .where(ranked.c.rank <= most)
        .order_by(ranked.c.embedding_model, ranked.c.rank)
    )
    return [Sample(model, tuple(vector), seconds) for model, vector, seconds in rows]


async def profile_exists(session: AsyncSession, user_id: uuid.UUID, profile_id: uuid.UUID) -> bool:
    """Whether a profile is there, and stays until this transaction ends."""
    found = await session.scalar(
        select(SpeakerProfile.id)
        .where(SpeakerProfile.id == profile_id, SpeakerProfile.user_id == user_id)
        .with_for_update(read=True, key_share=True)
    )
    return found is not None


async def put_means(
    session: AsyncSession, profile_id: uuid.UUID, means: Mapping[str, Mean]
) -> None:
    """Store a profile's voiceprints by model, in the place of those it had."""
    await session.execute(
        delete(ProfileVoiceprint)
        .where(
            ProfileVoiceprint.profile_id == profile_id,
            ProfileVoiceprint.embedding_model.not_in(means),
        )
        .execution_options(synchronize_session=False)
    )
    for model, mean in means.items():
        values = {
            "embedding": list(mean.embedding),
            "samples": mean.samples,
            "clean_seconds": mean.clean_seconds,
        }
        statement = insert(ProfileVoiceprint).values(
            profile_id=profile_id, embedding_model=model, **values
        )
        await session.execute(
            statement.on_conflict_do_update(
                index_elements=[ProfileVoiceprint.profile_id, ProfileVoiceprint.embedding_model],
                set_={**values, "updated_at": func.now()},
            )
        )


async def members(session: AsyncSession, profile_id: uuid.UUID) -> set[uuid.UUID]:
    """Voices of which a person said that they are this profile's."""
    rows = await session.scalars(
        select(Speaker.id).where(Speaker.profile_id == profile_id, Speaker.verified)
    )
    return set(rows)


async def known_by(session: AsyncSession, file_ids: Collection[uuid.UUID]) -> set[uuid.UUID]:
    """Profiles that are known by voices of these files."""
    rows = await session.scalars(
        select(Speaker.profile_id)
        .where(Speaker.media_file_id == one_of(file_ids), Speaker.verified)
        .distinct()
    )
    return {profile_id for profile_id in rows if profile_id is not None}


async def with_voices(session: AsyncSession, file_ids: Collection[uuid.UUID]) -> set[uuid.UUID]:
    """Those of these files in which somebody's voice is known."""
    rows = await session.scalars(
        select(Speaker.media_file_id)
        .where(Speaker.media_file_id == one_of(file_ids), Speaker.embedding.is_not(None))
        .distinct()
    )
    return set(rows)
