"""What only a real server and real sockets show: body limits, cut connections, streaming."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import httpx
import psutil
import pytest
from fastapi import FastAPI

from api.body_limit import LINGER_BYTES, MULTIPART_SLACK_BYTES, BodyLimit, middlewares
from api.body_room import BodyRoom
from api.request_context import RequestId
from tests.fixtures.api import PART_BYTES, part, prepare
from tests.fixtures.http import served
from tests.integration.api.test_uploads import keys, rows

LIMIT = 100_000
MIB = 1024 * 1024


class Counting:
    """Says how many bytes reached it: what a proxy would have kept in memory."""

    def __init__(self) -> None:
        self.bytes_seen = 0
        self.requests = 0

    async def __call__(self, scope, receive, send) -> None:
        self.requests += 1
        more = True
        while more:
            message = await receive()
            self.bytes_seen += len(message.get("body", b""))
            more = message.get("more_body", False)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": str(self.bytes_seen).encode()})


@pytest.fixture
async def limited():
    """An application behind the limit, and its port."""
    inner = Counting()
    async with served(RequestId(BodyLimit(inner, max_body_bytes=LIMIT))) as port:
        yield inner, port


async def endless(size: int) -> AsyncIterator[bytes]:
    for _ in range(size // 65536):
        yield bytes(65536)


async def raw(port: int, head: str, body_bytes: int = 0) -> tuple[bytes, int]:
    """Send a request by hand; what came back, and how much of the body could be sent."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answer = asyncio.create_task(read_answer(reader))
    sent = 0
    writer.write(head.encode())
    with suppress(ConnectionError):
        while sent < body_bytes:
            writer.write(bytes(MIB))
            await writer.drain()
            sent += MIB
    answered = await answer
    writer.close()
    return answered, sent


