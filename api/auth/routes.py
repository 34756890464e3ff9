"""Routes of sign-in: /api/auth."""

import uuid
from typing import Annotated

from fastapi import APIRouter, Depends, Form
from fastapi.security import OAuth2PasswordRequestForm

from api.auth import service
from api.auth.schemas import RefreshRequest, Registration, TokenPair, UserOut
from api.dependencies import App, CurrentSession, CurrentUser, Session
from api.envelope import EnvelopeRoute
from api.errors import ApiError, ErrorType
from api.openapi import SIGNED_IN, errors
from db.engine import session_scope
from db.models import User
from db.queries import refresh_tokens, users

router = APIRouter(prefix="/api/auth", tags=["auth"], route_class=EnvelopeRoute)
# RFC 6749 fixes this route's body, so it is the one without an envelope.
oauth_router = APIRouter(prefix="/api/auth", tags=["auth"])


@router.post(
    "/register",
    status_code=201,
    summary="Create an account",
    response_description="Account created",
    responses=errors(
        ErrorType.registration_closed, ErrorType.email_taken, ErrorType.validation_error
    ),
)
async def register(services: App, registration: Registration) -> UserOut:
    """Create an account with the role `user`; then sign in with `/api/auth/login`."""
    if not services.auth.open_registration:
        raise ApiError(
            ErrorType.registration_closed, "This installation does not take registrations."
        )
    shortest = services.auth.min_password_length
    if len(registration.password) < shortest:
        detail = f"The password must have at least {shortest} characters."
        pointer = {"in": "body", "pointer": "#/password", "detail": detail, "type": "too_short"}
        raise ApiError(ErrorType.validation_error, detail, errors=[pointer])
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
    return UserOut.model_validate(user)


@router.post(
    "/login",
    summary="Sign in",
    response_description="Signed in",
    responses=errors(ErrorType.invalid_credentials, ErrorType.validation_error),
)
async def login(services: App, form: Annotated[OAuth2PasswordRequestForm, Depends()]) -> TokenPair:
    """Exchange email (`username`) and password, as form fields, for a pair of tokens."""
    user = await service.authenticate(services, form.username, form.password)
    if user is None:
        raise ApiError(ErrorType.invalid_credentials, "The email or the password is wrong.")
    return await _sign_in(services, user)


async def _sign_in(services: App, user: User) -> TokenPair:
    async with session_scope(services.sessions) as session:
        return await service.open_session(services, session, user.id, uuid.uuid4())


@oauth_router.post(
    "/token",
    summary="Sign in (OAuth 2.0)",
    response_description="Token pair, as RFC 6749 has it",
    responses=errors(
        ErrorType.invalid_grant,
        ErrorType.invalid_request,
        ErrorType.unsupported_grant_type,
        ErrorType.validation_error,
    ),
)
async def token(
    services: App,
    username: Annotated[str, Form()] = "",
    password: Annotated[str, Form()] = "",
    grant_type: Annotated[str, Form()] = "password",
) -> TokenPair:
    """The password grant of RFC 6749, for OAuth 2.0 clients and `/docs`; not enveloped.

    Refusals carry RFC 6749's `error` and `error_description` beside the usual members.
    """
    if grant_type != "password":
        raise _oauth_error(ErrorType.unsupported_grant_type, "Only grant_type=password is served.")
    if not username or not password:
        raise _oauth_error(ErrorType.invalid_request, "username and password are required.")
    user = await service.authenticate(services, username, password)
    if user is None:
        raise _oauth_error(ErrorType.invalid_grant, "The email or the password is wrong.")
    return await _sign_in(services, user)


def _oauth_error(error_type: ErrorType, detail: str) -> ApiError:
    return ApiError(error_type, detail, error=error_type, error_description=detail)


@router.post(
    "/token/refresh",
    summary="Exchange a refresh token",
    response_description="Session continued",
    responses=errors(ErrorType.invalid_refresh_token, ErrorType.validation_error),
)
async def refresh(services: App, session: Session, body: RefreshRequest) -> TokenPair:
    """Get a new pair of tokens. Each refresh token works once; using it twice ends the session."""
    return await service.rotate(services, session, body.refresh_token)


@router.get(
    "/me", summary="The signed-in account", response_description="Account", responses=SIGNED_IN
)
async def me(user: CurrentUser) -> UserOut:
    """Who the access token speaks for."""
    return UserOut.model_validate(user)


@router.post("/logout", status_code=204, summary="Sign out", responses=SIGNED_IN)
async def logout(session: Session, current: CurrentSession) -> None:
    """End this session at once: neither its access tokens nor its refresh token work again."""
    await refresh_tokens.revoke_family(session, current.claims.family_id)
