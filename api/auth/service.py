"""Sessions: sign in, rotate, sign out. A session is a family of refresh tokens."""

import uuid
from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from api.auth.schemas import TokenPair
from api.dependencies import Services
from api.errors import ApiError, ErrorType, RecordedError
from api.security import new_refresh_token, refresh_token_hash
from db.engine import session_scope
from db.models import User
from db.queries import refresh_tokens, users


async def authenticate(services: Services, email: str, password: str) -> User | None:
    """The active account with this address and password; takes as long where there is none.

    No connection is held while the password is hashed.
    """
    async with session_scope(services.sessions) as session:
        user = await users.by_email(session, email)
    right = await services.passwords.matches(password, user.password_hash if user else None)
    return user if user and right and user.is_active else None


async def open_session(
    services: Services, session: AsyncSession, user_id: uuid.UUID, family_id: uuid.UUID
) -> TokenPair:
    """A new pair of tokens, in a new or a continued session."""
    refresh_token = new_refresh_token()
    await refresh_tokens.add(
        session,
        user_id=user_id,
        family_id=family_id,
        token_hash=refresh_token_hash(refresh_token),
        lifetime=timedelta(days=services.auth.refresh_token_days),
    )
    return TokenPair(
        access_token=services.tokens.issue(user_id, family_id),
        expires_in=services.tokens.lifetime_seconds,
        refresh_token=refresh_token,
    )


async def rotate(services: Services, session: AsyncSession, refresh_token: str) -> TokenPair:
    """Exchange a refresh token; one that comes twice ends its session for everybody.

    Of a token that comes twice, one presenter is a thief, and we cannot tell which.
    """
    found = await refresh_tokens.locked(session, refresh_token_hash(refresh_token))
    if found is None:
        raise _refused(ApiError)
    token, expired = found
    if token.used_at is not None:
        await refresh_tokens.revoke_family(session, token.family_id)
        raise _refused(RecordedError)
    if expired or await users.signed_in(session, token.user_id, token.family_id) is None:
        raise _refused(ApiError)
    await refresh_tokens.use(session, token)
    return await open_session(services, session, token.user_id, token.family_id)


def _refused(kind: type[ApiError]) -> ApiError:
    return kind(
        ErrorType.invalid_refresh_token,
        "The refresh token is expired, revoked, used before or not valid.",
    )
