"""What endpoints ask for: the services of this process, a transaction, the signed-in user."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Protocol

from fastapi import Depends
from fastapi.security import OAuth2PasswordBearer
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.requests import HTTPConnection

from api.callers import caller_of
from api.errors import ApiError, ErrorType
from api.events.hub import Hub
from api.media_tokens import MediaTokens
from api.metrics import Metrics
from api.openid_provider import Provider
from api.security import AccessClaims, AccessTokens, Passwords, invalid_token
from cluster.egress import Policy, Resolve, resolve
from cluster.encryption import Encryption
from cluster.settings import (
    ApiSettings,
    AuthSettings,
    BackfillSettings,
    DownloadSettings,
    EgressSettings,
    LanguageSettings,
    MaintenanceSettings,
    ObjectSettings,
    OidcSettings,
    PriceSettings,
    QueueSettings,
    RunnerSettings,
    SearchSettings,
    TelemetrySettings,
    VoiceSettings,
)
from db.engine import Sessions, session_scope
from db.keywords.port import KeywordStore
from db.models import Role, User
from db.objects.port import ObjectStore
from db.queries import users
from db.vectors.port import VectorStore
from pipelines.backfills.sources import Buckets
from pipelines.intake import MediaProber
from pipelines.language import parts
from pipelines.slots import FairSlots
from serving.ports import TextEmbedder
from serving.speech import MuxRequest

HealthProbe = Callable[[], Awaitable[Mapping[str, Mapping[str, Any]]]]
"""Says of each deployment `{"status": "up" | "down", …}`."""


MUXED_AT_ONCE = 2
"""Videos with subtitles that one replica has made at a time: each holds a connection for its lock,
and a place at the decoder."""
CHARGED_AT_ONCE = 2
"""Attempts to sign in that one replica counts at a time: each may hold a connection while it waits
for a lock, and counting takes milliseconds."""
INTERACTIVE_PATIENCE = 1
"""Of these places: there is only one lane."""


class MediaTools(MediaProber, Protocol):
    """What the API asks of the decoder (serving.ports.Preparer)."""

    async def mux(self, request: MuxRequest) -> int:
        """Put subtitles into a video; raise a SpeechError where that cannot be done."""
        ...


class LocalModel(parts.LocalModel, Protocol):
    """The language model inside the cluster, as the API asks it: awake, or asleep."""

    async def asleep(self) -> bool:
        """Whether it has no replica now, and gets one when it is asked.

        Raises LlmUnavailable: it cannot be asked.
        """
        ...


class NoLocalModel:
    """No language model runs inside the cluster."""

    async def handle(self) -> None:
        """None."""

    async def state(self) -> None:
        """None."""

    async def asleep(self) -> bool:
        """It does not even sleep."""
        return False


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
    runner: RunnerSettings
    maintenance: MaintenanceSettings
    search: SearchSettings
    voices: VoiceSettings
    vectors: VectorStore
    keywords: KeywordStore
    data_dir: Path
    """Whose disk administrators are told about."""
    objects: ObjectStore
    prober: MediaTools
    text_embedder: TextEmbedder
    health: HealthProbe
    egress: EgressSettings
    download: DownloadSettings
    oidc: OidcSettings
    language: LanguageSettings
    local_model: LocalModel
    """The language model inside the cluster."""
    telemetry: TelemetrySettings = field(default_factory=TelemetrySettings)
    prices: PriceSettings = field(default_factory=PriceSettings)
    backfill: BackfillSettings = field(default_factory=BackfillSettings)
    buckets_of: ObjectSettings = field(default_factory=ObjectSettings)
    """The server whose buckets recordings are imported from."""
    resolve: Resolve = resolve
    """How names of other sites become addresses."""
    presigned_uploads: bool = False
    """Whether clients can reach the object store, and may put parts there themselves."""

    @cached_property
    def passwords(self) -> Passwords:
        """Password hashing, made once."""
        return Passwords(self.auth)

    @cached_property
    def policy(self) -> Policy:
        """Where requests on a user's behalf may go, made once."""
        return Policy(self.egress, self.resolve)

    @cached_property
    def encryption(self) -> Encryption:
        """What encrypts users' keys, made once."""
        return Encryption(self.auth)

    @cached_property
    def provider(self) -> Provider | None:
        """The provider to sign in at, made once; None: no such is set up."""
        return Provider(self.oidc, self.egress, self.resolve) if self.oidc.issuer else None

    @cached_property
    def buckets(self) -> Buckets:
        """From where recordings may be imported, made once."""
        return Buckets(self.buckets_of, self.objects, self.backfill.import_buckets)

    @cached_property
    def metrics(self) -> Metrics:
        """Prometheus metrics, made once."""
        return Metrics()

    @cached_property
    def tokens(self) -> AccessTokens:
        """Access tokens, made once."""
        return AccessTokens(self.auth)

    @cached_property
    def media_tokens(self) -> MediaTokens:
        """Tokens in addresses of media, made once."""
        return MediaTokens(self.tokens.secret)

    @cached_property
    def muxing(self) -> asyncio.Semaphore:
        """Places for making videos with subtitles."""
        return asyncio.Semaphore(MUXED_AT_ONCE)

    @cached_property
    def part_slots(self) -> FairSlots:
        """Places for parts of uploads, each of which is in memory."""
        return FairSlots(self.api.max_parts_at_once, INTERACTIVE_PATIENCE)

    @cached_property
    def join_slots(self) -> FairSlots:
        """Places for uploads that are joined and checked, made once."""
        return FairSlots(self.api.max_joins_at_once, INTERACTIVE_PATIENCE)

    @cached_property
    def sign_in_slots(self) -> FairSlots:
        """Places for attempts that are counted, shared fairly among addresses; made once."""
        return FairSlots(CHARGED_AT_ONCE, INTERACTIVE_PATIENCE)

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
    return caller_of(connection).address


CallerAddress = Annotated[str, Depends(_caller_address)]
"""Where the request comes from; empty is not known."""
