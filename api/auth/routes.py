"""Routes of sign-in: /api/auth."""

from typing import Annotated

from fastapi import APIRouter, Depends, Form, Response

from api import lockout
from api.accounts import UserOut
from api.auth import service
from api.auth.schemas import (
    PasswordChange,
    PasswordPolicy,
    RefreshRequest,
    Registration,
    SignInMethods,
    TokenPair,
)
from api.callers import WhoCalls
from api.dependencies import App, CurrentSession, CurrentUser, Session
from api.envelope import EnvelopeRoute
from api.errors import ApiError, ErrorType
from api.openapi import SIGNED_IN, SIGNED_IN_TYPES, errors
from api.password_policy import LEAST_CHARACTERS, MAX_PASSWORD_LENGTH, REFUSED, require_good
from db.engine import session_scope
from db.queries import audit, users
from db.queries.audit import Action

MAX_EMAIL_LENGTH = 255
MAX_GRANT_LENGTH = 255

router = APIRouter(prefix="/api/auth", tags=["auth"], route_class=EnvelopeRoute)
# RFC 6749 fixes this route's body, so it is the one without an envelope.
oauth_router = APIRouter(prefix="/api/auth", tags=["auth"])


def no_store(response: Response) -> None:
    """Keep tokens out of caches (RFC 6749, 5.1)."""
    response.headers["Cache-Control"] = "no-store"


NO_STORE = [Depends(no_store)]

# A form's charset may be one that yields half characters, which only a bounded field refuses.
Username = Annotated[str, Form(max_length=MAX_EMAIL_LENGTH, description="The email address")]
FormPassword = Annotated[str, Form(max_length=MAX_PASSWORD_LENGTH, description="The password")]
GrantType = Annotated[str, Form(max_length=MAX_GRANT_LENGTH, description="Always `password`")]


@router.get(
    "/methods",
    summary="Ways to sign in",
    response_description="Ways to sign in",
    responses=errors(ErrorType.store_unavailable),
)
async def methods(services: App) -> SignInMethods:
    """Which ways in this installation has; open to anybody."""
    provider = services.provider
    return SignInMethods(
        registration=services.auth.open_registration,
        oidc=provider is not None,
        oidc_issuer=provider.issuer if provider else None,
    )


@router.get(
    "/password-policy",
    summary="Which passwords are taken",
    response_description="Password policy",
    responses=errors(ErrorType.store_unavailable),
)
async def password_policy(services: App) -> PasswordPolicy:
    """Length, and what is refused; there are no rules of composition. Open to anybody."""
    return PasswordPolicy(
        min_length=services.auth.min_password_length,
        max_length=MAX_PASSWORD_LENGTH,
        min_different_characters=LEAST_CHARACTERS,
        refused=REFUSED,
    )


@router.post(
    "/register",
    status_code=201,
    summary="Create an account",
    response_description="Account created",
    responses=errors(
        ErrorType.registration_closed,
        ErrorType.email_taken,
        ErrorType.validation_error,
        ErrorType.too_many_attempts,
    ),
)
async def register(services: App, registration: Registration, caller: WhoCalls) -> UserOut:
    """Create an account with the role `user`; then sign in with `/api/auth/login`."""
    if not services.auth.open_registration:
        raise ApiError(
            ErrorType.registration_closed, "This installation does not take registrations."
        )
    shortest = services.auth.min_password_length
    require_good(registration.password, shortest, registration.email, "#/password")
    await lockout.admit_newcomer(services, caller)
    password_hash = await services.passwords.hash(registration.password)
    async with session_scope(services.sessions) as session:
        user = await users.add(
            session,
            email=registration.email,
            password_hash=password_hash,
            full_name=registration.full_name,
        )
        if user is None:
            raise ApiError(ErrorType.email_taken, "There is an account with this email address.")
        audit.add(
            session,
            Action.user_created,
            actor_id=user.id,
            subject=("user", str(user.id)),
            owner_id=user.id,
            address=caller.address,
            details={"method": "registration"},
        )
    return UserOut.model_validate(user)


@router.post(
    "/login",
    summary="Sign in",
    response_description="Signed in",
    responses=errors(
        ErrorType.invalid_credentials, ErrorType.validation_error, ErrorType.too_many_attempts
    ),
    dependencies=NO_STORE,
)
async def login(
    services: App,
    caller: WhoCalls,
    username: Username,
    password: FormPassword,
) -> TokenPair:
    """Exchange email (`username`) and password, as form fields, for a pair of tokens.

    Too many wrong passwords lock an account for a while, whether or not it exists.
    """
    pair = await service.sign_in(services, username, password, caller)
    if pair is None:
        raise ApiError(ErrorType.invalid_credentials, "The email or the password is wrong.")
    return pair


@oauth_router.post(
    "/token",
    summary="Sign in (OAuth 2.0)",
    response_description="Token pair, as RFC 6749 has it",
    responses=errors(
        ErrorType.invalid_grant,
        ErrorType.invalid_request,
        ErrorType.unsupported_grant_type,
        ErrorType.validation_error,
        ErrorType.too_many_attempts,
    ),
    dependencies=NO_STORE,
)
async def token(
    services: App,
    caller: WhoCalls,
    username: Username = "",
    password: FormPassword = "",
    grant_type: GrantType = "password",
) -> TokenPair:
    """The password grant of RFC 6749, for OAuth 2.0 clients and `/docs`; not enveloped.

    Refusals carry RFC 6749's `error` and `error_description` beside the usual members.
    """
    if grant_type != "password":
        raise _oauth_error(ErrorType.unsupported_grant_type, "Only grant_type=password is served.")
    if not username or not password:
        raise _oauth_error(ErrorType.invalid_request, "username and password are required.")
    pair = await service.sign_in(services, username, password, caller)
    if pair is None:
        raise _oauth_error(ErrorType.invalid_grant, "The email or the password is wrong.")
    return pair


def _oauth_error(error_type: ErrorType, detail: str) -> ApiError:
    return ApiError(error_type, detail, error=error_type, error_description=detail)


@router.post(
    "/token/refresh",
    summary="Exchange a refresh token",
    response_description="Session continued",
    responses=errors(ErrorType.invalid_refresh_token, ErrorType.validation_error),
    dependencies=NO_STORE,
)
async def refresh(
    services: App, session: Session, body: RefreshRequest, caller: WhoCalls
) -> TokenPair:
    """Get a new pair of tokens. Each refresh token works once; using it twice ends the session."""
    return await service.rotate(services, session, body.refresh_token, caller)


@router.get(
    "/me", summary="The signed-in account", response_description="Account", responses=SIGNED_IN
)
async def me(user: CurrentUser) -> UserOut:
    """Who the access token speaks for."""
    return UserOut.model_validate(user)


@router.post(
    "/password",
    status_code=204,
    summary="Change the password",
    responses=errors(
        *SIGNED_IN_TYPES,
        ErrorType.wrong_password,
        ErrorType.validation_error,
        ErrorType.too_many_attempts,
    ),
)
async def change_password(
    services: App, current: CurrentSession, body: PasswordChange, caller: WhoCalls
) -> None:
    """Set another password; all other sessions end at once.

    An account that signs in at a provider only has no password: an administrator can give it one.
    """
    await service.change_password(
        services, current, body.current_password, body.new_password, caller
    )
