"""Whether the session of a stream goes on: a sign-out ends streams that are open already."""

import random
import time
from collections.abc import Awaitable, Callable

import structlog

from api.dependencies import Services
from api.security import AccessClaims
from db.engine import session_scope
from db.errors import StoreUnavailable
from db.queries import users

RECHECK_SECONDS = 60.0

logger = structlog.get_logger(__name__)


async def is_signed_in(services: Services, claims: AccessClaims) -> bool:
    """Whether the user is active and the session not revoked."""
    async with session_scope(services.sessions) as session:
        return await users.signed_in(session, claims.user_id, claims.family_id) is not None


def still_signed_in(services: Services, claims: AccessClaims) -> Callable[[], Awaitable[bool]]:
    """Asks the database, but no more often than once a minute."""
    due = time.monotonic() + _interval()

    async def check() -> bool:
        nonlocal due
        if time.monotonic() < due:
            return True
        due = time.monotonic() + _interval()
        try:
            return await is_signed_in(services, claims)
        except StoreUnavailable as error:
            # Not known is not revoked: it is asked again.
            logger.warning("sessions of streams cannot be checked", error=repr(error))
            return True

    return check


def _interval() -> float:
    # Streams that began together are not checked together.
    return RECHECK_SECONDS * random.uniform(0.9, 1.1)  # noqa: S311 - jitter
