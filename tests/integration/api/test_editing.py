"""Editing transcripts: versions, races, what becomes of segments."""

import asyncio
import uuid

import pytest
from sqlalchemy import select, text

from cluster.settings import VoiceSettings
from db.engine import session_scope
from db.models import MediaFile, Segment, Transcript
from tests.fixtures.files import promote, stored_files
from tests.fixtures.transcripts import (
    ANY,
    FILES,
    SAID,
    conversation,
    edit,
    finds,
    history,
    merge,
    read,
    sound,
    split,
)
from tests.integration.api.test_uploads import error_type


@pytest.fixture
async def file_id(client, sessions) -> str:
    return await conversation(sessions, client)


class TestVersions:
    async def test_an_edit_names_what_it_was_made_on(self, client, file_id):
        before, tag = await read(client, file_id)
        [first, *_] = before["segments"]
        answer = await edit(client, file_id, first, {"text": "Good evening."}, {"If-Match": tag})
        assert answer.status_code == 200
        data = answer.json()["data"]
        assert (data["version"], data["removed"]) == (2, [])
        after, now = await read(client, file_id)
        assert now == answer.headers["etag"] != tag
        assert after["version"] == 2
        assert data["segments"] == [after["segments"][0]]
        assert after["segments"][1:] == before["segments"][1:]
        sound(after)

    async def test_without_a_version_nothing_is_edited(self, client, file_id):
        before, _ = await read(client, file_id)
        for headers in ({}, {"If-Match": ""}):
            answer = await edit(client, file_id, before["segments"][0], {"text": "x"}, headers)
            assert error_type(answer) == (428, "precondition_required")
        assert (await read(client, file_id))[0] == before

    async def test_an_old_version_is_refused_and_the_new_one_named(self, client, file_id):
        before, tag = await read(client, file_id)
        [first, second, *_] = before["segments"]
        assert (await edit(client, file_id, first, {"text": "One."})).status_code == 200
        for known in (tag, f"W/{tag}", '"x"'):
            answer = await edit(client, file_id, second, {"text": "Two."}, {"If-Match": known})
            assert error_type(answer) == (412, "precondition_failed")
            assert answer.json()["version"] == 2
        tags = f"{tag}, {answer.headers['etag']}"
        again = await edit(client, file_id, second, {"text": "Two."}, {"If-Match": tags})
        assert again.status_code == 200

    async def test_a_tag_that_a_proxy_made_weak_names_its_version(self, client, file_id):
        before, tag = await read(client, file_id)
        headers = {"If-Match": f"W/{tag}"}
        answer = await edit(client, file_id, before["segments"][0], {"text": "One."}, headers)
        assert (answer.status_code, answer.json()["data"]["version"]) == (200, 2)

    async def test_of_editors_at_the_same_time_one_wins(self, client, file_id, sessions):
        before, tag = await read(client, file_id)
        [first, second, third, _] = before["segments"]
        headers = {"If-Match": tag}
        answers = await asyncio.gather(
            *(edit(client, file_id, first, {"text": f"Editor {n}."}, headers) for n in range(4)),
            split(client, file_id, first, {"word": 1}, headers),
            merge(client, file_id, [second, third], headers),
            edit(client, file_id, third, {"new_speaker": "Grace"}, headers),
        )
        assert sorted(answer.status_code for answer in answers) == [200] + [412] * 6
        after, _ = await read(client, file_id)
        assert after["version"] == 2
        assert len(await history(client, file_id)) == 1
        sound(after)

    async def test_editors_who_do_not_look_come_one_after_the_other(self, client, file_id):
        before, _ = await read(client, file_id)
        answers = await asyncio.gather(
            *(edit(client, file_id, s, {"text": f"Line {s['index']}."}) for s in before["segments"])
        )
        assert [answer.status_code for answer in answers] == [200] * 4
        after, _ = await read(client, file_id)
        assert [segment["text"] for segment in after["segments"]] == [
            f"Line {n}." for n in range(4)
        ]
        assert after["version"] == 5

    async def test_what_is_so_already_is_no_edit(self, client, file_id):
        before, tag = await read(client, file_id)
        answer = await edit(client, file_id, before["segments"][0], {"text": SAID[0][1]})
        assert answer.json()["data"]["edit_id"] is None
        assert answer.headers["etag"] == tag
        assert (await read(client, file_id)) == (before, tag)
        assert await history(client, file_id) == []


