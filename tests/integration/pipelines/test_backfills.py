"""Backfills over real stores and fake models: what is chosen, done once, and written down."""

import asyncio
import uuid
from collections import Counter
from dataclasses import replace
from itertools import pairwise

import pytest
from sqlalchemy import func, select, text, update

from db.engine import session_scope
from db.models import (
    BackfillEngine,
    BackfillItem,
    BackfillStage,
    BackfillStop,
    IndexedFile,
    ItemState,
    Lane,
    MediaFile,
    Segment,
    Speaker,
    Task,
    TaskKind,
    TaskState,
    Transcript,
    TranscriptEdit,
    UsageEntry,
    UsageMeasure,
)
from db.queries import backfill_pace, backfills
from db.queries.edits import EditAction
from pipelines import queue
from pipelines.backfills import items, requests
from pipelines.backfills.orders import Limits, Selection
from pipelines.backfills.parts import Drive
from pipelines.backfills.sources import Buckets
from pipelines.backfills.worker import Worker
from serving.errors import ModelUnavailable
from tests.fixtures.backfills import (
    OLD,
    SETTINGS,
    ask,
    backfill_of,
    finished,
    items_of,
    library,
    person,
    recordings,
    tasks_of,
    with_backfills,
)
from tests.fixtures.runner import Faulty, Gate, count, running, with_parts


@pytest.fixture
async def admin(sessions):
    return await person(sessions)


@pytest.fixture
async def owner(sessions):
    return await person(sessions)


@pytest.fixture(scope="module")
def talks(tmp_path_factory):
    return recordings(tmp_path_factory.mktemp("talks"), 5)


class Lanes:
    """Notes in which lane the aligner is asked."""

    def __init__(self, port) -> None:
        self._port = port
        self.asked: set[Lane] = set()

    async def align(self, requests):
        self.asked |= {request.lane for request in requests}
        return await self._port.align(requests)

    def __getattr__(self, name: str):
        return getattr(self._port, name)


async def states(sessions, backfill_id):
    return Counter(item.state for item in await items_of(sessions, backfill_id))


async def models_of(sessions):
    async with session_scope(sessions) as session:
        rows = await session.scalars(select(Transcript.models))
        return [models["whisper"] for models in rows]


async def test_every_file_of_another_model_is_transcribed_once(
    sessions, objects, parts, object_settings, admin, owner, talks
):
    files = await library(sessions, objects, talks, owner)
    [current] = await library(
        sessions, objects, talks[:1], await person(sessions), {"whisper": "fake"}
    )
    driving, _ = with_backfills(parts, object_settings)
    backfill_id, task_id = await ask(sessions, BackfillStage.retranscribe, asked_by=admin)
    async with running(driving):
        task = await finished(sessions, task_id)
    assert (task.state, task.error_message) == (TaskState.completed, None)
    assert task.result == {"done": 5, "stopped": None}
    items = await items_of(sessions, backfill_id)
    assert [item.media_file_id for item in items] == files
    assert current not in files
    assert {item.state for item in items} == {ItemState.done}
    assert all(item.fingerprint and item.ended_at and item.attempts == 1 for item in items)
    assert await models_of(sessions) == ["fake"] * 6
    done = await tasks_of(sessions, backfill_id)
    assert sorted(one.media_file_id for one in done) == files
    assert {(one.lane, one.state, one.reserved) for one in done} == {
        (Lane.bulk, TaskState.completed, True)
    }


async def test_nothing_is_done_twice_when_the_driver_dies(
    sessions, objects, parts, object_settings, admin, owner, talks
):
    await library(sessions, objects, talks, owner)
    driving, driver = with_backfills(parts, object_settings, deaths=2)
    backfill_id, task_id = await ask(sessions, BackfillStage.retranscribe, asked_by=admin)
    async with running(driving):
        task = await finished(sessions, task_id)
    assert (task.state, driver.deaths) == (TaskState.completed, 0)
    assert driver.drives == 3
    assert await states(sessions, backfill_id) == {ItemState.done: 5}
    assert len(await tasks_of(sessions, backfill_id)) == 5


