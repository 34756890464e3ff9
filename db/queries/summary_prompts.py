"""Users' own prompts for summaries."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from db.errors import NameTaken, NotFound
from db.models import ContentType, SummaryPrompt, User
from db.queries import names

UNIQUE_NAME = "uq_summary_prompt_user_id_name"


def readable_by(user_id: uuid.UUID) -> ColumnElement[bool]:
    """Prompts that are this user's."""
    return SummaryPrompt.user_id == user_id


def _found(row: SummaryPrompt | None, prompt_id: uuid.UUID) -> SummaryPrompt:
    if row is None:
        raise NotFound("prompt", str(prompt_id))
    return row


def _matching(
    user_id: uuid.UUID, content_type: ContentType | None
) -> tuple[ColumnElement[bool], ...]:
    if content_type is None:
        return (readable_by(user_id),)
    return (readable_by(user_id), SummaryPrompt.content_type == content_type)


def _by_name(matching: tuple[ColumnElement[bool], ...]) -> Select[SummaryPrompt]:
    order = (func.lower(SummaryPrompt.name), SummaryPrompt.id)
    return select(SummaryPrompt).where(*matching).order_by(*order)


async def every(
    session: AsyncSession, user_id: uuid.UUID, content_type: ContentType
) -> Sequence[SummaryPrompt]:
    """A user's prompts for a kind of recordings, by name; their number is limited."""
    rows = await session.scalars(_by_name(_matching(user_id, content_type)))
    return rows.all()


async def page(
    session: AsyncSession,
    user_id: uuid.UUID,
    content_type: ContentType | None = None,
    *,
    limit: int,
    offset: int,
) -> tuple[Sequence[SummaryPrompt], int]:
    """One page of a user's prompts by name, and how many there are; None: of every kind."""
    matching = _matching(user_id, content_type)
    rows = await session.scalars(_by_name(matching).limit(limit).offset(offset))
    total = await session.scalar(select(func.count()).select_from(SummaryPrompt).where(*matching))
    return rows.all(), total or 0


async def count(session: AsyncSession, user_id: uuid.UUID) -> int:
    """How many prompts a user has; until this transaction ends, nobody else asks.

    So that of many requests at the same time each one sees those before it.
    """
    await session.execute(select(User.id).where(User.id == user_id).with_for_update(key_share=True))
    counted = select(func.count()).select_from(SummaryPrompt).where(readable_by(user_id))
    return await session.scalar(counted) or 0


async def get(session: AsyncSession, user_id: uuid.UUID, prompt_id: uuid.UUID) -> SummaryPrompt:
    """One prompt.

    Raises:
        NotFound: there is none that this user may see.
    """
    query = select(SummaryPrompt).where(SummaryPrompt.id == prompt_id, readable_by(user_id))
    return _found(await session.scalar(query), prompt_id)


async def add(
    session: AsyncSession, user_id: uuid.UUID, values: Mapping[str, Any]
) -> SummaryPrompt:
    """Make a prompt.

    Raises:
        NameTaken: the user has another one of this name, however close the race.
    """
    statement = insert(SummaryPrompt).values(user_id=user_id, **values)
    made: SummaryPrompt | None = await session.scalar(
        statement.on_conflict_do_nothing().returning(SummaryPrompt)
    )
    if made is None:
        raise NameTaken("prompt", values["name"])
    return made


async def change(
    session: AsyncSession, user_id: uuid.UUID, prompt_id: uuid.UUID, changes: Mapping[str, Any]
) -> SummaryPrompt:
    """Change a prompt.

    Raises:
        NotFound: there is none that this user may see.
        NameTaken: the user has another one of this name.
    """
    async with names.unless_taken(session, UNIQUE_NAME, "prompt", changes.get("name", "")):
        changed: SummaryPrompt | None = await session.scalar(
            update(SummaryPrompt)
            .where(SummaryPrompt.id == prompt_id, readable_by(user_id))
            .values(**changes)
            .returning(SummaryPrompt)
        )
    return _found(changed, prompt_id)


async def remove(session: AsyncSession, user_id: uuid.UUID, prompt_id: uuid.UUID) -> None:
    """Delete a prompt; summaries that were made with it stay.

    Raises:
        NotFound: there is none that this user may see.
    """
    statement = delete(SummaryPrompt).where(SummaryPrompt.id == prompt_id, readable_by(user_id))
    if await session.scalar(statement.returning(SummaryPrompt.id)) is None:
        raise NotFound("prompt", str(prompt_id))