async def read_answer(reader: asyncio.StreamReader) -> bytes:
    """Head and body, read as soon as they come: a reset afterwards takes nothing away."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head.lower())
    return head + (await reader.readexactly(int(length[1])) if length else await reader.read())


def problem(answer: bytes) -> Any:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b" 413 " in head.splitlines()[0]
    assert b"connection: close" in head.lower()
    return json.loads(body)


class TestBodyLimit:
    @pytest.mark.parametrize("size", [0, 1, LIMIT, LIMIT + MULTIPART_SLACK_BYTES])
    async def test_what_fits_passes_whole(self, limited, size):
        inner, port = limited
        async with httpx.AsyncClient() as client:
            answer = await client.post(f"http://127.0.0.1:{port}/", content=bytes(size))
        assert (answer.status_code, inner.bytes_seen) == (200, size)

    async def test_what_fits_passes_chunked_too(self, limited):
        inner, port = limited
        async with httpx.AsyncClient() as client:
            answer = await client.post(f"http://127.0.0.1:{port}/", content=endless(LIMIT))
        assert (answer.status_code, inner.bytes_seen) == (200, LIMIT // 65536 * 65536)

    @pytest.mark.parametrize("size", [LIMIT * 2, 16 * MIB])
    @pytest.mark.parametrize("chunked", [False, True])
    async def test_what_does_not_is_refused_before_anybody_sees_it(self, limited, size, chunked):
        inner, port = limited
        async with httpx.AsyncClient() as client:
            content = endless(size) if chunked else bytes(size)
            answer = await client.post(f"http://127.0.0.1:{port}/api/files/upload", content=content)
        body = answer.json()
        assert (answer.status_code, body["error_type"]) == (413, "body_too_large")
        assert body["max_body_bytes"] == LIMIT
        assert body["instance"] == "/api/files/upload"
        assert "/api/files/upload/prepare" in body["detail"]
        assert body["request_id"] == answer.headers["X-Request-ID"]
        assert answer.headers["content-type"] == "application/problem+json"
        assert (inner.requests, inner.bytes_seen) == (0, 0)

    async def test_ten_gigabytes_are_not_read(self, limited):
        inner, port = limited
        size = 10 * 1024 * MIB
        before = psutil.Process().memory_info().rss
        head = f"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n"
        answer, sent = await raw(port, head, size)
        assert problem(answer)["error_type"] == "body_too_large"
        # What lingers, and what the sockets of both sides hold.
        assert sent < LINGER_BYTES + 32 * MIB
        assert psutil.Process().memory_info().rss - before < 64 * MIB
        assert inner.requests == 0

    async def test_a_client_that_asks_first_is_not_asked_to_send(self, limited):
        _, port = limited
        head = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\nExpect: 100-continue\r\n"
        answer, _ = await raw(port, f"{head}\r\n")
        assert b"100 Continue" not in answer
        assert problem(answer)["status"] == 413

    @pytest.mark.parametrize("length", ["-1", "9" * 30, "1e3", "²"])
    async def test_lengths_that_are_none(self, limited, length):
        inner, port = limited
        head = f"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n"
        answer, _ = await raw(port, head)
        assert b" 400 " in answer.splitlines()[0] or problem(answer)
        assert inner.requests == 0

    def test_what_serve_asks_for_is_a_list_of_middlewares(self, monkeypatch):
        monkeypatch.setenv("RAYSCRIBE_MAX_BODY_BYTES", "12345")
        asked = middlewares()
        assert asked[0].kwargs == {"max_body_bytes": 12345}
        built = [wrapper.cls(Counting(), *wrapper.args, **wrapper.kwargs) for wrapper in asked]
        assert [type(wrapper) for wrapper in built] == [BodyLimit, BodyRoom, RequestId]


async def test_a_part_that_is_cut_off_is_not_there(app: FastAPI, client, long_recording, objects):
    opened = await prepare(client, long_recording)
    path = f"/api/files/upload/{opened['upload_id']}/parts/1"
    async with served(app) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        head = (
            f"PUT {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {PART_BYTES}\r\n"
            f"Authorization: {client.headers['Authorization']}\r\n\r\n"
        )
        writer.write(head.encode() + part(long_recording, 1)[: PART_BYTES // 2])
        await writer.drain()
        await asyncio.sleep(0.2)
        writer.transport.abort()
        await asyncio.sleep(0.2)
        there = await client.get(f"/api/files/upload/{opened['upload_id']}")
        assert there.json()["data"]["parts_received"] == []
        assert await keys(objects) == []
        async with httpx.AsyncClient(headers=client.headers) as outside:
            again = await outside.put(
                f"http://127.0.0.1:{port}{path}", content=part(long_recording, 1)
            )
    assert again.status_code == 200


async def test_a_form_that_is_cut_off_leaves_nothing(app: FastAPI, client, objects, sessions):
    async with served(app) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        head = (
            "POST /api/files/upload HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n"
            "Content-Type: multipart/form-data; boundary=x\r\n"
            f"Authorization: {client.headers['Authorization']}\r\n\r\n"
            '--x\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\nRIFF'
        )
        writer.write(head.encode())
        await writer.drain()
        await asyncio.sleep(0.2)
        writer.transport.abort()
        await asyncio.sleep(0.2)
        async with httpx.AsyncClient() as outside:
            assert (await outside.get(f"http://127.0.0.1:{port}/health/ready")).status_code == 200
    assert await keys(objects) == []
    assert await rows(sessions, "media_file") == 0


async def test_a_listener_that_leaves_frees_the_stores_connection(
    app: FastAPI, client, long_recording, services, objects
):
    opened = await prepare(client, long_recording)
    for number in (1, 2, 3):
        await client.put(
            f"/api/files/upload/{opened['upload_id']}/parts/{number}",
            content=part(long_recording, number),
        )
    done = await client.post(f"/api/files/upload/{opened['upload_id']}/complete")
    path = f"/api/files/streaming/{done.json()['data']['file']['id']}"
    closed = asyncio.Event()
    stream = objects.stream

    async def watched(key: str, start: int = 0, length: int | None = None):
        try:
            async for chunk in stream(key, start, length):
                yield chunk
        finally:
            closed.set()

    services.objects.stream = watched
    async with served(app) as port, httpx.AsyncClient(headers=client.headers) as outside:
        async with outside.stream("GET", f"http://127.0.0.1:{port}{path}") as answer:
            assert answer.status_code == 200
            await anext(answer.aiter_raw(1000))
        async with asyncio.timeout(5):
            await closed.wait()
