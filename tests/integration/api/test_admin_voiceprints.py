"""Which models' voiceprints there are, and how administrators have others embedded anew."""

import asyncio
import io
import uuid
from datetime import timedelta

import pytest
from rich.console import Console
from sqlalchemy import func, select

from api.admin import voiceprint_routes
from db.engine import Sessions, session_scope
from db.models import (
    AuditEvent,
    Destination,
    Enrolment,
    MediaFile,
    OutboxEntry,
    Speaker,
    SpeakerProfile,
    Task,
    TaskKind,
    TaskState,
    Transcript,
    User,
)
from db.objects.keys import enrolment_key
from db.queries import oversight
from pipelines import orphans, queue
from rayscribe import voiceprints as command
from rayscribe.api_client import ApiClient
from tests.fixtures.http import served
from tests.integration.api.test_admin import admin

__all__ = ["admin"]

URL = "/api/admin/voiceprints"
IN_USE, OLD = "fake", "older"


async def user(sessions: Sessions) -> uuid.UUID:
    async with session_scope(sessions) as session:
        made = User(email=f"{uuid.uuid4().hex}@example.org", password_hash="-")
        session.add(made)
        await session.flush()
        return made.id


async def file_of(
    sessions: Sessions, user_id: uuid.UUID, *models: str | None, **facts
) -> uuid.UUID:
    """A transcribed file with a voice of each of these models."""
    async with session_scope(sessions) as session:
        file = MediaFile(
            user_id=user_id,
            filename="talk.wav",
            content_type="audio/wav",
            size_bytes=1,
            sha256=uuid.uuid4().hex * 2,
            object_key=f"media/{uuid.uuid4()}",
            duration=60.0,
        )
        session.add(file)
        await session.flush()
        session.add(Transcript(media_file_id=file.id, task="transcribe", diarization="done"))
        for index, model in enumerate(models):
            values = {
                "speech_seconds": 3.0,
                "embedding_model": model,
                "embedding": [1.0, 0.0] if model else None,
                **facts,
            }
            label = f"SPEAKER_{index:02d}"
            session.add(Speaker(user_id=user_id, media_file_id=file.id, label=label, **values))
        return file.id


async def clip_of(sessions: Sessions, user_id: uuid.UUID, model: str | None) -> uuid.UUID:
    async with session_scope(sessions) as session:
        profile = SpeakerProfile(user_id=user_id, name=uuid.uuid4().hex)
        session.add(profile)
        await session.flush()
        clip = Enrolment(
            profile_id=profile.id,
            filename="ann.wav",
            object_key=f"enrolments/{uuid.uuid4()}",
            size_bytes=1,
            embedding_model=model,
            embedding=[1.0, 0.0] if model else None,
        )
        session.add(clip)
        await session.flush()
        return clip.id


async def tasks_of(sessions: Sessions) -> list[Task]:
    async with session_scope(sessions) as session:
        return list(await session.scalars(select(Task).order_by(Task.created_at, Task.id)))


async def test_what_is_of_which_model(admin, sessions):
    owner = await user(sessions)
    await file_of(sessions, owner, IN_USE, OLD)
    await file_of(sessions, owner, OLD)
    await file_of(sessions, owner, IN_USE)
    await clip_of(sessions, owner, OLD)
    await clip_of(sessions, owner, None)
    found = (await admin.get(URL)).json()["data"]
    assert found["embedding_model"] == IN_USE
    assert found["by_model"] == [
        {"embedding_model": IN_USE, "speakers": 2, "without_voiceprint": 0, "files": 2},
        {"embedding_model": OLD, "speakers": 2, "without_voiceprint": 0, "files": 2},
    ]
    assert {"embedding_model": OLD, "enrolments": 1} in found["enrolments_by_model"]
    assert {"embedding_model": None, "enrolments": 1} in found["enrolments_by_model"]
    assert found["stale"] == {"files": 2, "enrolments": 1}
    assert found["tasks"] == dict.fromkeys(TaskState, 0)


async def test_each_file_and_clip_of_another_model_gets_one_task(admin, sessions):
    owner, another = await user(sessions), await user(sessions)
    stale = {await file_of(sessions, owner, OLD, IN_USE), await file_of(sessions, another, OLD)}
    # Somebody who was split off is to be heard; whom people added without a word is not.
    stale.add(await file_of(sessions, owner, None))
    await file_of(sessions, owner, None, speech_seconds=0.0)
    await file_of(sessions, owner, IN_USE)
    clip = await clip_of(sessions, owner, OLD)
    await clip_of(sessions, owner, None)
    first = await admin.post(f"{URL}/reembed")
    assert first.status_code == 202
    expected = {"embedding_model": IN_USE, "files": 3, "enrolments": 1, "more": False}
    assert first.json()["data"] == expected
    again = (await admin.post(f"{URL}/reembed")).json()["data"]
    assert (again["files"], again["enrolments"]) == (0, 0)
    tasks = await tasks_of(sessions)
    files = [task for task in tasks if task.kind is TaskKind.voiceprints]
    assert {task.media_file_id for task in files} == stale
    assert {task.lane for task in tasks} == {"bulk"}
    assert {task.audio_seconds for task in files} == {60.0}
    [about] = [task.options for task in tasks if task.kind is TaskKind.enrolment]
    assert about == {"enrolment_id": str(clip)}
    status = (await admin.get(URL)).json()["data"]
    assert status["tasks"]["queued"] == 4
    async with session_scope(sessions) as session:
        events = await session.scalars(
            select(AuditEvent).where(AuditEvent.action == "voiceprints.reembedded")
        )
        assert [event.details["files"] for event in events] == [3, 0]


