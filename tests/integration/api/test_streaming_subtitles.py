"""Subtitles, and videos with subtitles in them: made once, kept, made anew after edits."""

import asyncio
import json
import subprocess
from pathlib import Path

import httpx
import pytest
from sqlalchemy import text

from api.streaming import subtitled
from db.engine import session_scope
from db.guards import guard
from db.models import Destination, OutboxEntry
from db.queries import outbox
from pipelines import leftovers
from serving.errors import SpeechUnavailable
from tests.fixtures.api import LocalProber, upload
from tests.fixtures.media import video
from tests.integration.api.test_files import transcribed
from tests.integration.api.test_uploads import error_type, keys

STREAMING = "/api/files/streaming"

CLIPS = {
    "mp4": (),
    "mkv": (),
    "webm": ("-c:v", "libvpx", "-c:a", "libopus"),
}
CODECS = {"mp4": "mov_text", "mkv": "subrip", "webm": "webvtt"}
MEDIA_TYPES = {"mp4": "video/mp4", "mkv": "video/x-matroska", "webm": "video/webm"}


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """A video in each of the three containers."""
    folder = Path(tmp_path_factory.mktemp("clips"))
    return {
        suffix: video(folder / f"clip.{suffix}", 2, *options).read_bytes()
        for suffix, options in CLIPS.items()
    }


async def uploaded(client: httpx.AsyncClient, data: bytes, name: str) -> str:
    accepted = await upload(client, data, name)
    assert accepted.status_code == 201, accepted.text
    file_id: str = accepted.json()["data"]["file"]["id"]
    return file_id


@pytest.fixture
async def clip(client, clips, sessions):
    """The id of a transcribed MP4."""
    file_id = await uploaded(client, clips["mp4"], "clip one.mp4")
    await transcribed(sessions, file_id)
    return file_id


def streams(path: Path) -> list[dict]:
    command = ["ffprobe", "-v", "error", "-show_streams", "-of", "json", str(path)]
    found = subprocess.run(command, check=True, capture_output=True).stdout
    return json.loads(found)["streams"]


