"""A person is forgotten everywhere: every row, vector and object is looked at."""

import asyncio
import uuid
from pathlib import Path

import pytest
from sqlalchemy import delete, func, select, text, update

from cluster.settings import RunnerSettings
from db.engine import session_scope
from db.models import (
    Analytics,
    AuditEvent,
    IdempotencyKey,
    MediaFile,
    Segment,
    Speaker,
    SpeakerChange,
    SpeakerCluster,
    SpeakerPrediction,
    StageResult,
    Summary,
    Task,
    TaskEvent,
    TaskKind,
    TaskState,
    TopicSuggestion,
    Transcript,
    TranscriptEdit,
)
from db.queries import reembedding, speakers, stage_results
from pipelines import queue
from pipelines.checkpoints import StoredCheckpoints
from pipelines.queue import Claim
from pipelines.speakers import erasure, handover, notes
from pipelines.speakers.notes import About
from pipelines.task_state import TERMINAL, Failure
from serving.speech import Diarization, SpeakerTurn
from tests.fixtures.files import user_id
from tests.fixtures.media import tone
from tests.fixtures.summaries import content, prediction_row, summary_row, topics_row
from tests.fixtures.voiceprints import (
    MODEL,
    add_file,
    add_profile,
    assign,
    axis,
    bring,
    near,
    points,
    speaker,
)
from tests.integration.api.test_speaker_profiles import COLLECTIONS, PROFILES, RANDOM, SPEAKERS
from tests.integration.api.test_uploads import error_type, keys

NAME = 'Zoë "Q" Quitterie'
MAIDEN = "Zoë Vorname"
ALIAS = "Quitti"
"""Of a profile that was merged into hers."""
VOICE = near(axis(0), 0.8123457, 1)
ALIKE = near(axis(0), 0.7654321, 1)
NUMBERS = ("0.8123457", "0.7654321")
CHECKPOINT = b"her voiceprint"
ALL_TABLES = """
    SELECT format('%I.%I', table_schema, table_name) FROM information_schema.tables
    WHERE table_schema NOT IN ('pg_catalog', 'information_schema') AND table_type = 'BASE TABLE'
"""


async def dump(sessions) -> dict[str, str]:
    """All rows of all tables, as JSON."""
    async with session_scope(sessions) as session:
        tables = (await session.scalars(text(ALL_TABLES))).all()
        assert len(tables) > 30
        found = {}
        for table in tables:
            rows = await session.scalars(text(f"SELECT to_jsonb(t)::text FROM {table} t"))
            found[table] = "\n".join(rows)
        return found


async def bodies(objects) -> dict[str, bytes]:
    return {key: await objects.get(key) for key in await keys(objects)}


def traces(dumped: dict[str, str], *needles: str) -> set[tuple[str, str]]:
    return {
        (table, needle)
        for table, rows in dumped.items()
        for needle in needles
        if needle.lower() in rows.lower() or needle.replace('"', '\\"').lower() in rows.lower()
    }


@pytest.fixture
async def me(client) -> uuid.UUID:
    return await user_id(client)


@pytest.fixture
def clip(tmp_path: Path) -> bytes:
    return tone(tmp_path / "zoe.flac", 8).read_bytes()


async def erase(client, profile_id) -> dict:
    answer = await client.post(f"{PROFILES}/{profile_id}/erase")
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


