"""Attempts to sign in: what lockout and rate limit count, the same for all replicas."""

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import and_, case, delete, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from db.models import SignInAttempt

ABANDONED = timedelta(minutes=1)
"""An attempt whose end nobody wrote down for so long has failed: its caller hung up, or we died."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Tries at one account's password since the last right one."""

    failures: int
    pending: int
    """Passwords that are being looked at."""
    since_failure_seconds: float
    """Since the last wrong one; 0 where there is none."""


async def lock(session: AsyncSession, *names: str) -> None:
    """One transaction at a time counts and adds; everybody names the address first."""
    for name in names:
        number = func.hashtextextended(f"sign_in_attempt {name}", 0)
        await session.execute(select(func.pg_advisory_xact_lock(number)))


async def standing(session: AsyncSession, account: str, window: timedelta) -> Standing:
    """How an account stands; what is older than the window is forgotten."""
    # Not now(): that is when the transaction began to wait for its lock.
    now = func.clock_timestamp()
    recent = and_(SignInAttempt.account == account, SignInAttempt.created_at > now - window)
    last_success = (
        select(func.coalesce(func.max(SignInAttempt.id), 0))
        .where(recent, SignInAttempt.succeeded.is_(True))
        .scalar_subquery()
    )
    unheard = and_(SignInAttempt.succeeded.is_(None), SignInAttempt.created_at <= now - ABANDONED)
    failed = case((or_(SignInAttempt.succeeded.is_(False), unheard), SignInAttempt.created_at))
    row = await session.execute(
        select(
            func.count(failed),
            func.count() - func.count(failed),
            func.coalesce(func.extract("epoch", now - func.max(failed)), 0),
        ).where(recent, SignInAttempt.id > last_success)
    )
    failures, pending, seconds = row.one()
    return Standing(failures, pending, float(seconds))


async def from_address(session: AsyncSession, address: str, window: timedelta) -> tuple[int, float]:
    """How many attempts an address made, and in how many seconds the oldest is forgotten."""
    now = func.clock_timestamp()
    left = func.min(SignInAttempt.created_at) + window - now
    row = await session.execute(
        select(func.count(), func.coalesce(func.extract("epoch", left), 0)).where(
            SignInAttempt.address == address, SignInAttempt.created_at > now - window
        )
    )
    count, seconds = row.one()
    return count, float(seconds)


async def add(session: AsyncSession, account: str, address: str) -> int:
    """Charge an attempt before its password is looked at; its number."""
    attempt = SignInAttempt(account=account, address=address, succeeded=None)
    session.add(attempt)
    await session.flush()
    return attempt.id


async def settle(session: AsyncSession, attempt_id: int, *, succeeded: bool) -> None:
    """Write down how an attempt ended; a success lets the failures before it be forgotten."""
    await session.execute(
        update(SignInAttempt)
        .where(SignInAttempt.id == attempt_id)
        .values(succeeded=succeeded)
        .execution_options(synchronize_session=False)
    )


async def forget(session: AsyncSession, account: str) -> None:
    """Unlock an account."""
    await session.execute(
        delete(SignInAttempt)
        .where(SignInAttempt.account == account)
        .execution_options(synchronize_session=False)
    )
