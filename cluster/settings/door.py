"""Settings of the HTTP door: who comes in, and what may be brought in."""

from typing import Annotated

from pydantic import Field, SecretStr

from cluster.settings.base import MIB, Count, Group, Seconds, seed


class AuthSettings(Group):
    """Tokens and passwords."""

    secret_key: SecretStr | None = Field(None, validation_alias=seed("SECRET_KEY"))
    """Signs access tokens; at least 32 bytes. Unset: made at the first start and kept."""
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


class ApiSettings(Group):
    """The HTTP door."""

    host: str = "127.0.0.1"
    """Address to listen on; anything but loopback needs a TLS proxy in front."""
    port: Annotated[int, Field(ge=0, le=65535)] = 5174
    """Port to listen on; 0: any free one, kept from then on."""
    max_body_bytes: Count = 8 * MIB
    """Largest body: Serve's proxy keeps it in memory, so a larger one is refused unread."""
    part_bytes: Annotated[int, Field(ge=5 * MIB)] = 8 * MIB
    """Size of the parts of an upload; not more than the largest body."""
    max_upload_bytes: Count = 16 * 1024 * MIB
    """Largest file."""
    upload_expiry_hours: Count = 24
    """How long an upload may take before it is given up."""
    replicas: Count = 1
    """Replicas of the API."""
    max_ongoing_requests: Count = 2000
    """Requests of one replica at a time; WebSockets and server-sent events hold one each."""


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
