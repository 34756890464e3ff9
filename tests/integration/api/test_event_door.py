"""Who may open the WebSocket, how it ends, and what clients may send."""

import asyncio
import json
from contextlib import suppress

import pytest
from sqlalchemy import update
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from api.dependencies import Services
from api.events import door, hub, presence, socket
from db.engine import Sessions, session_scope
from db.models import User
from tests.fixtures.events import Account, closed, greeted, heard, numbers, say
from tests.integration.pipelines.test_queue import add_task

# Who may listen to the WebSocket


async def test_the_first_frame_may_carry_the_token(ann: Account, sessions: Sessions):
    await say(sessions, ann.user_id, 4)
    async with ann.listening(additional_headers={}) as opened:
        frame = {"type": "authenticate", "token": ann.token, "last_event_id": 2}
        await opened.send(json.dumps(frame))
        assert (await greeted(opened))["last_event_id"] == 2
        assert await numbers(opened, 4) == [3, 4]


@pytest.mark.parametrize("origin", [None, "http://127.0.0.1:{port}"])
async def test_a_cookie_lets_in_a_page_of_this_host(ann: Account, origin: str | None):
    headers = {"Cookie": f"access_token={ann.token}"}
    if origin:
        headers["Origin"] = origin.format(port=ann.port)
    async with ann.listening(additional_headers=headers) as opened:
        assert await greeted(opened)


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1"])
async def test_a_cookie_does_not_let_in_other_pages(ann: Account, origin: str):
    headers = {"Cookie": f"access_token={ann.token}", "Origin": origin}
    async with ann.listening(additional_headers=headers) as opened:
        assert (await closed(opened))[0] == 4001


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer nonsense"},
        {"Authorization": "Bearer "},
        {"Cookie": "access_token=nonsense"},
    ],
)
async def test_a_wrong_token_is_refused(ann: Account, headers: dict[str, str]):
    async with ann.listening(additional_headers=headers) as opened:
        code, reason = await closed(opened)
        assert (code, bool(reason)) == (4001, True)


@pytest.mark.parametrize(
    "frame",
    [
        '{"type": "authenticate", "token": "nonsense"}',
        '{"type": "authenticate"}',
        '{"type": "ping"}',
        "hello",
        "[" * 4000,
    ],
)
async def test_a_first_frame_without_a_right_token_is_refused(ann: Account, frame: str):
    async with ann.listening(additional_headers={}) as opened:
        await opened.send(frame)
        assert (await closed(opened))[0] == 4001


async def test_a_token_in_the_address_is_not_looked_at(
    ann: Account, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(door, "FIRST_FRAME_SECONDS", 0.2)
    url = f"ws://127.0.0.1:{ann.port}/api/ws?token={ann.token}&access_token={ann.token}"
    async with connect(url) as opened:
        code, reason = await closed(opened)
        assert code == 4001
        assert "authenticate frame" in reason


@pytest.mark.parametrize("last", ["-1", "x", "1.5", str(2**63), "9" * 4000])
async def test_a_last_event_id_that_is_no_number_is_refused(ann: Account, last: str):
    async with ann.listening(last) as opened:  # type: ignore[arg-type]
        assert (await closed(opened))[0] == 1008


async def test_signing_out_ends_the_stream(ann: Account, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(presence, "RECHECK_SECONDS", 0.2)
    monkeypatch.setattr(socket, "WATCH_SECONDS", 0.1)
    async with ann.listening() as opened:
        await greeted(opened)
        await asyncio.sleep(0.5)
        await opened.send("still here")
        assert (await heard(opened))["type"] == "echo"
        assert (await ann.client.post("/api/auth/logout")).is_success
        assert await closed(opened) == (4001, "You have signed out.")


async def test_a_user_who_is_switched_off_hears_no_more(
    ann: Account, sessions: Sessions, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(presence, "RECHECK_SECONDS", 0.2)
    monkeypatch.setattr(socket, "WATCH_SECONDS", 0.1)
    async with ann.listening() as opened:
        await greeted(opened)
        async with session_scope(sessions) as session:
            await session.execute(update(User).values(is_active=False))
        assert (await closed(opened))[0] == 4001


# What clients may send


async def test_any_other_text_is_a_heartbeat_but_a_token_is_not_sent_back(ann: Account):
    async with ann.listening() as opened:
        await greeted(opened)
        await opened.send(json.dumps({"type": "authenticate", "token": ann.token}))
        await opened.send("ping ☃")
        assert await heard(opened) == {"type": "echo", "data": "ping ☃"}


@pytest.mark.parametrize(
    ("frame", "code"), [("x" * 4097, 1009), ("☃" * 1366, 1009), (b"bytes", 1003)]
)
async def test_frames_that_are_too_large_or_no_text_end_it(ann: Account, frame, code: int):
    async with ann.listening() as opened:
        await greeted(opened)
        await opened.send(frame)
        assert (await closed(opened))[0] == code


async def test_a_flood_of_frames_ends_it(ann: Account):
    async with ann.listening() as opened:
        await greeted(opened)
        with suppress(ConnectionClosed):
            for _ in range(100):
                await opened.send("ping")
        assert (await closed(opened))[0] == 1008


async def test_one_user_cannot_take_every_place(
    ann: Account, bob: Account, sessions: Sessions, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(hub, "STREAMS_PER_USER", 1)
    task = await add_task(sessions, ann.user_id)
    async with ann.listening() as first:
        await greeted(first)
        async with ann.listening() as second:
            assert (await closed(second))[0] == 1013
        refused = await ann.client.get(f"/api/files/streaming/{task.media_file_id}/events")
        assert (refused.status_code, refused.json()["error_type"]) == (503, "server_busy")
        async with bob.listening() as opened:
            await greeted(opened)
    async with ann.listening() as again:
        await greeted(again)


async def test_a_drain_asks_clients_to_come_again(ann: Account, services: Services):
    async with ann.listening() as opened:
        await greeted(opened)
        await services.hub.close()
        assert (await closed(opened))[0] == 1012
    async with ann.listening() as late:
        assert (await closed(late))[0] == 1012


async def test_who_is_sent_away_comes_back_and_misses_nothing(
    ann: Account, services: Services, sessions: Sessions
):
    async with ann.listening() as opened:
        await greeted(opened)
        services.hub.send_away()
        assert (await closed(opened))[0] == door.RESTART
    await say(sessions, ann.user_id, 2)
    # The replica stayed after all: it takes listeners as before.
    async with ann.listening(0) as opened:
        await greeted(opened)
        assert await numbers(opened, 2) == [1, 2]
