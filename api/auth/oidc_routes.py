"""Routes of sign-in at an OpenID provider: there and back again."""

import secrets
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import RedirectResponse
from itsdangerous import BadData, URLSafeTimedSerializer

from api.auth import oidc
from api.auth.routes import NO_STORE
from api.auth.schemas import TokenPair
from api.callers import WhoCalls
from api.dependencies import App, Services
from api.envelope import EnvelopeRoute
from api.errors import ApiError, ErrorType
from api.openapi import errors
from api.openid_provider import Pending, Provider, refused

PATH = "/api/auth/oidc"
COOKIE = "rayscribe_oidc"
COOKIE_SECONDS = 600
"""How long somebody may take at the provider."""

router = APIRouter(prefix=PATH, tags=["auth"], route_class=EnvelopeRoute)


def _provider(services: Services) -> Provider:
    if services.provider is None:
        raise ApiError(ErrorType.not_configured, "No sign-in provider is set up here.")
    return services.provider


def _seal(services: Services) -> URLSafeTimedSerializer:
    # The salt keeps this apart from whatever else is signed with the same key.
    return URLSafeTimedSerializer(services.tokens.secret, salt="rayscribe oidc")


@router.get(
    "/login",
    status_code=302,
    response_class=RedirectResponse,
    summary="Sign in at the provider",
    response_description="To the provider's page",
    responses=errors(ErrorType.not_configured, ErrorType.provider_unreachable),
)
async def begin(services: App) -> RedirectResponse:
    """Send the browser to the OpenID provider, with a cookie that it has to bring back."""
    provider = _provider(services)
    url, pending = await provider.begin()
    response = RedirectResponse(url, 302, {"Cache-Control": "no-store"})
    response.set_cookie(
        COOKIE,
        _seal(services).dumps(pending.model_dump()),
        max_age=COOKIE_SECONDS,
        path=PATH,
        secure=provider.settings.redirect_uri.startswith("https:"),
        httponly=True,
        # Not strict: the browser comes from the provider's page.
        samesite="lax",
    )
    return response


@router.get(
    "/callback",
    summary="Come back from the provider",
    response_description="Signed in",
    responses=errors(
        ErrorType.provider_refused,
        ErrorType.forbidden,
        ErrorType.registration_closed,
        ErrorType.email_taken,
        ErrorType.last_admin,
        ErrorType.conflict,
        ErrorType.not_configured,
        ErrorType.provider_unreachable,
        ErrorType.validation_error,
    ),
    dependencies=NO_STORE,
)
async def finish(
    services: App,
    request: Request,
    response: Response,
    caller: WhoCalls,
    state: Annotated[str, Query(max_length=512, description="What was sent along")] = "",
    code: Annotated[str, Query(max_length=4096, description="What is exchanged")] = "",
    iss: Annotated[str | None, Query(max_length=500, description="Who answers (RFC 9207)")] = None,
    error: Annotated[str, Query(max_length=128, description="Why the provider refuses")] = "",
) -> TokenPair:
    """The provider sends the browser here; the answer is a pair of tokens, as of a sign-in.

    Only the browser that began at `/api/auth/oidc/login` can end here, within ten minutes.
    """
    provider = _provider(services)
    pending = _brought_back(services, request, state)
    response.delete_cookie(COOKIE, path=PATH)
    if error or not code:
        raise refused("The provider did not let you in.")
    claims = await provider.finish(pending, code, iss)
    return await oidc.sign_in(services, oidc.person_of(claims, provider.settings), caller)


def _brought_back(services: Services, request: Request, state: str) -> Pending:
    try:
        sealed = _seal(services).loads(request.cookies.get(COOKIE, ""), max_age=COOKIE_SECONDS)
    except BadData as error:
        raise refused("This browser has not begun to sign in, or too long ago.") from error
    pending = Pending.model_validate(sealed)
    if not secrets.compare_digest(pending.state.encode(), state.encode()):
        raise refused("The answer belongs to another sign-in: begin again.")
    return pending
