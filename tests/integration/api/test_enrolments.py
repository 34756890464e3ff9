"""Clips of people: what is taken in, what is refused, and that nothing is left behind."""

import asyncio
import uuid
from pathlib import Path

import pytest
from sqlalchemy import func, select

from cluster.settings import VoiceSettings
from db.engine import session_scope
from db.models import Enrolment, OutboxEntry, Task
from db.objects.keys import enrolment_key
from db.queries import profiles
from pipelines import backlog
from tests.fixtures.files import user_id
from tests.fixtures.media import tone
from tests.integration.api.test_editing import until_someone_waits
from tests.integration.api.test_speaker_profiles import PROFILES, RANDOM, made
from tests.integration.api.test_uploads import error_type, keys, rows


@pytest.fixture
def voice_settings() -> VoiceSettings:
    return VoiceSettings(
        max_enrolments_per_profile=2, max_enrolment_seconds=20, max_enrolment_bytes=1024 * 1024
    )


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return tone(Path(tmp_path_factory.mktemp("clips")) / "ada.flac", 8).read_bytes()


@pytest.fixture
async def profile_id(client) -> str:
    return await made(client)


async def enrol(client, profile_id: str, data: bytes, name: str = "ada.flac", **headers: str):
    path = f"{PROFILES}/{profile_id}/enrolments"
    return await client.post(path, files={"file": (name, data)}, headers=headers)


async def test_a_clip_is_stored_and_queued(client, sessions, objects, profile_id, clip):
    answer = await enrol(client, profile_id, clip)
    assert answer.status_code == 202, answer.text
    told, task = answer.json()["data"]["enrolment"], answer.json()["data"]["task"]
    assert (told["filename"], told["size_bytes"]) == ("ada.flac", len(clip))
    assert not told["has_voiceprint"]
    assert (task["kind"], task["state"]) == ("enrolment", "queued")
    assert task["audio_seconds"] == pytest.approx(8)
    clip_id = uuid.UUID(told["id"])
    key = enrolment_key(await user_id(client), uuid.UUID(profile_id), clip_id)
    assert await objects.get(key) == clip
    async with session_scope(sessions) as session:
        row = await session.get_one(Enrolment, clip_id)
        assert (row.object_key, str(row.profile_id)) == (key, profile_id)
        options = await session.scalar(select(Task.options))
        assert options == {"enrolment_id": str(clip_id)}
        # Nothing sweeps it away.
        assert (await session.scalars(select(OutboxEntry))).all() == []
    listed = await client.get(f"{PROFILES}/{profile_id}/enrolments")
    assert listed.json()["data"] == [told]
    profile = (await client.get(f"{PROFILES}/{profile_id}")).json()["data"]
    assert profile["enrolment_count"] == 1


async def test_deleted_with_its_object(client, sessions, objects, profile_id, clip):
    clip_id = (await enrol(client, profile_id, clip)).json()["data"]["enrolment"]["id"]
    path = f"{PROFILES}/{profile_id}/enrolments/{clip_id}"
    assert (await client.delete(path)).status_code == 204
    assert error_type(await client.delete(path)) == (404, "not_found")
    assert await keys(objects, "enrolments/") == []
    async with session_scope(sessions) as session:
        noted = (await session.scalars(select(OutboxEntry.subject))).all()
    assert noted == [f"profile/{profile_id}"]


async def test_deleted_with_its_profile(client, objects, profile_id, clip):
    await enrol(client, profile_id, clip)
    other = await made(client, "Countess")
    await client.post(f"{PROFILES}/{profile_id}/merge/{other}")
    [moved] = (await client.get(f"{PROFILES}/{other}/enrolments")).json()["data"]
    assert moved["profile_id"] == other
    assert len(await keys(objects, "enrolments/")) == 1
    assert (await client.delete(f"{PROFILES}/{other}")).status_code == 204
    assert await keys(objects, "enrolments/") == []