async def test_ordinary_runners_leave_its_tasks_alone(
    sessions, objects, parts, object_settings, admin, owner, talks
):
    await library(sessions, objects, talks[:1], owner)
    gate = Gate(parts.ports.transcriber)
    driving, _ = with_backfills(with_parts(parts, transcriber=gate), object_settings)
    backfill_id, task_id = await ask(sessions, BackfillStage.retranscribe, asked_by=admin)
    async with running(driving):
        await asyncio.wait_for(gate.reached.wait(), 120)
        # Even one that waits to be tried again; nothing of this is committed.
        async with sessions() as session:
            [mine] = await tasks_of(sessions, backfill_id)
            await session.execute(
                update(Task).where(Task.id == mine.id).values(state=TaskState.queued)
            )
            assert await queue.claim(session, "somebody", driving.settings) is None
        gate.open.set()
        assert (await finished(sessions, task_id)).state is TaskState.completed


async def test_what_people_worked_on_stays_unless_asked_for(
    sessions, objects, parts, object_settings, admin, owner, talks
):
    edited, plain = await library(sessions, objects, talks[:2], owner)
    async with session_scope(sessions) as session:
        session.add(
            TranscriptEdit(
                media_file_id=edited,
                user_id=owner,
                version=2,
                action=EditAction.text_changed,
                before={},
                after={},
            )
        )
    driving, _ = with_backfills(parts, object_settings)
    async with running(driving):
        first, task_id = await ask(sessions, BackfillStage.retranscribe, asked_by=admin)
        await finished(sessions, task_id)
        assert [item.media_file_id for item in await items_of(sessions, first)] == [plain]
        second, task_id = await ask(
            sessions,
            BackfillStage.retranscribe,
            asked_by=admin,
            selection=Selection(edited=True),
        )
        await finished(sessions, task_id)
    assert [item.media_file_id for item in await items_of(sessions, second)] == [edited]


async def test_a_file_that_fails_is_a_row_and_is_tried_again_when_asked(
    sessions, objects, parts, object_settings, admin, owner, talks
):
    files = await library(sessions, objects, talks[:3], owner)
    async with session_scope(sessions) as session:
        file = await session.get_one(MediaFile, files[1])
        key, whole = file.object_key, await objects.get(file.object_key)
    await objects.put(key, b"no recording any more")
    driving, _ = with_backfills(parts, object_settings)
    backfill_id, task_id = await ask(sessions, BackfillStage.retranscribe, asked_by=admin)
    async with running(driving):
        task = await finished(sessions, task_id)
        assert task.state is TaskState.completed
        failed = (await items_of(sessions, backfill_id))[1]
        assert (failed.state, failed.error_type) == (ItemState.failed, "invalid_media")
        await objects.put(key, whole)
        async with session_scope(sessions) as session:
            begun = await requests.resume(session, admin, backfill_id, Limits(), retry_failed=True)
        assert (await finished(sessions, begun.task.id)).state is TaskState.completed
    assert await states(sessions, backfill_id) == {ItemState.done: 3}
    assert len(await tasks_of(sessions, backfill_id)) == 4


async def test_a_missing_model_stops_it_and_no_file_is_blamed(
    sessions, objects, parts, object_settings, admin, owner, talks
):
    await library(sessions, objects, talks[:3], owner)
    broken = Faulty(parts.ports.transcriber, "transcribe", ModelUnavailable("no weights"), 10**6)
    driving, _ = with_backfills(with_parts(parts, transcriber=broken), object_settings)
    backfill_id, task_id = await ask(sessions, BackfillStage.retranscribe, asked_by=admin)
    async with running(driving):
        task = await finished(sessions, task_id)
        assert (task.state, task.error_type) == (TaskState.failed, "model_unavailable")
        backfill = await backfill_of(sessions, backfill_id)
        assert (backfill.stopped, backfill.error_type) == (
            BackfillStop.fatal,
            "model_unavailable",
        )
        # What has no speech needs no model for it.
        assert set(await states(sessions, backfill_id)) <= {ItemState.waiting, ItemState.done}
        broken.left = 0
        async with session_scope(sessions) as session:
            begun = await requests.resume(session, admin, backfill_id, Limits(), retry_failed=False)
        assert (await finished(sessions, begun.task.id)).state is TaskState.completed
    assert await states(sessions, backfill_id) == {ItemState.done: 3}


