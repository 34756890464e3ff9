"""Who somebody from a provider is here: accounts by issuer and subject, never by email address.

An address is a claim that may pass from person to person, so that an account which is here already
is not handed to whoever comes with the same one.
"""

import re
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, Field, ValidationError
from sqlalchemy.ext.asyncio import AsyncSession

from api.accounts import Email
from api.auth import service
from api.auth.schemas import TokenPair
from api.callers import Caller
from api.dependencies import Services
from api.errors import ApiError, ErrorType
from api.openid_provider import refused
from cluster.settings import OidcSettings
from cluster.settings.base import words
from db.engine import session_scope
from db.models import Role, User
from db.queries import audit, identities, users
from db.queries.audit import Action

MAX_NAME = 255
NOT_IN_NAMES = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


class _Vouched(BaseModel):
    """The claims that we use, as they must be to be stored."""

    iss: str = Field(max_length=500)
    sub: str = Field(min_length=1, max_length=255, pattern=r"^[\x20-\x7e]+$")
    email: Email
    email_verified: bool = False
    name: str = ""


@dataclass(frozen=True, slots=True)
class Person:
    """Whom the provider vouches for."""

    issuer: str
    subject: str
    email: str
    full_name: str
    role: Role | None
    """What the provider says that they may do; None: it has no say."""


def person_of(claims: dict[str, Any], settings: OidcSettings) -> Person:
    """Read the claims of an ID token that is valid.

    Raises:
        ApiError: `provider_refused`, they lack something or are not let in.
    """
    try:
        vouched = _Vouched.model_validate(claims)
    except ValidationError as error:
        missing = ", ".join(sorted({str(item["loc"][0]) for item in error.errors()}))
        raise refused(f"The provider tells no usable {missing}.") from error
    if not vouched.email_verified and not settings.trust_emails:
        raise refused("The provider has not verified the email address.")
    domains = {domain.lower() for domain in words(settings.allowed_domains)}
    if domains and vouched.email.rpartition("@")[2].lower() not in domains:
        raise refused("Addresses of this domain are not let in.")
    name = NOT_IN_NAMES.sub(" ", vouched.name).strip()[:MAX_NAME]
    return Person(vouched.iss, vouched.sub, vouched.email, name, _role(claims, settings))


def _role(claims: dict[str, Any], settings: OidcSettings) -> Role | None:
    if not settings.admin_claim:
        return None
    value = claims.get(settings.admin_claim)
    values = value if isinstance(value, list) else [value]
    return Role.admin if settings.admin_value in values else Role.user


async def sign_in(services: Services, person: Person, caller: Caller) -> TokenPair:
    """A new session for whom the provider vouches; their account is made where there is none.

    Raises:
        ApiError: `forbidden`, the account is disabled; `registration_closed` or `email_taken`, no
            account can be made; `last_admin`, the provider takes away the last administrator.
    """
    async with session_scope(services.sessions) as session:
        admins = await users.locked_admins(session) if person.role else frozenset()
        found = await identities.user_of(session, person.issuer, person.subject)
        user = await users.locked(
            session, (found or await _join(services, session, person, caller)).id
        )
        if user is None or not user.is_active:
            raise ApiError(ErrorType.forbidden, "This account is disabled.")
        if person.role and person.role is not user.role:
            if admins == {user.id}:
                raise ApiError(ErrorType.last_admin, "Nobody else administers this installation.")
            await users.change(session, user, {"role": person.role})
            _write_down(session, Action.role_changed, user, caller, role=person.role)
        if found is None:
            details = {"issuer": person.issuer, "subject": person.subject}
            _write_down(session, Action.identity_linked, user, caller, **details)
        return await service.begin_session(services, session, user, caller, method="oidc")


async def _join(services: Services, session: AsyncSession, person: Person, caller: Caller) -> User:
    """Make an account for a newcomer."""
    settings = services.provider.settings if services.provider else None
    if settings is None or not settings.create_accounts:
        raise ApiError(
            ErrorType.registration_closed, "There is no account for you; none is made by itself."
        )
    user = await users.add(
        session, email=person.email, password_hash=None, full_name=person.full_name
    )
    if user is None:
        # Perhaps they came twice at once, and the other request has made it.
        user = await identities.user_of(session, person.issuer, person.subject)
    elif not await identities.link(session, user, person.issuer, person.subject):
        raise ApiError(ErrorType.conflict, "You came in twice at the same time: begin again.")
    else:
        _write_down(session, Action.user_created, user, caller, method="oidc")
    if user is None:
        raise ApiError(
            ErrorType.email_taken,
            "There is an account with your email address, which is not taken over: sign in with "
            "its password, or ask an administrator to change its address.",
        )
    return user


def _write_down(
    session: AsyncSession, action: Action, user: User, caller: Caller, **details: str
) -> None:
    audit.add(
        session,
        action,
        actor_id=user.id,
        subject=("user", str(user.id)),
        owner_id=user.id,
        address=caller.address,
        details=details,
    )
