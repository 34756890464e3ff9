"""Settings of the HTTP door: who comes in, and what may be brought in."""

from ipaddress import ip_network
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import SettingsConfigDict

from cluster.settings.base import MIB, Count, Group, Seconds, seed, words
from cluster.settings.outside import Listed


class AuthSettings(Group):
    """Tokens and passwords."""

    secret_key: SecretStr | None = Field(None, validation_alias=seed("SECRET_KEY"))
    """Signs access tokens; at least 32 bytes. Unset: made at the first start and kept."""
    encryption_key: SecretStr | None = Field(None, validation_alias=seed("ENCRYPTION_KEY"))
    """Encrypts keys of language models that users enter; at least 32 bytes. Unset: derived from
    `SECRET_KEY`. With another one than before, those keys must be entered anew."""
    access_token_minutes: Count = 15
    """Lifetime of an access token."""
    refresh_token_days: Count = 30
    """Lifetime of a refresh token, counted anew at every use."""
    min_password_length: Count = 10
    """Shortest password that is taken, in characters."""
    argon2_memory_kib: Count = 65536
    """Argon2id memory, KiB (RFC 9106, second recommended option is 64 MiB)."""
    open_registration: bool = True
    """Whether anybody may create an account; otherwise `rayscribe create-user` does."""
    attempts_per_minute: Count = 30
    """Sign-ins and registrations from one address (IPv6: one /64) in a minute; more get 429. Many
    people may share an address; what stops guessing is the lockout."""
    lockout_failures: Count = 5
    """Wrong passwords in a row after which an account is locked."""
    lockout_minutes: Count = 15
    """How long it is locked then; each further wrong password doubles it."""
    max_lockout_minutes: Count = 24 * 60
    """Longest lock; wrong passwords are forgotten after this time."""


class OidcSettings(Group):
    """Sign-in at an OpenID Connect provider (authorization code flow with PKCE)."""

    model_config = SettingsConfigDict(
        env_prefix="RAYSCRIBE_OIDC_", extra="ignore", frozen=True, populate_by_name=True
    )

    issuer: str | None = None
    """The provider's issuer URL; its configuration is read from
    `<issuer>/.well-known/openid-configuration`. Unset: no sign-in at a provider."""
    client_id: str = ""
    """Under which name the provider knows this installation."""
    client_secret: SecretStr | None = None
    """The secret that goes with it. Unset: a public client, PKCE alone."""
    redirect_uri: str = ""
    """Where the provider sends the browser back: `https://…/api/auth/oidc/callback`, as registered
    there."""
    scopes: str = "openid email profile"
    """What is asked for, separated by spaces."""
    allowed_domains: Listed = ""
    """Domains of email addresses that may come in, separated by commas. Empty: all."""
    trust_emails: bool = False
    """Take an email address although the provider does not say that it verified it (Entra ID never
    says so)."""
    create_accounts: bool = True
    """Make an account for whom the provider vouches; otherwise only those that have one come in."""
    admin_claim: str = ""
    """The claim (`groups`, `roles` …) that says who administers. Empty: roles are given here."""
    admin_value: str = ""
    """What that claim equals or contains for an administrator."""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if not self.issuer:
            return self
        missing = [name for name in ("client_id", "redirect_uri") if not getattr(self, name)]
        if missing:
            named = ", ".join(f"RAYSCRIBE_OIDC_{name.upper()}" for name in missing)
            raise ValueError(f"RAYSCRIBE_OIDC_ISSUER is set, so {named} must be")
        if bool(self.admin_claim) != bool(self.admin_value):
            raise ValueError(
                "RAYSCRIBE_OIDC_ADMIN_CLAIM and RAYSCRIBE_OIDC_ADMIN_VALUE go together"
            )
        if "openid" not in self.scopes.split():
            raise ValueError("RAYSCRIBE_OIDC_SCOPES must contain openid")
        if not is_private_channel(self.issuer):
            raise ValueError(
                f"RAYSCRIBE_OIDC_ISSUER={self.issuer} must begin with https:// "
                "(http:// only on this machine): its keys say who comes in"
            )
        return self


