"""Who is at the other end: the caller's address and program, as far as they can be known.

Behind proxies that the operator trusts, uvicorn's middleware (api.factory) has put the address that
they name in the place of theirs.
"""

from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Annotated

from fastapi import Depends
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from db.queries import audit

MAX_USER_AGENT = 255
HOUSEHOLD = 64
"""Bits of an IPv6 address that one customer of a provider has in common; the rest they choose."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Where a request comes from; empty is not known."""

    address: str = ""
    user_agent: str = ""

    @property
    def household(self) -> str:
        """What limits per address count by."""
        if not self.address:
            return ""
        parsed = ip_address(self.address)
        if isinstance(parsed, IPv6Address):
            return str(ip_network((parsed, HOUSEHOLD), strict=False))
        return self.address


def address_of(host: str) -> str:
    """An address in its one spelling; empty where a proxy named something else."""
    try:
        parsed = ip_address(host.partition("%")[0])
    except ValueError:
        return ""
    mapped = parsed.ipv4_mapped if isinstance(parsed, IPv6Address) else None
    return str(mapped or parsed)


def caller_of(connection: HTTPConnection) -> Caller:
    """The caller of a request."""
    agent = connection.headers.get("user-agent", "")[:MAX_USER_AGENT]
    return Caller(
        address_of(connection.client.host if connection.client else ""),
        "".join(character for character in agent if character.isprintable()),
    )


class Located:
    """Lets the audit log know where each request comes from, however deep it is written."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        token = audit.ADDRESS.set(caller_of(HTTPConnection(scope)).address)
        try:
            await self._app(scope, receive, send)
        finally:
            audit.ADDRESS.reset(token)


WhoCalls = Annotated[Caller, Depends(caller_of)]
