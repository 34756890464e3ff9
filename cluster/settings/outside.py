"""Settings of what is fetched from outside: where to, how much, and by whom."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator
from pydantic_settings import SettingsConfigDict

from cluster.allow_list import AllowList, parse_ports
from cluster.settings.base import MIB, Count, Group, Seconds

Listed = Annotated[str, Field(max_length=10_000)]
"""Several values, separated by commas."""


class EgressSettings(Group):
    """Where requests on a user's behalf may go: addresses in URLs, sign-in providers."""

    model_config = SettingsConfigDict(
        env_prefix="RAYSCRIBE_EGRESS_", extra="ignore", frozen=True, populate_by_name=True
    )

    allow: Listed = ""
    """Addresses that are not public and may be reached all the same, separated by commas:
    `host:port`, or a network such as `10.1.0.0/16`. Empty: public ones only."""
    ports: Listed = "80,443"
    """Ports that may be reached, separated by commas; `host:port` above needs no entry here."""
    connect_seconds: Seconds = 10
    """How long a name may take to resolve, and an address to answer."""
    idle_seconds: Seconds = 60
    """A connection without a byte for so long is closed."""
    total_seconds: Seconds = 30
    """How long one of our own requests may take (a download has its own limit)."""
    max_redirects: Count = 5
    """Redirects of one of our own requests; each hop is checked like the first."""
    max_response_bytes: Count = 16 * MIB
    """Largest answer to one of our own requests."""

    @field_validator("allow")
    @classmethod
    def allow_list(cls, listed: str) -> str:
        """Refuse at the start what cannot be read."""
        AllowList.parse(listed)
        return listed

    @field_validator("ports")
    @classmethod
    def port_list(cls, listed: str) -> str:
        """Refuse at the start what cannot be read."""
        parse_ports(listed)
        return listed


class DownloadSettings(Group):
    """Recordings that are fetched from an address."""

    model_config = SettingsConfigDict(
        env_prefix="RAYSCRIBE_DOWNLOAD_", extra="ignore", frozen=True, populate_by_name=True
    )

    per_hour: Count = 50
    """Addresses of one user in an hour (entries of a playlist count); more is refused with 429."""
    per_day: Count = 500
    """The same for a day."""
    max_open: Count = 20
    """Downloads of one user that wait or run when another address is sent."""
    max_playlist_entries: Count = 100
    """Entries of a playlist that are fetched; the rest is left out, and the task says so."""
    playlist_stagger_seconds: Seconds = 5
    """Entries of a playlist begin so long after one another: sites shut out who asks faster."""
    look_seconds: Seconds = 120
    """How long a site may take to say what is at an address."""
    fetch_seconds: Seconds = 4 * 3600
    """How long a download may take."""
    directory: Path | None = None
    """Where a recording lies while it is fetched: room for some of the largest. Unset: the
    machine's directory for temporary files."""
    memory_bytes: Count = 1024 * MIB
    """Memory of the downloader, a program of its own."""