async def test_a_budget_ends_it_and_a_larger_one_goes_on(
    sessions, objects, parts, object_settings, admin, owner, talks
):
    await library(sessions, objects, talks, owner)
    driving, _ = with_backfills(parts, object_settings)
    backfill_id, task_id = await ask(
        sessions,
        BackfillStage.retranscribe,
        asked_by=admin,
        limits=Limits(audio_seconds=5.0),
    )
    async with running(driving):
        task = await finished(sessions, task_id)
        assert (task.state, task.result["stopped"]) == (TaskState.completed, "audio_budget")
        assert await states(sessions, backfill_id) == {ItemState.done: 2, ItemState.waiting: 3}
        async with session_scope(sessions) as session:
            begun = await requests.resume(
                session, admin, backfill_id, Limits(audio_seconds=100.0), retry_failed=False
            )
        await finished(sessions, begun.task.id)
    assert await states(sessions, backfill_id) == {ItemState.done: 5}


async def test_a_rate_is_kept(sessions, objects, parts, object_settings, admin, owner, talks):
    await library(sessions, objects, talks[:3], owner)
    driving, _ = with_backfills(parts, object_settings)
    backfill_id, task_id = await ask(
        sessions,
        BackfillStage.retranscribe,
        asked_by=admin,
        limits=Limits(audio_seconds_per_minute=120.0),
    )
    async with running(driving):
        await finished(sessions, task_id)
    begun = sorted(item.begun_at for item in await items_of(sessions, backfill_id))
    pauses = [(later - before).total_seconds() for before, later in pairwise(begun)]
    # Two seconds of audio take one of this budget.
    assert len(begun) == 3
    assert all(pause >= 1.0 for pause in pauses)


async def test_model_seconds_are_those_of_all_attempts(
    sessions, objects, parts, object_settings, admin, owner, talks
):
    await library(sessions, objects, talks[:1], owner)
    driving, _ = with_backfills(parts, object_settings)
    backfill_id, task_id = await ask(sessions, BackfillStage.retranscribe, asked_by=admin)
    async with running(driving):
        await finished(sessions, task_id)
    [before] = await items_of(sessions, backfill_id)
    async with session_scope(sessions) as session:
        pace = await backfill_pace.busy_per_audio_second(session, {"transcribe", "align", "embed"})
        [task] = await tasks_of(sessions, backfill_id)
        ledger = await session.scalar(
            select(func.sum(UsageEntry.amount)).where(
                UsageEntry.task_id == task.id, UsageEntry.measure == UsageMeasure.model_seconds
            )
        )
        # As if it had failed in its third attempt, whose rows say what the first two used.
        item = await backfills.item(session, backfill_id, before.number, lock=True)
        item.state = ItemState.waiting
        await session.flush()
        session.add(task)
        task.state, task.error_type = TaskState.failed, "audio_unreadable"
        task.busy_seconds = {"transcribe": 3.0, "align": 1.0}
        await items.follow(session, task)
    [after] = await items_of(sessions, backfill_id)
    assert before.model_seconds == pytest.approx(ledger)
    assert after.model_seconds == pytest.approx(before.model_seconds + 4.0)
    # Of stages that it has; the ledger has no audio of what only makes embeddings.
    assert set(pace) == {"transcribe", "align"}
    assert all(seconds > 0 for seconds in pace.values())


async def test_it_holds_back_while_somebody_waits(
    sessions, objects, parts, object_settings, admin, owner, talks
):
    await library(sessions, objects, talks[:2], owner)
    async with session_scope(sessions) as session:
        waits = await queue.submit(
            session,
            user_id=owner,
            media_file_id=None,
            kind=TaskKind.clustering,
            lane=Lane.live,
        )
        await session.execute(
            update(Task)
            .where(Task.id == waits.id)
            .values(
                state=TaskState.running,
                lease_owner="elsewhere",
                lease_expires_at=func.now() + text("interval '1 hour'"),
                fence=7,
            )
        )
    driving, driver = with_backfills(parts, object_settings)
    backfill_id, task_id = await ask(sessions, BackfillStage.retranscribe, asked_by=admin)
    async with running(replace(driving, settings=parts.settings)):
        task = await finished(sessions, task_id)
    assert task.state is TaskState.completed
    # For as long as one holds back at most, and then on it goes.
    assert driver.held_back_seconds >= SETTINGS.longest_yield_seconds
    assert await states(sessions, backfill_id) == {ItemState.done: 2}


