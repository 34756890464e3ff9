"""What waits in the queue: whether there is room for more, and when a waiting task's turn comes.

Estimates go by the measured speed of the installation: audio seconds completed per second in which
anything was being worked on, over the latest tasks of the last hour.
"""

import math
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, Numeric, ScalarSelect, cast, func, literal_column, select
from sqlalchemy.ext.asyncio import AsyncSession

from cluster.settings import QueueSettings
from db.models import Lane, Task, TaskKind, TaskState
from db.queries.tasks import ACTIVE
from pipelines.errors import QueueFull
from pipelines.language.kinds import KINDS as LANGUAGE
from pipelines.schedule import LANES, MIN_SECONDS, ahead
from serving.errors import AudioTooLong

LOCK = 0x72617973_61646D69
"""Advisory lock: who adds a task sees all that were added before."""
MEASURED_TASKS = 100
MEASURED_TIME = timedelta(hours=1)
DEFAULT_SPEED = 1.0
"""Audio seconds per second before anything is measured: real time."""
MAX_RETRY_AFTER_SECONDS = 3600
HOUR = 3600.0

COST: ColumnElement[float] = func.greatest(Task.audio_seconds, MIN_SECONDS)
"""What a task counts for: `pipelines.schedule` charges as much."""
WAITS = Task.state == TaskState.queued
ON_WHAT_IS_HERE = LANGUAGE | {
    TaskKind.voiceprints,
    TaskKind.enrolment,
    TaskKind.clustering,
    TaskKind.search_index,
    TaskKind.file_index,
    TaskKind.alignment,
    TaskKind.backfill,
}
ARRIVES = WAITS & Task.kind.not_in(ON_WHAT_IS_HERE) & Task.reserved.is_(False)
"""What counts against the limits. Work on what is here already, such as the voices of all files
after a change of model, keeps no new recording out; nor does what a backfill imports."""
IS_LANGUAGE = Task.kind.in_(LANGUAGE)


async def admit(
    session: AsyncSession, user_id: uuid.UUID, audio_seconds: float, settings: QueueSettings
) -> None:
    """Make sure that one more task has room, until this transaction ends.

    Call it before anything that locks the user's row (an event does): who waits for this lock must
    not hold what its owner needs.

    Raises:
        QueueFull: not now.
        AudioTooLong: never, however long one waits.
    """
    await session.execute(select(func.pg_advisory_xact_lock(LOCK)))
    await look(session, user_id, settings, audio_seconds)


async def look(
    session: AsyncSession, user_id: uuid.UUID, settings: QueueSettings, audio_seconds: float = 0.0
) -> None:
    """The same without a promise: asked early, so that nobody sends what has no room.

    Raises:
        QueueFull: there is no room now, even for the shortest recording if no length is given.
        AudioTooLong: there is never room for this length.
    """
    cost = max(audio_seconds, MIN_SECONDS)
    per_user, together = settings.max_hours_per_user * HOUR, settings.max_hours * HOUR
    _refuse_what_never_fits(cost, min(per_user, together))
    own, everybody = await _waiting_seconds(session, user_id)
    if own + cost > per_user:
        excess = own + cost - per_user
        done_before = excess + await _served_beside(session, user_id, excess)
        raise QueueFull(
            f"{own / HOUR:.1f} hours of your recordings are waiting, of {per_user / HOUR:g} that "
            f"may wait; this one has {cost / HOUR:.1f}.",
            await _retry_after(session, done_before),
        )
    if everybody + cost > together:
        raise QueueFull(
            f"{everybody / HOUR:.1f} hours of everybody's recordings are waiting, of "
            f"{together / HOUR:g} that may wait; this one has {cost / HOUR:.1f}.",
            await _retry_after(session, everybody + cost - together),
        )


def _refuse_what_never_fits(cost: float, limit: float) -> None:
    if cost > limit:
        raise AudioTooLong(
            f"The recording has {cost / HOUR:.1f} hours; no more than {limit / HOUR:g} hours may "
            "wait at a time, so that this one would be refused even if nothing else waited. Cut "
            "it, or ask the operator to raise the limit (RAYSCRIBE_QUEUE_MAX_HOURS_PER_USER)."
        )


async def _waiting_seconds(session: AsyncSession, user_id: uuid.UUID) -> tuple[float, float]:
    """Audio that waits: this user's, and everybody's."""
    mine = func.sum(COST).filter(Task.user_id == user_id)
    row = await session.execute(
        select(func.coalesce(mine, 0.0), func.coalesce(func.sum(COST), 0.0)).where(ARRIVES)
    )
    own, everybody = row.one()
    return own, everybody


async def _served_beside(session: AsyncSession, user_id: uuid.UUID, seconds: float) -> float:
    """Audio of others that is done while so much of this user's is: users share evenly."""
    theirs = (
        select(func.sum(COST).label("seconds"))
        .where(ARRIVES, Task.user_id != user_id)
        .group_by(Task.user_id)
        .subquery()
    )
    total = await session.scalar(select(func.sum(func.least(theirs.c.seconds, seconds))))
    return total or 0.0


async def _retry_after(session: AsyncSession, audio_seconds: float) -> int:
    """Whole seconds after which so much audio is done."""
    seconds = math.ceil(audio_seconds / await speed(session))
    return min(MAX_RETRY_AFTER_SECONDS, max(1, seconds))


