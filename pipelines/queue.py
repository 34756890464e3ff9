"""The task queue: rows of the `task` table, claimed under a lease and a fence.

Times are the database's. What happens to a row is decided in `pipelines.task_state`, whose turn it
is in `pipelines.schedule` (`pipelines.turns` reads what that needs); this module reads and writes.
"""

import random
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Interval, and_, func, not_, or_, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncSession

from cluster.settings import RunnerSettings
from db.errors import FenceLost
from db.models import Lane, QueueClock, Task, TaskKind, TaskState
from db.notify import CANCEL, PROGRESS, TASKS, notify
from db.queries.tasks import HELD, is_overdue
from pipelines import consequences, task_state, turns, usage
from pipelines.system_settings import RetrySettings, current
from pipelines.task_state import TERMINAL, Failure, Step


def _seconds(value: float) -> Any:
    return func.make_interval(0, 0, 0, 0, 0, 0, value, type_=Interval)


@dataclass(frozen=True, slots=True)
class Claim:
    """A task in this runner's hands: every write names the fence."""

    task_id: uuid.UUID
    fence: int


@dataclass(frozen=True, slots=True)
class Claimed:
    """A task that was taken, and whether it may be what its runners died of."""

    task: Task
    suspect: bool
    last_attempt: bool = False
    """Whether the task has failed if this attempt does, whatever the reason."""


async def submit(
    session: AsyncSession,
    *,
    user_id: uuid.UUID,
    media_file_id: uuid.UUID | None,
    kind: TaskKind = TaskKind.transcription,
    lane: Lane = Lane.interactive,
    options: Mapping[str, Any] | None = None,
    audio_seconds: float = 0.0,
    parent_id: uuid.UUID | None = None,
    delay_seconds: float = 0.0,
    backfill_id: uuid.UUID | None = None,
) -> Task:
    """Add a task; it exists if and only if this transaction commits, and wakes a runner then.

    A file's task of a backfill is reserved: its maker claims it by `claim_this`, and nobody else.
    """
    task = Task(
        user_id=user_id,
        media_file_id=media_file_id,
        kind=kind,
        lane=lane,
        options=dict(options or {}),
        audio_seconds=audio_seconds,
        parent_id=parent_id,
        run_after=func.now() + _seconds(delay_seconds),
        backfill_id=backfill_id,
        reserved=backfill_id is not None and kind is not TaskKind.backfill,
    )
    session.add(task)
    await session.flush()
    await session.refresh(task)
    await notify(session, TASKS)
    await consequences.follow(session, task)
    return task


async def claim(
    session: AsyncSession,
    owner: str,
    settings: RunnerSettings,
    *,
    has_suspect: bool = False,
    full_of: Collection[TaskKind] = (),
) -> Claimed | None:
    """Take the next task: attempt and fence grow, the lease starts. None: nothing is to be had.

    The task may come back ended instead of running: cancelled, or a dead letter. One at a time: the
    clock's row is locked to the end of the transaction, so that claims follow each other. A runner
    that has a suspect takes no second one, and none of the kinds for which it has no place left.
    """
    clock = await session.get_one(QueueClock, 1, with_for_update=True)
    retry = await current(session, RetrySettings)
    max_attempts = retry.max_attempts or settings.max_attempts
    task = await _expired(session, max_attempts, full_of, has_suspect=has_suspect)
    if task is None:
        task = await turns.take(session, clock, settings, full_of)
    return None if task is None else await _taken(session, task, owner, settings, retry)


async def claim_this(
    session: AsyncSession, task: Task, owner: str, settings: RunnerSettings
) -> Claimed:
    """Take this very task, locked by the caller: it waits and is due, or its lease ran out.

    As with `claim`, it may come back ended instead of running.
    """
    retry = await current(session, RetrySettings)
    return await _taken(session, task, owner, settings, retry)


