"""Users' settings by section, and how transcriptions follow them."""

import asyncio
import json
from typing import Any

import pytest
from sqlalchemy import text

from api import preferences
from api.preferences import DownloadPreferences, TranscriptionPreferences
from db.engine import session_scope
from tests.fixtures.api import complete, prepare, send_all
from tests.fixtures.files import user_id
from tests.integration.api.test_uploads import error_type

SETTINGS = "/api/user-settings"
DEFAULTS: dict[str, dict[str, Any]] = {
    "recording": {
        "max_recording_duration": 120,
        "recording_quality": "high",
        "auto_stop_enabled": True,
    },
    "transcription": {
        "language": None,
        "task": "transcribe",
        "min_speakers": None,
        "max_speakers": None,
        "num_speakers": None,
        "diarize": True,
    },
    "audio-extraction": {
        "auto_extract_enabled": True,
        "extraction_threshold_mb": 100,
        "remember_choice": False,
        "show_modal": True,
    },
    "download": {"video_quality": "best", "audio_only": False, "audio_quality": "best"},
    "ai-summary": {"enabled": True, "speakers": True, "topics": False, "language": None},
}
CHANGES: dict[str, dict[str, Any]] = {
    "recording": {"max_recording_duration": 480},
    "transcription": {"language": "de", "max_speakers": 4},
    "audio-extraction": {"extraction_threshold_mb": 10_000, "show_modal": False},
    "download": {"video_quality": "360p", "audio_only": True},
    "ai-summary": {"topics": True, "language": "ja"},
}


async def put(client, section: str, **values) -> dict:
    answer = await client.put(f"{SETTINGS}/{section}", json=values)
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


async def told(client, section: str) -> dict:
    return (await client.get(f"{SETTINGS}/{section}")).json()["data"]


class TestSections:
    @pytest.mark.parametrize("section", DEFAULTS)
    async def test_defaults_changes_reset(self, client, stranger, section):
        path = f"{SETTINGS}/{section}"
        assert await told(client, section) == DEFAULTS[section]
        changed = DEFAULTS[section] | CHANGES[section]
        assert await put(client, section, **CHANGES[section]) == changed
        # What is not sent stays.
        assert await put(client, section) == changed
        assert await told(client, section) == changed
        assert await told(stranger, section) == DEFAULTS[section]
        for _ in range(2):
            assert (await client.delete(path)).status_code == 204
        assert await told(client, section) == DEFAULTS[section]

    async def test_all(self, client):
        for section in ("download", "audio-extraction"):
            await put(client, section, **CHANGES[section])
        everything = {
            section.replace("-", "_"): values
            | (CHANGES[section] if section in {"download", "audio-extraction"} else {})
            for section, values in DEFAULTS.items()
        }
        assert await told(client, "all") == everything

    async def test_only_what_was_set_is_kept(self, client, sessions):
        await put(client, "recording", auto_stop_enabled=True)
        async with session_scope(sessions) as session:
            kept = await session.scalar(text("SELECT values FROM user_setting"))
        assert kept == {"auto_stop_enabled": True}

    @pytest.mark.parametrize(
        ("section", "body", "pointer"),
        [
            ("recording", {"max_recording_duration": 45}, "#/max_recording_duration"),
            ("recording", {"max_recording_duration": "120"}, "#/max_recording_duration"),
            ("recording", {"recording_quality": "best"}, "#/recording_quality"),
            ("recording", {"auto_stop_enabled": "yes"}, "#/auto_stop_enabled"),
            ("recording", {"section": "transcription"}, "#/section"),
            ("recording", {"unknown": 1}, "#/unknown"),
            ("recording", {"a\u0000b": 1}, "#/a\u0000b"),
            ("recording", [], "#"),
            ("transcription", {"language": "xx"}, "#/language"),
            ("transcription", {"language": "d\u0000"}, "#/language"),
            ("transcription", {"min_speakers": 0}, "#/min_speakers"),
            ("transcription", {"num_speakers": 101}, "#/num_speakers"),
            ("transcription", {"min_speakers": 3, "max_speakers": 2}, "#"),
            ("transcription", {"diarize": None}, "#/diarize"),
            ("audio-extraction", {"extraction_threshold_mb": 0}, "#/extraction_threshold_mb"),
            ("audio-extraction", {"extraction_threshold_mb": 10_001}, "#/extraction_threshold_mb"),
            ("audio-extraction", {"extraction_threshold_mb": 1.5}, "#/extraction_threshold_mb"),
            ("download", {"video_quality": "8k"}, "#/video_quality"),
            ("download", {"audio_quality": 320}, "#/audio_quality"),
            ("ai-summary", {"enabled": "yes"}, "#/enabled"),
            ("ai-summary", {"language": "sv"}, "#/language"),
            ("ai-summary", {"language": 1}, "#/language"),
        ],
    )
    async def test_what_is_refused(self, client, section, body, pointer):
        content = {"content": json.dumps(body), "headers": {"Content-Type": "application/json"}}
        answer = await client.put(f"{SETTINGS}/{section}", **content)
        assert error_type(answer) == (422, "validation_error")
        assert answer.json()["errors"][0]["pointer"] == pointer
        assert await told(client, section) == DEFAULTS[section]

    async def test_what_does_not_go_with_what_is_set(self, client):
        await put(client, "transcription", min_speakers=5)
        answer = await client.put(f"{SETTINGS}/transcription", json={"max_speakers": 2})
        assert error_type(answer) == (422, "validation_error")
        assert "min_speakers (5) exceeds max_speakers (2)" in answer.json()["detail"]
        assert (await told(client, "transcription"))["max_speakers"] is None

    async def test_of_two_changes_at_once_neither_is_lost(self, client):
        changes = {"remember_choice": True, "show_modal": False, "extraction_threshold_mb": 7}
        await asyncio.gather(
            *[put(client, "audio-extraction", **{name: changes[name]}) for name in changes]
        )
        assert await told(client, "audio-extraction") == DEFAULTS["audio-extraction"] | changes

    async def test_bounds_that_meet_are_never_stored(self, client):
        """Each is fine alone; of two at once, the second sees the first."""
        path = f"{SETTINGS}/transcription"
        answers = await asyncio.gather(
            client.put(path, json={"min_speakers": 5}), client.put(path, json={"max_speakers": 2})
        )
        assert sorted(answer.status_code for answer in answers) == [200, 422]
        await told(client, "transcription")

    async def test_other_parts_read_them_by_their_model(self, client, sessions):
        await put(client, "download", audio_only=True)
        owner = await user_id(client)
        async with session_scope(sessions) as session:
            loaded = await preferences.load(session, owner, DownloadPreferences)
            untouched = await preferences.load(session, owner, TranscriptionPreferences)
        assert loaded == DownloadPreferences(audio_only=True)
        assert untouched == TranscriptionPreferences()


