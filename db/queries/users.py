"""Accounts."""

import uuid

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from db.models import RefreshToken, Role, User


async def by_email(session: AsyncSession, email: str) -> User | None:
    """The account of an address, whatever its case."""
    # PostgreSQL's text cannot hold NUL, so nobody has such an address; asking would be an error.
    if "\0" in email:
        return None
    user: User | None = await session.scalar(
        select(User).where(func.lower(User.email) == email.strip().lower())
    )
    return user


async def add(
    session: AsyncSession,
    *,
    email: str,
    password_hash: str,
    full_name: str = "",
    role: Role = Role.user,
) -> User | None:
    """Make an account; None where the address is taken."""
    user: User | None = await session.scalar(
        insert(User)
        .values(
            email=email.strip(),
            password_hash=password_hash,
            full_name=full_name,
            role=role,
            is_active=True,
        )
        .on_conflict_do_nothing()
        .returning(User)
    )
    return user


async def signed_in(session: AsyncSession, user_id: uuid.UUID, family_id: uuid.UUID) -> User | None:
    """An active account whose session, named by its family of refresh tokens, is not revoked."""
    alive = (
        select(RefreshToken.id)
        .where(
            RefreshToken.user_id == user_id,
            RefreshToken.family_id == family_id,
            RefreshToken.revoked_at.is_(None),
        )
        .exists()
    )
    user: User | None = await session.scalar(
        select(User).where(User.id == user_id, User.is_active, alive)
    )
    return user
