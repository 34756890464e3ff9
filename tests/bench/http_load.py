"""A light HTTP client for load: it keeps connections and parses nothing but the length."""

import asyncio
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)


@dataclass(frozen=True)
class Load:
    """What came of a load: latencies in seconds, sorted, and how long it took in all."""

    latencies: Sequence[float]
    seconds: float
    body_bytes: int

    @property
    def rate(self) -> float:
        """Requests a second."""
        return len(self.latencies) / self.seconds

    def percentile(self, share: float) -> float:
        """Latency that this share of the requests did not exceed, in milliseconds."""
        return self.latencies[min(len(self.latencies) - 1, int(share * len(self.latencies)))] * 1000


async def _ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> int:
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    if b" 200 " not in head.split(b"\r\n", 1)[0]:
        raise RuntimeError(f"{request[:200]!r}: {head[:500]!r}")
    found = LENGTH.search(head)
    if found is None:
        raise RuntimeError(f"no length in {head!r}")
    body = await reader.readexactly(int(found[1]))
    return len(body)


async def load(
    url: str, paths: Sequence[str], token: str, *, connections: int, seconds: float
) -> Load:
    """Ask for the paths in turn over some connections, each as fast as it is answered."""
    address = urlsplit(url)
    latencies: list[float] = []
    sizes: list[int] = []
    started = time.perf_counter()
    turn = iter(range(10**9))

    async def work() -> None:
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        while time.perf_counter() - started < seconds:
            path = paths[next(turn) % len(paths)]
            head = f"GET {path} HTTP/1.1\r\nHost: api\r\nAuthorization: Bearer {token}\r\n\r\n"
            began = time.perf_counter()
            sizes.append(await _ask(reader, writer, head.encode()))
            latencies.append(time.perf_counter() - began)
        writer.close()

    await asyncio.gather(*(work() for _ in range(connections)))
    return Load(sorted(latencies), time.perf_counter() - started, sum(sizes) // len(sizes))
