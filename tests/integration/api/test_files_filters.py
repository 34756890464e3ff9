"""The list of files: every filter, every order, labels, and what the filters can be set to."""

import uuid
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import event

from db import vocabulary
from db.engine import Sessions, session_scope
from db.models import (
    Collection,
    CollectionMember,
    FileStatus,
    FileTag,
    MediaFile,
    Speaker,
    Tag,
    Transcript,
)
from tests.integration.api.test_uploads import error_type

FILES = "/api/files"

ARCHIVE: dict[str, dict[str, Any]] = {
    "a": {
        "filename": "Interview 100%.m4a",
        "title": "Talk with Ada",
        "content_type": "audio/mp4",
        "size_bytes": 1_000,
        "duration": 10.0,
        "language": "en",
        "status": FileStatus.completed,
        "created_at": datetime(2026, 1, 1, 23, 59, tzinfo=UTC),
        "completed_at": datetime(2026, 1, 2, tzinfo=UTC),
        "probe": {"container": "mp4", "audio_codec": "aac"},
    },
    "b": {
        "filename": "board_meeting.mp4",
        "content_type": "video/mp4",
        "size_bytes": 2_000,
        "duration": 20.0,
        "language": "de",
        "status": FileStatus.completed,
        "created_at": datetime(2026, 1, 2, 0, 0, tzinfo=UTC),
        "completed_at": datetime(2026, 1, 5, tzinfo=UTC),
        "probe": {"container": "mp4", "audio_codec": "aac"},
        "media_metadata": {"VideoWidth": 1920, "VideoHeight": 1080, "VideoCodec": "avc1"},
    },
    "c": {
        "filename": "ÜBUNG.flac",
        "content_type": "audio/flac",
        "size_bytes": 3_000,
        "duration": None,
        "language": None,
        "status": FileStatus.failed,
        "created_at": datetime(2026, 1, 3, 12, 0, tzinfo=UTC),
        "probe": {"container": "flac", "audio_codec": "flac"},
        "media_metadata": {"VideoWidth": "no number"},
    },
}
SAID = {"a": ["Hello there, general."], "b": ["Guten Tag, 東京タワー"]}
TAGS = {"a": ["Press", "team"], "b": ["press"]}
VOICES = {
    "a": [("SPEAKER_00", "Ada Lovelace"), ("SPEAKER_01", None)],
    "b": [("SPEAKER_00", "Grace")],
}


async def fill(sessions: Sessions, user_id: uuid.UUID) -> dict[str, uuid.UUID]:
    """Write the archive for this user; ids by the name here."""
    ids = {name: uuid.uuid4() for name in ARCHIVE}
    async with session_scope(sessions) as session:
        for name, values in ARCHIVE.items():
            key = str(ids[name])
            file = {"media_metadata": {}, "sha256": key.replace("-", "") * 2, **values}
            session.add(MediaFile(id=ids[name], user_id=user_id, object_key=key, **file))
        await session.flush()
        for name, texts in SAID.items():
            session.add(
                Transcript(
                    media_file_id=ids[name],
                    task="transcribe",
                    diarization="done",
                    vocabulary=vocabulary.stored(texts),
                )
            )
        tags = {name: Tag(user_id=user_id, name=name) for name in ("Press", "team")}
        spring = Collection(user_id=user_id, name="Spring")
        session.add_all([*tags.values(), spring])
        await session.flush()
        for name, named in TAGS.items():
            for one in named:
                tag = tags["Press"] if one.lower() == "press" else tags[one]
                session.add(FileTag(media_file_id=ids[name], tag_id=tag.id))
        session.add(CollectionMember(collection_id=spring.id, media_file_id=ids["b"]))
        for name, voices in VOICES.items():
            for label, called in voices:
                session.add(
                    Speaker(
                        user_id=user_id, media_file_id=ids[name], label=label, display_name=called
                    )
                )
        ids["spring"] = spring.id
    return ids


async def user_id(client) -> uuid.UUID:
    return uuid.UUID((await client.get("/api/auth/me")).json()["data"]["id"])


@pytest.fixture
async def archive(client, sessions) -> dict[str, uuid.UUID]:
    return await fill(sessions, await user_id(client))