class Life:
    """Somebody who is in everything that keeps people, and somebody beside them."""

    profile: uuid.UUID
    merged: uuid.UUID
    voices: list[uuid.UUID]
    former: uuid.UUID
    """Taken for hers by mistake, in a file that has her in its cached video."""
    bystander: uuid.UUID
    other: uuid.UUID
    elsewhere: uuid.UUID
    """A file in which others speak of her."""
    unrelated: uuid.UUID
    beside: set[uuid.UUID]
    """The voices of these two."""

    @classmethod
    async def lived(cls, client, sessions, objects, vectors, me, clip) -> "Life":
        self = cls()
        file, [one, bystander] = await add_file(sessions, me, VOICE, axis(5))
        second, [two] = await add_file(sessions, me, ALIKE)
        _, [labelled] = await add_file(sessions, me, VOICE)
        self.voices, self.bystander = [one, two, labelled], bystander
        third, [self.former] = await add_file(sessions, me, axis(6))
        self.profile = await add_profile(sessions, me, MAIDEN)
        self.merged = await add_profile(sessions, me, ALIAS)
        self.other = await add_profile(sessions, me, "Bert")
        # Somebody was wrong at first, and she married since.
        await assign(sessions, me, [one], self.other)
        await assign(sessions, me, [one], self.profile)
        await assign(sessions, me, [two], self.merged)
        await assign(sessions, me, [bystander], self.other)
        await assign(sessions, me, [self.former], self.merged)
        await assign(sessions, me, [self.former], self.profile)
        await assign(sessions, me, [self.former], self.other)
        headers = {"Idempotency-Key": "clip"}
        for profile in (self.profile, self.merged):
            path = f"{PROFILES}/{profile}/enrolments"
            sent = {"file": (f"{ALIAS}.flac", clip)}
            assert (await client.post(path, files=sent, headers=headers)).status_code == 202
            headers = {}
        await client.put(f"{PROFILES}/{self.profile}", json={"name": NAME})
        await client.post(f"{PROFILES}/{self.merged}/merge/{self.profile}")
        passing = await add_profile(sessions, me, "Tmp")
        await assign(sessions, me, [labelled], passing)
        await client.delete(f"{PROFILES}/{passing}")
        collection = await client.post(COLLECTIONS, json={"name": "Board"})
        path = f"{COLLECTIONS}/{collection.json()['data']['id']}/profiles"
        await client.post(path, json={"profile_ids": [str(self.profile), str(self.other)]})
        await bring(sessions, vectors)
        await self._kept_in_passing(sessions, objects, me, file, second)
        await video(sessions, objects, third)
        return self

    async def _kept_in_passing(self, sessions, objects, me, file, second) -> None:
        async with session_scope(sessions) as session:
            # Of a time before there were profiles.
            await session.execute(
                update(Speaker)
                .where(Speaker.id == self.voices[2])
                .values(display_name=NAME.upper())
            )
            cluster = SpeakerCluster(user_id=me, label=NAME, embedding_model=MODEL)
            session.add(cluster)
            answer = {"data": {"reason": f"Similar to {NAME} in a.wav", "id": str(self.profile)}}
            transcript = await session.scalar(
                select(Transcript).where(Transcript.media_file_id == second)
            )
            session.add_all(
                [
                    IdempotencyKey(
                        user_id=me, key="k", fingerprint="f", status_code=200, body=answer
                    ),
                    TaskEvent(
                        user_id=me, sequence=10**6, type="told", payload={"name": NAME, "n": 1}
                    ),
                    Analytics(
                        media_file_id=file,
                        transcript_version=1,
                        schema_version="1",
                        figures={"by_speaker": {NAME: 1}},
                    ),
                    *(
                        StageResult(
                            media_file_id=file,
                            stage=stage,
                            fingerprint="f",
                            part=0,
                            data=CHECKPOINT,
                        )
                        for stage in ("diarize", "embed")
                    ),
                    StageResult(
                        media_file_id=file, stage="align", fingerprint="f", part=0, data=b"words"
                    ),
                    Segment(transcript_id=transcript.id, index=0, start=0, end=1, text="Hello!"),
                ]
            )
        await video(sessions, objects, file)
        await self._made_by_models(sessions, me, file)

    async def _made_by_models(self, sessions, me, file) -> None:
        """Of a file with her voice, and of one in which others speak of her."""
        self.elsewhere, [voice] = await add_file(sessions, me, axis(7))
        self.unrelated, [other] = await add_file(sessions, me, axis(4))
        self.beside = {voice, other}
        called = {"name": ALIAS, "confidence": 0.9, "rationale": f"They speak of {MAIDEN}."}
        async with session_scope(sessions) as session:
            session.add_all(
                [
                    # By half her name only.
                    summary_row(me, file, content(bluf="Zoë leads.")),
                    summary_row(me, self.elsewhere, content(bluf=f"{NAME} leads.")),
                    summary_row(me, self.unrelated, content(bluf="Bert leads.")),
                    topics_row(me, file),
                    topics_row(me, self.elsewhere, tags=[called]),
                    topics_row(me, self.unrelated),
                    prediction_row(me, self.bystander, "Somebody"),
                    prediction_row(me, voice, MAIDEN),
                    prediction_row(me, other, "Bert"),
                    *(
                        StageResult(
                            media_file_id=self.elsewhere,
                            stage=stage,
                            fingerprint="f",
                            part=0,
                            data=NAME.encode(),
                        )
                        for stage in ("summarize", "identify", "topics")
                    ),
                    Task(
                        user_id=me,
                        media_file_id=self.elsewhere,
                        kind=TaskKind.summarization,
                        state=TaskState.failed,
                        error_message=f"Nothing was said by {NAME}.",
                        result={"told": NAME},
                    ),
                ]
            )


