"""The way out for libraries that use httpx2: the same checks, by the transport for httpx.

One set of rules is checked and connected by one transport; here requests, answers and errors are
only put into the other library's classes.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import httpx
import httpx2

PASSED_ON = ("http_version", "reason_phrase")
"""What of an answer's extensions is plain data; the rest is the connection itself."""


class Bridge(httpx2.AsyncBaseTransport):
    """Sends httpx2's requests by a transport for httpx.

    An `EgressError` becomes an `httpx2.TransportError` with the original as its cause.
    """

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self._inner = inner

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send the request."""
        with _translated():
            if not isinstance(request.stream, httpx2.AsyncByteStream):
                raise TypeError("a request of an asynchronous client has a synchronous stream")
            response = await self._inner.handle_async_request(
                httpx.Request(
                    request.method,
                    str(request.url),
                    headers=request.headers.raw,
                    stream=_Outward(request.stream),
                    extensions=request.extensions,
                )
            )
        if not isinstance(response.stream, httpx.AsyncByteStream):
            raise TypeError("an asynchronous transport answered with a synchronous stream")
        return httpx2.Response(
            response.status_code,
            headers=response.headers.raw,
            stream=_Inward(response.stream),
            extensions={
                name: response.extensions[name] for name in PASSED_ON if name in response.extensions
            },
        )

    async def aclose(self) -> None:
        """Close what is open."""
        await self._inner.aclose()


class _Outward(httpx.AsyncByteStream):
    """A request's body."""

    def __init__(self, inner: httpx2.AsyncByteStream) -> None:
        self._inner = inner

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._inner:
            yield chunk

    async def aclose(self) -> None:
        await self._inner.aclose()


class _Inward(httpx2.AsyncByteStream):
    """An answer's body."""

    def __init__(self, inner: httpx.AsyncByteStream) -> None:
        self._inner = inner

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _translated():
            async for chunk in self._inner:
                yield chunk

    async def aclose(self) -> None:
        with _translated():
            await self._inner.aclose()


@contextmanager
def _translated() -> Iterator[None]:
    """Raise httpx's errors as httpx2's of the same name, or of the nearest one that it has."""
    try:
        yield
    except (httpx.RequestError, httpx.InvalidURL) as error:
        raise _same(type(error))(str(error)) from error


def _same(kind: type[Exception]) -> type[Exception]:
    for ancestor in kind.__mro__:
        found = getattr(httpx2, ancestor.__name__, None)
        if isinstance(found, type) and issubclass(found, Exception):
            return found
    return httpx2.TransportError
