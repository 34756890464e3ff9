"""Whom a language model takes speakers for."""

import uuid
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from db.errors import NotFound
from db.models import Speaker, SpeakerPrediction, SpeakerProfile
from db.queries.among import one_of

Predicted = tuple[SpeakerPrediction, uuid.UUID | None]
"""A prediction, and the person of the user's who is called so."""


def readable_by(user_id: uuid.UUID) -> ColumnElement[bool]:
    """Predictions that are this user's."""
    return SpeakerPrediction.user_id == user_id


async def of_speakers(
    session: AsyncSession, user_id: uuid.UUID, speaker_ids: Collection[uuid.UUID]
) -> Sequence[Predicted]:
    """What is predicted of these speakers, surest first, with the profiles of these names."""
    rows = await session.execute(
        select(SpeakerPrediction, SpeakerProfile.id)
        .outerjoin(
            SpeakerProfile,
            and_(
                SpeakerProfile.user_id == SpeakerPrediction.user_id,
                func.lower(SpeakerProfile.name) == func.lower(SpeakerPrediction.name),
            ),
        )
        .where(SpeakerPrediction.speaker_id == one_of(speaker_ids), readable_by(user_id))
        .order_by(SpeakerPrediction.confidence.desc(), func.lower(SpeakerPrediction.name))
    )
    return [(prediction, profile_id) for prediction, profile_id in rows]


async def of_file(
    session: AsyncSession, user_id: uuid.UUID, file_id: uuid.UUID
) -> Sequence[tuple[Speaker, SpeakerPrediction]]:
    """What is predicted of a file's speakers: by label, surest first."""
    rows = await session.execute(
        select(Speaker, SpeakerPrediction)
        .join(SpeakerPrediction, SpeakerPrediction.speaker_id == Speaker.id)
        .where(Speaker.media_file_id == file_id, readable_by(user_id))
        .order_by(
            Speaker.label,
            SpeakerPrediction.confidence.desc(),
            func.lower(SpeakerPrediction.name),
        )
    )
    return [(speaker, prediction) for speaker, prediction in rows]


async def replace(
    session: AsyncSession,
    user_id: uuid.UUID,
    file_id: uuid.UUID,
    rows: Sequence[Mapping[str, Any]],
) -> int:
    """Put predictions (columns, with `speaker_id`) in the place of those of a file.

    Says how many are stored: speakers that have gone since are left out.
    """
    # Kept from going, not from being named.
    locked = await session.scalars(
        select(Speaker.id)
        .where(Speaker.media_file_id == file_id, Speaker.user_id == user_id)
        .order_by(Speaker.id)
        .with_for_update(read=True, key_share=True)
    )
    there = set(locked)
    await session.execute(
        delete(SpeakerPrediction)
        .where(SpeakerPrediction.speaker_id == one_of(there), readable_by(user_id))
        .execution_options(synchronize_session=False)
    )
    stored = [row for row in rows if row["speaker_id"] in there]
    session.add_all([SpeakerPrediction(user_id=user_id, **row) for row in stored])
    await session.flush()
    return len(stored)


async def remove(
    session: AsyncSession, user_id: uuid.UUID, file_id: uuid.UUID, prediction_id: uuid.UUID
) -> None:
    """Delete a prediction about a speaker of a file.

    Raises:
        NotFound: there is none that this user may see.
    """
    speakers = select(Speaker.id).where(Speaker.media_file_id == file_id)
    gone = await session.scalar(
        delete(SpeakerPrediction)
        .where(
            SpeakerPrediction.id == prediction_id,
            SpeakerPrediction.speaker_id.in_(speakers),
            readable_by(user_id),
        )
        .returning(SpeakerPrediction.id)
        .execution_options(synchronize_session=False)
    )
    if gone is None:
        raise NotFound("prediction", str(prediction_id))