@pytest.mark.parametrize(
    ("engine", "replicas", "batches"),
    [
        # Of its own models there is one each, whatever runs elsewhere.
        (BackfillEngine.inprocess, 8, 1),
        # Two actors have the same eight, whatever the number of runners.
        (BackfillEngine.online, 8, 4),
    ],
)
async def test_an_actor_has_as_much_under_way_as_its_models_need(
    sessions, parts, object_settings, engine, replicas, batches
):
    async def counted():
        return {"transcriber": replicas}

    settings = parts.settings.model_copy(update={"replicas": 4, "batches_per_replica": 1})
    parts = replace(parts, settings=settings, count_replicas=counted)
    drive = Drive(uuid.uuid4(), uuid.uuid4(), 1, BackfillStage.realign, engine, actors=2)
    worker = await Worker.of(
        parts, SETTINGS, Buckets(object_settings, parts.objects, ""), drive, ""
    )
    async with worker.running(), asyncio.timeout(10):
        # What is there at first is for one replica.
        while (places := worker._shared.parts["transcribe"].places) != batches * parts.batch_size:
            assert places < batches * parts.batch_size, places
            await asyncio.sleep(0.01)


async def test_a_cancel_gives_everything_back(
    sessions, objects, parts, object_settings, admin, owner, talks
):
    files = await library(sessions, objects, talks[:3], owner)
    gate = Gate(parts.ports.transcriber)
    driving, _ = with_backfills(with_parts(parts, transcriber=gate), object_settings)
    backfill_id, task_id = await ask(sessions, BackfillStage.retranscribe, asked_by=admin)
    async with running(driving):
        await asyncio.wait_for(gate.reached.wait(), 120)
        async with session_scope(sessions) as session:
            await requests.stop(session, backfill_id)
        task = await finished(sessions, task_id)
        assert task.state is TaskState.cancelled
        left = await tasks_of(sessions, backfill_id)
        # What was begun is ordinary work now, of the same file.
        assert {one.reserved for one in left if one.state is TaskState.queued} == {False}
        gate.open.set()
        for one in left:
            assert (await finished(sessions, one.id)).state is TaskState.completed
        async with session_scope(sessions) as session:
            begun = await requests.resume(session, admin, backfill_id, Limits(), retry_failed=False)
        assert (await finished(sessions, begun.task.id)).state is TaskState.completed
    assert await states(sessions, backfill_id) == {ItemState.done: 3}
    assert {item.media_file_id for item in await items_of(sessions, backfill_id)} == set(files)


async def test_it_goes_on_at_another_runner(
    sessions, objects, parts, object_settings, admin, owner, talks
):
    await library(sessions, objects, talks[:3], owner)
    gate = Gate(parts.ports.transcriber)
    held, _ = with_backfills(with_parts(parts, transcriber=gate), object_settings)
    free, _ = with_backfills(parts, object_settings)
    backfill_id, task_id = await ask(sessions, BackfillStage.retranscribe, asked_by=admin)
    async with running(held, "first"):
        await asyncio.wait_for(gate.reached.wait(), 120)
    async with running(free, "second"):
        assert (await finished(sessions, task_id)).state is TaskState.completed
    assert await states(sessions, backfill_id) == {ItemState.done: 3}
    assert {one.attempt for one in await tasks_of(sessions, backfill_id)} == {1}


async def test_voices_are_embedded_anew(
    sessions, objects, parts, object_settings, admin, owner, talks
):
    await library(sessions, objects, talks[:2], owner)
    driving, _ = with_backfills(parts, object_settings)
    backfill_id, task_id = await ask(sessions, BackfillStage.reembed, asked_by=admin)
    async with running(driving):
        assert (await finished(sessions, task_id)).state is TaskState.completed
    async with session_scope(sessions) as session:
        found = await session.scalars(select(Speaker.embedding_model))
        assert set(found) == {"fake"}
    assert {one.kind for one in await tasks_of(sessions, backfill_id)} == {TaskKind.voiceprints}