def packets(path: Path) -> list[str]:
    """A hash of all packets of picture and of sound."""
    command = ["ffmpeg", "-v", "error", "-i", str(path), "-map", "0:V", "-map", "0:a"]
    command += ["-c", "copy", "-f", "streamhash", "-hash", "md5", "-"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return [line.partition("=")[2] for line in done.stdout.splitlines()]


def shown(video_bytes: bytes, folder: Path) -> str:
    """The subtitles of a video."""
    path = folder / "shown"
    path.write_bytes(video_bytes)
    command = ["ffmpeg", "-v", "error", "-i", str(path), "-map", "0:s", "-f", "srt", "-"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


async def edit(client: httpx.AsyncClient, file_id: str, words: str) -> None:
    """Change the first segment's text, as an editor does."""
    path = f"/api/files/{file_id}/transcript"
    read = await client.get(path)
    segment = read.json()["data"]["segments"][0]["id"]
    headers = {"If-Match": read.headers["etag"]}
    edited = await client.put(f"{path}/segments/{segment}", json={"text": words}, headers=headers)
    assert edited.status_code == 200, edited.text


class TestSubtitles:
    async def test_both_formats_with_and_without_names(self, client, clip):
        path = f"{STREAMING}/{clip}/subtitles"
        plain = await client.get(path)
        assert plain.headers["content-type"] == "application/x-subrip; charset=utf-8"
        assert "clip%20one.srt" in plain.headers["content-disposition"]
        assert plain.text == (
            "1\n00:00:00,100 --> 00:00:00,933\nAda: Hello there.\n\n"
            "2\n00:00:01,000 --> 00:00:02,000\n[?] Thanks for watching!\n"
        )
        web = await client.get(path, params={"format": "vtt"})
        assert web.headers["content-type"] == "text/vtt; charset=utf-8"
        assert "<v Ada>Hello there." in web.text
        nameless = await client.get(path, params={"format": "vtt", "speakers": "false"})
        assert "Ada" not in nameless.text
        wrong = await client.get(path, params={"format": "ass"})
        assert error_type(wrong) == (422, "validation_error")

    async def test_they_are_the_exports(self, client, clip):
        for each in ("srt", "vtt"):
            params = {"format": each}
            subtitles = await client.get(f"{STREAMING}/{clip}/subtitles", params=params)
            exported = await client.get(f"/api/files/{clip}/exports/{each}")
            assert subtitles.text == exported.text

    async def test_validation(self, client, clip, sessions):
        path = f"{STREAMING}/{clip}/subtitles/validate"
        told = (await client.get(path)).json()["data"]
        assert (told["is_valid"], told["issues"]) == (True, [])
        assert (told["total_segments"], told["total_cues"]) == (2, 2)
        assert told["total_duration"] == 2.0
        async with session_scope(sessions) as session:
            await session.execute(text("""UPDATE segment SET "end" = start, text = 'x'"""))
        told = (await client.get(path)).json()["data"]
        assert told["is_valid"] is False
        assert told["issues"] == [
            "Segment 1 at 00:00:00.100 ends before it begins.",
            "Segment 2 at 00:00:01.000 ends before it begins.",
        ]

    async def test_none_before_the_end(self, client, recording):
        file_id = await uploaded(client, recording, "a.flac")
        for path in ("subtitles", "subtitles/validate"):
            answer = await client.get(f"{STREAMING}/{file_id}/{path}")
            assert error_type(answer) == (409, "transcript_not_ready")


class TestSubtitledVideo:
    @pytest.mark.parametrize("suffix", CLIPS)
    async def test_a_player_finds_them_and_the_rest_is_untouched(
        self, client, clips, sessions, tmp_path, suffix
    ):
        file_id = await uploaded(client, clips[suffix], f"clip.{suffix}")
        original = await client.get(f"{STREAMING}/{file_id}")
        assert original.headers["content-type"] == MEDIA_TYPES[suffix]
        await transcribed(sessions, file_id)
        answer = await client.get(f"{STREAMING}/{file_id}/subtitled")
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == MEDIA_TYPES[suffix]
        assert f"clip.{suffix}" in answer.headers["content-disposition"]
        source, made = tmp_path / f"source.{suffix}", tmp_path / f"made.{suffix}"
        source.write_bytes(clips[suffix])
        made.write_bytes(answer.content)
        picture, sound, words = streams(made)
        assert [each["codec_type"] for each in (picture, sound)] == ["video", "audio"]
        assert (words["codec_name"], words["tags"]["language"]) == (CODECS[suffix], "eng")
        assert packets(made) == packets(source)
        said = shown(answer.content, tmp_path)
        assert "Ada: Hello there." in said
        assert "[?] Thanks for watching!" in said

    async def test_it_is_made_once_and_served_like_media(
        self, client, clip, prober: LocalProber, objects
    ):
        path = f"{STREAMING}/{clip}/subtitled"
        whole = await client.get(path)
        part = await client.get(path, headers={"Range": "bytes=100-199"})
        assert (part.status_code, part.content) == (206, whole.content[100:200])
        tag = whole.headers["etag"]
        assert (await client.get(path, headers={"If-None-Match": tag})).status_code == 304
        head = await client.head(path)
        assert head.headers["content-length"] == str(len(whole.content))
        assert prober.muxed == 1
        kept = await keys(objects, "media/")
        assert len([key for key in kept if ".subtitled/" in key]) == 1

    async def test_who_asks_at_the_same_time_gets_the_same(
        self, client, clip, prober: LocalProber, monkeypatch
    ):
        monkeypatch.setattr(subtitled, "LOOK_SECONDS", 0.05)
        path = f"{STREAMING}/{clip}/subtitled"
        answers = await asyncio.gather(*(client.get(path) for _ in range(5)))
        assert {answer.status_code for answer in answers} == {200}
        assert len({answer.headers["etag"] for answer in answers}) == 1
        assert prober.muxed == 1

    async def test_an_edit_makes_another_one_and_the_old_one_goes(
        self, client, clip, prober: LocalProber, objects, tmp_path
    ):
        path = f"{STREAMING}/{clip}/subtitled"
        before = await client.get(path)
        await edit(client, clip, "Good evening.")
        after = await client.get(path, headers={"If-None-Match": before.headers["etag"]})
        assert after.status_code == 200
        assert "Good evening." in shown(after.content, tmp_path)
        assert "Hello" not in shown(after.content, tmp_path)
        assert prober.muxed == 2
        kept = await keys(objects, "media/")
        assert len([key for key in kept if ".subtitled/" in key]) == 1

    async def test_without_names_is_another_one_beside_it(
        self, client, clip, objects, tmp_path, prober: LocalProber
    ):
        path = f"{STREAMING}/{clip}/subtitled"
        named = await client.get(path)
        plain = await client.get(path, params={"speakers": "false"})
        assert "Ada" not in shown(plain.content, tmp_path)
        assert plain.headers["etag"] != named.headers["etag"]
        await client.get(path)
        assert prober.muxed == 2

    async def test_what_is_kept_can_be_dropped(
        self, client, stranger, clip, objects, prober: LocalProber
    ):
        path = f"{STREAMING}/{clip}"
        await client.get(f"{path}/subtitled")
        assert error_type(await stranger.delete(f"{path}/cache")) == (404, "not_found")
        assert len(await keys(objects, "media/")) == 2
        for _ in range(2):
            assert (await client.delete(f"{path}/cache")).status_code == 204
        assert len(await keys(objects, "media/")) == 1
        assert (await client.get(f"{path}/subtitled")).status_code == 200
        assert prober.muxed == 2

    async def test_it_goes_with_the_file(self, client, clip, objects):
        await client.get(f"{STREAMING}/{clip}/subtitled")
        assert (await client.delete(f"/api/files/{clip}")).status_code == 204
        assert await keys(objects) == []

    async def test_one_that_is_stored_after_its_file_is_gone_is_swept(
        self, client, clip, objects, sessions, prober: LocalProber, monkeypatch
    ):
        mux = prober.mux

        # The video itself is gone, so it is put back for the decoder to read.
        (key,) = await keys(objects)
        content = await objects.get(key)

        async def after_deletion(request) -> int:
            assert (await client.delete(f"/api/files/{clip}")).status_code == 204
            await objects.put(key, content)
            size = await mux(request)
            await objects.delete([key])
            return size

        monkeypatch.setattr(prober, "mux", after_deletion)
        await client.get(f"{STREAMING}/{clip}/subtitled")
        (orphan,) = await keys(objects)
        assert ".subtitled/" in orphan
        sweep = leftovers.sweeper(sessions, objects)
        async with session_scope(sessions) as session:
            await session.execute(text("UPDATE outbox SET due_at = now()"))
        async with session_scope(sessions) as session:
            entries = await outbox.take(session, Destination.objects, 100, leftovers.GRACE)
        for entry in entries:
            assert isinstance(entry, OutboxEntry)
            await sweep(entry)
        assert await keys(objects) == []

    async def test_a_signed_address_opens_it(self, client, anonymous, clip):
        path = f"{STREAMING}/{clip}"
        answer = await client.post(f"{path}/url", json={"kind": "subtitled"})
        url = answer.json()["data"]["url"]
        assert (await anonymous.get(url)).status_code == 200
        assert (await anonymous.get(f"{path}/subtitled")).status_code == 401

    async def test_sound_alone_has_no_picture_for_them(self, client, recording, sessions):
        file_id = await uploaded(client, recording, "a.flac")
        await transcribed(sessions, file_id)
        answer = await client.get(f"{STREAMING}/{file_id}/subtitled")
        assert error_type(answer) == (422, "no_video")

    async def test_none_before_there_is_a_transcript(self, client, clips):
        file_id = await uploaded(client, clips["mp4"], "clip.mp4")
        answer = await client.get(f"{STREAMING}/{file_id}/subtitled")
        assert error_type(answer) == (409, "transcript_not_ready")

    async def test_a_decoder_that_is_away_leaves_nothing_half_made(
        self, client, clip, objects, prober: LocalProber, monkeypatch
    ):
        mux = prober.mux

        async def away(request) -> int:
            raise SpeechUnavailable("Preparer did not answer.")

        monkeypatch.setattr(prober, "mux", away)
        path = f"{STREAMING}/{clip}/subtitled"
        answer = await client.get(path)
        assert error_type(answer) == (503, "speech_unavailable")
        assert "retry-after" in answer.headers
        assert len(await keys(objects)) == 1
        monkeypatch.setattr(prober, "mux", mux)
        assert (await client.get(path)).status_code == 200

    async def test_who_waits_too_long_is_told_to_come_again(
        self, client, clip, services, prober: LocalProber, monkeypatch
    ):
        monkeypatch.setattr(subtitled, "WAIT_SECONDS", 0.2)
        monkeypatch.setattr(subtitled, "LOOK_SECONDS", 0.05)
        names: list[str] = []

        def noted(guards, *name):
            names[:] = name
            return guard(guards, *name)

        monkeypatch.setattr(subtitled, "guard", noted)
        path = f"{STREAMING}/{clip}/subtitled"
        await client.get(path)
        await client.delete(f"{STREAMING}/{clip}/cache")
        # Another replica is at it.
        async with guard(services.guards, *names):
            answer = await client.get(path)
        assert error_type(answer) == (503, "server_busy")
        # All places of this one are taken.
        async with services.muxing, services.muxing:
            answer = await client.get(path)
        assert error_type(answer) == (503, "server_busy")
        assert prober.muxed == 1
