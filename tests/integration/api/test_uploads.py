"""Uploads whole and in parts, over a real database, object store and header probe."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator

import httpx
import pytest
from sqlalchemy import text

from api.dependencies import Services
from api.factory import create_app
from db.engine import Sessions, session_scope
from db.objects.s3 import S3Objects
from tests.fixtures.api import (
    MAX_UPLOAD_BYTES,
    PART_BYTES,
    LocalProber,
    complete,
    connect,
    part,
    prepare,
    send_all,
    send_part,
    sha256,
    upload,
)

UPLOAD = "/api/files/upload"


def error_type(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["error_type"]


async def keys(objects: S3Objects, prefix: str = "") -> list[str]:
    """What the bucket holds."""
    client, bucket = objects._client, objects._bucket
    found = await asyncio.to_thread(
        lambda: list(client.list_objects(bucket, prefix, recursive=True))
    )
    return [str(item.object_name) for item in found]


async def rows(sessions: Sessions, table: str) -> int:
    async with session_scope(sessions) as session:
        return int(await session.scalar(text(f"SELECT count(*) FROM {table}")) or 0)


class TestWhole:
    async def test_a_recording_becomes_a_file_and_a_queued_task(
        self, client, recording, objects, sessions
    ):
        answer = await client.post(
            UPLOAD,
            files={"file": ("tone.flac", recording, "text/html")},
            data={"language": "de", "task": "translate", "max_speakers": "4"},
        )
        assert answer.status_code == 201, answer.text
        file, task = answer.json()["data"]["file"], answer.json()["data"]["task"]
        assert file["sha256"] == sha256(recording)
        assert file["size_bytes"] == len(recording)
        assert file["content_type"] == "audio/flac"
        assert file["duration"] == pytest.approx(2, abs=0.1)
        assert task["options"] == {"language": "de", "task": "translate", "max_speakers": 4}
        assert (task["state"], task["media_file_id"]) == ("queued", file["id"])
        (key,) = await keys(objects)
        assert await objects.get(key) == recording
        # It was created, and its task waits.
        assert await rows(sessions, "task_event") == 2

    @pytest.mark.parametrize(
        ("name", "stored"),
        [
            ("../../etc/passwd", "passwd"),
            ("C:\\temp\\talk.mp3", "talk.mp3"),
            ("выступление 講演.m4a", "выступление 講演.m4a"),
            ("invoice\u202egpj.exe", "invoicegpj.exe"),
            ("..", "unnamed"),
            ("x" * 4096 + ".flac", "x" * 250 + ".flac"),
        ],
    )
    async def test_its_name_is_display_text_only(self, client, recording, objects, name, stored):
        answer = await upload(client, recording, name)
        assert answer.json()["data"]["file"]["filename"] == stored
        (key,) = await keys(objects)
        assert key.startswith("media/")
        assert "passwd" not in key

    async def test_the_same_bytes_again_are_refused_with_the_first_id(self, client, recording):
        first = (await upload(client, recording)).json()["data"]["file"]["id"]
        again = await upload(client, recording, "other-name.flac")
        assert error_type(again) == (409, "duplicate_file")
        assert again.json()["existing_file_id"] == first

    async def test_another_user_may_have_the_same_bytes(self, client, stranger, recording):
        assert (await upload(client, recording)).status_code == 201
        assert (await upload(stranger, recording)).status_code == 201

    async def test_bytes_that_failed_may_be_sent_again(self, client, recording, sessions):
        await upload(client, recording)
        async with session_scope(sessions) as session:
            await session.execute(text("UPDATE media_file SET status = 'failed'"))
        assert (await upload(client, recording)).status_code == 201

    async def test_of_two_at_once_one_is_refused(self, client, recording, objects, sessions):
        both = await asyncio.gather(*(upload(client, recording) for _ in range(2)))
        assert sorted(answer.status_code for answer in both) == [201, 409]
        assert await rows(sessions, "media_file") == await rows(sessions, "task") == 1
        assert len(await keys(objects)) == 1

    @pytest.mark.parametrize(
        ("content", "refusal"),
        [
            (b"", "invalid_media"),
            (b"this is only text", "invalid_media"),
            (b"#EXTM3U\nhttp://127.0.0.1/x.ts\n", "unsupported_media"),
            (b"\x89PNG\r\n\x1a\n" + bytes(100), "unsupported_media"),
            (b"RIFF\x24\x00\x00\x00WAVEfmt garbage" + bytes(64), "invalid_media"),
        ],
    )
    async def test_what_is_no_recording_is_refused_and_leaves_nothing(
        self, client, objects, sessions, content, refusal
    ):
        answer = await upload(client, content, "song.mp3")
        assert error_type(answer) == (422, refusal)
        assert await keys(objects) == []
        assert await rows(sessions, "media_file") == await rows(sessions, "task") == 0

    @pytest.mark.parametrize(
        ("form", "refusal", "pointer"),
        [
            ({"language": "klingon"}, "language_unsupported", None),
            ({"language": "x" * 11}, "validation_error", "#/language"),
            ({"task": "sing"}, "validation_error", "#/task"),
            ({"min_speakers": "0"}, "validation_error", "#/min_speakers"),
            ({"num_speakers": "two"}, "validation_error", "#/num_speakers"),
            ({"min_speakers": "5", "max_speakers": "2"}, "validation_error", "#"),
        ],
    )
    async def test_options_that_cannot_be_met(self, client, recording, form, refusal, pointer):
        answer = await client.post(UPLOAD, files={"file": ("a.flac", recording)}, data=form)
        assert error_type(answer) == (422, refusal)
        if pointer:
            assert answer.json()["errors"][0]["pointer"] == pointer

    async def test_a_form_without_a_file(self, client):
        answer = await client.post(UPLOAD, data={"language": "en"})
        assert error_type(answer) == (422, "validation_error")
        assert answer.json()["errors"][0]["pointer"] == "#/file"

    async def test_two_files_in_one_form(self, client, recording):
        both = [("file", ("a.flac", recording)), ("file", ("b.flac", recording))]
        assert error_type(await client.post(UPLOAD, files=both)) == (400, "bad_request")

    async def test_a_large_one_is_shown_the_other_way(self, client):
        answer = await upload(client, bytes(PART_BYTES + 100_000))
        assert error_type(answer) == (413, "body_too_large")
        assert "/api/files/upload/prepare" in answer.json()["detail"]


class TestInParts:
    async def test_parts_in_any_order_become_a_file(
        self, client, long_recording, objects, sessions
    ):
        digest = sha256(long_recording)
        opened = await prepare(client, long_recording, options={"language": "en"})
        assert opened["part_count"] == 3
        await send_all(client, opened, long_recording)
        answer = await complete(client, opened, sha256=digest)
        assert answer.status_code == 201, answer.text
        file, task = answer.json()["data"]["file"], answer.json()["data"]["task"]
        assert (file["sha256"], file["size_bytes"]) == (digest, len(long_recording))
        assert file["duration"] == pytest.approx(120, abs=0.5)
        assert task["options"] == {"language": "en", "task": "transcribe"}
        (key,) = await keys(objects)
        assert sha256(await objects.get(key)) == digest
        async with session_scope(sessions) as session:
            assert await session.scalar(text("SELECT state FROM upload")) == "completed"

    async def test_a_client_that_was_cut_off_asks_what_is_there(self, client, long_recording):
        opened = await prepare(client, long_recording)
        await send_part(client, opened["upload_id"], 2, part(long_recording, 2))
        there = (await client.get(f"{UPLOAD}/{opened['upload_id']}")).json()["data"]
        assert (there["parts_received"], there["state"]) == ([2], "open")

    async def test_the_same_part_twice_is_no_error_and_the_last_one_counts(
        self, client, long_recording
    ):
        opened = await prepare(client, long_recording)
        await send_all(client, opened, long_recording)
        await send_part(client, opened["upload_id"], 1, bytes(PART_BYTES))
        await send_part(client, opened["upload_id"], 1, part(long_recording, 1))
        answer = await complete(client, opened, sha256=sha256(long_recording))
        assert answer.status_code == 201

    async def test_missing_parts_are_named_and_the_upload_stays_open(self, client, long_recording):
        opened = await prepare(client, long_recording)
        await send_part(client, opened["upload_id"], 2, part(long_recording, 2))
        answer = await complete(client, opened)
        assert error_type(answer) == (409, "upload_incomplete")
        assert answer.json()["missing_parts"] == [1, 3]
        await send_all(client, opened, long_recording)
        assert (await complete(client, opened)).status_code == 201

    async def test_a_wrong_checksum_leaves_the_upload_open_and_no_file(
        self, client, long_recording, objects, sessions
    ):
        opened = await prepare(client, long_recording)
        await send_all(client, opened, long_recording)
        answer = await complete(client, opened, sha256="0" * 64)
        assert error_type(answer) == (422, "checksum_mismatch")
        assert answer.json()["sha256"] == sha256(long_recording)
        assert await keys(objects, "media/") == []
        assert await rows(sessions, "media_file") == 0
        assert (await complete(client, opened)).status_code == 201

    async def test_the_checksum_of_prepare_is_checked_too(self, client, long_recording):
        opened = await prepare(client, long_recording, sha256="1" * 64)
        await send_all(client, opened, long_recording)
        assert error_type(await complete(client, opened)) == (422, "checksum_mismatch")

    async def test_completing_again_gives_the_same_answer(self, client, long_recording):
        opened = await prepare(client, long_recording)
        await send_all(client, opened, long_recording)
        first, second = await complete(client, opened), await complete(client, opened)
        assert first.json()["data"] == second.json()["data"]

    async def test_two_completions_at_once_make_one_file(
        self, client, long_recording, objects, sessions
    ):
        opened = await prepare(client, long_recording)
        await send_all(client, opened, long_recording)
        both = await asyncio.gather(complete(client, opened), complete(client, opened))
        assert {answer.status_code for answer in both} == {201}
        assert len({answer.json()["data"]["file"]["id"] for answer in both}) == 1
        assert await rows(sessions, "media_file") == await rows(sessions, "task") == 1
        assert len(await keys(objects)) == 1

    async def test_two_uploads_of_the_same_bytes_at_once_make_one_file(
        self, client, long_recording, objects, sessions
    ):
        opened = [await prepare(client, long_recording) for _ in range(2)]
        for each in opened:
            await send_all(client, each, long_recording)
        both = await asyncio.gather(*(complete(client, each) for each in opened))
        assert sorted(answer.status_code for answer in both) == [201, 409]
        assert await rows(sessions, "media_file") == await rows(sessions, "task") == 1
        assert len(await keys(objects, "media/")) == 1

    async def test_a_known_checksum_is_refused_before_anything_is_sent(self, client, recording):
        first = (await upload(client, recording)).json()["data"]["file"]["id"]
        body = {
            "filename": "again.flac",
            "size_bytes": len(recording),
            "sha256": sha256(recording),
        }
        answer = await client.post(f"{UPLOAD}/prepare", json=body)
        assert error_type(answer) == (409, "duplicate_file")
        assert answer.json()["existing_file_id"] == first

    async def test_what_is_no_recording_is_refused_with_its_first_part(
        self, client, recording, objects, prober: LocalProber
    ):
        opened = await prepare(client, recording)
        wrong = await send_part(client, opened["upload_id"], 1, b"x" * len(recording))
        assert error_type(wrong) == (422, "invalid_media")
        playlist = b"#EXTM3U\n" + b"http://127.0.0.1/x.ts\n" * len(recording)
        wrong = await send_part(client, opened["upload_id"], 1, playlist[: len(recording)])
        assert error_type(wrong) == (422, "unsupported_media")
        assert await keys(objects) == []
        await send_part(client, opened["upload_id"], 1, recording)
        assert (await complete(client, opened)).status_code == 201
        assert prober.asked == 1

    @pytest.mark.parametrize(
        ("change", "status", "refusal"),
        [
            ({"size_bytes": 0}, 422, "validation_error"),
            ({"size_bytes": -1}, 422, "validation_error"),
            ({"size_bytes": MAX_UPLOAD_BYTES + 1}, 413, "upload_too_large"),
            ({"size_bytes": 10**30}, 413, "upload_too_large"),
            ({"sha256": "A" * 64}, 422, "validation_error"),
            ({"content_type": "text/html\r\nX: y"}, 422, "validation_error"),
            ({"options": {"language": "xx"}}, 422, "language_unsupported"),
            ({"options": {"min_speakers": 3, "max_speakers": 2}}, 422, "validation_error"),
            ({"filename": None}, 422, "validation_error"),
        ],
    )
    async def test_what_prepare_refuses(self, client, change, status, refusal):
        body = {"filename": "a.wav", "size_bytes": 10, **change}
        answer = await client.post(
            f"{UPLOAD}/prepare",
            content=json.dumps(body),
            headers={"Content-Type": "application/json"},
        )
        assert error_type(answer) == (status, refusal)

    async def test_names_are_cleaned(self, client):
        opened = await prepare(client, b"x", filename="../\0\u202e\x1b[31mtalk\n.wav")
        assert opened["filename"] == "[31mtalk.wav"

    async def test_cancelling_removes_the_parts(self, client, long_recording, objects):
        opened = await prepare(client, long_recording)
        await send_part(client, opened["upload_id"], 1, part(long_recording, 1))
        for _ in range(2):
            gone = await client.delete(f"{UPLOAD}/{opened['upload_id']}")
            assert gone.status_code == 204
        assert await keys(objects) == []
        late = await send_part(client, opened["upload_id"], 1, part(long_recording, 1))
        assert error_type(late) == (409, "upload_closed")
        assert error_type(await complete(client, opened)) == (409, "upload_closed")

    async def test_a_completed_one_cannot_be_cancelled(self, client, recording):
        opened = await prepare(client, recording)
        await send_part(client, opened["upload_id"], 1, recording)
        await complete(client, opened)
        answer = await client.delete(f"{UPLOAD}/{opened['upload_id']}")
        assert error_type(answer) == (409, "upload_closed")

    async def test_an_expired_one_takes_nothing_and_can_be_removed(
        self, client, recording, sessions
    ):
        opened = await prepare(client, recording)
        async with session_scope(sessions) as session:
            await session.execute(text("UPDATE upload SET expires_at = now()"))
        late = await send_part(client, opened["upload_id"], 1, recording)
        assert error_type(late) == (410, "upload_expired")
        assert error_type(await complete(client, opened)) == (410, "upload_expired")
        assert (await client.delete(f"{UPLOAD}/{opened['upload_id']}")).status_code == 204


class TestOnePart:
    @pytest.fixture
    async def opened(self, client, long_recording):
        return await prepare(client, long_recording)

    @pytest.mark.parametrize("number", [4, 9999])
    async def test_too_many(self, client, opened, number):
        answer = await send_part(client, opened["upload_id"], number, bytes(PART_BYTES))
        assert error_type(answer) == (422, "invalid_part")
        assert "1 to 3" in answer.json()["detail"]

    @pytest.mark.parametrize("number", [0, -1, 10**30])
    async def test_impossible_numbers(self, client, opened, number):
        answer = await send_part(client, opened["upload_id"], number, b"x")
        assert error_type(answer) == (422, "validation_error")

    @pytest.mark.parametrize(
        ("number", "size"), [(1, PART_BYTES - 1), (1, PART_BYTES + 1), (1, 0), (3, PART_BYTES)]
    )
    async def test_wrong_sizes(self, client, opened, number, size):
        answer = await send_part(client, opened["upload_id"], number, bytes(size))
        assert error_type(answer) == (422, "invalid_part")

    async def test_a_length_that_lies(self, client, opened, objects):
        answer = await send_part(
            client, opened["upload_id"], 1, bytes(10), **{"Content-Length": str(PART_BYTES)}
        )
        assert error_type(answer) == (422, "invalid_part")
        assert await keys(objects) == []

    async def test_no_length(self, client, opened):
        async def body() -> AsyncIterator[bytes]:
            yield bytes(100)

        answer = await client.put(f"{UPLOAD}/{opened['upload_id']}/parts/1", content=body())
        assert error_type(answer) == (411, "length_required")

    async def test_a_checksum_that_fits_and_one_that_does_not(
        self, client, opened, long_recording, objects
    ):
        first = part(long_recording, 1)
        wrong = await send_part(
            client, opened["upload_id"], 1, first, **{"X-Part-SHA256": "0" * 64}
        )
        assert error_type(wrong) == (422, "checksum_mismatch")
        assert await keys(objects) == []
        right = await send_part(
            client, opened["upload_id"], 1, first, **{"X-Part-SHA256": sha256(first)}
        )
        assert right.json()["data"]["sha256"] == sha256(first)

    async def test_no_upload_of_that_id(self, client):
        answer = await send_part(client, str(uuid.uuid4()), 1, b"x")
        assert error_type(answer) == (404, "not_found")

    async def test_without_a_public_store_there_is_no_url(self, client, opened):
        answer = await client.get(f"{UPLOAD}/{opened['upload_id']}/parts/1")
        assert answer.json()["data"] == {
            "number": 1,
            "size_bytes": PART_BYTES,
            "sha256": None,
            "received": False,
            "url": None,
        }


class TestPresigned:
    @pytest.fixture
    async def direct(self, presigned_services: Services, client):
        """A client of an installation whose store can be reached."""
        async with connect(create_app(presigned_services)) as connected:
            connected.headers["Authorization"] = client.headers["Authorization"]
            yield connected

    @staticmethod
    async def put(client, upload_id: str, number: int, data: bytes) -> None:
        where = await client.get(f"{UPLOAD}/{upload_id}/parts/{number}")
        async with httpx.AsyncClient() as outside:
            stored = await outside.put(where.json()["data"]["url"], content=data)
        assert stored.status_code == 200

    async def test_parts_put_into_the_store_itself(self, direct, long_recording):
        opened = await prepare(direct, long_recording)
        assert opened["presigned"] is True
        await send_part(direct, opened["upload_id"], 1, part(long_recording, 1))
        for number in (2, 3):
            await self.put(direct, opened["upload_id"], number, part(long_recording, number))
        answer = await complete(direct, opened, sha256=sha256(long_recording))
        assert answer.status_code == 201, answer.text

    async def test_a_part_of_the_wrong_size_counts_as_missing(self, direct, long_recording):
        opened = await prepare(direct, long_recording)
        await send_part(direct, opened["upload_id"], 1, part(long_recording, 1))
        await send_part(direct, opened["upload_id"], 3, part(long_recording, 3))
        await self.put(direct, opened["upload_id"], 2, b"short")
        answer = await complete(direct, opened)
        assert error_type(answer) == (409, "upload_incomplete")
        assert answer.json()["missing_parts"] == [2]

    async def test_who_resumes_learns_of_parts_that_the_store_has(self, direct, long_recording):
        opened = await prepare(direct, long_recording)
        await send_part(direct, opened["upload_id"], 3, part(long_recording, 3))
        await self.put(direct, opened["upload_id"], 1, part(long_recording, 1))
        await self.put(direct, opened["upload_id"], 2, b"short")
        there = (await direct.get(f"{UPLOAD}/{opened['upload_id']}")).json()["data"]
        assert there["parts_received"] == [1, 3]
        assert there["received_bytes"] == len(long_recording) - PART_BYTES

    async def test_what_is_no_recording_is_found_before_the_parts_are_joined(
        self, direct, recording, objects, prober: LocalProber
    ):
        opened = await prepare(direct, recording)
        await self.put(direct, opened["upload_id"], 1, b"x" * len(recording))
        assert error_type(await complete(direct, opened)) == (422, "invalid_media")
        assert await keys(objects, "media/") == []
        assert prober.asked == 0
