"""A file's server-sent events: its state, what was missed, the end; the command line follows."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from api.dependencies import Services
from api.events import presence, stream
from api.events.feed import PAGE
from db.engine import Sessions, session_scope
from db.models import TaskState
from db.queries import events
from pipelines import queue
from pipelines.task_state import TERMINAL
from rayscribe.api_client import ApiClient
from tests.fixtures.events import SECONDS, Account, Relay, progress, say, step
from tests.integration.pipelines.test_queue import add_task

# One file, as server-sent events


async def gathered(stream: AsyncIterator[dict[str, Any]]) -> list[dict[str, Any]]:
    async with asyncio.timeout(SECONDS):
        return [item async for item in stream]


async def test_a_files_stream_begins_with_its_state_and_ends_with_its_task(
    ann: Account, sessions: Sessions
):
    task, other = await add_task(sessions, ann.user_id), await add_task(sessions, ann.user_id)
    async with ann.streaming(task.media_file_id) as told:
        first = await anext(told)
        assert (first["event"], first["id"]) == ("transcription_status", None)
        assert first["data"]["task_state"] == "queued"
        for row in (other, task):
            await step(sessions, row, TaskState.running)
        second = await anext(told)
        assert (second["id"], second["data"]["task_id"]) == (4, str(task.id))
        await progress(sessions, task, 0.5)
        third = await anext(told)
        assert (third["id"], third["data"]["progress"]) == (None, 50.0)
        for row in (other, task):
            await step(sessions, row, TaskState.completed, progress=1.0)
        [last] = await gathered(told)
        assert (last["id"], last["data"]["task_state"]) == (6, "completed")


@pytest.mark.parametrize("state", sorted(TERMINAL))
async def test_the_stream_of_a_task_that_is_over_ends_at_once(
    ann: Account, sessions: Sessions, state: TaskState
):
    task = await add_task(sessions, ann.user_id)
    await step(sessions, task, TaskState.running)
    await step(sessions, task, state)
    async with ann.streaming(task.media_file_id) as told:
        [only] = await gathered(told)
        assert (only["id"], only["data"]["task_state"]) == (None, state)


async def test_what_was_missed_of_the_file_is_replayed(ann: Account, sessions: Sessions):
    task = await add_task(sessions, ann.user_id)
    await say(sessions, ann.user_id, PAGE)
    await step(sessions, task, TaskState.running)
    await say(sessions, ann.user_id, 3, media_file_id=task.media_file_id)
    await step(sessions, task, TaskState.failed)
    async with ann.streaming(task.media_file_id, last=PAGE + 2) as told:
        assert [item["id"] for item in await gathered(told)] == [
            None, PAGE + 3, PAGE + 4, PAGE + 5, PAGE + 6,
        ]  # fmt: skip
    async with ann.streaming(task.media_file_id, last=0) as told:
        assert [item["id"] for item in await gathered(told)][:3] == [None, 1, PAGE + 2]
    async with ann.streaming(task.media_file_id, last=PAGE + 6) as told:
        assert [item["id"] for item in await gathered(told)] == [None]
    async with ann.streaming(task.media_file_id, last=9999) as told:
        assert [item["event"] for item in await gathered(told)][1] == "resync_required"


async def test_a_stream_without_gap_or_duplicate_while_events_are_appended(
    ann: Account, sessions: Sessions
):
    task = await add_task(sessions, ann.user_id)
    writers = [
        asyncio.create_task(say(sessions, ann.user_id, 40, media_file_id=file_id))
        for file_id in (task.media_file_id, None, task.media_file_id)
    ]
    seen: list[int] = []
    while len(seen) < 81:
        last = seen[-1] if seen else 0
        async with ann.streaming(task.media_file_id, last=last, follow=True) as told:
            async for item in told:
                if item.get("id") is not None:
                    seen.append(item["id"])
                    if len(seen) % 23 == 0 or len(seen) == 81:
                        break
    await asyncio.gather(*writers)
    async with session_scope(sessions) as session:
        rows = await events.after(session, ann.user_id, 0, 1000, media_file_id=task.media_file_id)
    assert seen == [row.sequence for row in rows]


async def test_who_follows_stays_until_the_file_is_gone(ann: Account, sessions: Sessions):
    task = await add_task(sessions, ann.user_id)
    await step(sessions, task, TaskState.running)
    async with ann.streaming(task.media_file_id, follow=True) as told:
        await anext(told)
        await step(sessions, task, TaskState.completed)
        assert (await anext(told))["data"]["task_state"] == "completed"
        await ann.client.delete(f"/api/files/{task.media_file_id}")
        assert [item["event"] for item in await gathered(told)] == ["file_deleted"]


async def test_a_new_task_of_the_file_is_followed_to_its_end(ann: Account, sessions: Sessions):
    first = await add_task(sessions, ann.user_id)
    async with ann.streaming(first.media_file_id) as told:
        await anext(told)
        async with session_scope(sessions) as session:
            second = await queue.submit(
                session, user_id=ann.user_id, media_file_id=first.media_file_id
            )
        await step(sessions, first, TaskState.cancelled)
        await step(sessions, second, TaskState.cancelled)
        states = [(item["data"]["task_id"], item["data"]["task_state"]) for item in
                  await gathered(told)]  # fmt: skip
    assert states == [
        (str(second.id), "queued"),
        (str(first.id), "cancelled"),
        (str(second.id), "cancelled"),
    ]


async def test_silence_is_filled_with_heartbeats(
    ann: Account, sessions: Sessions, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(stream, "HEARTBEAT_SECONDS", 0.2)
    task = await add_task(sessions, ann.user_id)
    async with ann.streaming(task.media_file_id) as told:
        await anext(told)
        for _ in range(2):
            await say(sessions, ann.user_id)  # of no concern here
            assert (await anext(told))["event"] == "comment"
        await step(sessions, task, TaskState.running)
        assert (await anext(told))["data"]["task_state"] == "running"


async def test_signing_out_ends_the_stream(
    ann: Account, sessions: Sessions, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(presence, "RECHECK_SECONDS", 0.2)
    monkeypatch.setattr(stream, "HEARTBEAT_SECONDS", 0.1)
    task = await add_task(sessions, ann.user_id)
    async with ann.streaming(task.media_file_id) as told:
        await anext(told)
        assert (await ann.client.post("/api/auth/logout")).is_success
        assert {item["event"] for item in await gathered(told)} <= {"comment"}


async def test_a_drain_ends_the_stream(ann: Account, services: Services, sessions: Sessions):
    task = await add_task(sessions, ann.user_id)
    async with ann.streaming(task.media_file_id) as told:
        await anext(told)
        await services.hub.close()
        assert await gathered(told) == []


async def test_a_stranger_finds_no_stream(ann: Account, bob: Account, sessions: Sessions):
    task = await add_task(sessions, ann.user_id)
    url = f"/api/files/streaming/{task.media_file_id}/events"
    refused = await bob.client.get(url)
    assert (refused.status_code, refused.json()["error_type"]) == (404, "not_found")
    wrong = await ann.client.get(url, headers={"Last-Event-ID": "soon"})
    assert (wrong.status_code, wrong.json()["error_type"]) == (422, "validation_error")


async def test_a_client_that_leaves_leaves_nothing_behind(
    ann: Account, services: Services, sessions: Sessions
):
    task = await add_task(sessions, ann.user_id)
    async with ann.streaming(task.media_file_id) as told:
        await anext(told)
        assert services.hub._streams == {ann.user_id: 1}
    async with asyncio.timeout(SECONDS):
        while services.hub._streams or services.hub._feeds:
            await asyncio.sleep(0.02)


async def test_the_command_line_follows_a_task_over_broken_connections(
    ann: Account, sessions: Sessions
):
    task = await add_task(sessions, ann.user_id)
    relay = Relay("127.0.0.1", ann.port)
    await relay.open()
    client = ApiClient(f"http://127.0.0.1:{relay.port}", ann.token, None)
    seen: list[dict[str, Any]] = []

    def follow() -> None:
        for state in client.follow(str(task.id)):
            seen.append(dict(state))  # noqa: PERF401 - looked at while it goes on

    async def until(so: Callable[[dict[str, Any]], bool]) -> None:
        async with asyncio.timeout(SECONDS):
            while not (seen and so(seen[-1])):
                assert not following.done(), following.exception()
                await asyncio.sleep(0.05)

    following = asyncio.create_task(asyncio.to_thread(follow))
    await until(lambda state: state["state"] == "queued")
    await step(sessions, task, TaskState.running)
    await until(lambda state: state["state"] == "running")
    await progress(sessions, task, 0.5)
    await until(lambda state: state["progress"] == 0.5)
    await relay.cut()
    await step(sessions, task, TaskState.queued, progress=0.2)
    await step(sessions, task, TaskState.running)
    await step(sessions, task, TaskState.completed, progress=1.0)
    await asyncio.sleep(1)
    await relay.open()
    await asyncio.wait_for(following, SECONDS)
    client.close()
    await relay.cut()
    assert (seen[-1]["state"], seen[-1]["progress"]) == ("completed", 1.0)
    fractions = [state["progress"] for state in seen]
    assert fractions == sorted(fractions)
