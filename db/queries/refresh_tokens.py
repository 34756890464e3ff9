"""Refresh tokens: each is used once; a family is what grew out of one sign-in."""

import uuid
from datetime import timedelta

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from db.models import RefreshToken


async def add(
    session: AsyncSession,
    *,
    user_id: uuid.UUID,
    family_id: uuid.UUID,
    token_hash: str,
    lifetime: timedelta,
) -> None:
    """Store the hash of a new token."""
    session.add(
        RefreshToken(
            user_id=user_id,
            family_id=family_id,
            token_hash=token_hash,
            expires_at=func.now() + lifetime,
        )
    )
    await session.flush()


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


async def revoke_family(session: AsyncSession, family_id: uuid.UUID) -> None:
    """End a session: no token of the family works from now on."""
    await session.execute(
        update(RefreshToken)
        .where(RefreshToken.family_id == family_id, RefreshToken.revoked_at.is_(None))
        .values(revoked_at=func.now())
        .execution_options(synchronize_session=False)
    )
