"""What every attempt at a language model's work needs: the transcript, the model, the end."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from cluster.settings import LlmProvider
from db.engine import session_scope
from db.models import Task
from db.queries import speakers, stage_results
from pipelines import queue, task_state, usage
from pipelines.checkpoints import StoredCheckpoints
from pipelines.errors import NotConfigured, TaskFailed
from pipelines.job import Job
from pipelines.language import configurations, conversations
from pipelines.language.base import Work
from pipelines.language.conversations import Read
from pipelines.language.kinds import STAGE
from pipelines.progress import reported
from serving.language import LlmConnection, TokenUsage
from serving.ports import LanguageModel
from serving.providers.connect import connect


def file_of(task: Task) -> uuid.UUID:
    """The file that a task is about."""
    if task.media_file_id is None:
        raise ValueError(f"task {task.id} has no file")
    return task.media_file_id


async def read(session: AsyncSession, task: Task) -> Read:
    """The transcript that a claimed task is about, as this transaction's first statements.

    Raises:
        TaskFailed: nothing is said in it.
        NotFound: the file is gone.
    """
    # Whoever forgets a person sees this task at work, or it reads what is left after that.
    await speakers.serialise(session, task.user_id, patience=None)
    return await conversations.read(session, task.user_id, file_of(task))


async def connection(job: Job) -> LlmConnection:
    """How the language model of a task's user is reached at this moment.

    Raises:
        TaskFailed: none is set up any more.
        LlmUnauthorised, LlmUnavailable, LlmFailed: as `pipelines.language.configurations.resolve`.
    """
    parts = job.parts.language
    async with session_scope(job.parts.sessions) as session:
        found = await configurations.find(session, job.task.user_id, parts.settings)
    if found is None:
        raise TaskFailed("not_configured", str(NotConfigured()))
    is_local = found.provider is LlmProvider.local
    state = await parts.local.state() if is_local else None
    return configurations.connection(found, parts.settings, state, parts.encryption)


@asynccontextmanager
async def at_work(
    job: Job, connection: LlmConnection, share: Mapping[str, float]
) -> AsyncIterator[Work]:
    """What the work may use while the block runs; `share` is each stage's part of the progress."""
    parts, task = job.parts.language, job.task
    own = asyncio.Semaphore(parts.settings.max_outstanding_calls_per_task)

    @asynccontextmanager
    async def slot() -> AsyncIterator[None]:
        async with own, job.shared.calls.take(task.user_id, task.lane):
            yield

    model = await _connected(job, connection)
    checkpoints = StoredCheckpoints(job.parts.sessions, job.held, file_of(task))
    try:
        async with reported(job.parts.sessions, job.held, share) as meter:
            yield Work(model, slot, checkpoints, meter)
    finally:
        await model.close()


async def _connected(job: Job, connection: LlmConnection) -> LanguageModel:
    parts = job.parts.language
    is_local = connection.provider is LlmProvider.local
    handle = await parts.local.handle() if is_local else None
    return connect(connection, parts.egress, parts.settings, local=handle, resolve=parts.resolve)


async def begin_to_store(session: AsyncSession, job: Job) -> Task:
    """The task, locked: call it before anything is stored.

    Who deletes the file, or forgets a person, locks its tasks first too.

    Raises:
        FenceLost: somebody else has the task, or it is gone.
        IllegalTransition: it is being cancelled.
    """
    task = await queue.held_task(session, job.held)
    task_state.on_success(task)
    return task


async def complete(
    session: AsyncSession, task: Task, spent: "Spent", result: Mapping[str, Any]
) -> None:
    """Complete a task in the transaction that stored what came of it, as its last statements."""
    stage = STAGE[task.kind]
    await stage_results.drop(session, file_of(task), {stage})
    spent.account(stage)
    await queue.complete(
        session,
        task,
        task_state.on_success(task),
        timings={stage: spent.seconds},
        result={**result, **spent.told},
    )


class Spent:
    """What a piece of work took: seconds from now on, tokens, and whose model it was."""

    def __init__(self, connection: LlmConnection) -> None:
        self._connection = connection
        self._began = time.monotonic()
        self.seconds = 0.0
        self.usage = TokenUsage()

    def stop(self, usage: TokenUsage) -> None:
        """The work is done."""
        self.seconds = round(time.monotonic() - self._began, 3)
        self.usage = usage

    def account(self, stage: str) -> None:
        """Charge it to the attempt in hand."""
        account = usage.current()
        account.models = {**account.models, stage: self._connection.model}
        account.busy.add(stage, self.seconds)
        key = (stage, self._connection.provider.value, self._connection.model)
        account.tokens[key] = self.usage

    @property
    def told(self) -> dict[str, Any]:
        """As a task's result tells it."""
        return {
            "provider": self._connection.provider.value,
            "model": self._connection.model,
            "prompt_tokens": self.usage.prompt_tokens,
            "completion_tokens": self.usage.completion_tokens,
            "calls": self.usage.calls,
            "seconds": self.seconds,
        }
