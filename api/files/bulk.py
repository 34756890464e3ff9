"""One action on many files: each in transactions of its own, so that none touches the others."""

import uuid
from collections.abc import Awaitable, Callable, Mapping
from functools import partial

from sqlalchemy.ext.asyncio import AsyncSession

from api import language_work, rerun
from api.dependencies import Services
from api.errors import ApiError, ErrorType
from api.files import removal
from api.files.bulk_schemas import BulkRequest, FileAction
from api.idempotency import Guarded
from api.outcomes import BulkResult, Done, attempted
from db.engine import session_scope
from db.models import TaskState
from db.queries import media_files, tasks
from pipelines import queue, recovery


async def run(
    services: Services, user_id: uuid.UUID, wanted: BulkRequest, once: Guarded
) -> BulkResult:
    """Do it with each file.

    A crash in the middle keeps no answer, and what is done already is done: the same request again
    then finds files that are deleted, or busy with the task that it made.
    """
    # Before anything is done: it is wrong for all of them.
    wanted.changes()
    async with once.guarded(wanted.model_dump(mode="json", exclude_unset=True)) as keep:
        work = partial(ACTIONS[wanted.action], services, user_id, wanted)
        results = [await attempted(file_id, work) for file_id in dict.fromkeys(wanted.file_ids)]
        async with session_scope(services.sessions) as session:
            return await keep(session, BulkResult.of(results))


async def _delete(
    services: Services, user_id: uuid.UUID, _: BulkRequest, file_id: uuid.UUID
) -> Done:
    await removal.remove(services, user_id, file_id)
    return Done("Deleted.")


async def retry(
    services: Services, user_id: uuid.UUID, _: BulkRequest | None, file_id: uuid.UUID
) -> Done:
    """Run a file that came to nothing again."""
    async with session_scope(services.sessions) as session:
        task, _last = await rerun.retry(services, session, user_id, file_id)
        return Done("Queued anew.", task.id)


async def _reprocess(
    services: Services, user_id: uuid.UUID, wanted: BulkRequest, file_id: uuid.UUID
) -> Done:
    async with session_scope(services.sessions) as session:
        _, task = await rerun.reprocess(
            services, session, user_id, file_id, wanted.changes(), wanted.stages
        )
        return Done("Queued to be computed anew.", task.id)


async def _cancel(
    services: Services, user_id: uuid.UUID, _: BulkRequest, file_id: uuid.UUID
) -> Done:
    async with session_scope(services.sessions) as session:
        await media_files.get(session, user_id, file_id)
        active = await tasks.locked_active_of_file(session, file_id)
        if not active:
            raise ApiError(ErrorType.conflict, "No task of this file is waiting or running.")
        for task in active:
            if task.state is not TaskState.cancelling:
                await queue.cancel(session, task)
        at_once = all(task.state is TaskState.cancelled for task in active)
        return Done("Cancelled." if at_once else "Is being cancelled.", active[-1].id)


async def recover(
    services: Services, user_id: uuid.UUID, _: BulkRequest | None, file_id: uuid.UUID
) -> Done:
    """Take a file's task from a runner that has fallen silent."""
    async with session_scope(services.sessions) as session:
        await media_files.get(session, user_id, file_id)
        task = await recovery.take_over(session, user_id, file_id, services.runner)
        if task is None:
            raise await _not_stuck(session, file_id)
        if task.state is TaskState.running:
            return Done(
                "The next runner takes it, alone: its last one may have died of it.", task.id
            )
        return Done(f"Its runner had fallen silent; the task is {task.state}.", task.id)


async def _not_stuck(session: AsyncSession, file_id: uuid.UUID) -> ApiError:
    active = await tasks.has_active(session, file_id)
    return ApiError(
        ErrorType.conflict,
        "Its task waits, or its runner is alive: nothing has to be recovered."
        if active
        else "No task of this file is at work; retry or reprocess it.",
    )


async def _summarize(
    services: Services, user_id: uuid.UUID, _: BulkRequest, file_id: uuid.UUID
) -> Done:
    async with session_scope(services.sessions) as session:
        task = await language_work.summarize(services, session, user_id, file_id)
        return Done("Queued to be summarized.", task.id)


ACTIONS: Mapping[
    FileAction, Callable[[Services, uuid.UUID, BulkRequest, uuid.UUID], Awaitable[Done]]
] = {
    FileAction.delete: _delete,
    FileAction.retry: retry,
    FileAction.cancel: _cancel,
    FileAction.recover: recover,
    FileAction.reprocess: _reprocess,
    FileAction.summarize: _summarize,
}
