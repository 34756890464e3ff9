"""What tasks used is written down once, with what they publish, and outlives it."""

import asyncio
from dataclasses import replace

import pytest
from sqlalchemy import delete, select, text

from cluster.telemetry import catalogue
from cluster.telemetry.catalogue import Origin
from cluster.telemetry.meters import RegistryMeters
from db.engine import Sessions, session_scope
from db.models import MediaFile, TaskState, UsageEntry, UsageMeasure, User
from db.queries import usage as ledger
from db.queries.usage import Amount
from pipelines import queue, removal
from serving.errors import LanguageUnsupported, SpeechUnavailable
from tests.fixtures.language_work import FakeLocal, ask, somebody, transcribed, with_model
from tests.fixtures.runner import Faulty, Gate, accept, ended, get, running, until, with_parts
from tests.fixtures.speech import sample


@pytest.fixture
def meters() -> RegistryMeters:
    return RegistryMeters(catalogue.of(Origin.runner))


@pytest.fixture
def parts(parts, meters):
    return replace(parts, meters=meters)


async def entries(sessions: Sessions) -> list[UsageEntry]:
    async with session_scope(sessions) as session:
        return list(await session.scalars(select(UsageEntry).order_by(UsageEntry.id)))


async def transcribe(sessions, objects, parts):
    task_id = await accept(sessions, objects, sample())
    async with running(parts):
        return await until(sessions, task_id, ended, seconds=240)


class TestTranscription:
    async def test_audio_and_model_time_are_written_down_with_the_transcript(
        self, sessions, objects, parts, meters
    ):
        task = await transcribe(sessions, objects, parts)
        found = await entries(sessions)
        assert {(one.task_id, one.user_id, one.kind, one.lane) for one in found} == {
            (task.id, task.user_id, "transcription", "interactive")
        }
        [audio] = [one for one in found if one.measure is UsageMeasure.audio_seconds]
        assert audio.amount == pytest.approx(30.0, abs=0.05)
        busy = {one.stage: one for one in found if one.measure is UsageMeasure.model_seconds}
        assert {"transcribe", "diarize", "align"} <= set(busy)
        assert all(one.amount > 0 for one in busy.values())
        assert busy["transcribe"].model == "fake"
        # The same in what operators see.
        assert meters.value("rayscribe_published_audio_seconds_total", lane="interactive") > 29
        seconds = meters.value("rayscribe_model_seconds_total", stage="transcribe")
        assert seconds == pytest.approx(busy["transcribe"].amount, abs=1e-5)
        known = {"kind": "transcription", "outcome": "completed"}
        assert meters.value("rayscribe_attempts_total", **known) == 1
        assert meters.value("rayscribe_task_wait_seconds_count", lane="interactive") == 1
        assert meters.value("rayscribe_stage_audio_seconds_total", stage="transcribe") > 0
        assert meters.value("rayscribe_running_tasks") == 0

    async def test_it_survives_the_file_and_the_account(self, sessions, objects, parts):
        task = await transcribe(sessions, objects, parts)
        before = len(await entries(sessions))
        async with session_scope(sessions) as session:
            file = await session.get_one(MediaFile, task.media_file_id)
            await removal.remove(session, file, force=False)
        async with session_scope(sessions) as session:
            await session.execute(delete(User).where(User.id == task.user_id))
        assert len(await entries(sessions)) == before > 0

    async def test_what_was_not_published_is_nobodys(self, sessions, objects, parts, meters):
        broken = Faulty(parts.ports.transcriber, "transcribe", LanguageUnsupported("no"), times=100)
        task = await transcribe(sessions, objects, with_parts(parts, transcriber=broken))
        assert task.state is TaskState.failed
        assert await entries(sessions) == []
        assert meters.value("rayscribe_failures_total", error=task.error_type) == 1
        assert meters.value("rayscribe_published_audio_seconds_total", lane="interactive") == 0

    async def test_work_of_attempts_before_the_one_that_published_counts(
        self, sessions, objects, parts, meters
    ):
        aligner = Faulty(parts.ports.aligner, "align", SpeechUnavailable(), times=1)
        once = replace(parts, settings=parts.settings.model_copy(update={"window_retries": 0}))
        task = await transcribe(sessions, objects, with_parts(once, aligner=aligner))
        assert (task.state, task.attempt) == (TaskState.completed, 2)
        found = await entries(sessions)
        assert len([one for one in found if one.measure is UsageMeasure.audio_seconds]) == 1
        # Its windows were transcribed by the first attempt, and kept.
        [transcribed] = [one for one in found if one.stage == "transcribe"]
        assert transcribed.amount == pytest.approx(task.busy_seconds["transcribe"])
        failed = {"kind": "transcription", "outcome": "failed"}
        assert meters.value("rayscribe_attempts_total", **failed) == task.attempt - 1

    async def test_who_lost_the_task_writes_nothing_down(self, sessions, objects, parts, meters):
        gate = Gate(parts.ports.transcriber)
        task_id = await accept(sessions, objects, sample())
        async with running(with_parts(parts, transcriber=gate)):
            await asyncio.wait_for(gate.reached.wait(), 60)
            async with session_scope(sessions) as session:
                # Somebody else has it by now; this runner's beat finds out.
                await session.execute(
                    text(
                        "UPDATE task SET fence = fence + 1, lease_owner = 'another', "
                        "lease_expires_at = now() + interval '1 h' WHERE id = :id"
                    ),
                    {"id": task_id},
                )
            gate.open.set()
            async with asyncio.timeout(60):
                while not meters.value("rayscribe_fence_rejections_total"):
                    await asyncio.sleep(0.05)
        assert await entries(sessions) == []
        assert (await get(sessions, task_id)).state is TaskState.running


async def test_a_summary_counts_by_tokens_of_its_model(sessions, parts, meters):
    owner = await somebody(sessions)
    task_id = await ask(sessions, await transcribed(sessions, owner))
    async with running(with_model(parts, FakeLocal())):
        task = await until(sessions, task_id, ended)
    found = {one.measure: one for one in await entries(sessions)}
    assert set(found) == set(UsageMeasure) - {UsageMeasure.audio_seconds}
    for measure in ("prompt_tokens", "completion_tokens", "calls"):
        one = found[UsageMeasure(measure)]
        assert one.amount == task.result[measure] > 0
        assert (one.stage, one.model, one.user_id) == ("summarize", task.result["model"], owner)
    told = {"provider": task.result["provider"], "direction": "completion"}
    tokens = meters.value("rayscribe_tokens_total", **told)
    assert tokens == task.result["completion_tokens"]


class TestLedger:
    async def test_nothing_is_counted_twice(self, sessions):
        owner = await somebody(sessions)
        amounts = [Amount(UsageMeasure.audio_seconds, 1.0)]
        async with session_scope(sessions) as session:
            task = await queue.submit(session, user_id=owner, media_file_id=None)
            await ledger.add(session, task, amounts)
        with pytest.raises(Exception, match="uq_usage_entry_task_id"):
            async with session_scope(sessions) as session:
                await ledger.add(session, task, amounts)

    async def test_it_is_written_or_not_with_the_rest_of_the_transaction(self, sessions):
        owner = await somebody(sessions)

        async def work() -> None:
            async with session_scope(sessions) as session:
                task = await queue.submit(session, user_id=owner, media_file_id=None)
                await ledger.add(session, task, [Amount(UsageMeasure.audio_seconds, 1.0)])
                raise RuntimeError("the store goes away")

        with pytest.raises(RuntimeError):
            await work()
        assert await entries(sessions) == []
