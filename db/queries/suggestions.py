"""Whom voices sound like, and what people ruled out: names are joined when this is asked."""

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    UUID,
    Select,
    String,
    and_,
    case,
    cast,
    null,
    select,
    true,
    union_all,
)
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute, aliased
from sqlalchemy.sql.selectable import LateralFromClause

from db.models import (
    CannotLink,
    MediaFile,
    NameSource,
    ProfileMatch,
    ProfileRejection,
    Speaker,
    SpeakerMatch,
    SpeakerProfile,
)
from db.queries.among import one_of

MAX_VOICES = 100
"""Most named voices that are looked at for one voice: those that sound most like it. Somebody who
speaks everywhere has thousands."""

NOBODY = cast(null(), UUID)
NOTHING = cast(null(), String)

Other = aliased(Speaker)


@dataclass(frozen=True, slots=True)
class Candidate:
    """Somebody with a name whom a voice sounds like."""

    speaker_id: uuid.UUID
    """Whose voice it is about."""
    profile_id: uuid.UUID | None
    name: str
    similarity: float
    """Cosine."""
    voice_id: uuid.UUID | None = None
    """The other voice; None: the profile's voiceprint."""
    file_id: uuid.UUID | None = None
    """Of the other voice."""
    filename: str | None = None


@dataclass(frozen=True, slots=True)
class RuledOut:
    """Somebody of whom a person said that a voice is not theirs."""

    speaker_id: uuid.UUID
    profile_id: uuid.UUID | None
    name: str | None
    """None: nobody verified whose voice the other one is."""
    voice_id: uuid.UUID | None = None
    """Not this voice's; None: it was said of the profile."""


async def candidates(
    session: AsyncSession, user_id: uuid.UUID, speaker_ids: Collection[uuid.UUID]
) -> Sequence[Candidate]:
    """Profiles and named voices of this user that these voices of theirs sound like.

    Voices that were named by their sound alone are left out: whom they sound like is asked of the
    profile itself.
    """
    both = union_all(_profiles(user_id, speaker_ids), _voices(user_id, speaker_ids))
    return [Candidate(*row) for row in await session.execute(both)]


async def ruled_out(
    session: AsyncSession, user_id: uuid.UUID, speaker_ids: Collection[uuid.UUID]
) -> Sequence[RuledOut]:
    """Whose these voices of the user are not, as somebody said."""
    said = union_all(
        _rejected(user_id, speaker_ids),
        _apart(user_id, speaker_ids, CannotLink.first_id, CannotLink.second_id),
        _apart(user_id, speaker_ids, CannotLink.second_id, CannotLink.first_id),
    )
    return [RuledOut(*row) for row in await session.execute(said)]


def _profiles(user_id: uuid.UUID, speaker_ids: Collection[uuid.UUID]) -> Select[Any]:
    return (
        select(
            ProfileMatch.speaker_id,
            SpeakerProfile.id,
            SpeakerProfile.name,
            ProfileMatch.similarity,
            NOBODY,
            NOBODY,
            NOTHING,
        )
        .join(SpeakerProfile, SpeakerProfile.id == ProfileMatch.profile_id)
        .where(ProfileMatch.speaker_id == one_of(speaker_ids), SpeakerProfile.user_id == user_id)
    )


def _voices(user_id: uuid.UUID, speaker_ids: Collection[uuid.UUID]) -> Select[Any]:
    named = _named_voices()
    return (
        select(
            Speaker.id,
            named.c.profile_id,
            named.c.display_name,
            named.c.similarity,
            named.c.id,
            MediaFile.id,
            MediaFile.filename,
        )
        .select_from(Speaker)
        .select_from(Speaker)
        .join(named, true())
        .join(MediaFile, MediaFile.id == named.c.media_file_id)
        .where(Speaker.id == one_of(speaker_ids), Speaker.user_id == user_id)
    )


def _named_voices() -> LateralFromClause:
    """Of one speaker: those that sound most like it."""
    one = select(SpeakerMatch.second_id.label("voice_id"), SpeakerMatch.similarity).where(
        SpeakerMatch.first_id == Speaker.id
    )
    other = select(SpeakerMatch.first_id, SpeakerMatch.similarity).where(
        SpeakerMatch.second_id == Speaker.id
    )
    match = union_all(one.correlate(Speaker), other.correlate(Speaker)).subquery("match")
    return (
        select(
            Other.id,
            Other.profile_id,
            Other.display_name,
            Other.media_file_id,
            match.c.similarity,
        )
        .join(match, match.c.voice_id == Other.id)
        .where(
            Other.user_id == Speaker.user_id,
            # Matches of another model are about to be found anew.
            Other.embedding_model == Speaker.embedding_model,
            Other.display_name.is_not(None),
            Other.name_source.is_distinct_from(NameSource.voice),
        )
        .order_by(match.c.similarity.desc(), Other.id)
        .limit(MAX_VOICES)
        .correlate(Speaker)
        .lateral("named")
    )


def _rejected(user_id: uuid.UUID, speaker_ids: Collection[uuid.UUID]) -> Select[Any]:
    return (
        select(ProfileRejection.speaker_id, SpeakerProfile.id, SpeakerProfile.name, NOBODY)
        .join(SpeakerProfile, SpeakerProfile.id == ProfileRejection.profile_id)
        .where(
            ProfileRejection.speaker_id == one_of(speaker_ids), SpeakerProfile.user_id == user_id
        )
    )


def _apart(
    user_id: uuid.UUID,
    speaker_ids: Collection[uuid.UUID],
    mine: InstrumentedAttribute[uuid.UUID],
    theirs: InstrumentedAttribute[uuid.UUID],
) -> Select[Any]:
    return (
        select(
            mine,
            case((Other.verified, Other.profile_id)),
            case((Other.verified, Other.display_name)),
            Other.id,
        )
        .select_from(CannotLink)
        .join(Other, Other.id == theirs)
        .where(and_(mine == one_of(speaker_ids), Other.user_id == user_id))
    )