class TestSegments:
    async def test_text(self, client, file_id, sessions):
        before, _ = await read(client, file_id)
        first = before["segments"][0]
        answer = await edit(client, file_id, first, {"text": " Good  evening\nto you all. "})
        [segment] = answer.json()["data"]["segments"]
        assert segment["text"] == "Good evening to you all."
        assert (segment["edited"], segment["speaker"]) == (True, "SPEAKER_00")
        old = {word["word"]: word for word in first["words"]}
        new = {word["word"]: word for word in segment["words"]}
        for word in ("Good", "to", "all."):
            assert new[word] == old[word]
        assert new["evening"] == {**old["morning"], "word": "evening", "probability": 1.0}
        assert old["to"]["end"] <= new["you"]["start"] <= new["you"]["end"] <= old["all."]["start"]
        assert await finds(sessions, file_id, "evening begin")
        assert not await finds(sessions, file_id, "morning")

    async def test_a_confirmed_text_is_in_no_doubt(self, client, file_id, sessions):
        async with session_scope(sessions) as session:
            await session.execute(text("UPDATE segment SET doubt = 'repetition' WHERE index = 0"))
        before, _ = await read(client, file_id)
        answer = await edit(client, file_id, before["segments"][0], {"text": SAID[0][1]})
        [segment] = answer.json()["data"]["segments"]
        assert (segment["doubt"], segment["edited"]) == (None, True)
        assert segment["words"] == before["segments"][0]["words"]

    async def test_a_speaker_of_the_file(self, client, file_id):
        before, _ = await read(client, file_id)
        other = before["speakers"][1]
        answer = await edit(client, file_id, before["segments"][0], {"speaker_id": other["id"]})
        [segment] = answer.json()["data"]["segments"]
        assert {segment["speaker"], *(w["speaker"] for w in segment["words"])} == {other["label"]}
        assert segment["text"] == SAID[0][1]
        nobody = await edit(client, file_id, segment, {"speaker_id": None})
        [segment] = nobody.json()["data"]["segments"]
        assert {segment["speaker"], *(w["speaker"] for w in segment["words"])} == {None}
        after, _ = await read(client, file_id)
        assert after["turns"] == before["turns"]

    async def test_a_speaker_who_is_new(self, client, file_id):
        before, _ = await read(client, file_id)
        answer = await edit(
            client, file_id, before["segments"][2], {"new_speaker": "Grace", "text": "Yes."}
        )
        data = answer.json()["data"]
        assert data["segments"][0]["speaker"] == "SPEAKER_02"
        assert [(s["label"], s["display_name"]) for s in data["speakers"]] == [
            ("SPEAKER_00", "Ada"),
            ("SPEAKER_01", None),
            ("SPEAKER_02", "Grace"),
        ]
        for name in ("Grace", "Ada", "SPEAKER_01"):
            again = await edit(client, file_id, before["segments"][3], {"new_speaker": name})
            assert error_type(again) == (409, "name_taken")

    async def test_without_diarization_the_first_speaker_is_the_first(self, client, sessions):
        file_id = await conversation(sessions, client, [(None, "Hello there.")], speakers=0)
        before, _ = await read(client, file_id)
        answer = await edit(client, file_id, before["segments"][0], {"new_speaker": "Ada"})
        assert answer.json()["data"]["segments"][0]["speaker"] == "SPEAKER_00"

    @pytest.mark.parametrize(
        "body",
        [
            {},
            {"text": None},
            {"text": ""},
            {"text": " \n"},
            {"text": "\u3000"},
            {"text": "nul \0"},
            {"text": "escape \x1b[2J"},
            {"text": "x" * 10_001},
            {"text": 5},
            {"text": ["a"]},
            {"speaker_id": "Ada"},
            {"new_speaker": ""},
            {"new_speaker": "A\nB"},
            {"new_speaker": "x" * 101},
            {"new_speaker": "\u202eadA"},
            {"new_speaker": "Ada", "speaker_id": None},
        ],
    )
    async def test_what_no_segment_can_be(self, client, file_id, body):
        before, _ = await read(client, file_id)
        answer = await edit(client, file_id, before["segments"][0], body)
        assert error_type(answer) == (422, "validation_error")
        assert (await read(client, file_id))[0] == before

    async def test_lone_surrogates(self, client, file_id):
        before, _ = await read(client, file_id)
        url = f"{FILES}/{file_id}/transcript/segments/{before['segments'][0]['id']}"
        for name in ("text", "new_speaker"):
            answer = await client.put(
                url,
                content=f'{{"{name}": "\\ud800"}}',
                headers={**ANY, "Content-Type": "application/json"},
            )
            assert error_type(answer) == (422, "validation_error")

    async def test_what_is_of_another_file_is_not_found(self, client, file_id, sessions):
        before, _ = await read(client, file_id)
        other_id = await conversation(sessions, client)
        other, _ = await read(client, other_id)
        answers = [
            await edit(client, file_id, other["segments"][0], {"text": "x"}),
            await split(client, file_id, other["segments"][0], {"word": 1}),
            await merge(client, file_id, [before["segments"][0], other["segments"][1]]),
            await edit(
                client,
                file_id,
                before["segments"][0],
                {"speaker_id": other["speakers"][0]["id"]},
            ),
        ]
        assert [error_type(answer) for answer in answers] == [(404, "not_found")] * 4
        assert (await read(client, file_id))[0] == before
        assert (await read(client, other_id))[0] == other

    async def test_nobody_edits_what_is_not_theirs(self, client, stranger, file_id, sessions):
        before, _ = await read(client, file_id)
        segment = before["segments"][0]
        for _ in range(2):
            answer = await edit(stranger, file_id, segment, {"text": "x"})
            assert error_type(answer) == (404, "not_found")
            await promote(sessions, stranger)
        assert (await read(client, file_id))[0] == before

    async def test_none_to_edit_yet(self, client, sessions):
        [file_id] = await stored_files(sessions, client)
        answer = await edit(client, file_id, {"id": uuid.uuid4()}, {"text": "x"})
        assert error_type(answer) == (409, "transcript_not_ready")


