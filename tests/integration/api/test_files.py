"""Media files, their media, transcripts and exports, over real stores."""

import asyncio
import uuid

import pytest

from cluster.settings import RunnerSettings
from db.engine import Sessions, session_scope
from db.models import FileStatus, MediaFile, Segment, Speaker, Transcript
from db.objects.s3 import S3Objects
from db.queries import tasks
from pipelines import queue, task_state
from tests.fixtures.api import upload
from tests.integration.api.test_uploads import error_type, keys, rows

FILES = "/api/files"
WORDS = [[0.1, 0.4, "Hello", 0.9, "SPEAKER_00"], [0.5, 0.9, "there.", 0.8, "SPEAKER_00"]]


async def uploaded(client, data: bytes) -> tuple[str, str]:
    """A file's id and its task's."""
    accepted = (await upload(client, data, "Интервью one.flac")).json()["data"]
    return accepted["file"]["id"], accepted["task"]["id"]


async def claimed(sessions: Sessions) -> None:
    async with session_scope(sessions) as session:
        assert await queue.claim(session, "a runner", RunnerSettings())


async def transcribed(sessions: Sessions, file_id: str) -> None:
    """Complete the file as the runner does, with a transcript of two segments."""
    await claimed(sessions)
    key = uuid.UUID(file_id)
    async with session_scope(sessions) as session:
        file = await session.get_one(MediaFile, key)
        file.waveform = [0.0, 0.5, 1.0]
        transcript = Transcript(
            media_file_id=key,
            language="en",
            language_probability=0.98,
            task="transcribe",
            word_timing="ctc_phoneme",
            diarization="done",
            notes=["One window is doubtful."],
            models={"whisper": "tiny"},
            turns=[[0.0, 1.0, "SPEAKER_00"]],
            exclusive_turns=[[0.0, 1.0, "SPEAKER_00"]],
        )
        speaker = Speaker(
            user_id=file.user_id,
            media_file_id=key,
            label="SPEAKER_00",
            display_name="Ada",
            speech_seconds=1.0,
        )
        session.add_all([transcript, speaker])
        await session.flush()
        session.add(
            Segment(
                transcript_id=transcript.id,
                index=0,
                start=0.1,
                end=0.9,
                text="Hello there.",
                speaker_id=speaker.id,
                words=WORDS,
            )
        )
        session.add(
            Segment(
                transcript_id=transcript.id,
                index=1,
                start=1.0,
                end=1.5,
                text="Thanks for watching!",
                words=[],
                doubt="no_speech",
            )
        )
        task = await tasks.latest_of_file(session, key)
        assert task is not None
        await queue.write(session, task, task_state.on_success(task))


class TestLists:
    async def test_pages_filters_and_order(self, client, recording, sessions):
        for number in range(5):
            # A FLAC with another byte behind it is another file to us and the same to a decoder.
            answer = await upload(client, recording + bytes([number]), f"{number}.flac")
            assert answer.status_code == 201
        page = (await client.get(FILES, params={"page": 2, "page_size": 2})).json()["data"]
        assert (page["total"], page["total_pages"], page["page"]) == (5, 3, 2)
        assert len(page["items"]) == 2
        by_name = await client.get(FILES, params={"sort": "filename", "order": "asc"})
        names = [item["filename"] for item in by_name.json()["data"]["items"]]
        assert names == [f"{number}.flac" for number in range(5)]
        await claimed(sessions)
        for status, total in (
            (["processing"], 1),
            (["queued"], 4),
            (["queued", "processing"], 5),
            (["completed"], 0),
        ):
            some = await client.get(FILES, params={"status": status})
            assert some.json()["data"]["total"] == total

    async def test_others_files_are_not_in_it(self, client, stranger, recording):
        await upload(client, recording)
        assert (await stranger.get(FILES)).json()["data"]["items"] == []
        assert (await stranger.get("/api/tasks")).json()["data"]["total"] == 0

    @pytest.mark.parametrize(
        "params",
        [
            {"page": 0},
            {"page": 10**20},
            {"page_size": 101},
            {"page_size": "\0"},
            {"status": "lost"},
            {"sort": "password_hash"},
            {"order": "random()"},
        ],
    )
    async def test_questions_that_make_no_sense(self, client, params):
        assert error_type(await client.get(FILES, params=params)) == (422, "validation_error")

    async def test_a_page_behind_the_end_is_empty(self, client):
        page = (await client.get(FILES, params={"page": 1_000_000, "page_size": 100})).json()
        assert page["data"] == {
            "items": [],
            "total": 0,
            "page": 1_000_000,
            "page_size": 100,
            "total_pages": 0,
        }


