"""Checkpoints of parts that end at the same time share transactions, and fail for themselves."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import event, func, select, update

from cluster.settings import RunnerSettings
from db.engine import Sessions, session_scope
from db.errors import FenceLost
from db.models import MediaFile, StageResult, Task
from pipelines import queue
from pipelines.checkpoints import StoredCheckpoints
from pipelines.queue import Claim
from tests.integration.pipelines.test_queue import add_task, add_user

STAGE, KEY = "transcribe", "f"
PARTS = 40


@pytest.fixture
async def held(sessions) -> Claim:
    await add_task(sessions, await add_user(sessions))
    async with session_scope(sessions) as session:
        task = (await queue.claim(session, "runner", RunnerSettings())).task
    return Claim(task.id, task.fence)


@pytest.fixture
async def checkpoints(sessions, held) -> StoredCheckpoints:
    async with session_scope(sessions) as session:
        file = await session.scalar(select(MediaFile.id))
    return StoredCheckpoints(sessions, held, file)


@contextmanager
def counted(sessions: Sessions) -> Iterator[Counter[str]]:
    """Commits and rollbacks while the block runs."""
    engine = sessions.kw["bind"].sync_engine
    counts: Counter[str] = Counter()

    def note(name: str):
        return lambda _connection: counts.update([name])

    noted = {name: note(name) for name in ("commit", "rollback")}
    for name, listener in noted.items():
        event.listen(engine, name, listener)
    try:
        yield counts
    finally:
        for name, listener in noted.items():
            event.remove(engine, name, listener)


def data(part: int) -> bytes:
    return f"result {part}".encode()


async def test_parts_that_end_together_are_stored_in_few_transactions(sessions, checkpoints):
    with counted(sessions) as counts:
        await asyncio.gather(
            *(checkpoints.save(STAGE, KEY, part, data(part)) for part in range(PARTS))
        )
    # Nobody knows how many came before the first one had the lock: all others go together.
    assert counts["commit"] <= 2
    stored = await checkpoints.load(STAGE, KEY)
    assert stored == {part: data(part) for part in range(PARTS)}


async def test_what_is_said_to_be_stored_is_stored(sessions, checkpoints):
    async def one(part: int) -> None:
        await asyncio.sleep(0.001 * (part % 7))
        await checkpoints.save(STAGE, KEY, part, data(part))
        # By another connection: committed.
        assert part in await checkpoints.load(STAGE, KEY)

    await asyncio.gather(*(one(part) for part in range(PARTS)))


async def test_the_same_part_again_changes_nothing(checkpoints):
    await asyncio.gather(*(checkpoints.save(STAGE, KEY, 0, data(n)) for n in range(3)))
    await checkpoints.save(STAGE, KEY, 0, b"later")
    [stored] = (await checkpoints.load(STAGE, KEY)).values()
    assert stored in {data(n) for n in range(3)}


async def test_results_of_several_stages_share_a_transaction(checkpoints):
    stages = ["transcribe", "diarize", "align"]
    await asyncio.gather(*(checkpoints.save(stage, KEY, 3, stage.encode()) for stage in stages))
    for stage in stages:
        assert await checkpoints.load(stage, KEY) == {3: stage.encode()}


async def test_whoever_was_overtaken_stores_nothing_and_each_part_hears_of_it(
    sessions, held, checkpoints
):
    async with session_scope(sessions) as session:
        await session.execute(update(Task).values(fence=held.fence + 1))
    ends = await asyncio.gather(
        *(checkpoints.save(STAGE, KEY, part, data(part)) for part in range(5)),
        return_exceptions=True,
    )
    assert [type(end) for end in ends] == [FenceLost] * 5
    async with session_scope(sessions) as session:
        assert await session.scalar(select(func.count()).select_from(StageResult)) == 0


@pytest.mark.parametrize("victim", [0, 1, PARTS - 1])
async def test_a_part_that_is_cancelled_takes_no_other_along(sessions, held, checkpoints, victim):
    """Number 0 is the one that writes for all."""
    async with sessions() as session, session.begin():
        # In the way of every write, so that all wait.
        await queue.held_task(session, held)
        saves = [
            asyncio.create_task(checkpoints.save(STAGE, KEY, part, data(part)))
            for part in range(PARTS)
        ]
        await until_somebody_waits_for_the_row(sessions)
        saves[victim].cancel()
        await asyncio.wait([saves[victim]])
    ends = await asyncio.gather(*saves, return_exceptions=True)
    assert isinstance(ends.pop(victim), asyncio.CancelledError)
    assert ends == [None] * (PARTS - 1)
    stored = await checkpoints.load(STAGE, KEY)
    assert set(range(PARTS)) - {victim} <= set(stored)


async def until_somebody_waits_for_the_row(sessions: Sessions) -> None:
    waiting = """
        select count(*) from pg_stat_activity
        where wait_event_type = 'Lock' and datname = current_database()
    """
    async with asyncio.timeout(30):
        while True:
            async with session_scope(sessions) as session:
                connection = await session.connection()
                if (await connection.exec_driver_sql(waiting)).scalar_one():
                    return
