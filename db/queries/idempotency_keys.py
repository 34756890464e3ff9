"""Answers that a repeated request gets again."""

import uuid
from typing import Any

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from db.models import IdempotencyKey


async def get(session: AsyncSession, user_id: uuid.UUID, key: str) -> IdempotencyKey | None:
    """The answer that is kept under a user's key."""
    return await session.get(IdempotencyKey, (user_id, key))


async def add(
    session: AsyncSession,
    user_id: uuid.UUID,
    key: str,
    *,
    fingerprint: str,
    status_code: int,
    body: dict[str, Any],
) -> bool:
    """Keep an answer; False where the key has one already, however close the race."""
    statement = insert(IdempotencyKey).values(
        user_id=user_id, key=key, fingerprint=fingerprint, status_code=status_code, body=body
    )
    added = statement.on_conflict_do_nothing().returning(IdempotencyKey.key)
    return await session.scalar(added) is not None