class TestLimits:
    @pytest.fixture
    def voice_settings(self) -> VoiceSettings:
        return VoiceSettings(max_speakers_per_file=3)

    async def test_no_more_speakers_than_a_file_may_have(self, client, file_id):
        first, second = (await read(client, file_id))[0]["segments"][:2]
        made = await edit(client, file_id, first, {"new_speaker": "Grace"})
        assert made.status_code == 200
        refused = await edit(client, file_id, second, {"new_speaker": "Hedy"})
        assert error_type(refused) == (409, "conflict")
        assert "can have 3" in refused.json()["detail"]
        assert len((await read(client, file_id))[0]["speakers"]) == 3
        # Whoever is there already can still be chosen.
        again = {"speaker_id": made.json()["data"]["speakers"][2]["id"]}
        assert (await edit(client, file_id, second, again)).status_code == 200


class TestSplitAndMerge:
    @pytest.mark.parametrize("where", [{"word": 2}, {"character": 7}, {"time": 0.9}])
    async def test_split(self, client, file_id, where, sessions):
        before, _ = await read(client, file_id)
        answer = await split(client, file_id, before["segments"][0], where)
        assert answer.status_code == 200, answer.text
        first, second = answer.json()["data"]["segments"]
        assert (first["id"], first["index"]) == (before["segments"][0]["id"], 0)
        assert (first["text"], second["text"]) == ("Good morning", "to all.")
        assert (first["end"], second["start"], second["end"]) == (0.9, 1.0, 1.9)
        after, _ = await read(client, file_id)
        assert after["segments"][:2] == [first, second]
        assert [s["id"] for s in after["segments"][2:]] == [s["id"] for s in before["segments"][1:]]
        sound(after)
        assert await finds(sessions, file_id, "morning")

    @pytest.mark.parametrize(
        "where",
        [
            {},
            {"word": 0},
            {"word": 4},
            {"word": 2**40},
            {"character": 0},
            {"character": 20},
            {"time": 0},
            {"time": 1e6},
            {"time": -1},
            {"word": 1, "time": 1},
        ],
    )
    async def test_no_half_is_empty(self, client, file_id, where):
        before, _ = await read(client, file_id)
        answer = await split(client, file_id, before["segments"][0], where)
        assert error_type(answer) == (422, "validation_error")
        assert (await read(client, file_id))[0] == before

    async def test_merge(self, client, file_id):
        before, _ = await read(client, file_id)
        segments = before["segments"]
        answer = await merge(client, file_id, [segments[3], segments[1], segments[2]])
        assert answer.status_code == 200, answer.text
        data = answer.json()["data"]
        [merged] = data["segments"]
        assert merged["text"] == "Shall we begin? Yes, let us begin. Fine."
        assert (merged["id"], merged["index"]) == (segments[1]["id"], 1)
        assert (merged["start"], merged["end"]) == (segments[1]["start"], segments[3]["end"])
        # Four words each: SPEAKER_00 comes first.
        assert merged["speaker"] == "SPEAKER_00"
        assert [word["speaker"] for word in merged["words"]][3] == "SPEAKER_01"
        assert set(data["removed"]) == {segments[2]["id"], segments[3]["id"]}
        after, _ = await read(client, file_id)
        assert after["segments"] == [segments[0], merged]
        again = await split(client, file_id, merged, {"word": 3})
        assert [s["speaker"] for s in again.json()["data"]["segments"]] == [
            "SPEAKER_00",
            "SPEAKER_01",
        ]

    async def test_only_neighbours_are_merged(self, client, file_id):
        before, _ = await read(client, file_id)
        [first, second, third, _] = before["segments"]
        for several in ([first, third], [first, first], [first, first, second]):
            answer = await merge(client, file_id, several)
            assert error_type(answer) == (422, "validation_error"), several
        assert error_type(await merge(client, file_id, [first])) == (422, "validation_error")
        assert (await read(client, file_id))[0] == before

    async def test_a_long_transcript_moves_up_and_down(self, client, sessions):
        said = [(n % 2, f"Line {n}") for n in range(500)]
        file_id = await conversation(sessions, client, said)
        before, _ = await read(client, file_id)
        answer = await split(client, file_id, before["segments"][0], {"word": 1})
        moved, _ = await read(client, file_id)
        assert len(moved["segments"]) == 501
        sound(moved)
        await merge(client, file_id, answer.json()["data"]["segments"])
        after, _ = await read(client, file_id)
        assert after["segments"][1:] == before["segments"][1:]
        sound(after)


