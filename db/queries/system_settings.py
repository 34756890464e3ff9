"""Settings of the installation that administrators change while it runs: values by section."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from db.models import SystemSetting


async def values(session: AsyncSession, section: str) -> dict[str, Any]:
    """What was set in a section; what is left out has its default."""
    found: dict[str, Any] | None = await session.scalar(
        select(SystemSetting.values).where(SystemSetting.section == section)
    )
    return found or {}


async def changed_at(session: AsyncSession, section: str) -> datetime | None:
    """When a section was last changed; None: it has its defaults."""
    moment: datetime | None = await session.scalar(
        select(SystemSetting.updated_at).where(SystemSetting.section == section)
    )
    return moment


async def locked(session: AsyncSession, section: str) -> dict[str, Any]:
    """The same as `values`; nobody else changes them until this transaction ends."""
    # A row that is not there cannot be locked.
    await session.execute(
        insert(SystemSetting).values(section=section, values={}).on_conflict_do_nothing()
    )
    row = await session.execute(
        select(SystemSetting.values).where(SystemSetting.section == section).with_for_update()
    )
    return dict(row.scalar_one())


async def save(session: AsyncSession, section: str, new: Mapping[str, Any]) -> None:
    """Set a section's values, replacing all that were there."""
    statement = insert(SystemSetting).values(section=section, values=dict(new))
    await session.execute(
        statement.on_conflict_do_update(
            index_elements=[SystemSetting.section],
            set_={"values": statement.excluded["values"], "updated_at": func.clock_timestamp()},
        )
    )


async def reset(session: AsyncSession, section: str) -> None:
    """Forget what was set in a section."""
    await session.execute(delete(SystemSetting).where(SystemSetting.section == section))
