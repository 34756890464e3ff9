"""How requests leave for a provider: by the egress rules, with this connection's key and no more.

The vendors' clients read keys, headers and addresses from this process's environment, and some
follow redirects; a user's server must see none of the operator's keys, nor a user's key be sent
anywhere but to where its owner said.
"""

from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httpx
import httpx2

from cluster.egress import Policy, Resolve
from cluster.egress.bridge import Bridge
from cluster.egress.client import Pinned
from cluster.settings import EgressSettings, LanguageSettings
from serving.errors import LlmFailed, LlmUnauthorised
from serving.language import LlmConnection
from serving.providers.known import KNOWN

HEADERS = {
    "accept",
    "accept-encoding",
    "anthropic-beta",
    "anthropic-version",
    "connection",
    "content-length",
    "content-type",
    "host",
    "transfer-encoding",
    "user-agent",
}
"""What of a client's own headers goes out."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """The way out of one connection; makes the clients that the vendors' libraries build on."""

    base_url: str
    key: str | None = field(repr=False)
    policy: Policy
    settings: LanguageSettings

    @classmethod
    def of(
        cls,
        connection: LlmConnection,
        egress: EgressSettings,
        settings: LanguageSettings,
        resolve: Resolve,
    ) -> "Outgoing":
        """The way out to where a connection leads.

        Raises:
            LlmUnauthorised: the provider needs a key and there is none, or none that can be sent.
            LlmFailed: there is no address, or none that can be read.
        """
        limits = {
            "connect_seconds": settings.connect_seconds,
            "total_seconds": settings.call_seconds,
            "max_response_bytes": settings.max_response_bytes,
        }
        policy = Policy(egress.model_copy(update=limits), resolve)
        return cls(_base_url(connection), _key(connection), policy, settings)

    def transport(self) -> Pinned:
        """What connects to addresses that were checked."""
        return Pinned(self.policy)

    def httpx2_client(self) -> httpx2.AsyncClient:
        """For libraries that use httpx2."""
        return httpx2.AsyncClient(
            transport=Bridge(self.transport()),
            timeout=self.httpx2_timeout(),
            headers={"Accept-Encoding": "identity"},
            follow_redirects=False,
            trust_env=False,
            event_hooks={"request": [self.own_headers]},
        )

    def httpx2_timeout(self) -> httpx2.Timeout:
        """Of one request; how long one waits for tokens is counted where they are read."""
        return httpx2.Timeout(self.settings.call_seconds, connect=self.settings.connect_seconds)

    def httpx_timeout(self) -> httpx.Timeout:
        """The same."""
        return httpx.Timeout(self.settings.call_seconds, connect=self.settings.connect_seconds)

    async def own_headers(self, request: httpx.Request | httpx2.Request) -> None:
        """Take out of a request what is not meant for this provider, and put in its key."""
        headers = request.headers
        for name in set(headers) - HEADERS:
            del headers[name]
        if self.key is not None:
            headers["Authorization"] = f"Bearer {self.key}"


def _key(connection: LlmConnection) -> str | None:
    known = KNOWN[connection.provider]
    key = connection.api_key.get_secret_value() if connection.api_key is not None else ""
    if not key:
        if known.needs_key:
            raise LlmUnauthorised(f"{known.title} needs a key, and there is none.")
        return None
    if not all("!" <= character <= "~" for character in key):
        # Libraries say the whole header in their errors.
        raise LlmUnauthorised(f"The key for {known.title} has characters that no key has.")
    return key


def _base_url(connection: LlmConnection) -> str:
    known = KNOWN[connection.provider]
    text = connection.base_url or known.base_url
    if text is None:
        raise LlmFailed(f"It is not said where {known.title} is.")
    try:
        # Each library reads it in its own way; who takes it, takes it.
        url, _ = httpx.URL(text), urlsplit(text).port
    except (httpx.InvalidURL, ValueError):
        url = httpx.URL()
    if url.scheme not in {"http", "https"} or not url.host:
        raise LlmFailed(f"The address of {known.title} is not a URL that can be read.")
    if url.userinfo or url.query or url.fragment:
        raise LlmFailed(f"The address of {known.title} has more in it than a host and a path.")
    return text.rstrip("/")