class TestTogetherWithOthers:
    async def test_a_file_that_is_deleted_meanwhile(self, client, file_id):
        before, _ = await read(client, file_id)
        answers = await asyncio.gather(
            *(edit(client, file_id, s, {"new_speaker": s["id"]}) for s in before["segments"]),
            client.delete(f"{FILES}/{file_id}"),
        )
        assert answers[-1].status_code == 204
        assert {answer.status_code for answer in answers[:-1]} <= {200, 404}

    async def test_an_edit_waits_for_a_new_transcript_and_is_refused(
        self, client, file_id, sessions
    ):
        before, tag = await read(client, file_id)
        async with session_scope(sessions) as session:
            key = uuid.UUID(file_id)
            old = await session.scalar(select(Transcript).where(Transcript.media_file_id == key))
            await session.delete(old)
            await session.flush()
            session.add(
                Transcript(media_file_id=key, task="transcribe", diarization="off", version=2)
            )
            await session.flush()
            waiting = asyncio.create_task(
                edit(client, file_id, before["segments"][0], {"text": "x"}, {"If-Match": tag})
            )
            await until_someone_waits(sessions)
        assert error_type(await waiting) == (412, "precondition_failed")

    async def test_edits_do_not_hold_up_what_else_changes_a_file(self, client, file_id, sessions):
        before, _ = await read(client, file_id)
        async with session_scope(sessions) as session:
            file = await session.get_one(MediaFile, uuid.UUID(file_id))
            file.title = "Another title"
            await session.flush()
            answer = await edit(client, file_id, before["segments"][0], {"text": "x"})
            assert answer.status_code == 200


async def until_someone_waits(sessions) -> None:
    async with asyncio.timeout(30), sessions() as session:
        waiting = text(
            "SELECT count(*) FROM pg_stat_activity "
            "WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )
        while not await session.scalar(waiting):
            await session.rollback()
            await asyncio.sleep(0.02)


async def test_no_row_is_left_behind(client, sessions):
    file_id = await conversation(sessions, client)
    before, _ = await read(client, file_id)
    await merge(client, file_id, before["segments"])
    async with session_scope(sessions) as session:
        assert len((await session.scalars(select(Segment))).all()) == 1