class TestTranscriptions:
    async def options(self, client, recording, **form: str) -> dict:
        answer = await client.post(
            "/api/files/upload", files={"file": ("tone.flac", recording)}, data=form
        )
        assert answer.status_code == 201, answer.text
        return answer.json()["data"]["task"]["options"]

    @pytest.mark.parametrize(
        ("preferred", "asked", "options"),
        [
            ({}, {}, {"task": "transcribe"}),
            (
                {"language": "de", "task": "translate", "diarize": False},
                {},
                {"language": "de", "task": "translate", "diarize": False},
            ),
            (
                {"language": "de", "task": "translate", "diarize": False},
                {"language": "auto", "task": "transcribe", "diarize": "true"},
                {"language": "auto", "task": "transcribe", "diarize": True},
            ),
            ({"language": "auto"}, {}, {"language": "auto", "task": "transcribe"}),
            (
                {"min_speakers": 2, "max_speakers": 3},
                {"language": "en"},
                {
                    "language": "en",
                    "min_speakers": 2,
                    "max_speakers": 3,
                    "task": "transcribe",
                },
            ),
            # Who names a number of speakers gets no usual one beside it, and wants speakers.
            (
                {"max_speakers": 3, "num_speakers": 2, "diarize": False},
                {"min_speakers": "5"},
                {"min_speakers": 5, "task": "transcribe"},
            ),
        ],
    )
    async def test_an_upload_takes_what_it_leaves_out(
        self, client, recording, preferred, asked, options
    ):
        await put(client, "transcription", **preferred)
        assert await self.options(client, recording, **asked) == options

    async def test_an_upload_in_parts_too(self, client, long_recording):
        opened = await prepare(client, long_recording, options={"max_speakers": 2})
        await put(client, "transcription", language="de", num_speakers=9)
        await send_all(client, opened, long_recording)
        task = (await complete(client, opened)).json()["data"]["task"]
        expected = {"language": "de", "max_speakers": 2, "task": "transcribe"}
        assert task["options"] == expected

    async def test_others_do_not_follow_them(self, client, stranger, recording):
        await put(client, "transcription", language="de")
        assert await self.options(stranger, recording) == {"task": "transcribe"}

    async def test_files_that_are_there_do_not_change(self, client, recording):
        await self.options(client, recording, language="en")
        await put(client, "transcription", language="de")
        [task] = (await client.get("/api/tasks")).json()["data"]["items"]
        assert task["options"]["language"] == "en"