async def _taken(
    session: AsyncSession, task: Task, owner: str, settings: RunnerSettings, retry: RetrySettings
) -> Claimed:
    max_attempts = retry.max_attempts or settings.max_attempts
    suspect = task_state.is_suspect(task, max_attempts)
    step = task_state.on_claim(task, max_attempts)
    lease: dict[str, Any] = {}
    if step.leased:
        lease = {
            "lease_owner": owner,
            "lease_expires_at": func.now() + _seconds(settings.lease_seconds),
            "started_at": func.coalesce(Task.started_at, func.now()),
        }
    await write(session, task, step, **lease)
    last_attempt = not retry.enabled or task.attempt >= max_attempts
    return Claimed(task, suspect, last_attempt)


async def _expired(
    session: AsyncSession, max_attempts: int, full_of: Collection[TaskKind], *, has_suspect: bool
) -> Task | None:
    """A task whose lease ran out: its runner is taken for dead. It has had its turn already."""
    # As task_state.is_suspect says.
    suspect = and_(Task.state == TaskState.running, Task.attempt == max_attempts - 1)
    # One that was being cancelled takes no place: it is over.
    has_place = or_(Task.state == TaskState.cancelling, Task.kind.not_in(full_of))
    task: Task | None = await session.scalar(
        select(Task)
        .where(
            is_overdue(),
            has_place,
            Task.reserved.is_(False),
            *([not_(suspect)] if has_suspect else []),
        )
        .order_by(Task.lease_expires_at)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    return task


async def write(
    session: AsyncSession,
    task: Task,
    step: Step,
    **changes: Any,
) -> None:
    """Make a step, and what follows from it (`pipelines.consequences`), in this transaction.

    The write names the task's fence and state, so that a writer who was overtaken changes nothing.

    Raises:
        FenceLost: the row is no longer as this writer knew it.
    """
    values: dict[str, Any] = {
        "state": step.state,
        "attempt": step.attempt,
        "fence": step.fence,
        "updated_at": func.now(),
        **changes,
    }
    if not step.leased and step.state is not TaskState.cancelling:
        values |= {"lease_owner": None, "lease_expires_at": None}
    if step.delay_seconds:
        values["run_after"] = func.now() + _seconds(step.delay_seconds)
    if step.failure:
        values["error_type"] = step.failure.error_type
        values["error_message"] = step.failure.message
    if step.state in TERMINAL:
        values["finished_at"] = func.now()
    changed = await session.execute(
        update(Task)
        .where(Task.id == task.id, Task.fence == task.fence, Task.state == task.state)
        .values(values)
        .returning(Task.id)
        .execution_options(synchronize_session=False)
    )
    if changed.scalar_one_or_none() is None:
        raise FenceLost(f"task {task.id} is no longer {task.state} under fence {task.fence}")
    await session.refresh(task)
    await consequences.follow(session, task)


async def complete(session: AsyncSession, task: Task, step: Step, **changes: Any) -> None:
    """Make the step that ends a task well (`task_state.on_success`), and account for it.

    Raises:
        FenceLost: as `write`.
    """
    await write(
        session,
        task,
        step,
        stage="completed",
        progress=1.0,
        eta_seconds=0.0,
        error_type=None,
        error_message=None,
        **changes,
    )
    # After the fenced write: who was overtaken has nothing to account for.
    await usage.publish(session, task)


async def heartbeat(
    session: AsyncSession, claims: list[Claim], settings: RunnerSettings
) -> dict[Claim, TaskState]:
    """Renew leases. Says each claim's state; one that is missing was taken by somebody else."""
    if not claims:
        return {}
    rows = await session.execute(
        update(Task)
        .where(
            tuple_(Task.id, Task.fence).in_([(item.task_id, item.fence) for item in claims]),
            Task.state.in_(HELD),
        )
        .values(
            lease_expires_at=func.now() + _seconds(settings.lease_seconds),
            updated_at=func.now(),
        )
        .returning(Task.id, Task.fence, Task.state)
        .execution_options(synchronize_session=False)
    )
    return {Claim(task_id, fence): state for task_id, fence, state in rows}


async def report(
    session: AsyncSession, held: Claim, *, stage: str, progress: float, eta_seconds: float | None
) -> None:
    """Write how far a task is (0..1); progress never goes back."""
    changed = await session.execute(
        update(Task)
        .where(Task.id == held.task_id, Task.fence == held.fence)
        .values(
            stage=stage,
            progress=func.greatest(Task.progress, progress),
            eta_seconds=eta_seconds,
            updated_at=func.now(),
        )
        .execution_options(synchronize_session=False)
        .returning(Task.user_id)
    )
    user_id = changed.scalar_one_or_none()
    if user_id is None:
        raise FenceLost(f"task {held.task_id} was claimed by another runner")
    await notify(session, PROGRESS, f"{user_id} {held.task_id}")


async def forgive(session: AsyncSession, held: Claim) -> None:
    """Count this attempt as the first: it has brought the task on."""
    await session.execute(
        update(Task)
        .where(Task.id == held.task_id, Task.fence == held.fence)
        .values(attempt=1)
        .execution_options(synchronize_session=False)
    )


async def held_task(session: AsyncSession, held: Claim, *, lock: bool = True) -> Task:
    """The task of a claim, locked for this transaction unless told otherwise.

    Raises:
        FenceLost: somebody else has claimed it since.
    """
    query = select(Task).where(Task.id == held.task_id, Task.fence == held.fence)
    task: Task | None = await session.scalar(query.with_for_update() if lock else query)
    if task is None:
        raise FenceLost(f"task {held.task_id} was claimed by another runner")
    return task


async def hold(session: AsyncSession, held: Claim) -> None:
    """Lock the task of a claim for this transaction: as `held_task`, without reading it.

    Raises:
        FenceLost: somebody else has claimed it since.
    """
    query = select(Task.id).where(Task.id == held.task_id, Task.fence == held.fence)
    if await session.scalar(query.with_for_update()) is None:
        raise FenceLost(f"task {held.task_id} was claimed by another runner")


async def release(session: AsyncSession, held: Claim) -> None:
    """Give a task back unfinished: a drain."""
    task = await held_task(session, held)
    if task.state in HELD:
        step = task_state.on_drain(task)
        await write(session, task, step, busy_seconds=usage.carried(task))
        await notify(session, TASKS)


async def give_up(
    session: AsyncSession, held: Claim, settings: RunnerSettings, failure: Failure
) -> None:
    """End a failed attempt."""
    task = await held_task(session, held)
    if task.state not in HELD:
        # Written before, by a commit whose answer was lost.
        return
    retry = await current(session, RetrySettings)
    max_attempts = (retry.max_attempts or settings.max_attempts) if retry.enabled else 1
    pause = settings.retry_base_seconds * 2 ** max(0, task.attempt - 1)
    pause *= random.uniform(0.5, 1.5)  # noqa: S311 - jitter
    step = task_state.on_failure(task, failure, max_attempts, pause)
    await write(session, task, step, busy_seconds=usage.carried(task))


async def stopped(session: AsyncSession, held: Claim) -> None:
    """The work of a task that was being cancelled has ended."""
    task = await held_task(session, held)
    if task.state is TaskState.cancelling:
        await write(session, task, task_state.on_stopped(task))


async def cancel(session: AsyncSession, task: Task) -> None:
    """Cancel a task: at once while it waits, within one window while it runs."""
    await write(session, task, task_state.on_cancel(task))
    await notify(session, TASKS, CANCEL)


async def recover(session: AsyncSession, task: Task) -> None:
    """Take a running task from its runner and queue it anew, whatever the runner does."""
    await write(session, task, task_state.on_recover(task))
    await notify(session, TASKS)


async def overdue(
    session: AsyncSession, user_id: uuid.UUID | None = None, file_id: uuid.UUID | None = None
) -> Sequence[Task]:
    """Tasks in the hands of runners that have fallen silent, locked."""
    matching = [is_overdue()]
    if user_id is not None:
        matching.append(Task.user_id == user_id)
    if file_id is not None:
        matching.append(Task.media_file_id == file_id)
    rows = await session.scalars(
        select(Task).where(*matching).order_by(Task.created_at).with_for_update(skip_locked=True)
    )
    return rows.all()
