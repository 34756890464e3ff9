"""Imports: recordings of an object store become files, once, whatever else lies there."""

import asyncio
import json
from collections import Counter

import pytest
from sqlalchemy import delete, select, update

from db.engine import session_scope
from db.models import (
    BackfillItem,
    BackfillStage,
    ItemState,
    Lane,
    MediaFile,
    TaskState,
    Transcript,
    User,
)
from pipelines.backfills import requests, worker
from pipelines.backfills.orders import Limits, Selection
from pipelines.backfills.sources import MANIFESTS
from serving.errors import MediaInvalid, SpeechUnavailable
from tests.fixtures.backfills import (
    ask,
    finished,
    items_of,
    person,
    recordings,
    tasks_of,
    with_backfills,
)
from tests.fixtures.runner import SETTINGS, Faulty, Gate, count, keys, running, with_parts

PREFIX = "import/archive/"


@pytest.fixture
async def admin(sessions):
    return await person(sessions)


@pytest.fixture(scope="module")
def talks(tmp_path_factory):
    return recordings(tmp_path_factory.mktemp("talks"), 3)


async def test_what_lies_below_a_prefix_is_taken_in_once(
    sessions, objects, parts, object_settings, admin, talks
):
    for path in talks:
        await objects.put(f"{PREFIX}2019/{path.name}", path.read_bytes())
    await objects.put(f"{PREFIX}again.flac", talks[0].read_bytes())
    await objects.put(f"{PREFIX}notes.txt", b"no recording")
    await objects.put(f"{PREFIX}folder/", b"")
    await objects.put("import/another/talk.flac", talks[0].read_bytes())
    driving, _ = with_backfills(parts, object_settings, deaths=1)
    backfill_id, task_id = await ask(
        sessions, BackfillStage.bring_in, asked_by=admin, selection=Selection(prefix=PREFIX)
    )
    async with running(driving):
        task = await finished(sessions, task_id)
        async with asyncio.timeout(60):
            # Decoded audio goes after the task has ended, and by a runner.
            while any(".recording/" in key for key in await keys(objects)):
                await asyncio.sleep(0.1)
    assert (task.state, task.error_message) == (TaskState.completed, None)
    items = await items_of(sessions, backfill_id)
    found = Counter((item.state, item.error_type) for item in items)
    assert found == {
        (ItemState.done, None): 3,
        (ItemState.skipped, "duplicate_file"): 1,
        (ItemState.failed, "invalid_media"): 1,
    }
    assert all(item.source.startswith("s3://") for item in items)
    assert (await count(sessions, MediaFile), await count(sessions, Transcript)) == (3, 3)
    done = await tasks_of(sessions, backfill_id)
    assert {(one.lane, one.user_id) for one in done} == {(Lane.bulk, admin)}
    async with session_scope(sessions) as session:
        names = set(await session.scalars(select(MediaFile.filename)))
    assert names <= {path.name for path in talks} | {"again.flac"}
    # Nor is anything of what was refused left over.
    kept = [key for key in await keys(objects) if not key.startswith("import/")]
    assert sorted(kept) == sorted(key for key in kept if key.endswith(("original", ".jpg")))
    assert sum(key.endswith("original") for key in kept) == 3


async def test_a_manifest_says_whose_they_are_and_what_they_are_called(
    sessions, objects, parts, object_settings, admin, talks
):
    ann = await person(sessions)
    async with session_scope(sessions) as session:
        address = (await session.get_one(User, ann)).email
    for path in talks[:2]:
        await objects.put(f"import/{path.name}", path.read_bytes())
    rows = [
        {"source": f"import/{talks[0].name}", "owner": address, "title": "Board", "duration": 2.0},
        {"source": f"import/{talks[1].name}", "owner": str(ann), "filename": "../second.flac"},
        {"source": "import/missing.flac"},
        {"source": "media/somebody/elses", "owner": str(ann)},
        {"source": f"import/{talks[0].name}#", "owner": "nobody@example.org"},
    ]
    manifest = f"{MANIFESTS}list"
    await objects.put(manifest, "\n".join(map(json.dumps, rows)).encode())
    driving, _ = with_backfills(parts, object_settings)
    backfill_id, task_id = await ask(
        sessions, BackfillStage.bring_in, asked_by=admin, selection=Selection(manifest=manifest)
    )
    async with running(driving):
        assert (await finished(sessions, task_id)).state is TaskState.completed
    items = await items_of(sessions, backfill_id)
    assert [(item.state, item.error_type) for item in items] == [
        (ItemState.done, None),
        (ItemState.done, None),
        (ItemState.failed, "not_found"),
        (ItemState.failed, "forbidden"),
        (ItemState.failed, "not_found"),
    ]
    async with session_scope(sessions) as session:
        files = (await session.scalars(select(MediaFile).order_by(MediaFile.title))).all()
    assert {file.user_id for file in files} == {ann}
    assert [(file.title, file.filename) for file in files] == [
        ("Board", talks[0].name),
        (None, "second.flac"),
    ]


