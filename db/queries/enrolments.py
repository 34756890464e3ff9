"""Clips in which people speak alone."""

import uuid
from collections.abc import Sequence

from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from db.errors import NotFound
from db.models import Enrolment, SpeakerProfile

KIND = "enrolment"


async def of_profile(session: AsyncSession, profile_id: uuid.UUID) -> Sequence[Enrolment]:
    """All clips of a profile that was found for its user, newest first: there are few."""
    rows = await session.scalars(
        select(Enrolment)
        .where(Enrolment.profile_id == profile_id)
        .order_by(Enrolment.created_at.desc(), Enrolment.id)
    )
    return rows.all()


async def count(session: AsyncSession, profile_id: uuid.UUID) -> int:
    """How many clips a profile has."""
    counted = select(func.count()).select_from(Enrolment).where(Enrolment.profile_id == profile_id)
    return await session.scalar(counted) or 0


async def remove(
    session: AsyncSession, user_id: uuid.UUID, profile_id: uuid.UUID, enrolment_id: uuid.UUID
) -> str:
    """Delete a clip's row; says where the clip is.

    Raises:
        NotFound: the profile has none such, or is none that this user may see.
    """
    own = select(SpeakerProfile.id).where(
        SpeakerProfile.id == profile_id, SpeakerProfile.user_id == user_id
    )
    key: str | None = await session.scalar(
        delete(Enrolment)
        .where(Enrolment.id == enrolment_id, Enrolment.profile_id.in_(own))
        .returning(Enrolment.object_key)
        .execution_options(synchronize_session=False)
    )
    if key is None:
        raise NotFound(KIND, str(enrolment_id))
    return key
