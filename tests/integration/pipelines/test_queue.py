"""The queue on a real PostgreSQL: one owner per task, fences, attempts, lanes, events."""

import asyncio
import uuid

import pytest
from sqlalchemy import func, select, update

from cluster.settings import RunnerSettings
from db.engine import Sessions, session_scope
from db.errors import FenceLost
from db.models import Lane, MediaFile, Task, TaskEvent, TaskState, User
from pipelines import queue
from pipelines.errors import IllegalTransition
from pipelines.queue import Claim
from pipelines.task_state import transition

SETTINGS = RunnerSettings(lease_seconds=30, max_attempts=3)


async def add_user(sessions: Sessions) -> uuid.UUID:
    async with session_scope(sessions) as session:
        user = User(email=f"{uuid.uuid4().hex}@example.org", password_hash="-")
        session.add(user)
        await session.flush()
        return user.id


async def add_task(sessions: Sessions, user_id: uuid.UUID, lane: Lane = Lane.interactive):
    async with session_scope(sessions) as session:
        file = MediaFile(
            user_id=user_id,
            filename="a.wav",
            content_type="audio/wav",
            size_bytes=1,
            sha256=uuid.uuid4().hex,
            object_key="key",
        )
        session.add(file)
        await session.flush()
        return await queue.submit(session, user_id=user_id, media_file_id=file.id, lane=lane)


async def claim(sessions: Sessions, limit: int = 1, settings: RunnerSettings = SETTINGS):
    async with session_scope(sessions) as session:
        return await queue.claim(session, "me", limit, settings)


async def expire(sessions: Sessions, task: Task) -> None:
    async with session_scope(sessions) as session:
        await session.execute(
            update(Task)
            .where(Task.id == task.id)
            .values(lease_expires_at=func.now() - func.make_interval(0, 0, 0, 0, 1))
        )


async def test_many_runners_claim_every_task_once(sessions: Sessions):
    user = await add_user(sessions)
    tasks = {(await add_task(sessions, user)).id for _ in range(20)}
    claims = await asyncio.gather(*[claim(sessions, 3) for _ in range(10)])
    taken = [task.id for batch in claims for task in batch]
    rest = [task.id for task in await claim(sessions, 100)]
    assert sorted(taken + rest) == sorted(tasks)


async def test_a_live_task_goes_before_an_older_one(sessions: Sessions):
    user = await add_user(sessions)
    for lane in (Lane.bulk, Lane.interactive, Lane.live):
        await add_task(sessions, user, lane)
    lanes = [(await claim(sessions))[0].lane for _ in range(3)]
    assert lanes == [Lane.live, Lane.interactive, Lane.bulk]


async def test_a_lost_lease_is_claimed_again_and_the_old_runner_changes_nothing(sessions: Sessions):
    user = await add_user(sessions)
    await add_task(sessions, user)
    [first] = await claim(sessions)
    assert await claim(sessions) == []
    await expire(sessions, first)
    [second] = await claim(sessions)
    assert (second.id, second.attempt, second.fence) == (first.id, 2, first.fence + 1)
    old = Claim(first.id, first.fence)
    async with session_scope(sessions) as session:
        assert await queue.heartbeat(session, [old], SETTINGS) == {}
    with pytest.raises(FenceLost):
        async with session_scope(sessions) as session:
            await queue.report(session, old, stage="align", progress=0.5, eta_seconds=None)
    with pytest.raises(FenceLost):
        async with session_scope(sessions) as session:
            await transition(session, first, TaskState.completed)


async def test_a_file_that_kills_its_runner_stops_after_three_attempts(sessions: Sessions):
    user = await add_user(sessions)
    task = await add_task(sessions, user)
    for attempt in (1, 2, 3):
        [claimed] = await claim(sessions)
        assert claimed.attempt == attempt
        await expire(sessions, claimed)
    assert await claim(sessions) == []
    async with session_scope(sessions) as session:
        dead = await session.get_one(Task, task.id)
        assert (dead.state, dead.error_type) == (TaskState.failed, queue.EXHAUSTED)
        assert "3 times" in dead.error_message
        file = await session.get_one(MediaFile, task.media_file_id)
        assert (file.status, file.error_type) == ("failed", queue.EXHAUSTED)


async def test_giving_a_task_back_costs_no_attempt(sessions: Sessions):
    user = await add_user(sessions)
    await add_task(sessions, user)
    for _ in range(5):
        [claimed] = await claim(sessions)
        assert claimed.attempt == 1
        async with session_scope(sessions) as session:
            await queue.release(session, Claim(claimed.id, claimed.fence))


async def test_progress_never_goes_back(sessions: Sessions):
    user = await add_user(sessions)
    await add_task(sessions, user)
    [task] = await claim(sessions)
    held = Claim(task.id, task.fence)
    for progress in (0.2, 0.6, 0.4):
        async with session_scope(sessions) as session:
            await queue.report(session, held, stage="s", progress=progress, eta_seconds=1.0)
    async with session_scope(sessions) as session:
        assert (await session.get_one(Task, task.id)).progress == pytest.approx(0.6)


async def test_a_waiting_task_is_cancelled_at_once_and_a_finished_one_not_at_all(
    sessions: Sessions,
):
    user = await add_user(sessions)
    task = await add_task(sessions, user)
    async with session_scope(sessions) as session:
        await queue.cancel(session, await session.get_one(Task, task.id))
    assert await claim(sessions) == []
    with pytest.raises(IllegalTransition):
        async with session_scope(sessions) as session:
            await queue.cancel(session, await session.get_one(Task, task.id))


async def test_a_cancelled_task_whose_runner_died_ends_cancelled(sessions: Sessions):
    user = await add_user(sessions)
    await add_task(sessions, user)
    [task] = await claim(sessions)
    async with session_scope(sessions) as session:
        await queue.cancel(session, await session.get_one(Task, task.id))
    await expire(sessions, task)
    assert await claim(sessions) == []
    async with session_scope(sessions) as session:
        assert (await session.get_one(Task, task.id)).state is TaskState.cancelled


async def test_events_are_numbered_without_gaps_in_commit_order(sessions: Sessions):
    user = await add_user(sessions)
    await asyncio.gather(*[add_task(sessions, user) for _ in range(8)])
    await claim(sessions, 8)
    async with session_scope(sessions) as session:
        rows = await session.scalars(
            select(TaskEvent.sequence).where(TaskEvent.user_id == user).order_by(TaskEvent.id)
        )
        assert sorted(rows) == list(range(1, 17))


async def submit_and_fail(sessions: Sessions, user: uuid.UUID) -> None:
    async with session_scope(sessions) as session:
        await queue.submit(session, user_id=user, media_file_id=None)
        raise RuntimeError


async def test_a_task_of_a_rolled_back_request_does_not_exist(sessions: Sessions):
    user = await add_user(sessions)
    with pytest.raises(RuntimeError):
        await submit_and_fail(sessions, user)
    assert await claim(sessions) == []
