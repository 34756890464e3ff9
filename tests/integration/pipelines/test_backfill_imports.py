"""Imports: recordings of an object store become files, once, whatever else lies there."""

import asyncio
import json
from collections import Counter

import pytest
from sqlalchemy import select

from db.engine import session_scope
from db.models import BackfillStage, ItemState, Lane, MediaFile, TaskState, Transcript, User
from pipelines.backfills.orders import Selection
from pipelines.backfills.sources import MANIFESTS
from tests.fixtures.backfills import (
    ask,
    finished,
    items_of,
    person,
    recordings,
    tasks_of,
    with_backfills,
)
from tests.fixtures.runner import count, keys, running

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
    # Neither decoded audio nor anything of what was refused is left over.
    async with asyncio.timeout(60):
        # It goes after the task has ended.
        while any(".recording/" in key for key in await keys(objects)):
            await asyncio.sleep(0.1)
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
