"""Places in front of the replicas: one recording may have them all, and whoever comes is next."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from db.models import TaskState
from pipelines.runner import Runner
from serving.errors import SpeechUnavailable
from serving.speech import SAMPLE_RATE, WindowRequest
from tests.fixtures.decoded import Decoded
from tests.fixtures.runner import BATCH_SIZE, SETTINGS, ended, get, running, until, with_parts

OPTIONS = {"language": "de", "diarize": False}
PATIENT = SETTINGS.model_copy(update={"poll_seconds": 0.05, "lease_seconds": 60})
"""Counts replicas often; a machine that is busy with other things takes no lease away."""
PLACES = SETTINGS.batches_per_replica * BATCH_SIZE
LONG, SHORT = 40, 1
SHORT_SECONDS = 10


class Doorkeeper:
    """A transcriber that lets a window through when told to."""

    def __init__(self, port) -> None:
        self._port = port
        self._permits = asyncio.Semaphore(0)
        self.seconds: list[float] = []
        """Of each window, in the order in which they came."""

    async def transcribe(self, requests: list[WindowRequest]):
        self.seconds += [len(request.audio) / SAMPLE_RATE for request in requests]
        await self._permits.acquire()
        return await self._port.transcribe(requests)

    def let(self, count: int) -> None:
        for _ in range(count):
            self._permits.release()

    def __getattr__(self, name: str):
        return getattr(self._port, name)


async def met(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.01)


def waiting(runner: Runner) -> set[object]:
    """Tasks of which a window waits for a place."""
    lanes = runner._shared.parts["transcribe"]._waiting.values()
    return {task for users in lanes for tasks in users.values() for task in tasks}


@pytest.mark.parametrize("same_user", [True, False])
async def test_a_short_recording_does_not_wait_for_the_end_of_a_long_one(
    sessions, objects, parts, same_user
):
    recordings = Decoded(sessions, objects)
    owner = await recordings.user()
    long = await recordings.plant(owner, LONG, OPTIONS)
    other = owner if same_user else await recordings.user()
    short = await recordings.plant(other, SHORT, OPTIONS, seconds=SHORT_SECONDS)
    door = Doorkeeper(parts.ports.transcriber)
    async with running(replace(with_parts(parts, transcriber=door), settings=PATIENT)) as runner:
        await recordings.release([long])
        # Alone, it has all places there are.
        await met(lambda: len(door.seconds) == PLACES)
        await recordings.release([short])
        await met(lambda: short in waiting(runner))
        door.let(1)
        await met(lambda: len(door.seconds) > PLACES)
        assert door.seconds[PLACES] == pytest.approx(SHORT_SECONDS, abs=1)
        door.let(PLACES)
        await until(sessions, short, ended)
        assert (await get(sessions, long)).state is TaskState.running
        door.let(LONG)
        for task_id in (long, short):
            task = await until(sessions, task_id, ended)
            assert (task.state, task.attempt) == (TaskState.completed, 1)
    assert len(door.seconds) == LONG + SHORT


async def test_more_replicas_have_more_under_way_at_once(sessions, objects, parts):
    recordings = Decoded(sessions, objects)
    task_id = await recordings.plant(await recordings.user(), LONG, OPTIONS)
    counted = {"transcriber": 1}

    async def count() -> dict[str, int]:
        return dict(counted)

    door = Doorkeeper(parts.ports.transcriber)
    changed = with_parts(parts, transcriber=door)
    async with running(replace(changed, settings=PATIENT, count_replicas=count)):
        await recordings.release([task_id])
        await met(lambda: len(door.seconds) == PLACES)
        counted["transcriber"] = 3
        await met(lambda: len(door.seconds) == 3 * PLACES)
        door.let(LONG)
        assert (await until(sessions, task_id, ended)).state is TaskState.completed


async def test_a_controller_that_does_not_answer_changes_nothing(sessions, objects, parts):
    recordings = Decoded(sessions, objects)
    task_id = await recordings.plant(await recordings.user(), LONG, OPTIONS)
    asked = 0

    async def count() -> dict[str, int]:
        nonlocal asked
        asked += 1
        if asked == 1:
            return {"transcriber": 2}
        raise SpeechUnavailable("Serve's controller did not answer.")

    door = Doorkeeper(parts.ports.transcriber)
    changed = with_parts(parts, transcriber=door)
    async with running(replace(changed, settings=PATIENT, count_replicas=count)):
        await met(lambda: asked > 3)
        await recordings.release([task_id])
        await met(lambda: len(door.seconds) == 2 * PLACES)
        door.let(LONG)
        assert (await until(sessions, task_id, ended)).state is TaskState.completed