async def test_sent_twice_with_one_key(client, sessions, objects, profile_id, clip):
    first = await enrol(client, profile_id, clip, **{"Idempotency-Key": "one"})
    again = await enrol(client, profile_id, clip, **{"Idempotency-Key": "one"})
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.json() == first.json()
    assert await rows(sessions, "enrolment") == await rows(sessions, "task") == 1
    assert len(await keys(objects, "enrolments/")) == 1
    other = await enrol(client, profile_id, clip, "b.flac", **{"Idempotency-Key": "one"})
    assert error_type(other) == (422, "idempotency_key_reused")


async def test_no_more_than_the_limit_however_close(client, sessions, objects, profile_id, clip):
    answers = await asyncio.gather(*(enrol(client, profile_id, clip) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [202, 202, 409, 409]
    refused = next(answer for answer in answers if answer.status_code == 409)
    assert error_type(refused) == (409, "conflict")
    assert "delete one" in refused.json()["detail"]
    assert await rows(sessions, "enrolment") == len(await keys(objects, "enrolments/")) == 2
    assert await rows(sessions, "outbox") == 0


@pytest.mark.parametrize(
    ("content", "refusal"),
    [
        (b"", (422, "invalid_media")),
        (b"\x00" * 5000, (422, "invalid_media")),
        (b"PK\x03\x04" + b"0" * 5000, (422, "invalid_media")),
        (b"fLaC" + b"\x00" * 5000, (422, "invalid_media")),
        (b"#EXTM3U\nhttp://127.0.0.1/x.ts\n", (422, "unsupported_media")),
    ],
)
async def test_what_is_no_recording(client, sessions, objects, profile_id, content, refusal):
    assert error_type(await enrol(client, profile_id, content)) == refusal
    await nothing_left(sessions, objects)


async def test_length_and_size(client, sessions, objects, profile_id, tmp_path):
    short = tone(tmp_path / "short.flac", 2).read_bytes()
    answer = await enrol(client, profile_id, short)
    assert error_type(answer) == (422, "audio_too_short")
    assert "5 s" in answer.json()["detail"]
    long = tone(tmp_path / "long.flac", 21).read_bytes()
    assert error_type(await enrol(client, profile_id, long)) == (422, "audio_too_long")
    large = tone(tmp_path / "large.wav", 15, rate=48_000).read_bytes()
    assert error_type(await enrol(client, profile_id, large)) == (413, "upload_too_large")
    await nothing_left(sessions, objects)


async def test_of_others(client, stranger, sessions, objects, profile_id, clip):
    theirs = await enrol(stranger, profile_id, clip)
    unknown = await enrol(stranger, RANDOM, clip)
    assert error_type(theirs) == error_type(unknown) == (404, "not_found")
    await nothing_left(sessions, objects)
    clip_id = (await enrol(client, profile_id, clip)).json()["data"]["enrolment"]["id"]
    path = f"{PROFILES}/{profile_id}/enrolments"
    own = await made(stranger)
    for answer in (
        await stranger.get(path),
        await stranger.delete(f"{path}/{clip_id}"),
        await stranger.delete(f"{PROFILES}/{own}/enrolments/{clip_id}"),
    ):
        assert error_type(answer) == (404, "not_found")
    assert await rows(sessions, "enrolment") == 1


async def test_names_of_files_are_display_text(client, profile_id, clip):
    answer = await enrol(client, profile_id, clip, "../../etc/passwd.flac")
    assert answer.json()["data"]["enrolment"]["filename"] == "passwd.flac"


async def test_whoever_waits_for_the_profile_keeps_nobody_from_the_queue(
    client, sessions, profile_id, clip
):
    async with session_scope(sessions) as session:
        await profiles.get(session, await user_id(client), uuid.UUID(profile_id), lock=True)
        waiting = asyncio.create_task(enrol(client, profile_id, clip))
        await until_someone_waits(sessions)
        free = select(func.pg_try_advisory_xact_lock(backlog.LOCK))
        assert await session.scalar(free)
    assert (await waiting).status_code == 202


async def nothing_left(sessions, objects) -> None:
    assert await keys(objects, "enrolments/") == []
    assert await rows(sessions, "enrolment") == await rows(sessions, "task") == 0
    assert await rows(sessions, "outbox") == 0