async def test_many_are_queued_request_by_request(admin, sessions, monkeypatch):
    monkeypatch.setattr(voiceprint_routes, "BATCH", 2)
    owner = await user(sessions)
    for _ in range(5):
        await file_of(sessions, owner, OLD)
    first = (await admin.post(f"{URL}/reembed", params={"limit": 3})).json()["data"]
    assert (first["files"], first["more"]) == (3, True)
    second = (await admin.post(f"{URL}/reembed", params={"limit": 3})).json()["data"]
    assert (second["files"], second["more"]) == (2, False)
    files = [task.media_file_id for task in await tasks_of(sessions)]
    assert len(files) == len(set(files)) == 5


async def test_those_who_ask_at_the_same_time_queue_nothing_twice(admin, sessions):
    owner = await user(sessions)
    for _ in range(6):
        await file_of(sessions, owner, OLD)
    answers = await asyncio.gather(*[admin.post(f"{URL}/reembed") for _ in range(4)])
    assert {answer.status_code for answer in answers} == {202}
    assert sum(answer.json()["data"]["files"] for answer in answers) == 6
    assert len(await tasks_of(sessions)) == 6


async def test_a_file_that_is_transcribed_anew_gets_no_other_task(admin, sessions):
    owner = await user(sessions)
    file_id = await file_of(sessions, owner, OLD)
    async with session_scope(sessions) as session:
        await queue.submit(session, user_id=owner, media_file_id=file_id)
    assert (await admin.post(f"{URL}/reembed")).json()["data"]["files"] == 0


async def test_the_same_request_again_gets_the_same_answer(admin, sessions):
    owner = await user(sessions)
    await file_of(sessions, owner, OLD)
    headers = {"Idempotency-Key": "once"}
    first = await admin.post(f"{URL}/reembed", headers=headers)
    await file_of(sessions, owner, OLD)
    again = await admin.post(f"{URL}/reembed", headers=headers)
    assert again.json() == first.json()
    assert again.headers["Idempotent-Replayed"] == "true"
    assert len(await tasks_of(sessions)) == 1


@pytest.mark.parametrize(("method", "path"), [("GET", ""), ("POST", "/reembed")])
async def test_while_the_embedder_is_away_nobody_knows_its_model(
    admin,
    sessions,
    speech_health,
    method,
    path,
):
    speech_health.answer["speaker_embedder"] = {"status": "down", "error": "gone"}
    answer = await admin.request(method, URL + path)
    assert answer.status_code == 503
    assert answer.json()["error_type"] == "speech_unavailable"
    assert await tasks_of(sessions) == []


@pytest.mark.parametrize("limit", ["0", "501", "many"])
async def test_a_limit_has_limits(admin, limit):
    answer = await admin.post(f"{URL}/reembed", params={"limit": limit})
    assert answer.status_code == 422


async def test_the_vector_store_is_told_everything_anew(admin, sessions):
    owner = await user(sessions)
    file_id = await file_of(sessions, owner, IN_USE)
    answer = await admin.post(f"{URL}/resync")
    assert answer.status_code == 202
    assert answer.json()["data"]["notes"] == 1
    async with session_scope(sessions) as session:
        noted = await session.scalars(
            select(OutboxEntry.subject).where(OutboxEntry.destination == Destination.vectors)
        )
        assert f"file/{file_id}" in set(noted)
        audited = select(func.count()).where(AuditEvent.action == "voiceprints.resynced")
        assert await session.scalar(audited) == 1


async def test_clips_that_no_row_names_are_swept(sessions, objects):
    owner, profile = await user(sessions), uuid.uuid4()
    kept = await clip_of(sessions, owner, None)
    keys = [enrolment_key(owner, profile, enrolment) for enrolment in (kept, uuid.uuid4())]
    for key in keys:
        await objects.put(key, b"a clip")
    found = await orphans.sweep(sessions, objects, timedelta(0), limit=100)
    assert (found.objects, found.unknown) == (1, 0)
    assert [item.key async for page in objects.pages("enrolments/") for item in page] == keys[:1]
    async with session_scope(sessions) as session:
        assert await oversight.known_enrolments(session, {kept, profile}) == {kept}


async def test_the_command_line_asks_until_nothing_is_left(
    app,
    admin,
    sessions,
    monkeypatch,
):
    monkeypatch.setattr(voiceprint_routes, "BATCH", 1)
    owner = await user(sessions)
    await file_of(sessions, owner, OLD)
    await clip_of(sessions, owner, OLD)
    shown = io.StringIO()
    monkeypatch.setattr(command, "console", Console(file=shown, width=120))
    token = admin.headers["Authorization"].removeprefix("Bearer ")
    async with served(app) as port:
        client = ApiClient(f"http://127.0.0.1:{port}", token, None)
        try:
            await asyncio.to_thread(command._reembed, client)
            await asyncio.to_thread(lambda: command._show(client.voiceprints()))
        finally:
            client.close()
    said = shown.getvalue()
    assert "queued: 1 files, 1 clips" in said
    assert "fake (in use)" in said
    assert "of other models: 1 files, 1 clips; tasks: 2 to do, 0 done, 0 failed" in said
