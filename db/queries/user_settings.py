"""What users set, section by section."""

import uuid
from collections.abc import Mapping
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from db.models import UserSetting


async def get(session: AsyncSession, user_id: uuid.UUID, section: str) -> dict[str, Any]:
    """What a user set in a section; empty where that is nothing."""
    row = await session.get(UserSetting, (user_id, section))
    return dict(row.values) if row else {}


async def every(session: AsyncSession, user_id: uuid.UUID) -> Mapping[str, dict[str, Any]]:
    """What a user set, by section; sections in which that is nothing are left out."""
    rows = await session.execute(
        select(UserSetting.section, UserSetting.values).where(UserSetting.user_id == user_id)
    )
    return dict(rows.all())


async def merge(
    session: AsyncSession, user_id: uuid.UUID, section: str, values: Mapping[str, Any]
) -> dict[str, Any]:
    """Set some values, and say what the section then holds.

    One statement: of two changes at once neither is lost, and the caller may look at the outcome
    and refuse it, since the row stays locked until this transaction ends.
    """
    statement = insert(UserSetting).values(user_id=user_id, section=section, values=dict(values))
    merged = statement.on_conflict_do_update(
        index_elements=[UserSetting.user_id, UserSetting.section],
        set_={
            "values": UserSetting.values.op("||")(statement.excluded["values"]),
            "updated_at": func.now(),
        },
    ).returning(UserSetting.values)
    found: dict[str, Any] = (await session.scalars(merged)).one()
    return found


async def reset(session: AsyncSession, user_id: uuid.UUID, section: str) -> None:
    """Forget what a user set in a section."""
    await session.execute(
        delete(UserSetting).where(UserSetting.user_id == user_id, UserSetting.section == section)
    )