async def found(client, archive, **params) -> str:
    """Which files are listed, by their names here, in the list's order."""
    answer = await client.get(FILES, params=params)
    assert answer.status_code == 200, answer.text
    page = answer.json()["data"]
    names = {str(key): name for name, key in archive.items()}
    shown = "".join(names[item["id"]] for item in page["items"])
    assert page["total"] == len(shown)
    return shown


class TestFilters:
    @pytest.mark.parametrize(
        ("params", "expected"),
        [
            ({}, "cba"),
            ({"search": "interview"}, "a"),
            ({"search": "WITH ada"}, "a"),
            ({"search": "%"}, "a"),
            ({"search": "_"}, "b"),
            ({"search": "\\"}, ""),
            ({"search": "übung"}, "c"),
            ({"search": "nowhere"}, ""),
            ({"tag": "press"}, "ba"),
            ({"tag": ["PRESS", "Team"]}, "a"),
            ({"tag": ["press", "nobody's"]}, ""),
            ({"speaker": "ada lovelace"}, "a"),
            ({"speaker": "speaker_00"}, "ba"),
            ({"speaker": ["Ada Lovelace", "SPEAKER_01"]}, "a"),
            ({"speaker": ["Ada Lovelace", "Grace"]}, ""),
            ({"speaker": "Ada"}, ""),
            ({"min_duration": 10, "max_duration": 10}, "a"),
            ({"min_duration": 10.5}, "b"),
            ({"min_file_size": 2000}, "cb"),
            ({"max_file_size": 2000}, "ba"),
            ({"file_type": "audio"}, "ca"),
            ({"file_type": ["video", "audio/flac"]}, "cb"),
            ({"file_type": "audio/ogg"}, ""),
            ({"status": "failed"}, "c"),
            ({"status": ["failed", "completed"]}, "cba"),
            ({"language": "de"}, "b"),
            ({"from_date": "2026-01-02"}, "cb"),
            ({"to_date": "2026-01-02"}, "ba"),
            ({"to_date": "2026-01-01"}, "a"),
            ({"from_date": "2026-01-02", "to_date": "2026-01-02"}, "b"),
            ({"to_date": "2026-01-02T00:00:00Z"}, "ba"),
            ({"to_date": "2026-01-01T23:59:59"}, "a"),
            ({"from_date": "2026-01-02T02:00:00+02:00"}, "cb"),
            ({"transcript_search": "hello"}, "a"),
            ({"transcript_search": "GENERAL hel"}, "a"),
            ({"transcript_search": "hello guten"}, ""),
            ({"transcript_search": "東京"}, "b"),
            ({"transcript_search": "'hello' & !there | :*"}, "a"),
            ({"tag": "press", "file_type": "video", "language": "de", "search": "MEET"}, "b"),
        ],
    )
    async def test_each(self, client, archive, params, expected):
        assert await found(client, archive, **params) == expected

    async def test_a_collection(self, client, stranger, archive):
        assert await found(client, archive, collection_id=str(archive["spring"])) == "b"
        assert await found(client, archive, collection_id=str(uuid.uuid4())) == ""
        params = {"collection_id": str(archive["spring"])}
        theirs = await stranger.get(FILES, params=params)
        assert theirs.json()["data"]["total"] == 0

    async def test_nothing_of_others_is_found(self, stranger, archive):
        for params in ({}, {"tag": "press"}, {"speaker": "Grace"}, {"transcript_search": "hello"}):
            assert await found(stranger, archive, **params) == ""

    @pytest.mark.parametrize(
        ("params", "pointer"),
        [
            ({"min_duration": 2, "max_duration": 1}, "#/min_duration"),
            ({"min_file_size": 2, "max_file_size": 1}, "#/min_file_size"),
            ({"from_date": "2026-01-02", "to_date": "2026-01-01"}, "#/from_date"),
            ({"search": ""}, "#/search"),
            ({"search": "  "}, "#/search"),
            ({"search": "a\x00b"}, "#/search"),
            ({"search": "x" * 201}, "#/search"),
            ({"tag": "a\x00b"}, "#/tag/0"),
            ({"tag": [f"t{number}" for number in range(21)]}, "#/tag"),
            ({"transcript_search": "?!"}, "#/transcript_search"),
            ({"file_type": "audio/%"}, "#/file_type/0"),
            ({"language": "EN"}, "#/language"),
            ({"min_duration": "nan"}, "#/min_duration"),
            ({"min_file_size": 2**63}, "#/min_file_size"),
            ({"collection_id": "1"}, "#/collection_id"),
            ({"sort": "sha256"}, "#/sort"),
        ],
    )
    async def test_what_makes_no_sense_is_refused(self, client, params, pointer):
        answer = await client.get(FILES, params=params)
        assert error_type(answer) == (422, "validation_error")
        assert answer.json()["errors"][0]["pointer"] == pointer

    @pytest.mark.parametrize(
        "moment", ["9999-12-31T23:59:59-23:00", "0001-01-01", "2026-13-01", "nan", "\x00"]
    )
    async def test_no_date_is_our_fault(self, client, moment):
        answer = await client.get(FILES, params={"from_date": moment})
        assert error_type(answer) == (422, "validation_error")


