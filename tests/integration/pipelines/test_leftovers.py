"""The sweeper removes what nobody needs, and nothing else."""

import uuid
from datetime import timedelta

from sqlalchemy import text, update

from cluster.settings import MaintenanceSettings
from db.engine import Sessions, session_scope
from db.errors import NotFound
from db.models import Destination, Task, TaskState
from db.objects.s3 import S3Objects
from pipelines import leftovers, outbox
from pipelines.leftovers import KeptWhile
from tests.integration.pipelines.test_queue import add_task, add_user

NOW = timedelta(0)


async def note(
    sessions: Sessions,
    prefix: str,
    kept_while: KeptWhile = KeptWhile.nothing,
    file_id: uuid.UUID | None = None,
    after: timedelta = NOW,
) -> None:
    async with session_scope(sessions) as session:
        await leftovers.note(session, prefix, kept_while, file_id, after)


async def sweep(sessions: Sessions, objects: S3Objects) -> int:
    handlers = {Destination.objects: leftovers.sweeper(sessions, objects)}
    return await outbox.drain(sessions, handlers, MaintenanceSettings())


async def noted(sessions: Sessions) -> list[str]:
    async with session_scope(sessions) as session:
        return list(await session.scalars(text("SELECT subject FROM outbox ORDER BY subject")))


async def is_there(objects: S3Objects, key: str) -> bool:
    try:
        await objects.stat(key)
    except NotFound:
        return False
    return True


async def test_what_is_due_goes_and_what_is_not_stays(sessions, objects):
    for name in ("a", "b", "c"):
        await objects.put(f"{name}/1", b"x")
    await note(sessions, "a/")
    await note(sessions, "b/", after=timedelta(minutes=1))
    assert await sweep(sessions, objects) == 1
    assert [await is_there(objects, f"{name}/1") for name in "abc"] == [False, True, True]
    assert await noted(sessions) == ["b/"]


async def test_objects_of_a_file_that_exists_stay_and_the_note_goes(sessions, objects):
    task = await add_task(sessions, await add_user(sessions))
    for file_id in (task.media_file_id, uuid.uuid4()):
        await objects.put(f"media/{file_id}/original", b"x")
        await note(sessions, f"media/{file_id}/", KeptWhile.file_exists, file_id)
    assert await sweep(sessions, objects) == 2
    assert await is_there(objects, f"media/{task.media_file_id}/original")
    assert not await is_there(objects, f"media/{file_id}/original")
    assert await noted(sessions) == []


async def test_what_an_active_task_needs_stays_until_it_is_over(sessions, objects):
    task = await add_task(sessions, await add_user(sessions))
    await objects.put("recording/0", b"x")
    await note(sessions, "recording/", KeptWhile.task_active, task.media_file_id)
    for state in (TaskState.queued, TaskState.running, TaskState.cancelling, TaskState.failed):
        async with session_scope(sessions) as session:
            await session.execute(update(Task).values(state=state))
            await session.execute(text("UPDATE outbox SET due_at = now()"))
        assert await sweep(sessions, objects) == 1
        active = state is not TaskState.failed
        assert await is_there(objects, "recording/0") is active
        assert await noted(sessions) == (["recording/"] if active else [])
        # An entry that is kept is not looked at again at once.
        assert await sweep(sessions, objects) == 0