async def test_a_rate_holds_for_recordings_whose_length_nobody_knew(
    sessions, objects, parts, object_settings, admin, talks
):
    for path in talks[:3]:
        await objects.put(f"import/{path.name}", path.read_bytes())
    manifest = f"{MANIFESTS}list"
    rows = [{"source": f"import/{path.name}"} for path in talks[:3]]
    await objects.put(manifest, "\n".join(map(json.dumps, rows)).encode())
    driving, _ = with_backfills(parts, object_settings)
    backfill_id, task_id = await ask(
        sessions,
        BackfillStage.bring_in,
        asked_by=admin,
        selection=Selection(manifest=manifest),
        limits=Limits(audio_seconds_per_minute=30.0),
    )
    async with running(driving):
        await finished(sessions, task_id)
    items = await items_of(sessions, backfill_id)
    begun = sorted(item.begun_at for item in items)
    # Two may be begun before the first is decoded; the third waits for the length of both.
    least = 2 * min(item.audio_seconds for item in items)
    assert (begun[2] - begun[0]).total_seconds() >= least


async def test_a_list_that_cannot_be_read_stops_it_before_anything_is_done(
    sessions, objects, parts, object_settings, admin
):
    await objects.put(f"{MANIFESTS}bad", b"no list")
    driving, _ = with_backfills(parts, object_settings)
    async with running(driving):
        for selection, said in (
            (Selection(manifest=f"{MANIFESTS}bad"), "no JSON"),
            (Selection(prefix="media/"), "Nothing is imported"),
        ):
            backfill_id, task_id = await ask(
                sessions, BackfillStage.bring_in, asked_by=admin, selection=selection
            )
            task = await finished(sessions, task_id)
            assert (task.state, task.error_type) == (TaskState.failed, "validation_error")
            assert said in task.error_message
            assert await items_of(sessions, backfill_id) == []


async def imported(sessions, objects, admin, path):
    """A backfill that takes one recording in, and the task that drives it."""
    await objects.put(f"{PREFIX}{path.name}", path.read_bytes())
    return await ask(
        sessions, BackfillStage.bring_in, asked_by=admin, selection=Selection(prefix=PREFIX)
    )


async def resumed(sessions, admin, backfill_id):
    async with session_scope(sessions) as session:
        begun = await requests.resume(session, admin, backfill_id, Limits(), retry_failed=True)
    return await finished(sessions, begun.task.id)


async def test_what_its_owner_deletes_meanwhile_does_not_come_back(
    sessions, objects, parts, object_settings, admin, talks
):
    gate = Gate(parts.ports.transcriber)
    driving, _ = with_backfills(with_parts(parts, transcriber=gate), object_settings)
    backfill_id, task_id = await imported(sessions, objects, admin, talks[0])
    async with running(driving):
        await asyncio.wait_for(gate.reached.wait(), 120)
        async with session_scope(sessions) as session:
            await session.execute(delete(MediaFile))
        gate.open.set()
        assert (await finished(sessions, task_id)).state is TaskState.completed
    [item] = await items_of(sessions, backfill_id)
    assert (item.state, item.error_type) == (ItemState.skipped, "not_found")
    assert await count(sessions, MediaFile) == 0


async def test_one_that_was_taken_in_and_failed_is_transcribed_when_asked(
    sessions, objects, parts, object_settings, admin, talks
):
    broken = Faulty(parts.ports.transcriber, "transcribe", MediaInvalid("for a test"), 10**6)
    driving, _ = with_backfills(with_parts(parts, transcriber=broken), object_settings)
    backfill_id, task_id = await imported(sessions, objects, admin, talks[0])
    async with running(driving):
        await finished(sessions, task_id)
        [item] = await items_of(sessions, backfill_id)
        assert (item.state, item.error_type) == (ItemState.failed, "invalid_media")
        broken.left = 0
        assert (await resumed(sessions, admin, backfill_id)).state is TaskState.completed
    [item] = await items_of(sessions, backfill_id)
    assert (item.state, item.error_message) == (ItemState.done, None)
    assert (await count(sessions, MediaFile), await count(sessions, Transcript)) == (1, 1)


async def test_an_outage_uses_up_no_attempts(
    sessions, objects, parts, object_settings, admin, talks, monkeypatch
):
    monkeypatch.setattr(worker, "BUSY_SECONDS", 0.1)
    away = Faulty(parts.ports.preparer, "probe", SpeechUnavailable("for a test"), 5)
    driving, _ = with_backfills(with_parts(parts, preparer=away), object_settings)
    backfill_id, task_id = await imported(sessions, objects, admin, talks[0])
    async with running(driving):
        assert (await finished(sessions, task_id)).state is TaskState.completed
    [item] = await items_of(sessions, backfill_id)
    assert (item.state, item.error_message) == (ItemState.done, None)


async def test_one_whose_attempts_are_used_up_gets_new_ones_when_asked(
    sessions, objects, parts, object_settings, admin, talks
):
    manifest = f"{MANIFESTS}list"
    source = f"{PREFIX}{talks[0].name}"
    await objects.put(manifest, json.dumps({"source": source}).encode())
    driving, _ = with_backfills(parts, object_settings)
    backfill_id, task_id = await ask(
        sessions, BackfillStage.bring_in, asked_by=admin, selection=Selection(manifest=manifest)
    )
    async with running(driving):
        await finished(sessions, task_id)
        async with session_scope(sessions) as session:
            await session.execute(update(BackfillItem).values(attempts=SETTINGS.max_attempts))
        await objects.put(source, talks[0].read_bytes())
        await resumed(sessions, admin, backfill_id)
    [item] = await items_of(sessions, backfill_id)
    assert (item.state, item.error_message) == (ItemState.done, None)