class TestOrder:
    @pytest.mark.parametrize(
        ("sort", "upwards"),
        [
            ("created_at", "abc"),
            ("completed_at", "cab"),
            ("size_bytes", "abc"),
            ("duration", "cab"),
            ("status", "abc"),
        ],
    )
    async def test_each_both_ways(self, client, archive, sort, upwards):
        assert await found(client, archive, sort=sort, order="asc") == upwards
        assert await found(client, archive, sort=sort, order="desc") == upwards[::-1]

    async def test_pages_show_each_file_once(self, client, sessions):
        await fill(sessions, await user_id(client))
        for sort in ("created_at", "completed_at", "filename", "size_bytes", "duration", "status"):
            seen = []
            for page in (1, 2, 3, 4):
                params = {"sort": sort, "page": page, "page_size": 1}
                answer = (await client.get(FILES, params=params)).json()["data"]
                assert (answer["total"], answer["total_pages"]) == (3, 3)
                seen += [item["id"] for item in answer["items"]]
            assert len(seen) == len(set(seen)) == 3


class TestLabels:
    async def test_items_and_the_detail_carry_them(self, client, archive):
        items = {item["id"]: item for item in (await client.get(FILES)).json()["data"]["items"]}
        a, b, c = (items[str(archive[name])] for name in "abc")
        assert (a["tags"], a["collections"]) == (["Press", "team"], [])
        assert b["collections"] == [{"id": str(archive["spring"]), "name": "Spring"}]
        assert c["tags"] == []
        detail = (await client.get(f"{FILES}/{archive['b']}")).json()["data"]
        assert (detail["tags"], detail["collections"]) == (b["tags"], b["collections"])

    async def test_a_page_asks_as_often_as_one_file(self, client, archive, sessions):
        asked = []
        engine = sessions.kw["bind"].sync_engine

        def count(*arguments) -> None:
            asked.append(arguments[2])

        event.listen(engine, "before_cursor_execute", count)
        try:
            await client.get(FILES, params={"page_size": 1})
            one = len(asked)
            await client.get(FILES, params={"page_size": 100})
            assert len(asked) == 2 * one
        finally:
            event.remove(engine, "before_cursor_execute", count)


class TestMetadataFilters:
    async def test_what_there_is(self, client, archive):
        known = (await client.get(f"{FILES}/metadata-filters")).json()["data"]
        assert known == {
            "formats": ["mp4", "flac"],
            "codecs": ["aac", "flac"],
            "video_codecs": ["avc1"],
            "languages": ["de", "en"],
            "content_types": ["audio/flac", "audio/mp4", "video/mp4"],
            "duration": {"min": 10, "max": 20},
            "file_size": {"min": 1000, "max": 3000},
            "width": {"min": 1920, "max": 1920},
            "height": {"min": 1080, "max": 1080},
            "tags": ["Press", "team"],
            "speakers": ["Ada Lovelace", "Grace"],
        }

    async def test_of_ones_own(self, stranger, archive):
        known = (await stranger.get(f"{FILES}/metadata-filters")).json()["data"]
        nothing = {"min": None, "max": None}
        assert known.pop("duration") == known.pop("file_size") == nothing
        assert known.pop("width") == known.pop("height") == nothing
        assert set(map(tuple, known.values())) == {()}