async def speed(session: AsyncSession) -> float:
    """Audio seconds completed per second of work, measured or assumed."""
    row = await session.execute(select(_speed()))
    return float(row.scalar_one())


def _speed() -> ScalarSelect[Any]:
    """Audio seconds completed per second of work, as a query.

    Time counts once however many tasks were under way, and not at all where none was.
    """
    latest = (
        select(Task.started_at, Task.finished_at, Task.audio_seconds)
        .where(
            Task.state == TaskState.completed,
            # A download has no audio before it ends.
            Task.kind == TaskKind.transcription,
            Task.finished_at > func.now() - MEASURED_TIME,
            Task.started_at.is_not(None),
        )
        .order_by(Task.finished_at.desc())
        .limit(MEASURED_TASKS)
        .subquery()
        .c
    )
    order = (latest.started_at, latest.finished_at)
    # When those that began earlier had all ended; greatest() passes over the first one's null.
    before = func.max(latest.finished_at).over(order_by=order, rows=(None, -1))
    spans = select(
        latest.audio_seconds,
        latest.finished_at,
        func.least(latest.finished_at, func.greatest(latest.started_at, before)).label("since"),
    ).subquery()
    busy = func.extract("epoch", func.sum(spans.c.finished_at - spans.c.since))
    done = cast(func.sum(spans.c.audio_seconds), Numeric)
    measured = func.nullif(done, 0) / func.nullif(busy, 0)
    return select(func.coalesce(measured, DEFAULT_SPEED)).scalar_subquery()


@dataclass(frozen=True, slots=True)
class Queue:
    """What one user has in one lane."""

    user_id: uuid.UUID
    lane: Lane
    length: int
    """Tasks that wait."""
    seconds: float
    """Their audio."""
    remaining: float
    """Audio that is still to be done of those that run."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A task in its user's queue."""

    user_id: uuid.UUID
    lane: Lane
    number: int
    """From 1: its place among its user's in this lane."""
    seconds: float
    """Audio of those up to it, itself included."""


@dataclass(frozen=True, slots=True)
class Place:
    """When a waiting task's turn comes, about."""

    position: int
    """1: it is next."""
    eta_seconds: float | None
    """Until it is done; None: nobody can say how fast a language model is."""


def place(task: Waiting, queues: Sequence[Queue], audio_per_second: float) -> Place:
    """Where a task stands among all that is to be done."""
    better = [q for q in queues if LANES.index(q.lane) < LANES.index(task.lane)]
    beside = [q for q in queues if q.lane is task.lane and q.user_id != task.user_id]
    before = sum(q.length for q in better) + ahead(task.number, [q.length for q in beside])
    seconds = (
        sum(q.remaining for q in queues)
        + sum(q.seconds for q in better)
        # Users share by audio: the others get as much as this one does, or all they have.
        + sum(min(q.seconds, task.seconds) for q in beside)
        + task.seconds
    )
    return Place(before + 1, round(seconds / audio_per_second, 1))


async def places(
    session: AsyncSession, user_id: uuid.UUID, task_ids: Collection[uuid.UUID]
) -> Mapping[uuid.UUID, Place]:
    """Where these tasks of one user stand; what does not wait is left out. Two statements.

    Recordings and language models' work stand in lines of their own, as runners take them.
    """
    if not task_ids:
        return {}
    line, order = (Task.lane, IS_LANGUAGE), (Task.created_at, Task.id)
    own = (
        select(
            Task.id,
            Task.lane,
            IS_LANGUAGE.label("language"),
            func.row_number().over(partition_by=line, order_by=order).label("number"),
            func.sum(COST).over(partition_by=line, order_by=order).label("seconds"),
        )
        .where(WAITS, Task.user_id == user_id)
        .subquery()
        .c
    )
    rows = await session.execute(
        select(own.id, own.language, own.lane, own.number, own.seconds, _speed()).where(
            own.id.in_(task_ids)
        )
    )
    waiting = rows.all()
    if not waiting:
        return {}
    queues = await _queues(session)
    found: dict[uuid.UUID, Place] = {}
    for task_id, language, lane, number, seconds, audio_per_second in waiting:
        task = Waiting(user_id, lane, number, seconds)
        there = place(task, queues[language], float(audio_per_second))
        found[task_id] = replace(there, eta_seconds=None) if language else there
    return found


async def _queues(session: AsyncSession) -> Mapping[bool, Sequence[Queue]]:
    """What every user has in every lane: of language models' work (True), and of the other."""
    held = Task.state != TaskState.queued
    remaining = func.sum(Task.audio_seconds * (1.0 - Task.progress)).filter(held)
    rows = await session.execute(
        select(
            IS_LANGUAGE.label("language"),
            Task.user_id,
            Task.lane,
            func.count().filter(WAITS),
            func.coalesce(func.sum(COST).filter(WAITS), 0.0),
            func.coalesce(remaining, 0.0),
        )
        .where(Task.state.in_(ACTIVE))
        .group_by(literal_column("language"), Task.user_id, Task.lane)
    )
    found: dict[bool, list[Queue]] = {True: [], False: []}
    for language, user_id, lane, length, seconds, remains in rows:
        found[language].append(Queue(user_id, lane, length, seconds, remains))
    return found
