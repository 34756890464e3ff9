"""Our own requests on a user's behalf: an httpx client whose every connection is checked first.

A transport sees each hop of a redirect as a request of its own, so each is checked. Connections are
not kept: one that was made for a host is never used for another one at the same address.
"""

import asyncio
from collections.abc import AsyncIterator
from functools import cache
from ssl import SSLContext
from time import monotonic

import httpx

from cluster.egress.errors import EgressRefused, EgressUnreachable
from cluster.egress.policy import Policy, Resolve, resolve, target
from cluster.settings import EgressSettings


def client(settings: EgressSettings, *, resolve: Resolve = resolve) -> httpx.AsyncClient:
    """A client for public addresses and those that the operator allows; close it when done.

    It follows redirects, knows no proxies or cookies of the environment, and raises `EgressError`
    (an `httpx.TransportError`) for what may not be reached, is too large or takes too long.
    """
    return httpx.AsyncClient(
        transport=Pinned(Policy(settings, resolve)),
        timeout=httpx.Timeout(settings.idle_seconds, connect=settings.connect_seconds),
        # An encoded answer could unfold to a thousand times its bytes: `Pinned` refuses it.
        headers={"Accept-Encoding": "identity"},
        follow_redirects=True,
        max_redirects=settings.max_redirects,
        trust_env=False,
    )


@cache
def _certificates() -> SSLContext:
    # Read once: it costs more than most requests.
    return httpx.create_ssl_context()


class Pinned(httpx.AsyncBaseTransport):
    """Connects to the addresses that were checked, by their numbers, in the name of the host."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._inner = httpx.AsyncHTTPTransport(
            verify=_certificates(),
            trust_env=False,
            limits=httpx.Limits(max_keepalive_connections=0),
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Check, connect, and hand out an answer that ends at its limits."""
        settings = self._policy.settings
        host, port = target(request.url)
        deadline = monotonic() + settings.total_seconds
        try:
            async with asyncio.timeout(settings.total_seconds):
                addresses = await self._policy.addresses(host, port)
                response = await self._first_answer(request, host, addresses)
        except TimeoutError as error:
            raise EgressUnreachable(f"{host} takes too long to answer.") from error
        if response.headers.get("Content-Encoding", "identity").lower() != "identity":
            await response.aclose()
            raise EgressRefused(f"{host} encodes its answer although it was asked not to.")
        if not isinstance(response.stream, httpx.AsyncByteStream):
            raise TypeError("an asynchronous transport answered with a synchronous stream")
        response.stream = _Bounded(response.stream, settings.max_response_bytes, deadline, host)
        return response

    async def aclose(self) -> None:
        """Close what is open."""
        await self._inner.aclose()

    async def _first_answer(
        self, request: httpx.Request, host: str, addresses: tuple[str, ...]
    ) -> httpx.Response:
        for address in addresses[:-1]:
            try:
                return await self._ask(request, host, address)
            except (httpx.ConnectError, httpx.ConnectTimeout):
                # Nothing was sent yet; the host has another address.
                continue
        return await self._ask(request, host, addresses[-1])

    async def _ask(self, request: httpx.Request, host: str, address: str) -> httpx.Response:
        pinned = httpx.Request(
            request.method,
            request.url.copy_with(host=address),
            # The Host header in them was made from the name.
            headers=request.headers,
            stream=request.stream,
            # TLS asks for, and verifies, the name.
            extensions={**request.extensions, "sni_hostname": host},
        )
        return await self._inner.handle_async_request(pinned)


class _Bounded(httpx.AsyncByteStream):
    """A body that ends with an error where it is too large or too slow."""

    def __init__(
        self, inner: httpx.AsyncByteStream, max_bytes: int, deadline: float, host: str
    ) -> None:
        self._inner = inner
        self._bytes_left = max_bytes
        self._deadline = deadline
        self._host = host

    async def __aiter__(self) -> AsyncIterator[bytes]:
        chunks = aiter(self._inner)
        while (chunk := await self._next(chunks)) is not None:
            self._bytes_left -= len(chunk)
            if self._bytes_left < 0:
                raise EgressRefused(f"The answer of {self._host} is too large.")
            yield chunk

    async def _next(self, chunks: AsyncIterator[bytes]) -> bytes | None:
        try:
            async with asyncio.timeout(self._deadline - monotonic()):
                return await anext(chunks, None)
        except TimeoutError as error:
            raise EgressUnreachable(f"{self._host} takes too long to answer.") from error

    async def aclose(self) -> None:
        await self._inner.aclose()
