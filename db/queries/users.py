"""Accounts."""

import uuid
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, delete, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from db.errors import NotFound
from db.models import MediaFile, RefreshToken, Role, User

UNIQUE_EMAIL = "uq_user_email_lower"


async def by_email(session: AsyncSession, email: str) -> User | None:
    """The account of an address, whatever its case."""
    # Nobody has an address that PostgreSQL's text cannot hold; asking would be an error.
    if not _storable(email):
        return None
    user: User | None = await session.scalar(
        select(User).where(func.lower(User.email) == email.strip().lower())
    )
    return user


def _storable(text: str) -> bool:
    """Whether PostgreSQL's text can hold it: no NUL, no half of a character."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text


async def add(
    session: AsyncSession,
    *,
    email: str,
    password_hash: str | None,
    full_name: str = "",
    role: Role = Role.user,
) -> User | None:
    """Make an account; None where the address is taken. Without a password: provider only."""
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


async def get(session: AsyncSession, user_id: uuid.UUID) -> User:
    """One account, for administrators.

    Raises:
        NotFound: there is none.
    """
    user = await session.get(User, user_id)
    if user is None:
        raise NotFound("user", str(user_id))
    return user


async def locked(session: AsyncSession, user_id: uuid.UUID) -> User | None:
    """An account as it is now, and stays until this transaction ends.

    Whoever begins, continues or ends sessions, or changes an account, holds this lock: a session
    cannot slip through while all are ended. It comes before any lock on a token.
    """
    # Not its key: files and tasks may be added meanwhile.
    user: User | None = await session.scalar(
        select(User)
        .where(User.id == user_id)
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    )
    return user


async def locked_admins(session: AsyncSession) -> frozenset[uuid.UUID]:
    """Who administers; nobody of them stops to until this transaction ends.

    It comes before the lock on a single account, or two administrators could wait for each other.
    """
    rows = await session.scalars(
        select(User.id)
        .where(User.role == Role.admin, User.is_active)
        .order_by(User.id)
        .with_for_update(key_share=True)
    )
    return frozenset(rows)


async def first_admin(session: AsyncSession) -> User | None:
    """The administrator whose account is oldest: whose the installation's own work is."""
    user: User | None = await session.scalar(
        select(User)
        .where(User.role == Role.admin, User.is_active)
        .order_by(User.created_at, User.id)
        .limit(1)
    )
    return user


async def change(session: AsyncSession, user: User, values: Mapping[str, Any]) -> bool:
    """Write to an account that is locked; False where its new address is somebody else's."""
    try:
        async with session.begin_nested():
            await session.execute(
                update(User)
                .where(User.id == user.id)
                .values(**values)
                .execution_options(synchronize_session=False)
            )
    except IntegrityError as error:
        if UNIQUE_EMAIL not in str(error.orig):
            raise
        return False
    await session.refresh(user)
    return True


async def note_sign_in(session: AsyncSession, user_id: uuid.UUID) -> None:
    """Write down that somebody signed in, which changes nothing of the account."""
    await session.execute(
        update(User)
        .where(User.id == user_id)
        .values(last_sign_in_at=func.now(), updated_at=User.updated_at)
        .execution_options(synchronize_session=False)
    )


def _matching(
    search: str | None, role: Role | None, is_active: bool | None
) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if search:
        in_email = User.email.icontains(search, autoescape=True)
        conditions.append(or_(in_email, User.full_name.icontains(search, autoescape=True)))
    if role is not None:
        conditions.append(User.role == role)
    if is_active is not None:
        conditions.append(User.is_active == is_active)
    return conditions


async def page(
    session: AsyncSession,
    *,
    search: str | None,
    role: Role | None,
    is_active: bool | None,
    limit: int,
    offset: int,
) -> tuple[Sequence[User], int]:
    """One page of all accounts, newest first, and how many there are; for administrators."""
    matching = _matching(search, role, is_active)
    rows = await session.scalars(
        select(User)
        .where(*matching)
        .order_by(User.created_at.desc(), User.id)
        .limit(limit)
        .offset(offset)
    )
    total = await session.scalar(select(func.count()).select_from(User).where(*matching))
    return rows.all(), total or 0


async def locked_files(
    session: AsyncSession, user_id: uuid.UUID, limit: int
) -> Sequence[uuid.UUID]:
    """Some of a user's files, which stay as they are until this transaction ends."""
    rows = await session.scalars(
        select(MediaFile.id)
        .where(MediaFile.user_id == user_id)
        .order_by(MediaFile.id)
        .limit(limit)
        .with_for_update()
    )
    return rows.all()


async def remove_files(session: AsyncSession, file_ids: Collection[uuid.UUID]) -> None:
    """Delete files with what hangs on them."""
    await session.execute(
        delete(MediaFile)
        .where(MediaFile.id.in_(file_ids))
        .execution_options(synchronize_session=False)
    )


async def remove(session: AsyncSession, user_id: uuid.UUID) -> None:
    """Delete an account with everything that hangs on it."""
    await session.execute(
        delete(User).where(User.id == user_id).execution_options(synchronize_session=False)
    )
