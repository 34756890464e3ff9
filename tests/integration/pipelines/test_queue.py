"""The queue on a real PostgreSQL: one owner per task, fences, attempts, lanes, events."""

import asyncio
import uuid

import pytest
from sqlalchemy import func, select, update

from cluster.settings import RunnerSettings
from db.engine import Sessions, session_scope
from db.errors import FenceLost
from db.models import (
    Lane,
    MediaFile,
    Task,
    TaskEvent,
    TaskKind,
    TaskState,
    Transcript,
    User,
)
from db.queries import events
from pipelines import queue
from pipelines.errors import IllegalTransition
from pipelines.language.kinds import KINDS as LANGUAGE
from pipelines.queue import Claim
from pipelines.schedule import MIN_SECONDS
from pipelines.task_state import EXHAUSTED, Failure, on_success

SETTINGS = RunnerSettings(lease_seconds=30, max_attempts=3, max_tasks_per_user=1000)


async def add_user(sessions: Sessions) -> uuid.UUID:
    async with session_scope(sessions) as session:
        user = User(email=f"{uuid.uuid4().hex}@example.org", password_hash="-")
        session.add(user)
        await session.flush()
        return user.id


async def add_task(
    sessions: Sessions,
    user_id: uuid.UUID,
    lane: Lane = Lane.interactive,
    audio_seconds: float = 60.0,
):
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
        return await queue.submit(
            session,
            user_id=user_id,
            media_file_id=file.id,
            lane=lane,
            audio_seconds=audio_seconds,
        )


async def claim(sessions: Sessions, limit: int = 1, settings: RunnerSettings = SETTINGS):
    """Up to `limit` tasks, as a runner claims them: in a transaction each."""
    taken: list[Task] = []
    while len(taken) < limit:
        async with session_scope(sessions) as session:
            claimed = await queue.claim(session, "me", settings)
        if claimed is None:
            break
        if claimed.task.state is TaskState.running:
            taken.append(claimed.task)
    return taken


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
            await queue.write(session, first, on_success(first))


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
        assert (dead.state, dead.error_type) == (TaskState.failed, EXHAUSTED)
        assert "3 times" in dead.error_message
        file = await session.get_one(MediaFile, task.media_file_id)
        assert (file.status, file.error_type) == ("failed", EXHAUSTED)
        last = (await events.of_task(session, task.id))[-1]
        assert (last.payload["task_state"], last.payload["status"]) == ("failed", "failed")
        assert last.payload["message"].startswith("Failed: Processing was started 3 times")


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


async def test_users_take_turns_by_the_audio_they_had(sessions: Sessions):
    busy, other = await add_user(sessions), await add_user(sessions)
    for _ in range(20):
        await add_task(sessions, busy, audio_seconds=100)
    assert len(await claim(sessions, 5)) == 5
    for _ in range(4):
        await add_task(sessions, other, audio_seconds=200)
    order = [task.user_id for task in await claim(sessions, 12)]
    # Whoever comes later starts where the others are: each 200 s of theirs for 2 x 100 s.
    assert order[0] == other
    assert [order[:n].count(busy) for n in (3, 6, 9)] == [2, 4, 6]


async def test_a_user_has_only_so_many_tasks_running(sessions: Sessions):
    settings = SETTINGS.model_copy(update={"max_tasks_per_user": 2})
    first, second = await add_user(sessions), await add_user(sessions)
    for user in (first, first, first, second):
        await add_task(sessions, user)
    taken = await claim(sessions, 10, settings)
    assert sorted(task.user_id for task in taken) == sorted([first, first, second])


async def test_bulk_work_goes_on_under_any_load(sessions: Sessions):
    settings = SETTINGS.model_copy(update={"lane_patience": 3})
    user = await add_user(sessions)
    await add_task(sessions, user, Lane.bulk)
    for _ in range(6):
        await add_task(sessions, user, Lane.interactive)
    lanes = [task.lane for task in await claim(sessions, 7, settings)]
    assert lanes.index(Lane.bulk) == 3


async def test_a_cancelled_task_cannot_be_completed(sessions: Sessions):
    user = await add_user(sessions)
    await add_task(sessions, user)
    [task] = await claim(sessions)
    async with session_scope(sessions) as session:
        await queue.cancel(session, await session.get_one(Task, task.id))
    with pytest.raises(FenceLost):
        async with session_scope(sessions) as session:
            await queue.write(session, task, on_success(task))
    async with session_scope(sessions) as session:
        await queue.stopped(session, Claim(task.id, task.fence))
        assert (await session.get_one(Task, task.id)).state is TaskState.cancelled


async def test_who_takes_a_task_from_its_runner_leaves_it_no_say(sessions: Sessions):
    user = await add_user(sessions)
    await add_task(sessions, user)
    [task] = await claim(sessions)
    async with session_scope(sessions) as session:
        assert await queue.overdue(session) == []
        await queue.recover(session, await session.get_one(Task, task.id))
    with pytest.raises(FenceLost):
        async with session_scope(sessions) as session:
            await queue.write(session, task, on_success(task))
    [again] = await claim(sessions)
    assert (again.id, again.attempt, again.fence) == (task.id, 1, task.fence + 2)


