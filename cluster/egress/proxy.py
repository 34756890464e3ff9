"""The way out of a sandboxed program: an HTTP proxy by the rules of `Policy`, made for one run.

Of RFC 9110 it knows what a downloader needs: CONNECT for https, and plain http requests, one for
each connection. A library would bring plugins, TLS interception and its own resolver, which is the
part that has to be ours.
"""

import asyncio
import base64
import hmac
import secrets
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from types import TracebackType
from typing import Self

import httpx
import structlog

from cluster.egress.errors import EgressError, EgressRefused, EgressUnreachable
from cluster.egress.policy import Policy, target

log = structlog.get_logger(__name__)

HEAD_BYTES = 32 * 1024
CHUNK_BYTES = 64 * 1024
USER = "sandbox"
HOP_BY_HOP = ("proxy-", "connection", "keep-alive", "te", "upgrade")
"""Headers that are for the proxy, by their beginnings (RFC 9110 §7.6.1)."""


class _Answered(Exception):
    """The proxy answers by itself."""

    def __init__(self, status: HTTPStatus, headers: str = "") -> None:
        super().__init__(status)
        self.status = status
        self.headers = headers


@dataclass(frozen=True, slots=True)
class _Head:
    """The first line and the headers of a request."""

    method: str
    target: str
    headers: Mapping[str, str]

    @classmethod
    def parse(cls, block: bytes) -> "_Head":
        first, *lines = block.decode("latin-1").rstrip("\r\n").split("\r\n")
        method, _, rest = first.partition(" ")
        pairs = (line.partition(":") for line in lines)
        headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
        return cls(method, rest.partition(" ")[0], headers)

    @property
    def host_and_port(self) -> tuple[str, int]:
        """Where it is to go: `host:port` of a CONNECT, else an absolute http URL."""
        if self.method == "CONNECT":
            return target(httpx.URL(f"https://{self.target}"))
        url = httpx.URL(self.target)
        if url.scheme != "http":
            raise EgressRefused("A proxy is asked for http:// in the clear only.")
        return target(url)

    @property
    def body_bytes(self) -> int:
        """The length of the request's body."""
        length = self.headers.get("content-length", "0")
        if "transfer-encoding" in self.headers or not length.isdecimal():
            raise _Answered(HTTPStatus.LENGTH_REQUIRED)
        return int(length)

    def forwarded(self) -> bytes:
        """The request as the server gets it: its connection ends with the answer."""
        url = httpx.URL(self.target)
        kept = [f"{n}: {v}" for n, v in self.headers.items() if not n.startswith(HOP_BY_HOP)]
        first = f"{self.method} {url.raw_path.decode('ascii')} HTTP/1.1"
        return "\r\n".join([first, *kept, "connection: close", "", ""]).encode("latin-1")


