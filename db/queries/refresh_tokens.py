"""Refresh tokens: each is used once; a family is what grew out of one sign-in: a session."""

import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from db.errors import NotFound
from db.models import RefreshToken


async def add(
    session: AsyncSession,
    *,
    user_id: uuid.UUID,
    family_id: uuid.UUID,
    token_hash: str,
    lifetime: timedelta,
    user_agent: str = "",
    address: str = "",
    session_started_at: datetime | None = None,
) -> None:
    """Store the hash of a new token; `session_started_at` where it continues a family."""
    session.add(
        RefreshToken(
            user_id=user_id,
            family_id=family_id,
            token_hash=token_hash,
            expires_at=func.now() + lifetime,
            user_agent=user_agent,
            address=address,
            session_started_at=session_started_at or func.now(),
        )
    )
    await session.flush()


async def owner(session: AsyncSession, token_hash: str) -> uuid.UUID | None:
    """Whose token it is."""
    user_id: uuid.UUID | None = await session.scalar(
        select(RefreshToken.user_id).where(RefreshToken.token_hash == token_hash)
    )
    return user_id


async def locked(session: AsyncSession, token_hash: str) -> tuple[RefreshToken, bool] | None:
    """A token, locked until this transaction ends, and whether it is expired."""
    row = await session.execute(
        select(RefreshToken, RefreshToken.expires_at <= func.now())
        .where(RefreshToken.token_hash == token_hash)
        .with_for_update()
    )
    found = row.one_or_none()
    return found if found is None else (found[0], found[1])


async def use(session: AsyncSession, token: RefreshToken) -> None:
    """Mark a token as used up."""
    await session.execute(
        update(RefreshToken)
        .where(RefreshToken.id == token.id)
        .values(used_at=func.now())
        .execution_options(synchronize_session=False)
    )


def _heads(user_id: uuid.UUID) -> list[ColumnElement[bool]]:
    """Of each session that goes on, the one token that is good for its next step."""
    return [
        RefreshToken.user_id == user_id,
        RefreshToken.used_at.is_(None),
        RefreshToken.revoked_at.is_(None),
        RefreshToken.expires_at > func.now(),
    ]


async def page(
    session: AsyncSession, user_id: uuid.UUID, *, limit: int, offset: int
) -> tuple[Sequence[RefreshToken], int]:
    """One page of a user's sessions, each as its newest token, the last used first."""
    heads = _heads(user_id)
    rows = await session.scalars(
        select(RefreshToken)
        .where(*heads)
        .order_by(RefreshToken.created_at.desc(), RefreshToken.id)
        .limit(limit)
        .offset(offset)
    )
    total = await session.scalar(select(func.count()).select_from(RefreshToken).where(*heads))
    return rows.all(), total or 0


async def require_session(session: AsyncSession, user_id: uuid.UUID, family_id: uuid.UUID) -> None:
    """Raise unless this is a session of this user's that goes on.

    Raises:
        NotFound: it is not.
    """
    found = select(RefreshToken.id).where(*_heads(user_id), RefreshToken.family_id == family_id)
    if await session.scalar(found) is None:
        raise NotFound("session", str(family_id))


async def revoke_family(session: AsyncSession, family_id: uuid.UUID) -> None:
    """End a session: no token of the family works from now on. The account is locked."""
    await _revoke(session, RefreshToken.family_id == family_id)


async def revoke_all(
    session: AsyncSession, user_id: uuid.UUID, *, but: uuid.UUID | None = None
) -> None:
    """End a user's sessions, or all but one. The account is locked."""
    conditions = [RefreshToken.user_id == user_id]
    if but is not None:
        conditions.append(RefreshToken.family_id != but)
    await _revoke(session, *conditions)


async def _revoke(session: AsyncSession, *conditions: ColumnElement[bool]) -> None:
    await session.execute(
        update(RefreshToken)
        .where(*conditions, RefreshToken.revoked_at.is_(None))
        .values(revoked_at=func.now())
        .execution_options(synchronize_session=False)
    )
