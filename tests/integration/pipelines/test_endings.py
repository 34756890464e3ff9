"""How attempts end: cancelled at once, after a deadline, and with nothing left behind."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import func, select, text, update

from db.engine import session_scope
from db.models import OutboxEntry, StageResult, Task, TaskState, Transcript
from db.queries import events
from pipelines import leftovers, queue
from pipelines.errors import IllegalTransition
from pipelines.leftovers import KeptWhile
from tests.fixtures.files import objects_noted
from tests.fixtures.runner import (
    SETTINGS,
    Gate,
    accept,
    count,
    ended,
    get,
    keys,
    running,
    until,
    with_parts,
)
from tests.fixtures.speech import sample

RARE_HEARTBEATS = SETTINGS.model_copy(update={"heartbeat_seconds": 60})


async def cancel(sessions, task_id) -> None:
    async with session_scope(sessions) as session:
        await queue.cancel(session, await session.get_one(Task, task_id, with_for_update=True))


async def test_a_cancellation_is_told_to_the_runner_not_found_by_it(sessions, objects, parts):
    gate = Gate(parts.ports.transcriber)
    task_id = await accept(sessions, objects, sample())
    rare = replace(parts, settings=RARE_HEARTBEATS)
    async with running(with_parts(rare, transcriber=gate)) as runner:
        await gate.reached.wait()
        await cancel(sessions, task_id)
        task = await until(sessions, task_id, ended, 10)
        async with asyncio.timeout(10):
            while runner.running:
                await asyncio.sleep(0.02)
    assert task.state is TaskState.cancelled
    assert await count(sessions, OutboxEntry) == 0


async def waiting_for_transcripts(sessions) -> None:
    """Until somebody wants to write a transcript, and may not."""
    waiting = text("select count(*) from pg_locks where not granted")
    async with asyncio.timeout(60):
        while True:
            async with session_scope(sessions) as session:
                if await session.scalar(waiting):
                    return
            await asyncio.sleep(0.05)


async def test_a_cancel_before_the_result_is_stored_wins(sessions, objects, parts):
    """The runner stands before its commit, and does not know of the cancellation."""
    task_id = await accept(sessions, objects, sample(), diarize=False)
    rare = replace(parts, settings=RARE_HEARTBEATS)
    async with running(rare):
        async with session_scope(sessions) as session:
            await session.execute(text("lock table transcript in share mode"))
            await waiting_for_transcripts(sessions)
            # As if the notification were lost: the row says so, and nobody is woken.
            await session.execute(
                update(Task).where(Task.id == task_id).values(state=TaskState.cancelling)
            )
        task = await until(sessions, task_id, ended, 10)
    assert task.state is TaskState.cancelled
    assert await count(sessions, Transcript) == 0


async def test_a_cancel_after_the_result_is_stored_is_refused(sessions, objects, parts):
    task_id = await accept(sessions, objects, sample(), diarize=False)
    async with running(parts):
        await until(sessions, task_id, ended)
    with pytest.raises(IllegalTransition):
        await cancel(sessions, task_id)
    assert await count(sessions, Transcript) == 1


async def test_a_stage_that_hangs_is_given_up_and_done_in_the_next_attempt(
    sessions, objects, parts
):
    gate = Gate(parts.ports.transcriber)
    task_id = await accept(sessions, objects, sample(), diarize=False)
    hasty = SETTINGS.model_copy(update={"stage_base_seconds": 3, "stage_slack": 1.0})
    # The first attempt hangs for longer than real time and three seconds.
    async with running(replace(with_parts(parts, transcriber=gate), settings=hasty)):
        await until(sessions, task_id, lambda task: task.error_type is not None, 60)
        assert (await get(sessions, task_id)).error_type == "deadline_exceeded"
        gate.open.set()
        task = await until(sessions, task_id, ended)
    assert (task.state, task.attempt) == (TaskState.completed, 2)
    async with session_scope(sessions) as session:
        told = await events.of_task(session, task_id)
    assert [event.payload["task_state"] for event in told] == [
        "queued",
        "running",
        "queued",
        "running",
        "completed",
    ]


async def test_what_a_dead_runner_left_behind_is_swept(sessions, objects, parts):
    task_id = await accept(sessions, objects, sample(), diarize=False)
    async with running(parts):
        task = await until(sessions, task_id, ended)
    [original] = await keys(objects)
    prefix = f"{original}.recording/{task_id}/"
    # As after a crash between the commit and the cleaning up.
    await objects.put(f"{prefix}00000.s16", b"audio")
    async with session_scope(sessions) as session:
        await leftovers.note(
            session, prefix, KeptWhile.task_active, task.media_file_id, timedelta(0)
        )
    async with running(parts):
        async with asyncio.timeout(20):
            while await keys(objects) != [original]:
                await asyncio.sleep(0.1)
            while await objects_noted(sessions):
                await asyncio.sleep(0.1)


async def test_audio_that_a_task_needs_is_not_swept(sessions, objects, parts):
    gate = Gate(parts.ports.transcriber)
    task_id = await accept(sessions, objects, sample(), diarize=False)
    async with running(with_parts(parts, transcriber=gate)):
        await gate.reached.wait()
        async with session_scope(sessions) as session:
            await session.execute(update(OutboxEntry).values(due_at=func.now()))
        async with asyncio.timeout(20):
            while not await postponed(sessions):
                await asyncio.sleep(0.1)
        gate.open.set()
        task = await until(sessions, task_id, ended)
    assert (task.state, task.attempt) == (TaskState.completed, 1)


async def postponed(sessions) -> bool:
    """Whether the only entry has been looked at, and is due later."""
    async with session_scope(sessions) as session:
        entry = await session.scalar(select(OutboxEntry))
        now = await session.scalar(select(func.now()))
    return entry.attempts > 0 and entry.due_at > now


async def test_a_completed_task_tells_what_each_stage_took(sessions, objects, parts):
    task_id = await accept(sessions, objects, sample())
    async with running(parts):
        task = await until(sessions, task_id, ended)
    assert set(task.timings) == {"prepare", "transcribe", "diarize", "align", "attribute"}
    assert all(seconds >= 0 for seconds in task.timings.values())
    assert await count(sessions, StageResult) > 0
