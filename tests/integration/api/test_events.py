"""The WebSocket on a real PostgreSQL: order, replay, slow clients, lost connections."""

import asyncio
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import asyncpg
import pytest
from sqlalchemy import delete, event, make_url

from api.dependencies import Services
from api.events import hub
from api.events.feed import KEPT, PAGE
from api.factory import create_app
from db.engine import Sessions, session_scope
from db.models import TaskEvent, TaskState, User
from db.notify import EVENTS, PROGRESS, notify
from db.queries import events
from tests.fixtures.api import upload
from tests.fixtures.events import (
    Account,
    Relay,
    account,
    closed,
    greeted,
    heard,
    numbers,
    progress,
    say,
    step,
)
from tests.fixtures.http import served
from tests.integration.pipelines.test_queue import add_task

SECONDS = 30
LISTENING = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND query LIKE"

# What is told, and in which order


async def test_a_client_without_a_past_begins_at_now(ann: Account, sessions: Sessions):
    await say(sessions, ann.user_id, 3)
    async with ann.listening() as opened:
        assert await greeted(opened) == {"user_id": str(ann.user_id), "last_event_id": 3}
        await say(sessions, ann.user_id)
        frame = await heard(opened)
        assert frame == {"type": "seen", "id": 4, "data": {"of": str(ann.user_id)}}


async def test_replay_has_no_gap_and_no_duplicate_while_events_are_appended(
    ann: Account, sessions: Sessions
):
    await say(sessions, ann.user_id, PAGE + 20)
    writers = [asyncio.create_task(say(sessions, ann.user_id, 60)) for _ in range(4)]
    total = PAGE + 20 + 4 * 60

    async def reader(last: int) -> list[int]:
        """Reconnects again and again, each time after what it has."""
        seen: list[int] = []
        while last < total:
            async with ann.listening(last) as opened:
                assert (await greeted(opened))["last_event_id"] == last
                seen += await numbers(opened, min(total, last + 37))
                last = seen[-1]
                # Lost, with what is still on its way.
                opened.transport.abort()
        return seen

    results = await asyncio.gather(*(reader(last) for last in (0, 0, 5, 110)), *writers)
    for last, seen in zip((0, 0, 5, 110), results, strict=False):
        assert seen == list(range(last + 1, total + 1))


@contextmanager
def counted(sessions: Sessions) -> Iterator[list[str]]:
    """The readings of events, as the database is asked for them."""
    engine = sessions.kw["bind"].sync_engine
    readings: list[str] = []

    def note(_connection, _cursor, statement, *_rest) -> None:
        if "FROM task_event" in statement and "LIMIT" in statement:
            readings.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    yield readings
    event.remove(engine, "before_cursor_execute", note)


async def test_sockets_of_one_user_share_their_readings(
    ann: Account, services: Services, sessions: Sessions
):
    async def listener() -> list[int]:
        async with ann.listening() as opened:
            await greeted(opened)
            ready.release()
            return await numbers(opened, 5)

    ready = asyncio.Semaphore(0)
    listeners = [asyncio.create_task(listener()) for _ in range(40)]
    for _ in listeners:
        await ready.acquire()
    with counted(sessions) as readings:
        await say(sessions, ann.user_id, 5)
        assert await asyncio.gather(*listeners) == [[1, 2, 3, 4, 5]] * 40
    assert 1 <= len(readings) <= 6
    async with asyncio.timeout(SECONDS):
        while services.hub._feeds or services.hub._streams:
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("last", [2, 99])
async def test_who_asks_for_what_is_not_kept_is_told_so(
    ann: Account, sessions: Sessions, last: int
):
    await say(sessions, ann.user_id, 6)
    async with session_scope(sessions) as session:
        await session.execute(delete(TaskEvent).where(TaskEvent.sequence <= 3))
    async with ann.listening(last) as opened:
        assert (await greeted(opened))["last_event_id"] == 3
        frame = await heard(opened)
        assert frame == {
            "type": "resync_required",
            "data": {"last_event_id": last, "oldest": 4, "newest": 6},
        }
        assert await numbers(opened, 6) == [4, 5, 6]


@pytest.mark.parametrize("last", [3, 6])
async def test_what_is_kept_needs_no_resync(ann: Account, sessions: Sessions, last: int):
    await say(sessions, ann.user_id, 6)
    async with session_scope(sessions) as session:
        await session.execute(delete(TaskEvent).where(TaskEvent.sequence <= 3))
    async with ann.listening(last) as opened:
        await greeted(opened)
        await say(sessions, ann.user_id)
        assert await numbers(opened, 7) == list(range(last + 1, 8))


async def test_two_users_never_hear_of_each_other(ann: Account, bob: Account, sessions: Sessions):
    async with ann.listening(0) as anns, bob.listening(0) as bobs:
        for opened in (anns, bobs):
            await greeted(opened)
        for _ in range(20):
            await say(sessions, ann.user_id)
            await say(sessions, bob.user_id)
        for who, opened in ((ann, anns), (bob, bobs)):
            for number in range(1, 21):
                frame = await heard(opened)
                assert frame == {"type": "seen", "id": number, "data": {"of": str(who.user_id)}}


async def test_a_slow_client_holds_up_nobody_and_misses_nothing(ann: Account, sessions: Sessions):
    total = 2 * KEPT
    # More than fits into the buffers between both ends, so that the server has to wait.
    filler = {"filler": "x" * 32 * 1024}
    async with (
        ann.listening(0, max_queue=1, compression=None) as slow,
        ann.listening(0) as quick,
    ):
        await greeted(slow)
        await greeted(quick)
        everything = asyncio.create_task(numbers(quick, total))
        for _ in range(total):
            async with session_scope(sessions) as session:
                await events.append(session, ann.user_id, "seen", filler)
        assert await everything == list(range(1, total + 1))
        with counted(sessions) as readings:
            assert await numbers(slow, total) == list(range(1, total + 1))
        assert readings, "it was not behind what the feed remembers"