async def video(sessions, objects, file) -> None:
    """A file has a cached video with her name in its subtitles."""
    async with session_scope(sessions) as session:
        row = await session.get_one(MediaFile, file)
        row.probe = {"has_video": True}
    await objects.put(f"{row.object_key}.subtitled/state/named.mp4", f"subtitles: {NAME}".encode())


async def test_nothing_of_the_person_is_left(client, sessions, objects, vectors, me, clip):
    life = await Life.lived(client, sessions, objects, vectors, me, clip)
    people = (NAME, MAIDEN, ALIAS, str(life.profile), str(life.merged))
    needles = (*people, *NUMBERS, CHECKPOINT.hex(), NAME.encode().hex())
    before = traces(await dump(sessions), *needles)
    # Else the test would prove nothing: each of them is somewhere.
    assert {needle for _, needle in before} == set(needles)
    assert {table for table, _ in before} >= {
        f"public.{name}"
        for name in (
            "speaker",
            "speaker_profile",
            "profile_voiceprint",
            "enrolment",
            "speaker_cluster",
            "speaker_collection_member",
            "speaker_change",
            "transcript_edit",
            "idempotency_key",
            "task_event",
            "analytics",
            "stage_result",
            "summary",
            "topic_suggestion",
            "speaker_prediction",
            "task",
        )
    }

    told = await erase(client, life.profile)
    await bring(sessions, vectors)

    assert (told["voices"], told["files"], told["enrolments"]) == (3, 3, 2)
    assert told["checkpoints"] == 2
    assert told["derived"] == 6
    assert told["mentions"] > 0
    left = traces(await dump(sessions), *needles)
    assert left == {("public.audit_event", str(life.profile))}
    kept = await bodies(objects)
    assert not any(str(life.profile) in key or str(life.merged) in key for key in kept)
    assert not any(NAME.encode() in body or body == clip for body in kept.values())


async def test_everybody_else_stays(client, sessions, objects, vectors, me, clip):
    life = await Life.lived(client, sessions, objects, vectors, me, clip)
    await erase(client, life.profile)
    await bring(sessions, vectors)
    row = await speaker(sessions, life.bystander)
    assert (row.display_name, row.profile_id, row.verified) == ("Bert", life.other, True)
    assert row.embedding is not None
    beside = {life.bystander, life.former, life.other, *life.beside}
    assert await points(vectors, me) == beside
    former = await speaker(sessions, life.former)
    assert (former.display_name, former.profile_id) == ("Bert", life.other)
    async with session_scope(sessions) as session:
        for voice in life.voices:
            row = await session.get_one(Speaker, voice)
            assert (row.display_name, row.profile_id, row.verified) == (None, None, False)
            assert (row.embedding, row.embedding_model, row.cluster_id) == (None, None, None)
        stages = await session.scalars(select(StageResult.stage))
        assert stages.all() == ["align"]
        summaries = await session.scalars(select(Summary.media_file_id))
        assert summaries.all() == [life.unrelated]
        topics = await session.scalars(select(TopicSuggestion.media_file_id))
        assert topics.all() == [life.unrelated]
        assert (await session.scalars(select(SpeakerPrediction.name))).all() == ["Bert"]
        task = await session.scalar(select(Task).where(Task.kind == TaskKind.summarization))
        assert task.error_message == "Nothing was said by [erased]."
        assert task.result == {"told": "[erased]"}
        answers = {row.key: row for row in await session.scalars(select(IdempotencyKey))}
        assert answers["k"].body["data"]["reason"] == "Similar to [erased] in a.wav"
        assert (await session.scalars(select(Segment.text))).all() == ["Hello!"]
        history = await session.scalars(select(TranscriptEdit.after))
        named = {f["display_name"] for after in history for f in after["speakers"]}
        # What her voices were called by mistake went too.
        assert named == {None, "Bert"}
        [event] = await session.scalars(
            select(AuditEvent).where(AuditEvent.action == "person.erased")
        )
        assert (event.actor_id, event.subject_id) == (me, str(life.profile))
        assert event.details == {}
    # The key is still known: a repetition has no second effect.
    path = f"{PROFILES}/{life.profile}/enrolments"
    assert (await client.get(path)).status_code == 404


