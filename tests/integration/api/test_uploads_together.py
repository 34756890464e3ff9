"""Many uploads and parts of one user at a time, and what is left of those that were broken off."""

import asyncio
import uuid

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import text

from api.factory import create_app
from cluster.settings import ApiSettings
from db.engine import session_scope
from tests.fixtures.api import (
    PART_BYTES,
    complete,
    connect,
    part,
    prepare,
    send_all,
    send_part,
    sha256,
    sign_up,
)
from tests.fixtures.http import served
from tests.integration.api.test_uploads import UPLOAD, error_type, keys, rows

OPEN_AT_ONCE = 3
PARTS_AT_ONCE = 2


@pytest.fixture
def api_settings(api_settings: ApiSettings) -> ApiSettings:
    """An installation with few places."""
    few = {"max_open_uploads": OPEN_AT_ONCE, "max_parts_at_once": PARTS_AT_ONCE}
    return api_settings.model_copy(update=few)


async def ask(client: httpx.AsyncClient) -> httpx.Response:
    return await client.post(f"{UPLOAD}/prepare", json={"filename": "a.wav", "size_bytes": 10})


class TestPlaces:
    async def test_one_more_is_refused_until_one_ends(self, client, recording):
        opened = [await prepare(client, recording) for _ in range(OPEN_AT_ONCE)]
        refused = await ask(client)
        assert error_type(refused) == (429, "too_many_uploads")
        assert refused.json()["max_open_uploads"] == OPEN_AT_ONCE
        await client.delete(f"{UPLOAD}/{opened[0]['upload_id']}")
        assert (await ask(client)).status_code == 201
        assert error_type(await ask(client)) == (429, "too_many_uploads")
        await send_part(client, opened[1]["upload_id"], 1, recording)
        await complete(client, opened[1])
        assert (await ask(client)).status_code == 201

    async def test_what_has_expired_takes_no_place(self, client, recording, sessions):
        for _ in range(OPEN_AT_ONCE):
            await prepare(client, recording)
        async with session_scope(sessions) as session:
            await session.execute(text("UPDATE upload SET expires_at = now()"))
        assert (await ask(client)).status_code == 201

    async def test_places_are_each_users_own(self, client, stranger, recording):
        for _ in range(OPEN_AT_ONCE):
            await prepare(client, recording)
        assert (await ask(stranger)).status_code == 201

    async def test_of_many_at_the_same_moment_no_more_come_in(self, client, sessions):
        answers = await asyncio.gather(*(ask(client) for _ in range(4 * OPEN_AT_ONCE)))
        assert sorted(answer.status_code for answer in answers) == (
            [201] * OPEN_AT_ONCE + [429] * 3 * OPEN_AT_ONCE
        )
        assert await rows(sessions, "upload") == OPEN_AT_ONCE


class TestList:
    async def test_it_shows_what_can_be_resumed(self, client, stranger, long_recording, sessions):
        first, second, third = [await prepare(client, long_recording) for _ in range(3)]
        await prepare(stranger, long_recording)
        await send_part(client, first["upload_id"], 3, part(long_recording, 3))
        await send_part(client, first["upload_id"], 1, part(long_recording, 1))
        await client.delete(f"{UPLOAD}/{second['upload_id']}")
        page = (await client.get(UPLOAD)).json()["data"]
        assert page["total"] == 2
        seen = [(item["upload_id"], item["parts_received"]) for item in page["items"]]
        assert seen == [(third["upload_id"], []), (first["upload_id"], [1, 3])]
        assert page["items"][1]["received_bytes"] == len(long_recording) - PART_BYTES
        async with session_scope(sessions) as session:
            await session.execute(text("UPDATE upload SET expires_at = now()"))
        assert (await client.get(UPLOAD)).json()["data"]["items"] == []

    async def test_pages(self, client):
        for _ in range(3):
            await ask(client)
        params = {"page": 2, "page_size": 2}
        page = (await client.get(UPLOAD, params=params)).json()["data"]
        assert (len(page["items"]), page["total"], page["total_pages"]) == (1, 3, 2)


async def test_only_so_many_parts_are_in_memory(client, services, long_recording, objects):
    opened = await prepare(client, long_recording)
    put, inside, most = services.objects.put, 0, 0

    async def counted(key: str, data: bytes, content_type: str = "x/y"):
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        try:
            # Whoever else may come in does so now.
            for _ in range(20):
                await asyncio.sleep(0)
            return await put(key, data, content_type)
        finally:
            inside -= 1

    services.objects.put = counted
    numbers = [1, 2, 3] * 3
    answers = await asyncio.gather(
        *(send_part(client, opened["upload_id"], n, part(long_recording, n)) for n in numbers)
    )
    assert {answer.status_code for answer in answers} == {200}
    assert most == PARTS_AT_ONCE
    assert (await complete(client, opened, sha256=sha256(long_recording))).status_code == 201


