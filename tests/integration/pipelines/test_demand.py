"""What is to be done for each role and lane, out of a real queue."""

import uuid
from collections.abc import Mapping

import pytest
from sqlalchemy import update

from cluster.resources import Role
from cluster.scaling_policy import waiting_key
from db.engine import Sessions, session_scope
from db.models import Lane, Task, TaskKind, TaskState
from db.models.backfill import Backfill, BackfillEngine, BackfillStage
from pipelines import demand, queue
from tests.fixtures.voiceprints import add_user

HOUR = 3600.0
MODELS = (Role.transcriber, Role.aligner, Role.speaker_segmenter, Role.speaker_embedder)


@pytest.fixture
async def user_id(sessions: Sessions) -> uuid.UUID:
    return await add_user(sessions)


async def add(sessions: Sessions, user_id: uuid.UUID, **more) -> Task:
    async with session_scope(sessions) as session:
        told = {"audio_seconds": HOUR, **more}
        return await queue.submit(session, user_id=user_id, media_file_id=None, **told)


async def now(sessions: Sessions, task: Task, **values) -> None:
    async with session_scope(sessions) as session:
        await session.execute(update(Task).where(Task.id == task.id).values(**values))


async def remaining(sessions: Sessions) -> Mapping[str, float]:
    async with session_scope(sessions) as session:
        return await demand.remaining(session)


def of(found: Mapping[str, float], lane: Lane) -> dict[str, float]:
    return {role: found[waiting_key(role, lane)] for role in MODELS}


async def test_nothing_waits_for_anybody(sessions: Sessions):
    found = await remaining(sessions)
    assert len(found) == len(MODELS) * len(Lane)
    assert set(found.values()) == {0.0}


async def test_what_waits_counts_for_every_stage_in_its_lane(
    sessions: Sessions, user_id: uuid.UUID
):
    await add(sessions, user_id, lane=Lane.bulk)
    await add(sessions, user_id, lane=Lane.bulk)
    await add(sessions, user_id, lane=Lane.live, audio_seconds=60.0)
    found = await remaining(sessions)
    assert set(of(found, Lane.bulk).values()) == {2 * HOUR}
    assert set(of(found, Lane.live).values()) == {60.0}
    assert set(of(found, Lane.interactive).values()) == {0.0}


@pytest.mark.parametrize(
    # Words are timed while speakers are told apart: one stretch, from 0.1 to 0.95.
    ("progress", "listening"),
    [(0.0, 1.0), (0.1, 1.0), (0.525, 0.5), (0.95, 0.0), (1.0, 0.0)],
)
async def test_of_what_runs_only_the_rest_counts(
    sessions: Sessions, user_id: uuid.UUID, progress: float, listening: float
):
    task = await add(sessions, user_id)
    await now(sessions, task, state=TaskState.running, stage="any", progress=progress)
    left = of(await remaining(sessions), Lane.interactive)
    assert left == pytest.approx(dict.fromkeys(MODELS, listening * HOUR), abs=1)


async def test_tasks_in_different_stages_are_not_averaged(sessions: Sessions, user_id: uuid.UUID):
    early, late = await add(sessions, user_id), await add(sessions, user_id)
    await now(sessions, early, state=TaskState.running, stage="prepare", progress=0.0)
    await now(sessions, late, state=TaskState.running, stage="align", progress=0.95)
    assert (await remaining(sessions))["transcriber/interactive"] == pytest.approx(HOUR, abs=1)


async def test_voices_anew_are_the_embedders_work_alone(sessions: Sessions, user_id: uuid.UUID):
    await add(sessions, user_id, kind=TaskKind.voiceprints)
    left = of(await remaining(sessions), Lane.interactive)
    assert left == {**dict.fromkeys(MODELS, 0.0), Role.speaker_embedder: HOUR}


async def test_of_words_that_are_timed_anew_only_the_rest_counts(
    sessions: Sessions, user_id: uuid.UUID
):
    task = await add(sessions, user_id, kind=TaskKind.alignment)
    await now(sessions, task, state=TaskState.running, stage="align", progress=0.7)
    left = of(await remaining(sessions), Lane.interactive)
    assert left[Role.aligner] == pytest.approx(0.5 * HOUR, abs=1)


async def test_words_timed_anew_are_the_aligners_work_alone(sessions: Sessions, user_id: uuid.UUID):
    await add(sessions, user_id, kind=TaskKind.alignment)
    left = of(await remaining(sessions), Lane.interactive)
    assert left == {**dict.fromkeys(MODELS, 0.0), Role.aligner: HOUR}


async def test_what_is_not_due_does_not_wait_yet(sessions: Sessions, user_id: uuid.UUID):
    await add(sessions, user_id, delay_seconds=600.0)
    assert set((await remaining(sessions)).values()) == {0.0}


async def test_what_is_over_or_no_model_does_counts_for_nothing(
    sessions: Sessions, user_id: uuid.UUID
):
    for state in (TaskState.completed, TaskState.failed, TaskState.cancelled):
        await now(sessions, await add(sessions, user_id), state=state)
    await add(sessions, user_id, kind=TaskKind.summarization)
    await add(sessions, user_id, kind=TaskKind.download)
    assert set((await remaining(sessions)).values()) == {0.0}


@pytest.mark.parametrize(
    ("engine", "counted"), [(BackfillEngine.online, HOUR), (BackfillEngine.inprocess, 0.0)]
)
async def test_a_backfill_counts_where_it_asks_the_replicas(
    sessions: Sessions, user_id: uuid.UUID, engine: BackfillEngine, counted: float
):
    async with session_scope(sessions) as session:
        backfill = Backfill(stage=BackfillStage.retranscribe, engine=engine)
        session.add(backfill)
        await session.flush()
    await add(sessions, user_id, lane=Lane.bulk, backfill_id=backfill.id)
    assert (await remaining(sessions))["transcriber/bulk"] == counted