async def test_a_second_run_that_fails_leaves_the_file_as_it_was(sessions: Sessions):
    user = await add_user(sessions)
    first = await add_task(sessions, user)
    [task] = await claim(sessions)
    async with session_scope(sessions) as session:
        row = Transcript(
            media_file_id=first.media_file_id, task="transcribe", diarization="off", notes=[]
        )
        session.add(row)
        held = await queue.held_task(session, Claim(task.id, task.fence))
        await queue.write(session, held, on_success(held))
    async with session_scope(sessions) as session:
        await queue.submit(session, user_id=user, media_file_id=first.media_file_id)
    [task] = await claim(sessions)
    failure = Failure("no_audio", "There is no sound.")
    async with session_scope(sessions) as session:
        await queue.give_up(session, Claim(task.id, task.fence), SETTINGS, failure)
    async with session_scope(sessions) as session:
        file = await session.get_one(MediaFile, first.media_file_id)
        assert (file.status, file.error_type) == ("completed", None)


async def test_a_runner_takes_one_suspect_at_a_time(sessions: Sessions):
    """What may be a file that kills runners does not use up its neighbours' attempts."""
    user = await add_user(sessions)
    for _ in range(3):
        await add_task(sessions, user)
    for _ in (1, 2):
        for task in await claim(sessions, 3):
            await expire(sessions, task)
    await add_task(sessions, user)

    async def take(*, has_suspect: bool) -> tuple[bool, int] | None:
        async with session_scope(sessions) as session:
            claimed = await queue.claim(session, "me", SETTINGS, has_suspect=has_suspect)
        return (claimed.suspect, claimed.task.attempt) if claimed else None

    assert await take(has_suspect=False) == (True, 3)
    # Others go on beside it.
    assert await take(has_suspect=True) == (False, 1)
    assert await take(has_suspect=True) is None
    assert await take(has_suspect=False) == (True, 3)


class TestLanguageModelsWork:
    """It has places of its own: neither it nor recordings wait for the other's."""

    async def add(self, sessions: Sessions, user_id, kind: TaskKind, lane=Lane.interactive) -> Task:
        async with session_scope(sessions) as session:
            return await queue.submit(
                session, user_id=user_id, media_file_id=None, kind=kind, lane=lane
            )

    async def take(self, sessions: Sessions, full_of=(), settings=SETTINGS) -> TaskKind | None:
        async with session_scope(sessions) as session:
            claimed = await queue.claim(session, "me", settings, full_of=full_of)
        return claimed.task.kind if claimed else None

    async def test_a_runner_that_is_full_of_it_takes_recordings(self, sessions: Sessions):
        user = await add_user(sessions)
        for kind in (TaskKind.summarization, TaskKind.topic_extraction, TaskKind.transcription):
            await self.add(sessions, user, kind)
        # Younger, and of the same user and lane.
        assert await self.take(sessions, LANGUAGE) is TaskKind.transcription
        assert await self.take(sessions, LANGUAGE) is None
        assert await self.take(sessions, frozenset(TaskKind) - LANGUAGE) is TaskKind.summarization
        assert await self.take(sessions) is TaskKind.topic_extraction

    async def test_a_users_limit_is_of_each_sort(self, sessions: Sessions):
        user = await add_user(sessions)
        settings = SETTINGS.model_copy(
            update={"max_tasks_per_user": 1, "max_language_tasks_per_user": 1}
        )
        for kind in (TaskKind.summarization, TaskKind.summarization, TaskKind.transcription):
            await self.add(sessions, user, kind)
        taken = [await self.take(sessions, settings=settings) for _ in range(3)]
        assert taken == [TaskKind.summarization, TaskKind.transcription, None]

    async def test_what_its_runner_left_waits_for_a_place_too_unless_it_is_cancelled(
        self, sessions: Sessions
    ):
        user = await add_user(sessions)
        for _ in range(2):
            await self.add(sessions, user, TaskKind.summarization)
        first, second = await claim(sessions, 2)
        for task in (first, second):
            await expire(sessions, task)
        async with session_scope(sessions) as session:
            await queue.cancel(session, await session.get_one(Task, second.id))
        async with session_scope(sessions) as session:
            ended = await queue.claim(session, "me", SETTINGS, full_of=LANGUAGE)
        assert (ended.task.id, ended.task.state) == (second.id, TaskState.cancelled)
        assert await self.take(sessions, LANGUAGE) is None
        assert await self.take(sessions) is TaskKind.summarization

    async def test_it_costs_the_least(self, sessions: Sessions):
        """A user's summaries put off their next recording by no more than a short file each."""
        user = await add_user(sessions)
        await self.add(sessions, user, TaskKind.summarization)
        await self.take(sessions)
        async with session_scope(sessions) as session:
            served = await session.scalar(select(User.served).where(User.id == user))
        assert served == {Lane.interactive: MIN_SECONDS}