async def test_words_are_timed_anew_and_stay_the_same(
    sessions, objects, parts, object_settings, admin, owner, talks
):
    [file_id] = await library(sessions, objects, talks[:1], owner)
    lanes = Lanes(parts.ports.aligner)
    driving, _ = with_backfills(with_parts(parts, aligner=lanes), object_settings)
    _, task_id = await ask(sessions, BackfillStage.realign, asked_by=admin)
    async with running(driving):
        assert (await finished(sessions, task_id)).state is TaskState.completed
    async with session_scope(sessions) as session:
        segment = await session.scalar(select(Segment))
        transcript = await session.scalar(select(Transcript))
        speaker = await session.scalar(select(Speaker))
        edit = await session.scalar(
            select(TranscriptEdit).where(TranscriptEdit.media_file_id == file_id)
        )
    assert (segment.text, segment.speaker_id) == ("as it was", speaker.id)
    assert [word[2] for word in segment.words] == ["as", "it", "was"]
    assert [word[4] for word in segment.words] == ["SPEAKER_00"] * 3
    # Other times than before: the fake aligner spreads words over all that it hears.
    assert segment.words[1][0] != 0.5
    assert (transcript.models["alignment"], transcript.models["whisper"]) == ("fake", OLD)
    assert (transcript.word_timing, transcript.version) == ("ctc_phoneme", 2)
    assert (edit.action, edit.version) == (EditAction.reprocessed, 2)
    assert lanes.asked == {Lane.bulk}


async def test_files_are_brought_to_the_stores_of_search(
    sessions, objects, parts, object_settings, admin, owner, talks
):
    files = await library(sessions, objects, talks[:2], owner)
    driving, _ = with_backfills(parts, object_settings)
    backfill_id, task_id = await ask(sessions, BackfillStage.reindex, asked_by=admin)
    async with running(driving):
        assert (await finished(sessions, task_id)).state is TaskState.completed
        # Nothing is left to be done.
        again, task_id = await ask(sessions, BackfillStage.reindex, asked_by=admin)
        assert (await finished(sessions, task_id)).state is TaskState.completed
    async with session_scope(sessions) as session:
        found = await session.execute(select(IndexedFile.media_file_id, IndexedFile.destination))
        brought = Counter(file_id for file_id, _ in found)
    assert brought == dict.fromkeys(files, 2)
    assert await states(sessions, backfill_id) == {ItemState.done: 2}
    assert await items_of(sessions, again) == []


async def test_a_summary_without_a_model_is_a_row(
    sessions, objects, parts, object_settings, admin, owner, talks
):
    await library(sessions, objects, talks[:1], owner)
    driving, _ = with_backfills(parts, object_settings)
    backfill_id, task_id = await ask(sessions, BackfillStage.resummarize, asked_by=admin)
    async with running(driving):
        assert (await finished(sessions, task_id)).state is TaskState.completed
    [item] = await items_of(sessions, backfill_id)
    assert (item.state, item.error_type) == (ItemState.skipped, "not_configured")


async def test_another_model_makes_what_is_done_undone(
    sessions, objects, parts, object_settings, admin, owner, talks
):
    await library(sessions, objects, talks[:2], owner)
    driving, _ = with_backfills(parts, object_settings)
    backfill_id, task_id = await ask(sessions, BackfillStage.retranscribe, asked_by=admin)
    async with running(driving):
        await finished(sessions, task_id)
    newer = replace(parts, models=replace(parts.models, whisper="newer"))
    driving, _ = with_backfills(newer, object_settings)
    async with running(driving):
        async with session_scope(sessions) as session:
            begun = await requests.resume(session, admin, backfill_id, Limits(), retry_failed=False)
        await finished(sessions, begun.task.id)
    assert await models_of(sessions) == ["newer", "newer"]
    assert await states(sessions, backfill_id) == {ItemState.done: 2}
    assert len(await tasks_of(sessions, backfill_id)) == 4


async def test_a_deleted_file_is_skipped(
    sessions, objects, parts, object_settings, admin, owner, talks
):
    files = await library(sessions, objects, talks[:2], owner)
    gate = Gate(parts.ports.transcriber)
    driving, _ = with_backfills(
        with_parts(parts, transcriber=gate),
        object_settings,
        SETTINGS.model_copy(update={"tasks_per_actor": 1}),
    )
    backfill_id, task_id = await ask(sessions, BackfillStage.retranscribe, asked_by=admin)
    async with running(driving):
        await asyncio.wait_for(gate.reached.wait(), 120)
        async with session_scope(sessions) as session:
            begun = await session.scalar(
                select(BackfillItem.media_file_id).where(BackfillItem.begun_at.is_not(None))
            )
            [other] = set(files) - {begun}
            await session.delete(await session.get_one(MediaFile, other))
        gate.open.set()
        assert (await finished(sessions, task_id)).state is TaskState.completed
    found = Counter((item.state, item.error_type) for item in await items_of(sessions, backfill_id))
    assert found == {(ItemState.done, None): 1, (ItemState.skipped, "not_found"): 1}
    assert await count(sessions, MediaFile) == 1