def request(client: httpx.AsyncClient, method: str, path: str, length: int) -> bytes:
    """The head of a request, as it goes over the wire."""
    return (
        f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n"
        f"Authorization: {client.headers['Authorization']}\r\n\r\n"
    ).encode()


async def break_off(port: int, data: bytes) -> None:
    """Send a part of a request and cut the connection."""
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    await writer.drain()
    writer.transport.abort()


class TestBrokenOff:
    async def test_a_client_that_lost_everything_but_the_file_goes_on(
        self, app: FastAPI, client, long_recording, objects
    ):
        opened = await prepare(client, long_recording)
        path = f"{UPLOAD}/{opened['upload_id']}/parts"
        async with served(app) as port:
            url = f"http://127.0.0.1:{port}"
            async with httpx.AsyncClient(base_url=url, headers=client.headers) as outside:
                sent = await outside.put(f"{path}/1", content=part(long_recording, 1))
                assert sent.status_code == 200
                second = part(long_recording, 2)
                head = request(client, "PUT", f"{path}/2", len(second))
                await break_off(port, head + second[: len(second) // 2])
            async with httpx.AsyncClient(base_url=url, headers=client.headers) as outside:
                (found,) = (await outside.get(UPLOAD)).json()["data"]["items"]
                assert (found["parts_received"], found["received_bytes"]) == ([1], PART_BYTES)
                for number in {1, 2, 3} - set(found["parts_received"]):
                    content = part(long_recording, number)
                    await outside.put(f"{path}/{number}", content=content)
                done = await outside.post(
                    f"{UPLOAD}/{found['upload_id']}/complete",
                    json={"sha256": sha256(long_recording)},
                )
        assert done.status_code == 201, done.text
        (key,) = await keys(objects, "media/")
        assert sha256(await objects.get(key)) == sha256(long_recording)

    async def test_a_completion_whose_answer_was_lost_is_asked_for_again(
        self, app: FastAPI, client, long_recording, sessions, objects
    ):
        opened = await prepare(client, long_recording)
        await send_all(client, opened, long_recording)
        async with served(app) as port:
            path = f"{UPLOAD}/{opened['upload_id']}/complete"
            await break_off(port, request(client, "POST", path, 0))
            async with httpx.AsyncClient(headers=client.headers, timeout=60) as outside:
                again = await outside.post(f"http://127.0.0.1:{port}{path}")
                once_more = await outside.post(f"http://127.0.0.1:{port}{path}")
        assert again.status_code == 201, again.text
        assert once_more.json()["data"]["file"] == again.json()["data"]["file"]
        assert await rows(sessions, "media_file") == 1
        assert len(await keys(objects, "media/")) == 1

    async def test_a_part_that_was_stored_while_the_answer_was_lost_is_sent_again(
        self, app: FastAPI, client, long_recording
    ):
        opened = await prepare(client, long_recording)
        path = f"{UPLOAD}/{opened['upload_id']}/parts/1"
        first = part(long_recording, 1)
        async with served(app) as port:
            await break_off(port, request(client, "PUT", path, len(first)) + first)
            async with httpx.AsyncClient(headers=client.headers, timeout=60) as outside:
                again = await outside.put(f"http://127.0.0.1:{port}{path}", content=first)
        assert again.json()["data"]["sha256"] == sha256(first)
        there = (await client.get(f"{UPLOAD}/{opened['upload_id']}")).json()["data"]
        assert there["parts_received"] == [1]


async def test_one_users_parts_do_not_keep_anothers_waiting(services, long_recording):
    """Of those who wait for a place, the user with fewest places is next."""
    app = create_app(services)
    async with connect(app) as greedy, connect(app) as modest:
        for each in (greedy, modest):
            token = (await sign_up(each))["access_token"]
            each.headers["Authorization"] = f"Bearer {token}"
        many, one = await prepare(greedy, long_recording), await prepare(modest, long_recording)
        order: list[str] = []
        put, gate, full = services.objects.put, asyncio.Event(), asyncio.Event()
        inside = 0

        async def held(key: str, data: bytes, content_type: str = "x/y"):
            nonlocal inside
            inside += 1
            if inside == PARTS_AT_ONCE:
                full.set()
            await gate.wait()
            order.append(key)
            return await put(key, data, content_type)

        services.objects.put = held
        numbers = [1, 2, 3] * 2
        greedily = [
            asyncio.create_task(send_part(greedy, many["upload_id"], n, part(long_recording, n)))
            for n in numbers
        ]
        await full.wait()
        modestly = asyncio.create_task(
            send_part(modest, one["upload_id"], 1, part(long_recording, 1))
        )
        while services.part_slots.waiting < len(numbers) - PARTS_AT_ONCE + 1:
            await asyncio.sleep(0.01)
        gate.set()
        answers = await asyncio.gather(*greedily, modestly)
    assert {answer.status_code for answer in answers} == {200}
    mine = str(uuid.UUID(one["upload_id"]))
    assert next(index for index, key in enumerate(order) if mine in key) <= PARTS_AT_ONCE
