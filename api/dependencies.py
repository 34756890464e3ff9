"""What endpoints ask for: the services of this process, a transaction, the signed-in user."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Protocol

from fastapi import Depends
from fastapi.security import OAuth2PasswordBearer
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.requests import HTTPConnection

from api.errors import ApiError, ErrorType
from api.events.hub import Hub
from api.metrics import Metrics
from api.security import AccessClaims, AccessTokens, Passwords, invalid_token
from cluster.settings import ApiSettings, AuthSettings, QueueSettings
from db.engine import Sessions, session_scope
from db.models import Role, User
from db.objects.port import ObjectStore
from db.queries import users
from serving.speech import MediaProbe, MediaSource

HealthProbe = Callable[[], Awaitable[Mapping[str, Mapping[str, Any]]]]
"""Says of each deployment `{"status": "up" | "down", …}`."""


class MediaProber(Protocol):
    """Reads the header of a stored media file (the first half of serving.ports.Preparer)."""

    async def probe(self, source: MediaSource) -> MediaProbe:
        """Read the header; raise a SpeechError where it is unacceptable."""
        ...


@dataclass(frozen=True)
class Services:
    """Everything that requests share."""

    api: ApiSettings
    auth: AuthSettings
    database_url: str
    """For the connection that listens to PostgreSQL."""
    sessions: Sessions
    guards: Sessions
    """On connections of their own: one is held for as long as a guarded request runs."""
    queue: QueueSettings
    objects: ObjectStore
    prober: MediaProber
    health: HealthProbe
    presigned_uploads: bool = False
    """Whether clients can reach the object store, and may put parts there themselves."""

    @cached_property
    def passwords(self) -> Passwords:
        """Password hashing, made once."""
        return Passwords(self.auth)

    @cached_property
    def metrics(self) -> Metrics:
        """Prometheus metrics, made once."""
        return Metrics()

    @cached_property
    def tokens(self) -> AccessTokens:
        """Access tokens, made once."""
        return AccessTokens(self.auth)

    @cached_property
    def hub(self) -> Hub:
        """What wakes event streams, made once; the lifespan closes it."""
        return Hub(self.database_url, self.sessions)


def _services(connection: HTTPConnection) -> Services:
    services: Services = connection.app.state.services
    return services


App = Annotated[Services, Depends(_services)]


async def _session(services: App) -> AsyncIterator[AsyncSession]:
    async with services.sessions() as session:
        try:
            yield session
        except ApiError as error:
            if error.commits:
                await session.commit()
            raise
        await session.commit()


# scope="function": the commit happens after the endpoint and before the answer is sent, so that
# nobody is told of something that then fails to be stored.
Session = Annotated[AsyncSession, Depends(_session, scope="function")]
"""The request's transaction: committed at its end, rolled back on an error. Nobody commits it."""

bearer = OAuth2PasswordBearer(tokenUrl="/api/auth/token", auto_error=False)


@dataclass(frozen=True)
class SignedIn:
    """A user, and the session in which they speak."""

    user: User
    claims: AccessClaims


async def sign_in(services: Services, token: str) -> SignedIn:
    """The user and the session of an access token.

    Raises:
        ApiError: `invalid_token`.
    """
    claims = services.tokens.read(token)
    # A transaction of its own: endpoints that talk to the object store must not hold one open.
    async with session_scope(services.sessions) as session:
        user = await users.signed_in(session, claims.user_id, claims.family_id)
    if user is None:
        raise invalid_token()
    return SignedIn(user, claims)


async def _signed_in(services: App, token: Annotated[str | None, Depends(bearer)]) -> SignedIn:
    if not token:
        raise ApiError(ErrorType.not_authenticated, "Send an access token as a bearer token.")
    return await sign_in(services, token)


CurrentSession = Annotated[SignedIn, Depends(_signed_in)]


async def _current_user(signed_in: CurrentSession) -> User:
    return signed_in.user


CurrentUser = Annotated[User, Depends(_current_user)]


async def _current_admin(user: CurrentUser) -> User:
    if user.role is not Role.admin:
        raise ApiError(ErrorType.forbidden, "Only administrators may do this.")
    return user


CurrentAdmin = Annotated[User, Depends(_current_admin)]


def _caller_address(connection: HTTPConnection) -> str:
    return connection.client.host if connection.client else ""


CallerAddress = Annotated[str, Depends(_caller_address)]
"""Where the request comes from: the proxy in front, where there is one."""