async def test_a_video_of_a_file_whose_speaker_has_gone(client, sessions, objects, me):
    """Only the history of the file says that she was in it."""
    file, [one, _] = await add_file(sessions, me, VOICE, axis(5))
    profile = await add_profile(sessions, me, NAME)
    await assign(sessions, me, [one], profile)
    await video(sessions, objects, file)
    assert (await client.delete(f"/api/speakers/{one}")).status_code == 204
    await erase(client, profile)
    assert await bodies(objects) == {}


async def test_a_namesake_keeps_their_history(client, sessions, me):
    _, [one, two] = await add_file(sessions, me, VOICE, axis(5))
    profile = await add_profile(sessions, me, NAME)
    await assign(sessions, me, [one], profile)
    await client.put(f"{PROFILES}/{profile}", json={"name": MAIDEN})
    namesake = await add_profile(sessions, me, NAME)
    await assign(sessions, me, [two], namesake)
    await erase(client, profile)
    async with session_scope(sessions) as session:
        history = await session.scalars(select(TranscriptEdit.after))
        told = [f for after in history for f in after["speakers"] if f["id"] == str(two)]
        changes = await session.scalars(select(SpeakerChange))
        known = [c.after[str(two)] for c in changes if str(two) in c.after]
    assert [f["display_name"] for f in told] == [NAME]
    assert [f["profile_id"] for f in known] == [str(namesake)]


async def test_transcripts_have_new_versions(client, sessions, me):
    file, [one] = await add_file(sessions, me, VOICE)
    profile = await add_profile(sessions, me, NAME)
    await assign(sessions, me, [one], profile)
    async with session_scope(sessions) as session:
        before = await session.scalar(select(Transcript.version))
    await erase(client, profile)
    async with session_scope(sessions) as session:
        assert await session.scalar(select(Transcript.version)) == before + 1
        event = await session.scalar(select(TaskEvent).order_by(TaskEvent.sequence.desc()).limit(1))
    assert event.payload["action"] == "erased"
    assert event.payload["file_ids"] == [str(file)]


async def test_undoing_an_earlier_change_brings_nobody_back(client, sessions, me):
    _, [one] = await add_file(sessions, me, VOICE)
    profile = await add_profile(sessions, me, NAME)
    await assign(sessions, me, [one], profile)
    await assign(sessions, me, [one], None)
    async with session_scope(sessions) as session:
        entry = await session.scalar(
            select(SpeakerChange).order_by(SpeakerChange.created_at.desc()).limit(1)
        )
    await erase(client, profile)
    await client.post(f"/api/speakers/changes/{entry.id}/undo")
    assert (await speaker(sessions, one)).display_name is None


async def test_twice_and_by_others(client, stranger, sessions, me):
    _, [one] = await add_file(sessions, me, VOICE)
    profile = await add_profile(sessions, me, NAME)
    await assign(sessions, me, [one], profile)
    for answer in (
        await stranger.post(f"{PROFILES}/{profile}/erase"),
        await stranger.post(f"{PROFILES}/{RANDOM}/erase"),
    ):
        assert error_type(answer) == (404, "not_found")
    assert (await speaker(sessions, one)).display_name == NAME
    answers = await asyncio.gather(*(client.post(f"{PROFILES}/{profile}/erase") for _ in range(2)))
    assert sorted(answer.status_code for answer in answers) == [200, 404]
    async with session_scope(sessions) as session:
        events = await session.scalars(
            select(AuditEvent).where(AuditEvent.action == "person.erased")
        )
        assert len(events.all()) == 1