async def test_a_lost_listening_connection_costs_no_event(
    ann: Account, sessions: Sessions, database_url: str
):
    admin = await asyncpg.connect(database_url)
    try:
        async with ann.listening() as opened:
            await greeted(opened)
            await say(sessions, ann.user_id)
            assert await numbers(opened, 1) == [1]
            for number in (2, 3):
                await until_listening(admin)
                assert await admin.fetch(
                    f"SELECT pg_terminate_backend(pid) FROM ({LISTENING} 'LISTEN%') AS victims"
                )
                # Nobody listens now: only the table knows of it.
                await say(sessions, ann.user_id)
                assert await numbers(opened, number) == [number]
            await until_listening(admin)
            assert len(await admin.fetch(f"{LISTENING} 'LISTEN%'")) == 1
    finally:
        await admin.close()


async def until_listening(admin: asyncpg.Connection) -> None:
    async with asyncio.timeout(SECONDS):
        while not await admin.fetch(f"{LISTENING} 'LISTEN%'"):
            await asyncio.sleep(0.02)


async def test_a_listening_connection_that_fell_silent_is_replaced(
    services: Services, database_url: str, sessions: Sessions, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(hub, "PULSE_SECONDS", 0.2)
    monkeypatch.setattr(hub, "PULSE_TIMEOUT_SECONDS", 0.5)
    url = make_url(database_url)
    relay = Relay(url.host, url.port)
    await relay.open()
    way = url.set(host="127.0.0.1", port=relay.port).render_as_string(hide_password=False)
    listening = replace(services, database_url=way)
    app = create_app(listening)
    async with served(app) as port:
        ann = await account(app, port)
        async with ann.listening() as opened:
            await greeted(opened)
            await say(sessions, ann.user_id)
            assert await numbers(opened, 1) == [1]
            relay.freeze()
            await say(sessions, ann.user_id)
            assert await numbers(opened, 2) == [2]
        await listening.hub.close()
    await relay.cut()


async def test_progress_is_said_without_a_number_and_not_again(
    ann: Account, sessions: Sessions, monkeypatch: pytest.MonkeyPatch
):
    task = await add_task(sessions, ann.user_id)
    async with ann.listening(1) as opened:
        await greeted(opened)
        await step(sessions, task, TaskState.running)
        assert (await heard(opened))["id"] == 2
        for percent in range(1, 30):
            await progress(sessions, task, percent / 100)
        shown = [await heard(opened)]
        while shown[-1]["data"]["progress"] < 29.0:
            shown.append(await heard(opened))
        assert len(shown) <= 3
        assert all("id" not in frame and frame["data"]["stage"] == "align" for frame in shown)
        await step(sessions, task, TaskState.completed, progress=1.0)
        assert (await heard(opened))["data"]["task_state"] == "completed"
    async with ann.listening(0) as opened:
        await greeted(opened)
        assert await numbers(opened, 3) == [1, 2, 3]


async def test_files_that_come_and_go_are_told(ann: Account, recording: bytes):
    async with ann.listening() as opened:
        await greeted(opened)
        accepted = (await upload(ann.client, recording)).json()["data"]
        created, queued = await heard(opened), await heard(opened)
        assert (created["type"], created["id"]) == ("file_created", 1)
        assert created["data"]["file_id"] == accepted["file"]["id"]
        assert created["data"]["filename"] == "tone.flac"
        assert queued["data"]["task_state"] == "queued"
        await ann.client.delete(f"/api/files/{accepted['file']['id']}")
        frames = [await heard(opened)]
        while frames[-1]["type"] != "file_deleted":
            frames.append(await heard(opened))
        assert frames[0]["data"]["task_state"] == "cancelled"
        assert frames[-1]["data"] == {"file_id": accepted["file"]["id"]}


async def test_a_store_that_is_away_is_said(relayed):
    relay, app, port = relayed
    ann = await account(app, port)
    await relay.cut()
    async with ann.listening() as opened:
        assert (await closed(opened))[0] == 1013


async def test_streams_outlive_an_outage_of_the_database(relayed, sessions: Sessions):
    relay, app, port = relayed
    ann = await account(app, port)
    task = await add_task(sessions, ann.user_id)
    async with ann.listening() as opened, ann.streaming(task.media_file_id) as told:
        await greeted(opened)
        await anext(told)
        await relay.cut()
        await step(sessions, task, TaskState.running)
        await asyncio.sleep(1.5)
        await relay.open()
        assert await numbers(opened, 2) == [2]
        assert (await anext(told))["id"] == 2


async def test_what_nobody_waits_for_is_no_trouble(services: Services, sessions: Sessions):
    """Notices of users without clients, and of users that are unknown."""
    user_id = uuid.uuid4()
    async with session_scope(sessions) as session:
        session.add(User(id=user_id, email="somebody@example.org", password_hash="-"))
    async with services.hub.subscribed(user_id) as (place, _):
        async with session_scope(sessions) as session:
            await notify(session, EVENTS, f"{uuid.uuid4()} 5")
            for known in (user_id, uuid.uuid4()):
                await notify(session, PROGRESS, f"{known} {uuid.uuid4()}")
        await say(sessions, user_id)
        assert [told.sequence for told in await place.next()] == [1]
