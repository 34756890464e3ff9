"""Which rows the points of the vector store stand for."""

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import UUID, cast, func, null, select, union_all
from sqlalchemy.ext.asyncio import AsyncSession

from db.models import ProfileVoiceprint, Speaker, SpeakerProfile
from db.queries.among import one_of


@dataclass(frozen=True, slots=True)
class PointRow:
    """A voiceprint of a speaker or of a profile, whose id this is; one for each model."""

    id: uuid.UUID
    model: str
    dimension: int
    file_id: uuid.UUID | None
    """None: it is a profile's."""


async def rows_of(
    session: AsyncSession, user_id: uuid.UUID, ids: Collection[uuid.UUID]
) -> Sequence[PointRow]:
    """Voiceprints of this user's speakers and profiles with these ids."""
    voices = select(
        Speaker.id,
        Speaker.embedding_model,
        func.cardinality(Speaker.embedding),
        Speaker.media_file_id,
    ).where(
        Speaker.id == one_of(ids),
        Speaker.user_id == user_id,
        Speaker.embedding.is_not(None),
        Speaker.embedding_model.is_not(None),
    )
    people = (
        select(
            SpeakerProfile.id,
            ProfileVoiceprint.embedding_model,
            func.cardinality(ProfileVoiceprint.embedding),
            cast(null(), UUID),
        )
        .join(ProfileVoiceprint, ProfileVoiceprint.profile_id == SpeakerProfile.id)
        .where(SpeakerProfile.id == one_of(ids), SpeakerProfile.user_id == user_id)
    )
    return [PointRow(*row) for row in await session.execute(union_all(voices, people))]