@pytest.mark.parametrize("other", ["rename", "assign", "merge", "delete"])
async def test_while_something_else_happens_to_the_person(
    client, sessions, objects, vectors, me, other
):
    _, [one, two] = await add_file(sessions, me, VOICE, ALIKE)
    profile = await add_profile(sessions, me, NAME)
    target = await add_profile(sessions, me, "Bert")
    await assign(sessions, me, [one], profile)
    requests = {
        "rename": lambda: client.put(f"{PROFILES}/{profile}", json={"name": MAIDEN}),
        "assign": lambda: client.post(
            f"{SPEAKERS}/{two}/assign-profile", json={"profile_id": str(profile)}
        ),
        "merge": lambda: client.post(f"{PROFILES}/{target}/merge/{profile}"),
        "delete": lambda: client.delete(f"{PROFILES}/{profile}"),
    }
    first, erased = await asyncio.gather(
        requests[other](), client.post(f"{PROFILES}/{profile}/erase")
    )
    assert first.status_code in {200, 204, 404}
    assert erased.status_code in {200, 404}
    await bring(sessions, vectors)
    if erased.status_code == 200:
        left = traces(await dump(sessions), NAME, MAIDEN, str(profile))
        assert left == {("public.audit_event", str(profile))}
        row = await speaker(sessions, one)
        assert (row.display_name, row.embedding) == (None, None)


async def test_while_a_file_is_being_deleted(client, sessions, me):
    file, [one] = await add_file(sessions, me, VOICE)
    _, [two] = await add_file(sessions, me, ALIKE)
    profile = await add_profile(sessions, me, NAME)
    await assign(sessions, me, [one, two], profile)
    erased, deleted = await asyncio.gather(
        client.post(f"{PROFILES}/{profile}/erase"), client.delete(f"/api/files/{file}")
    )
    assert (erased.status_code, deleted.status_code) == (200, 204)
    left = traces(await dump(sessions), NAME, *NUMBERS)
    assert left == set()


async def published(sessions, me, file, until: float = 9.0) -> uuid.UUID:
    """What publishing does with speakers: the same one is heard at the same time; its new id."""
    turns = (SpeakerTurn(0.0, until, "SPEAKER_00"),)
    async with session_scope(sessions) as session:
        left = await handover.take(session, me, file)
        await session.execute(delete(Transcript).where(Transcript.media_file_id == file))
        await session.execute(delete(Speaker).where(Speaker.media_file_id == file))
        heir = Speaker(
            id=uuid.uuid4(),
            user_id=me,
            media_file_id=file,
            label="SPEAKER_00",
            embedding=list(VOICE),
            embedding_model=MODEL,
            clean_seconds=9.0,
        )
        row = Transcript(
            media_file_id=file,
            task="transcribe",
            diarization="done",
            turns=[[0.0, 9.0, "SPEAKER_00"]],
        )
        session.add_all([heir, row])
        session.add(
            StageResult(
                media_file_id=file, stage="diarize", fingerprint="g", part=0, data=CHECKPOINT
            )
        )
        await session.flush()
        found = Diarization(turns, turns)
        await handover.give(session, me, left, found, {"SPEAKER_00": heir})
        await notes.note(session, About.file, file, me)
    return heir.id


async def heard(sessions, me) -> tuple[uuid.UUID, uuid.UUID, uuid.UUID]:
    """A file in which she speaks, her voice, and her profile."""
    file, [one] = await add_file(sessions, me, VOICE)
    async with session_scope(sessions) as session:
        await session.execute(update(Transcript).values(turns=[[0.0, 9.0, "SPEAKER_00"]]))
    profile = await add_profile(sessions, me, NAME)
    await assign(sessions, me, [one], profile)
    return file, one, profile