class TestTranscript:
    async def test_words_speakers_turns_and_notes(self, client, recording, sessions):
        file_id, _ = await uploaded(client, recording)
        await transcribed(sessions, file_id)
        transcript = (await client.get(f"{FILES}/{file_id}/transcript")).json()["data"]
        first, second = transcript["segments"]
        assert [word["word"] for word in first["words"]] == ["Hello", "there."]
        assert first["speaker"] == first["words"][0]["speaker"] == "SPEAKER_00"
        assert transcript["speakers"][0]["display_name"] == "Ada"
        assert (second["doubt"], second["speaker"]) == ("no_speech", None)
        assert transcript["turns"] == [{"start": 0.0, "end": 1.0, "speaker": "SPEAKER_00"}]
        assert transcript["notes"] == ["One window is doubtful."]
        assert transcript["word_timing"] == "ctc_phoneme"

    async def test_none_before_the_end(self, client, recording):
        file_id, _ = await uploaded(client, recording)
        for path in ("transcript", "exports/srt"):
            answer = await client.get(f"{FILES}/{file_id}/{path}")
            assert error_type(answer) == (409, "transcript_not_ready")
            assert answer.json()["file_status"] == "queued"

    @pytest.mark.parametrize(
        ("suffix", "media_type", "holds"),
        [
            ("txt", "text/plain; charset=utf-8", "[00:00:01] [?] Thanks for watching!"),
            ("srt", "application/x-subrip; charset=utf-8", "00:00:00,100 --> 00:00:00,933"),
            ("vtt", "text/vtt; charset=utf-8", "<v Ada>Hello there."),
            ("json", "application/json", '"probability": 0.9'),
            ("rttm", "text/plain; charset=utf-8", "SPEAKER Интервью_one.flac 1 0.000 1.000"),
            ("ctm", "text/plain; charset=utf-8", "Интервью_one.flac 1 0.500 0.400 there. 0.800"),
        ],
    )
    async def test_exports(self, client, recording, sessions, suffix, media_type, holds):
        file_id, _ = await uploaded(client, recording)
        await transcribed(sessions, file_id)
        answer = await client.get(f"{FILES}/{file_id}/exports/{suffix}")
        assert answer.headers["content-type"] == media_type
        assert holds in answer.text
        disposition = answer.headers["content-disposition"]
        assert disposition.startswith(f'attachment; filename="________ one.{suffix}"; ')
        assert disposition.endswith(f"%20one.{suffix}")

    async def test_an_unknown_format(self, client, recording):
        file_id, _ = await uploaded(client, recording)
        answer = await client.get(f"{FILES}/{file_id}/exports/docx")
        assert error_type(answer) == (422, "validation_error")

    async def test_the_file_tells_its_task_and_its_header(self, client, recording, sessions):
        file_id, task_id = await uploaded(client, recording)
        await transcribed(sessions, file_id)
        file = (await client.get(f"{FILES}/{file_id}")).json()["data"]
        assert (file["status"], file["task"]["id"]) == ("completed", task_id)
        assert file["probe"]["container"] == "flac"
        assert file["has_thumbnail"] is False


