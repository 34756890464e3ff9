"""Sessions: sign in, rotate, sign out. A session is a family of refresh tokens."""

import uuid
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from api import lockout
from api.auth.schemas import TokenPair
from api.callers import Caller
from api.dependencies import Services, SignedIn
from api.errors import ApiError, ErrorType, RecordedError
from api.password_policy import require_good
from api.security import new_refresh_token, refresh_token_hash
from db.engine import session_scope
from db.models import User
from db.queries import audit, refresh_tokens, sign_in_attempts, users
from db.queries.audit import Action


async def sign_in(
    services: Services, email: str, password: str, caller: Caller
) -> TokenPair | None:
    """A new session of the active account with this address and password; None: there is none.

    It takes as long where the address is nobody's. No connection is held while the password is
    hashed, so that afterwards the account is read again.

    Raises:
        ApiError: `too_many_attempts`.
    """
    account = lockout.email_key(email)
    number = await lockout.admit(services, account, caller)
    async with session_scope(services.sessions) as session:
        found = await users.by_email(session, email)
    right = await services.passwords.matches(password, found.password_hash if found else None)
    async with session_scope(services.sessions) as session:
        user = await users.locked(session, found.id) if found and right else None
        if found and user and user.is_active and user.password_hash == found.password_hash:
            await sign_in_attempts.settle(session, number, succeeded=True)
            return await begin_session(services, session, user, caller, method="password")
        known = found.id if found else None
        await lockout.failed(session, services.auth, (number, account), known, caller)
        return None


async def begin_session(
    services: Services, session: AsyncSession, user: User, caller: Caller, *, method: str
) -> TokenPair:
    """Open a session for an account that is locked, and write it down."""
    family_id = uuid.uuid4()
    audit.add(
        session,
        Action.signed_in,
        actor_id=user.id,
        subject=("session", str(family_id)),
        owner_id=user.id,
        address=caller.address,
        details={"method": method},
    )
    await users.note_sign_in(session, user.id)
    return await open_session(services, session, user.id, family_id, caller)


async def open_session(
    services: Services,
    session: AsyncSession,
    user_id: uuid.UUID,
    family_id: uuid.UUID,
    caller: Caller,
    started_at: datetime | None = None,
) -> TokenPair:
    """A new pair of tokens, in a new or a continued session."""
    refresh_token = new_refresh_token()
    await refresh_tokens.add(
        session,
        user_id=user_id,
        family_id=family_id,
        token_hash=refresh_token_hash(refresh_token),
        lifetime=timedelta(days=services.auth.refresh_token_days),
        user_agent=caller.user_agent,
        address=caller.address,
        session_started_at=started_at,
    )
    return TokenPair(
        access_token=services.tokens.issue(user_id, family_id),
        expires_in=services.tokens.lifetime_seconds,
        refresh_token=refresh_token,
    )


async def rotate(
    services: Services, session: AsyncSession, refresh_token: str, caller: Caller
) -> TokenPair:
    """Exchange a refresh token; one that comes twice ends its session for everybody.

    Of a token that comes twice, one presenter is a thief, and we cannot tell which.
    """
    token_hash = refresh_token_hash(refresh_token)
    user_id = await refresh_tokens.owner(session, token_hash)
    user = await users.locked(session, user_id) if user_id else None
    found = await refresh_tokens.locked(session, token_hash)
    if user is None or found is None:
        raise _refused(ApiError)
    token, expired = found
    # The reuse that ended a session is written down; repeating it would only fill the log.
    if token.revoked_at is not None:
        raise _refused(ApiError)
    if token.used_at is not None:
        await refresh_tokens.revoke_family(session, token.family_id)
        _write_down(session, Action.token_reused, user.id, token.family_id, caller)
        raise _refused(RecordedError)
    if expired or await users.signed_in(session, user.id, token.family_id) is None:
        raise _refused(ApiError)
    await refresh_tokens.use(session, token)
    started_at = token.session_started_at
    return await open_session(services, session, user.id, token.family_id, caller, started_at)


def _refused(kind: type[ApiError]) -> ApiError:
    return kind(
        ErrorType.invalid_refresh_token,
        "The refresh token is expired, revoked, used before or not valid.",
    )


def _write_down(
    session: AsyncSession,
    action: Action,
    user_id: uuid.UUID,
    family_id: uuid.UUID | None,
    caller: Caller,
) -> None:
    audit.add(
        session,
        action,
        actor_id=user_id,
        subject=("session", str(family_id)) if family_id else ("user", str(user_id)),
        owner_id=user_id,
        address=caller.address,
    )


async def leave(session: AsyncSession, signed_in: SignedIn, caller: Caller) -> None:
    """End the session that asks."""
    user_id, family_id = signed_in.user.id, signed_in.claims.family_id
    await users.locked(session, user_id)
    await refresh_tokens.revoke_family(session, family_id)
    _write_down(session, Action.session_ended, user_id, family_id, caller)


async def end_session(
    session: AsyncSession, user_id: uuid.UUID, family_id: uuid.UUID, caller: Caller
) -> None:
    """End one of a user's sessions, at once.

    Raises:
        NotFound: it is not one of theirs that goes on.
    """
    await users.locked(session, user_id)
    await refresh_tokens.require_session(session, user_id, family_id)
    await refresh_tokens.revoke_family(session, family_id)
    _write_down(session, Action.session_ended, user_id, family_id, caller)


async def end_all_sessions(session: AsyncSession, user_id: uuid.UUID, caller: Caller) -> None:
    """End all of a user's sessions at once."""
    await users.locked(session, user_id)
    await refresh_tokens.revoke_all(session, user_id)
    _write_down(session, Action.session_ended, user_id, None, caller)


async def change_password(
    services: Services, signed_in: SignedIn, current: str, new: str, caller: Caller
) -> None:
    """Set another password, and end all other sessions.

    Raises:
        ApiError: `wrong_password`, `too_many_attempts`, or `validation_error`.
    """
    user = signed_in.user
    require_good(new, services.auth.min_password_length, user.email, "#/new_password")
    await lockout.confirm_password(services, user, current, caller)
    password_hash = await services.passwords.hash(new)
    async with session_scope(services.sessions) as session:
        latest = await users.locked(session, user.id)
        if latest is None or latest.password_hash != user.password_hash:
            raise ApiError(ErrorType.wrong_password, "The password was changed meanwhile.")
        await users.change(session, latest, {"password_hash": password_hash})
        await refresh_tokens.revoke_all(session, user.id, but=signed_in.claims.family_id)
        _write_down(session, Action.password_changed, user.id, None, caller)
