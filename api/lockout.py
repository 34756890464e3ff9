"""Guessing passwords does not pay: lockout per account, rate limit per address, over all replicas.

An attempt is charged *before* its password is looked at, in a transaction of its own that holds the
lock of address and account: whoever sends twenty at a time gets no more tries than one after the
other. Refused attempts are not counted, so that nobody keeps an account locked by knocking. The
answers are the same for addresses that nobody has.
"""

import asyncio
import hashlib
import math
import random
import time
import uuid
from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from api.callers import Caller
from api.dependencies import Services
from api.errors import ApiError, ErrorType
from cluster.settings import AuthSettings
from db.engine import session_scope
from db.models import Lane, User
from db.queries import audit, sign_in_attempts
from db.queries.audit import Action
from db.queries.sign_in_attempts import Standing

RATE_WINDOW = timedelta(minutes=1)
BUSY_SECONDS = 1.0
"""When to come back where the passwords that are being looked at take up all tries."""
PATIENCE_SECONDS = 3.0
"""How long a request waits for these; Argon2 takes a tenth of a second for each."""
LOOK_SECONDS = 0.1
NOBODY = ""


def email_key(email: str) -> str:
    """Under which an address's sign-ins are counted, whatever its case."""
    return _key("email", email.strip().lower())


def user_key(user_id: uuid.UUID) -> str:
    """Under which are counted the passwords that a signed-in user confirms something with.

    Apart from sign-ins: strangers cannot keep somebody from changing a password, and who took a
    session cannot guess at leisure.
    """
    return _key("user", str(user_id))


def _key(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()


def locked_seconds(failures: int, settings: AuthSettings) -> float:
    """For how long an account is locked after so many wrong passwords in a row."""
    beyond = failures - settings.lockout_failures
    if beyond < 0:
        return 0.0
    # More than 2^32 minutes are longer than any lock.
    minutes = settings.lockout_minutes * (1 << min(beyond, 32))
    return 60.0 * min(minutes, settings.max_lockout_minutes)


def remaining_seconds(standing: Standing, settings: AuthSettings) -> float:
    """For how long an account is locked still; not above 0: it is not."""
    return locked_seconds(standing.failures, settings) - standing.since_failure_seconds


def tries_left(standing: Standing, settings: AuthSettings) -> int:
    """How many passwords may be looked at together where an account is not locked."""
    return max(1, settings.lockout_failures - standing.failures)


class _Busy(ApiError):
    """As many passwords are being looked at as there are tries left."""


def _too_many(kind: type[ApiError], seconds: float) -> ApiError:
    after = math.ceil(max(seconds, BUSY_SECONDS))
    return kind(
        ErrorType.too_many_attempts,
        f"There were too many attempts; try again in {after} seconds.",
        headers={"Retry-After": str(after)},
    )


async def admit(services: Services, account: str, caller: Caller) -> int:
    """Charge an attempt; the number under which its end is written down.

    Programs that begin together, with the right password, are let in one after the other.

    Raises:
        ApiError: `too_many_attempts`.
    """
    patience = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return await _charge(services, account, caller)
        except _Busy:
            if time.monotonic() > patience:
                raise
        # No connection is held meanwhile.
        await asyncio.sleep(random.uniform(0.5, 1.5) * LOOK_SECONDS)  # noqa: S311 - jitter


async def _charge(services: Services, account: str, caller: Caller) -> int:
    settings = services.auth
    # Whoever waits for a lock holds a connection: a place is had first, and a flood of one address
    # waits behind itself.
    async with (
        services.sign_in_slots.take(caller.household, Lane.interactive),
        session_scope(services.sessions) as session,
    ):
        await sign_in_attempts.lock(session, caller.household, *filter(None, [account]))
        count, seconds = await sign_in_attempts.from_address(session, caller.household, RATE_WINDOW)
        if count >= settings.attempts_per_minute:
            raise _too_many(ApiError, seconds)
        if account != NOBODY:
            standing = await _standing(session, account, settings)
            if (remaining := remaining_seconds(standing, settings)) > 0:
                raise _too_many(ApiError, remaining)
            if standing.pending >= tries_left(standing, settings):
                raise _too_many(_Busy, BUSY_SECONDS)
        return await sign_in_attempts.add(session, account, caller.household)


async def admit_newcomer(services: Services, caller: Caller) -> None:
    """Charge a registration, which is no attempt at an account, to the caller's address.

    Raises:
        ApiError: `too_many_attempts`.
    """
    await admit(services, NOBODY, caller)


async def _standing(session: AsyncSession, account: str, settings: AuthSettings) -> Standing:
    window = timedelta(minutes=settings.max_lockout_minutes)
    return await sign_in_attempts.standing(session, account, window)


async def failed(
    session: AsyncSession,
    settings: AuthSettings,
    attempt: tuple[int, str],
    user_id: uuid.UUID | None,
    caller: Caller,
) -> None:
    """Write down a wrong password, by the attempt's number and account, and that it locks."""
    number, account = attempt
    await sign_in_attempts.settle(session, number, succeeded=False)
    standing = await _standing(session, account, settings)
    locks = locked_seconds(standing.failures, settings)
    audit.add(
        session,
        Action.account_locked if locks else Action.sign_in_failed,
        actor_id=None,
        subject=("user", str(user_id)) if user_id else None,
        owner_id=user_id,
        address=caller.address,
        details={"failures": standing.failures, "locked_seconds": locks},
    )


async def confirm_password(services: Services, user: User, password: str, caller: Caller) -> None:
    """Make sure that a signed-in user knows their password.

    Raises:
        ApiError: `wrong_password` (an account that signs in at a provider only has none), or
            `too_many_attempts`.
    """
    account = user_key(user.id)
    number = await admit(services, account, caller)
    right = await services.passwords.matches(password, user.password_hash)
    async with session_scope(services.sessions) as session:
        if right:
            await sign_in_attempts.settle(session, number, succeeded=True)
            return
        await failed(session, services.auth, (number, account), user.id, caller)
    raise ApiError(ErrorType.wrong_password, "The current password is wrong.")