class TestDeletion:
    async def test_rows_and_objects_are_gone(self, client, recording, objects: S3Objects, sessions):
        file_id, _ = await uploaded(client, recording)
        await transcribed(sessions, file_id)
        (key,) = await keys(objects)
        await objects.put(key.replace("original", "thumbnail.jpg"), b"jpeg")
        assert (await client.delete(f"{FILES}/{file_id}")).status_code == 204
        assert await keys(objects) == []
        for table in ("media_file", "task", "transcript", "segment", "speaker"):
            assert await rows(sessions, table) == 0
        assert error_type(await client.get(f"{FILES}/{file_id}")) == (404, "not_found")
        assert error_type(await client.delete(f"{FILES}/{file_id}")) == (404, "not_found")

    async def test_a_waiting_task_goes_with_it(self, client, recording, sessions):
        file_id, _ = await uploaded(client, recording)
        assert (await client.delete(f"{FILES}/{file_id}")).status_code == 204
        assert await rows(sessions, "task") == 0

    async def test_a_running_task_is_in_the_way(self, client, recording, sessions, objects):
        file_id, task_id = await uploaded(client, recording)
        await claimed(sessions)
        answer = await client.delete(f"{FILES}/{file_id}")
        assert error_type(answer) == (409, "file_busy")
        assert answer.json()["task_id"] == task_id
        assert len(await keys(objects)) == 1
        assert (await client.get(f"{FILES}/{file_id}")).json()["data"]["status"] == "processing"

    async def test_the_same_bytes_may_come_again(self, client, recording):
        file_id, _ = await uploaded(client, recording)
        await client.delete(f"{FILES}/{file_id}")
        assert (await upload(client, recording)).status_code == 201


class TestTasks:
    async def test_state_stage_and_progress(self, client, recording, sessions):
        file_id, task_id = await uploaded(client, recording)
        await claimed(sessions)
        async with session_scope(sessions) as session:
            held = queue.Claim(uuid.UUID(task_id), 1)
            await queue.report(session, held, stage="transcribe", progress=0.5, eta_seconds=3)
        task = (await client.get(f"/api/tasks/{task_id}")).json()["data"]
        seen = (task["state"], task["stage"], task["progress"], task["eta_seconds"])
        assert seen == ("running", "transcribe", 0.5, 3)
        assert task["attempt"] == 1
        listed = await client.get("/api/tasks", params={"file_id": file_id, "state": "running"})
        assert [item["id"] for item in listed.json()["data"]["items"]] == [task_id]
        nothing = await client.get("/api/tasks", params={"file_id": str(uuid.uuid4())})
        assert nothing.json()["data"]["total"] == 0

    async def test_a_waiting_one_is_cancelled_at_once(self, client, recording, sessions):
        file_id, task_id = await uploaded(client, recording)
        answer = await client.post(f"/api/tasks/{task_id}/cancel")
        assert answer.json()["data"]["state"] == "cancelled"
        async with session_scope(sessions) as session:
            file = await session.get_one(MediaFile, uuid.UUID(file_id))
            assert file.status is FileStatus.cancelled

    async def test_a_running_one_soon(self, client, recording, sessions):
        _, task_id = await uploaded(client, recording)
        await claimed(sessions)
        for _ in range(2):
            answer = await client.post(f"/api/tasks/{task_id}/cancel")
            assert answer.json()["data"]["state"] == "cancelling"

    async def test_one_that_is_over_is_not_cancelled(self, client, recording, sessions):
        file_id, task_id = await uploaded(client, recording)
        await transcribed(sessions, file_id)
        answer = await client.post(f"/api/tasks/{task_id}/cancel")
        assert error_type(answer) == (409, "conflict")

    async def test_cancel_and_claim_at_once_leave_one_truth(self, client, recording, sessions):
        _, task_id = await uploaded(client, recording)
        answer, _ = await asyncio.gather(
            client.post(f"/api/tasks/{task_id}/cancel"), _try_claim(sessions)
        )
        assert answer.status_code == 200
        state = (await client.get(f"/api/tasks/{task_id}")).json()["data"]["state"]
        assert state in {"cancelled", "cancelling"}


async def _try_claim(sessions: Sessions) -> None:
    async with session_scope(sessions) as session:
        await queue.claim(session, "a runner", RunnerSettings())
