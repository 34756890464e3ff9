"""Rules of accounts: what one may change of oneself, and administrators of others."""

import uuid
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from api import lockout
from api.callers import Caller
from api.dependencies import Services
from api.errors import ApiError, ErrorType
from api.password_policy import require_good
from api.users.schemas import NewUser, OwnChange, UserChange
from db.engine import session_scope
from db.errors import NotFound
from db.models import Role, User
from db.queries import audit, refresh_tokens, sign_in_attempts, users
from db.queries.audit import Action


def email_taken() -> ApiError:
    """The refusal of an address that is somebody else's."""
    return ApiError(ErrorType.email_taken, "There is an account with this email address.")


def write_down(
    session: AsyncSession,
    action: Action,
    actor: User,
    user_id: uuid.UUID,
    caller: Caller,
    **details: Any,
) -> None:
    """Put what was done to an account into the audit log."""
    audit.add(
        session,
        action,
        actor_id=actor.id,
        subject=("user", str(user_id)),
        owner_id=user_id,
        address=caller.address,
        details=details,
    )


async def change_own(services: Services, user: User, wanted: OwnChange, caller: Caller) -> User:
    """Change one's own name or address.

    Raises:
        ApiError: `wrong_password`, another address needs the current one; `email_taken`.
    """
    values = wanted.model_dump(exclude_none=True, exclude={"current_password"})
    moves = wanted.email is not None and wanted.email != user.email
    if moves:
        await lockout.confirm_password(services, user, wanted.current_password or "", caller)
    async with session_scope(services.sessions) as session:
        latest = await users.locked(session, user.id)
        if latest is None:
            raise NotFound("user", str(user.id))
        if moves and latest.password_hash != user.password_hash:
            raise ApiError(ErrorType.wrong_password, "The password was changed meanwhile.")
        if values and not await users.change(session, latest, values):
            raise email_taken()
        if moves:
            addresses = {"before": user.email, "after": latest.email}
            write_down(session, Action.email_changed, user, user.id, caller, **addresses)
        return latest


async def create(services: Services, admin: User, wanted: NewUser, caller: Caller) -> User:
    """Make an account.

    Raises:
        ApiError: `validation_error`, the password is easily guessed; `email_taken`; `forbidden`.
    """
    shortest = services.auth.min_password_length
    require_good(wanted.password, shortest, wanted.email, "#/password")
    password_hash = await services.passwords.hash(wanted.password)
    async with session_scope(services.sessions) as session:
        await hold_admins(session, admin)
        user = await users.add(
            session,
            email=wanted.email,
            password_hash=password_hash,
            full_name=wanted.full_name,
            role=wanted.role,
        )
        if user is None:
            raise email_taken()
        write_down(session, Action.user_created, admin, user.id, caller, role=wanted.role)
        return user


async def change(
    services: Services, admin: User, user_id: uuid.UUID, wanted: UserChange, caller: Caller
) -> User:
    """Change somebody's account.

    Raises:
        ApiError: `conflict`, administrators do not disable or demote themselves; `email_taken`;
            `validation_error`, the password is easily guessed; `forbidden`.
        NotFound: there is no such account.
    """
    values = wanted.model_dump(exclude_none=True, exclude={"password"})
    if wanted.password is not None:
        values["password_hash"] = await _new_hash(services, user_id, wanted)
    async with session_scope(services.sessions) as session:
        await hold_admins(session, admin)
        user = await users.locked(session, user_id)
        if user is None:
            raise NotFound("user", str(user_id))
        if wanted.is_active is False or wanted.role is Role.user:
            require_other(admin, user)
        before = {name: getattr(user, name) for name in values}
        if values and not await users.change(session, user, values):
            raise email_taken()
        if wanted.is_active is False or wanted.password is not None:
            await refresh_tokens.revoke_all(session, user_id)
        if wanted.password is not None:
            await _unlock(session, user)
        _write_down_change(session, admin, user, before, caller)
        return user


async def _new_hash(services: Services, user_id: uuid.UUID, wanted: UserChange) -> str:
    async with session_scope(services.sessions) as session:
        email = wanted.email or (await users.get(session, user_id)).email
    password = wanted.password or ""
    require_good(password, services.auth.min_password_length, email, "#/password")
    return await services.passwords.hash(password)


async def _unlock(session: AsyncSession, user: User) -> None:
    for account in (lockout.email_key(user.email), lockout.user_key(user.id)):
        await sign_in_attempts.forget(session, account)


async def hold_admins(session: AsyncSession, admin: User) -> None:
    """Let nobody become or cease to be an administrator until this transaction ends.

    Raises:
        ApiError: `forbidden`, whoever acts lost the role while they waited.
    """
    if admin.id not in await users.locked_admins(session):
        raise ApiError(ErrorType.forbidden, "Only administrators may do this.")


def require_other(admin: User, user: User) -> None:
    """Refuse to take an account from oneself; whoever acts stays, so that one administers always.

    Raises:
        ApiError: `conflict`.
    """
    if user.id == admin.id:
        raise ApiError(
            ErrorType.conflict, "You cannot do this to yourself: ask another administrator."
        )


def _write_down_change(
    session: AsyncSession, admin: User, user: User, before: dict[str, Any], caller: Caller
) -> None:
    """One event for each thing that is of weight, and one for the rest."""
    changed = {name for name, value in before.items() if getattr(user, name) != value}
    weighty = {
        "role": Action.role_changed,
        "password_hash": Action.password_changed,
        "email": Action.email_changed,
    }
    for name in sorted(changed & weighty.keys()):
        details = {} if name == "password_hash" else {"before": before[name]}
        shown = details and {**details, "after": getattr(user, name)}
        write_down(session, weighty[name], admin, user.id, caller, **shown)
    if "is_active" in changed and not user.is_active:
        write_down(session, Action.user_deactivated, admin, user.id, caller)
        changed.discard("is_active")
    if rest := sorted(changed - weighty.keys()):
        write_down(session, Action.user_updated, admin, user.id, caller, fields=rest)
