"""Language models that users set up, of which one is active; that of nobody is the default.

Whoever adds, changes, activates or deletes one holds the lock on its owner's account first, so that
two of them never wait for each other, nor meet the rule of one active configuration half-way.
"""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from db.errors import NameTaken, NotFound
from db.models import LlmConfiguration, User
from db.queries import names

UNIQUE_NAME = "uq_llm_configuration_user_id_name"
DEFAULT_NAME = "default"
"""The installation's default; nobody's names are unique too, so there is one."""
DEFAULT_LOCK = 0x72617973_6C6C6D64
"""Of who changes the default: a row that is not there cannot be locked."""
UNTESTED: Mapping[str, Any] = {"last_tested_at": None, "test_status": None, "test_message": None}


def readable_by(user_id: uuid.UUID) -> ColumnElement[bool]:
    """Configurations that are this user's."""
    return LlmConfiguration.user_id == user_id


def _found(row: LlmConfiguration | None, configuration_id: uuid.UUID) -> LlmConfiguration:
    if row is None:
        raise NotFound("configuration", str(configuration_id))
    return row


async def _lock_owner(session: AsyncSession, user_id: uuid.UUID) -> None:
    await session.execute(select(User.id).where(User.id == user_id).with_for_update(key_share=True))


async def page(
    session: AsyncSession, user_id: uuid.UUID, *, limit: int, offset: int
) -> tuple[Sequence[LlmConfiguration], int]:
    """One page of a user's configurations by name, and how many there are."""
    rows = await session.scalars(
        select(LlmConfiguration)
        .where(readable_by(user_id))
        .order_by(func.lower(LlmConfiguration.name), LlmConfiguration.id)
        .limit(limit)
        .offset(offset)
    )
    return rows.all(), await _counted(session, user_id)


async def _counted(session: AsyncSession, user_id: uuid.UUID) -> int:
    counted = select(func.count()).select_from(LlmConfiguration).where(readable_by(user_id))
    return await session.scalar(counted) or 0


async def count(session: AsyncSession, user_id: uuid.UUID) -> int:
    """How many configurations a user has; until this transaction ends, nobody else asks."""
    await _lock_owner(session, user_id)
    return await _counted(session, user_id)


async def get(
    session: AsyncSession, user_id: uuid.UUID, configuration_id: uuid.UUID, *, lock: bool = False
) -> LlmConfiguration:
    """One configuration; `lock`: it stays as it is until this transaction ends.

    Raises:
        NotFound: there is none that this user may see.
    """
    query = select(LlmConfiguration).where(
        LlmConfiguration.id == configuration_id, readable_by(user_id)
    )
    if lock:
        await _lock_owner(session, user_id)
        query = query.with_for_update()
    return _found(await session.scalar(query), configuration_id)


async def active(session: AsyncSession, user_id: uuid.UUID) -> LlmConfiguration | None:
    """The configuration that a user's work is done with; None: the user has none."""
    row: LlmConfiguration | None = await session.scalar(
        select(LlmConfiguration).where(readable_by(user_id), LlmConfiguration.is_active)
    )
    return row


async def add(
    session: AsyncSession, user_id: uuid.UUID, values: Mapping[str, Any]
) -> LlmConfiguration:
    """Make a configuration; a user's first one is active.

    Raises:
        NameTaken: the user has another one of this name, however close the race.
    """
    await _lock_owner(session, user_id)
    first = await active(session, user_id) is None
    statement = insert(LlmConfiguration).values(user_id=user_id, is_active=first, **values)
    made: LlmConfiguration | None = await session.scalar(
        statement.on_conflict_do_nothing().returning(LlmConfiguration)
    )
    if made is None:
        raise NameTaken("configuration", values["name"])
    return made


async def change(
    session: AsyncSession, row: LlmConfiguration, changes: Mapping[str, Any]
) -> LlmConfiguration:
    """Change a configuration that is locked.

    Raises:
        NameTaken: its user has another one of this name.
    """
    async with names.unless_taken(session, UNIQUE_NAME, "configuration", changes.get("name", "")):
        changed = await session.scalars(
            update(LlmConfiguration)
            .where(LlmConfiguration.id == row.id)
            .values(**changes)
            .returning(LlmConfiguration)
            .execution_options(populate_existing=True)
        )
    return changed.one()


async def activate(
    session: AsyncSession, user_id: uuid.UUID, configuration_id: uuid.UUID
) -> LlmConfiguration:
    """Make a configuration the active one, and no other.

    Raises:
        NotFound: there is none that this user may see.
    """
    row = await get(session, user_id, configuration_id, lock=True)
    # One statement after the other: the index is checked row by row, not at a statement's end.
    await session.execute(
        update(LlmConfiguration)
        .where(readable_by(user_id), LlmConfiguration.is_active, LlmConfiguration.id != row.id)
        .values(is_active=False)
    )
    return await change(session, row, {"is_active": True})


async def remove(
    session: AsyncSession, user_id: uuid.UUID, configuration_id: uuid.UUID
) -> LlmConfiguration | None:
    """Delete a configuration; if it was active, the one that was made last is so from now on.

    Returns:
        The one that is active now in its place; None: it was not active, or there is no other.

    Raises:
        NotFound: there is none that this user may see.
    """
    row = await get(session, user_id, configuration_id, lock=True)
    was_active = row.is_active
    await session.execute(delete(LlmConfiguration).where(LlmConfiguration.id == row.id))
    if not was_active:
        return None
    heir = await session.scalar(
        select(LlmConfiguration)
        .where(readable_by(user_id))
        .order_by(LlmConfiguration.created_at.desc(), LlmConfiguration.id)
        .limit(1)
    )
    return await change(session, heir, {"is_active": True}) if heir else None


async def remove_all(session: AsyncSession, user_id: uuid.UUID) -> int:
    """Delete all configurations of a user, and say how many there were."""
    await _lock_owner(session, user_id)
    statement = delete(LlmConfiguration).where(readable_by(user_id))
    removed = await session.scalars(statement.returning(LlmConfiguration.id))
    return len(removed.all())


async def default(session: AsyncSession, *, lock: bool = False) -> LlmConfiguration | None:
    """The installation's default; `lock`: nobody else changes it until this transaction ends."""
    if lock:
        await session.execute(select(func.pg_advisory_xact_lock(DEFAULT_LOCK)))
    row: LlmConfiguration | None = await session.scalar(
        select(LlmConfiguration).where(LlmConfiguration.user_id.is_(None))
    )
    return row


async def add_default(session: AsyncSession, values: Mapping[str, Any]) -> LlmConfiguration:
    """Make the installation's default, which is locked and is not there."""
    statement = insert(LlmConfiguration).values(
        user_id=None, name=DEFAULT_NAME, is_active=True, **values
    )
    made = await session.scalars(statement.returning(LlmConfiguration))
    return made.one()


async def remove_default(session: AsyncSession) -> None:
    """Delete the installation's default, which is locked."""
    await session.execute(delete(LlmConfiguration).where(LlmConfiguration.user_id.is_(None)))


async def note_test(
    session: AsyncSession, tested: LlmConfiguration, status: str, message: str
) -> None:
    """Keep what came of a test, unless the configuration was changed since it was read."""
    await session.execute(
        update(LlmConfiguration)
        .where(LlmConfiguration.id == tested.id, LlmConfiguration.updated_at == tested.updated_at)
        .values(
            last_tested_at=func.now(),
            test_status=status,
            test_message=message,
            # Of what is set up, nothing changes.
            updated_at=LlmConfiguration.updated_at,
        )
        .execution_options(synchronize_session=False)
    )
