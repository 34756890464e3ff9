"""Where a request may go: scheme, host, port, and each address that the host's name stands for."""

import asyncio
import re
import socket
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import httpx

from cluster.allow_list import AllowList, parse_ports, plain_host
from cluster.egress.addresses import Address, embedded, is_public, parse
from cluster.egress.errors import EgressRefused, EgressUnreachable
from cluster.settings import EgressSettings

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""The addresses of a host name; raises OSError where it has none."""

# Of its own: names that take long to resolve must not keep the stores' threads.
THREADS = ThreadPoolExecutor(8, thread_name_prefix="resolve")
PORTS = {"http": 80, "https": 443}
LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
HOST_CHARACTERS = 253
NUMERIC = re.compile(r"0x[0-9a-f]*|\d+")
"""A last label that makes resolvers read the whole as an IPv4 address, in whatever spelling."""


async def resolve(host: str, port: int) -> Sequence[str]:
    """What the machine's own resolver says."""
    ask = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
    found = await asyncio.get_running_loop().run_in_executor(THREADS, ask)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def _is_name(host: str) -> bool:
    labels = host.split(".")
    named = len(host) <= HOST_CHARACTERS and all(map(LABEL.fullmatch, labels))
    return named and not NUMERIC.fullmatch(labels[-1])


class Policy:
    """The operator's rules about where requests may go."""

    def __init__(self, settings: EgressSettings, resolve: Resolve = resolve) -> None:
        self.settings = settings
        self._resolve = resolve
        self._allowed = AllowList.parse(settings.allow)
        self._ports = parse_ports(settings.ports)

    async def check_url(self, url: str) -> tuple[str, ...]:
        """The addresses of a URL's host, if it may be fetched.

        Raises:
            EgressRefused: its scheme, host, port or one of its addresses may not be reached.
            EgressUnreachable: its host has no address.
        """
        try:
            parsed = httpx.URL(url)
        except (httpx.InvalidURL, UnicodeError) as error:
            raise EgressRefused("The address is not a URL that can be read.") from error
        return await self.addresses(*target(parsed))

    async def addresses(self, host: str, port: int) -> tuple[str, ...]:
        """The addresses of a host: connect to one of these, not to the name, which may change.

        Raises:
            EgressRefused: the host, the port or *any* of the addresses may not be reached.
            EgressUnreachable: the name has no address.
        """
        host = plain_host(host)
        named = (host, port) in self._allowed.hosts
        if not named and port not in self._ports:
            raise EgressRefused(f"Port {port} of {host} may not be reached.")
        found = await self._found(host, port)
        if not named and not all(self._may_reach(address) for address in found):
            raise EgressRefused(f"{host} is not a public address.")
        return tuple(str(address) for address in found)

    def _may_reach(self, address: Address) -> bool:
        reached = embedded(address)
        return is_public(address) or any(reached in network for network in self._allowed.networks)

    async def _found(self, host: str, port: int) -> list[Address]:
        literal = parse(host)
        if literal is not None:
            return [literal]
        if not _is_name(host):
            raise EgressRefused(f"{host[:HOST_CHARACTERS]!r} is not the name of a host.")
        found = [parse(text) for text in await self._asked(host, port)]
        addresses = [address for address in found if address is not None]
        if len(addresses) < len(found) or not addresses:
            raise EgressRefused(f"{host} is not a public address.")
        return addresses

    async def _asked(self, host: str, port: int) -> Sequence[str]:
        try:
            async with asyncio.timeout(self.settings.connect_seconds):
                return await self._resolve(host, port)
        except (OSError, UnicodeError) as error:  # TimeoutError is an OSError
            raise EgressUnreachable(f"The name {host} cannot be resolved.") from error


def target(url: httpx.URL) -> tuple[str, int]:
    """Host and port of a URL.

    Raises:
        EgressRefused: it is not one of http or https with a host and without a password.
    """
    if url.scheme not in PORTS or not url.host:
        raise EgressRefused("Only addresses that begin with http:// or https:// are fetched.")
    if url.userinfo:
        raise EgressRefused("An address with a user name or password in it is not fetched.")
    return url.raw_host.decode("ascii"), url.port or PORTS[url.scheme]
