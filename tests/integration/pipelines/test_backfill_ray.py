"""A backfill through Ray Data itself: a driver and actors in processes of their own, one killed."""

import asyncio
from collections import Counter
from dataclasses import replace

import psutil
import pytest
import ray

from cluster.settings import BackfillSettings, ObjectSettings, RunnerSettings, Settings
from db.models import BackfillStage, ItemState, TaskState
from pipelines.backfills.parts import BackfillParts
from pipelines.backfills.ray_driver import RayDriver
from pipelines.backfills.sources import Buckets
from pipelines.composition import models_of
from serving.arguments import speech_arguments
from tests.fixtures.backfills import (
    ask,
    finished,
    items_of,
    library,
    person,
    recordings,
    tasks_of,
)
from tests.fixtures.runner import running

pytestmark = [pytest.mark.timeout(600)]

FILES = 8
ACTOR = "BulkActor"
BACKFILL = BackfillSettings(max_actors=2, chunk_items=1, tasks_per_actor=1)


@pytest.fixture
def cluster(monkeypatch, database_url, object_settings: ObjectSettings):
    """A Ray of this process, whose workers find the same stores and fake models."""
    environment = {
        "DATABASE_URL": database_url,
        "MINIO_ENDPOINT": object_settings.endpoint,
        "MINIO_ACCESS_KEY": object_settings.access_key.get_secret_value(),
        "MINIO_SECRET_KEY": object_settings.secret_key.get_secret_value(),
        "MEDIA_BUCKET_NAME": object_settings.bucket,
        "SECRET_KEY": "of this test alone " * 2,
        "RAYSCRIBE_ENGINES": "fake",
        "RAYSCRIBE_FAKE_SECONDS": "1",
        "RAYSCRIBE_RUNNER_LEASE_SECONDS": "5",
        "RAYSCRIBE_RUNNER_HEARTBEAT_SECONDS": "1",
        "RAYSCRIBE_BACKFILL_TASKS_PER_ACTOR": "1",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        object_store_memory=100 * 2**20,
        log_to_driver=False,
        _node_ip_address="127.0.0.1",
    )
    yield
    ray.shutdown()


def actors() -> list[psutil.Process]:
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if ACTOR in " ".join(process.cmdline()):
                found.append(process)
        except psutil.NoSuchProcess:
            continue
    return found


async def over(sessions, backfill_id) -> int:
    items = await items_of(sessions, backfill_id)
    return sum(item.state is not ItemState.waiting for item in items)


async def test_every_file_is_done_once_though_an_actor_is_killed(
    cluster, sessions, objects, parts, object_settings, tmp_path
):
    owner = await person(sessions)
    files = await library(sessions, objects, recordings(tmp_path, FILES), owner)
    models = models_of(speech_arguments(Settings(), 0))
    driving = replace(
        parts,
        models=models,
        settings=RunnerSettings(heartbeat_seconds=0.5, poll_seconds=0.5),
        backfills=BackfillParts(
            BACKFILL,
            RayDriver(BACKFILL, models, parts.batch_size, lambda gpus: 0.0),
            Buckets(object_settings, objects, ""),
        ),
    )
    backfill_id, task_id = await ask(sessions, BackfillStage.retranscribe, asked_by=owner)
    async with running(driving):
        async with asyncio.timeout(240):
            while await over(sessions, backfill_id) < 2:
                await asyncio.sleep(0.2)
        [victim, *_] = actors()
        victim.kill()
        task = await finished(sessions, task_id, 300)
        async with asyncio.timeout(60):
            # Each has models: none may stay when the work is done.
            while actors():
                await asyncio.sleep(0.2)
    assert (task.state, task.error_message) == (TaskState.completed, None)
    items = await items_of(sessions, backfill_id)
    assert Counter(item.state for item in items) == {ItemState.done: FILES}
    done = await tasks_of(sessions, backfill_id)
    assert sorted(one.media_file_id for one in done) == files
    assert {one.state for one in done} == {TaskState.completed}
    # The one that was under way was taken up again when its lease ran out.
    assert sum(one.attempt == 2 for one in done) <= 1