class Proxy:
    """Serves on `listener` while its `async with` block runs, for whoever knows the secret."""

    def __init__(
        self, policy: Policy, listener: socket.socket, secret: str, max_bytes: int
    ) -> None:
        self.errors: list[EgressError] = []
        """What was refused or could not be reached, in order."""
        self.exceeded = False
        """More than `max_bytes` came in, over all connections; nothing more comes."""
        self._policy = policy
        self._listener = listener
        self._bytes_left = max_bytes
        self._secret = secret
        self._connections: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    @staticmethod
    def new_secret() -> str:
        """What a program has to name: the port may be open to others of this machine."""
        return secrets.token_urlsafe(24)

    @staticmethod
    def url(secret: str, port: int) -> str:
        """What a program's `https_proxy` is set to."""
        return f"http://{USER}:{secret}@127.0.0.1:{port}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(
            self._accept, sock=self._listener, limit=HEAD_BYTES
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._server is not None:
            self._server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = asyncio.create_task(self._serve(reader, writer))
        self._connections.add(connection)
        connection.add_done_callback(self._connections.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._answer(reader, writer)
        except (_Answered, EgressError) as refusal:
            await self._refuse(writer, refusal)
        except (OSError, EOFError, asyncio.LimitOverrunError) as error:
            # Either side went away, or sent what is no HTTP.
            log.debug("connection ended", error=repr(error))
        finally:
            writer.close()

    async def _refuse(self, writer: asyncio.StreamWriter, refusal: Exception) -> None:
        headers = ""
        match refusal:
            case _Answered():
                status, headers = refusal.status, refusal.headers
            case EgressRefused():
                status = HTTPStatus.FORBIDDEN
            case _:
                status = HTTPStatus.BAD_GATEWAY
        if isinstance(refusal, EgressError):
            self.errors.append(refusal)
        line = f"HTTP/1.1 {status.value} {status.phrase}\r\n{headers}Content-Length: 0\r\n"
        writer.write(f"{line}Connection: close\r\n\r\n".encode())
        try:
            await writer.drain()
        except OSError as error:
            log.debug("refusal not delivered", error=repr(error))

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with asyncio.timeout(self._policy.settings.connect_seconds):
            head = _Head.parse(await reader.readuntil(b"\r\n\r\n"))
        self._authorize(head)
        try:
            host, port = head.host_and_port
        except (httpx.InvalidURL, UnicodeError) as error:
            raise EgressRefused("The address is not a URL that can be read.") from error
        server_reader, server_writer = await self._connect(host, port)
        try:
            body_bytes = None
            if head.method == "CONNECT":
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                body_bytes = head.body_bytes
                server_writer.write(head.forwarded())
            await self._exchange((reader, writer), (server_reader, server_writer), body_bytes)
        finally:
            server_writer.close()

    def _authorize(self, head: _Head) -> None:
        known = base64.b64encode(f"{USER}:{self._secret}".encode()).decode()
        sent = head.headers.get("proxy-authorization", "")
        if not hmac.compare_digest(sent.encode(), f"Basic {known}".encode()):
            challenge = 'Proxy-Authenticate: Basic realm="sandbox"\r\n'
            raise _Answered(HTTPStatus.PROXY_AUTHENTICATION_REQUIRED, challenge)

    async def _connect(
        self, host: str, port: int
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection to one of the addresses that were checked, whatever the name is by now."""
        for address in await self._policy.addresses(host, port):
            try:
                async with asyncio.timeout(self._policy.settings.connect_seconds):
                    return await asyncio.open_connection(address, port)
            except OSError as error:  # TimeoutError is one
                log.debug("not reached", host=host, error=repr(error))
        raise EgressUnreachable(f"{host} does not answer.")

    async def _exchange(
        self,
        client: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        server: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        body_bytes: int | None,
    ) -> None:
        """Copy both ways until the server ends, or nothing has moved for too long."""
        seconds = self._policy.settings.idle_seconds
        async with asyncio.timeout(seconds) as idle:

            def moved(_: int) -> None:
                idle.reschedule(asyncio.get_running_loop().time() + seconds)

            def received(size: int) -> None:
                moved(size)
                self._count(size)

            outward = asyncio.create_task(_copy(client[0], server[1], moved, body_bytes))
            try:
                await _copy(server[0], client[1], received)
            finally:
                outward.cancel()
                await asyncio.gather(outward, return_exceptions=True)

    def _count(self, size: int) -> None:
        self._bytes_left -= size
        if self._bytes_left < 0:
            self.exceeded = True
            raise ConnectionAbortedError("more bytes came in than this run may fetch")


async def _copy(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    moved: Callable[[int], None],
    limit: int | None = None,
) -> None:
    """Copy to the end, and close there; or `limit` bytes, and leave the rest unread."""
    left = limit
    while left is None or left > 0:
        chunk = await reader.read(CHUNK_BYTES if left is None else min(left, CHUNK_BYTES))
        if not chunk:
            writer.close()
            return
        moved(len(chunk))
        left = None if left is None else left - len(chunk)
        writer.write(chunk)
        await writer.drain()
