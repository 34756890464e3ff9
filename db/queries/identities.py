"""Accounts at OpenID providers."""

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from db.models import ExternalIdentity, User


async def user_of(session: AsyncSession, issuer: str, subject: str) -> User | None:
    """Who this is here."""
    user: User | None = await session.scalar(
        select(User)
        .join(ExternalIdentity, ExternalIdentity.user_id == User.id)
        .where(ExternalIdentity.issuer == issuer, ExternalIdentity.subject == subject)
    )
    return user


async def link(session: AsyncSession, user: User, issuer: str, subject: str) -> bool:
    """Let somebody at a provider be this user; False where they are one here already."""
    statement = insert(ExternalIdentity).values(user_id=user.id, issuer=issuer, subject=subject)
    added = statement.on_conflict_do_nothing().returning(ExternalIdentity.id)
    return await session.scalar(added) is not None