async def test_a_reprocess_brings_nothing_back(client, sessions, vectors, me):
    file, _, profile = await heard(sessions, me)
    await erase(client, profile)
    heir = await published(sessions, me, file)
    await bring(sessions, vectors)
    row = await speaker(sessions, heir)
    assert (row.display_name, row.embedding, row.voiceprint_erased) == (None, None, True)
    assert await points(vectors, me) == set()
    assert not traces(await dump(sessions), NAME, *NUMBERS, CHECKPOINT.hex())
    # Nor does another model: nothing is to be embedded anew.
    async with session_scope(sessions) as session:
        assert await reembedding.files(session, "another", 10) == []


async def test_a_reprocess_that_hears_somebody_else(client, sessions, vectors, me):
    """Who it is cannot be told: it is nobody's voice, and the computed one is kept nowhere else."""
    file, _, profile = await heard(sessions, me)
    await erase(client, profile)
    heir = await published(sessions, me, file, until=4.0)
    row = await speaker(sessions, heir)
    assert (row.display_name, row.voiceprint_erased) == (None, False)
    async with session_scope(sessions) as session:
        assert (await session.scalars(select(StageResult.stage))).all() == []


@pytest.mark.parametrize("kind", [TaskKind.transcription, TaskKind.voiceprints])
@pytest.mark.parametrize("end", ["cancelled", "given up", "cancelled while it runs", "died"])
async def test_what_a_task_stored_after_the_erasure(client, sessions, me, kind, end):
    file, _, profile = await heard(sessions, me)
    _, [other] = await add_file(sessions, me, axis(5))
    settings = RunnerSettings(max_attempts=1)
    async with session_scope(sessions) as session:
        await queue.submit(session, user_id=me, media_file_id=file, kind=kind)
    async with session_scope(sessions) as session:
        claimed = await queue.claim(session, "runner", settings)
        held = Claim(claimed.task.id, claimed.task.fence)
    await erase(client, profile)
    checkpoints = StoredCheckpoints(sessions, held, file)
    for stage in ("diarize", "embed", "align"):
        await checkpoints.save(stage, "f", 0, CHECKPOINT)
    async with session_scope(sessions) as session:
        beside = (await speaker(sessions, other)).media_file_id
        await stage_results.save(session, beside, "embed", "f", 0, b"somebody else's")
    async with session_scope(sessions) as session:
        task = await session.get_one(Task, held.task_id)
        match end:
            case "cancelled":
                await queue.release(session, held)
                await queue.cancel(session, task)
            case "given up":
                await queue.give_up(session, held, settings, Failure("x", "It broke."))
            case "cancelled while it runs":
                await queue.cancel(session, task)
                await queue.stopped(session, held)
            case _:
                await session.execute(update(Task).values(lease_expires_at=func.now()))
    if end == "died":
        async with session_scope(sessions) as session:
            await queue.claim(session, "another", settings)
    async with session_scope(sessions) as session:
        assert (await session.get_one(Task, held.task_id)).state in TERMINAL
        kept = await session.execute(select(StageResult.media_file_id, StageResult.stage))
        assert {tuple(one) for one in kept} == {(file, "align"), (beside, "embed")}


async def test_against_a_reprocess(client, sessions, vectors, me):
    file, _, profile = await heard(sessions, me)
    answer, _ = await asyncio.gather(
        client.post(f"{PROFILES}/{profile}/erase"), published(sessions, me, file)
    )
    assert answer.status_code == 200
    await bring(sessions, vectors)
    assert not traces(await dump(sessions), NAME, *NUMBERS, CHECKPOINT.hex())


async def test_voiceprints_alone(client, sessions, vectors, me):
    _, [one, two] = await add_file(sessions, me, VOICE, axis(5))
    profile = await add_profile(sessions, me, NAME)
    await assign(sessions, me, [one], profile)
    await bring(sessions, vectors)
    assert await points(vectors, me) == {one, two, profile}
    async with session_scope(sessions) as session:
        held = await speakers.hold(session, me, [one])
        await erasure.forget_voiceprints(session, me, held)
    await bring(sessions, vectors)
    assert await points(vectors, me) == {two}
    row = await speaker(sessions, one)
    assert (row.display_name, row.profile_id, row.embedding) == (NAME, profile, None)
    assert traces(await dump(sessions), *NUMBERS) == set()