def is_private_channel(url: str) -> bool:
    """Whether nobody on the way can read or change what is sent: https, or this very machine."""
    parts = urlsplit(url)
    local = parts.hostname in {"127.0.0.1", "::1", "localhost"}
    return bool(parts.hostname) and (parts.scheme == "https" or (parts.scheme == "http" and local))


class ApiSettings(Group):
    """The HTTP door."""

    host: str = "127.0.0.1"
    """Address to listen on; anything but loopback needs a TLS proxy in front."""
    port: Annotated[int, Field(ge=0, le=65535)] = 5174
    """Port to listen on; 0: any free one, kept from then on."""
    max_body_bytes: Count = 8 * MIB
    """Largest body: Serve's proxy keeps it in memory, so a larger one is refused unread."""
    body_room_bytes: Count = 48 * MIB
    """Bodies that the proxy takes in at a time, in bytes: it and the API keep each in memory.
    Further large bodies wait, unread."""
    body_wait_seconds: Seconds = 300
    """How long a large body waits for room; then the answer is 503."""
    body_seconds: Seconds = 120
    """How long a large body may take to arrive; then the answer is 408. Whoever sends slowly keeps
    room from others."""
    part_bytes: Annotated[int, Field(ge=5 * MIB)] = 8 * MIB
    """Size of the parts of an upload; not more than the largest body."""
    max_upload_bytes: Count = 16 * 1024 * MIB
    """Largest file."""
    upload_expiry_hours: Count = 24
    """How long an upload may take before it is given up."""
    max_open_uploads: Count = 20
    """Uploads in parts of one user that are open at a time: each may take the largest file's room
    in the object store until it is given up."""
    max_parts_at_once: Count = 32
    """Parts that one replica takes in at a time, shared fairly among users: each is in memory. The
    others wait."""
    max_joins_at_once: Count = 8
    """Uploads whose parts one replica joins and checks at a time, shared fairly among users: each
    reads its file once more. The others wait."""
    media_url_seconds: Count = 300
    """How long a signed address of a recording or of a video with subtitles opens it."""
    thumbnail_url_seconds: Count = 900
    """The same of a thumbnail: lists show many of them."""
    trusted_proxies: Listed = ""
    """Addresses or networks of the proxies in front, separated by commas: the caller's address is
    taken from their `X-Forwarded-For`. Empty: from nobody's, so that behind a proxy all callers
    share its address, and its limits."""
    drain_seconds: Seconds = 60
    """How long a replica that is replaced may take to end its requests; streams of events are sent
    to another one at once, a download that takes longer is cut off and goes on with a range."""
    max_tags_per_file: Count = 100
    """Tags on one file: lists of files tell them all."""
    replicas: Count = 1
    """Replicas of the API."""
    every_node: bool = False
    """Whether each node that has a replica listens on the port, for a load balancer in front;
    otherwise the head's alone."""
    max_ongoing_requests: Count = 2000
    """Requests of one replica at a time; WebSockets and server-sent events hold one each."""

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, listed: str) -> str:
        for entry in words(listed):
            ip_network(entry)
        return listed


class MediaSettings(Group):
    """What the sandboxed decoder accepts, and what it may use."""

    max_audio_seconds: Seconds = 12 * 3600
    """Longest recording."""
    min_audio_seconds: Seconds = 0.1
    """Shortest recording."""
    max_channels: Count = 16
    """Most channels of an audio stream."""
    max_streams: Count = 32
    """Most streams of a file."""
    decoder_memory_bytes: Count = 2048 * MIB
    """Memory that a decoder may use."""
    decoder_base_seconds: Seconds = 60
    """Time that a decode may take: this, and for each second of audio the next."""
    decoder_seconds_per_audio_second: Seconds = 0.5
    """See the one before."""
    block_seconds: Count = 300
    """Audio that is decoded and stored at a time; what a decode keeps in memory."""
    max_mux_bytes: Annotated[int, Field(ge=1, le=4096 * MIB)] = 4096 * MIB
    """Largest video that subtitles are put into: it lies on the decoder's disk twice meanwhile, and
    S3 takes no more than 5 GiB at once."""
    mux_seconds: Seconds = 600
    """How long ffmpeg may take for it. Picture and sound are only copied."""
