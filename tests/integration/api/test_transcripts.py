"""Reading transcripts: whole, page by page, conditionally, and as exports that follow edits."""

import json
import uuid

import pytest
from sqlalchemy import event, select, text

from db.engine import session_scope
from db.models import AuditEvent, Segment, Transcript
from tests.fixtures.files import promote, stored_files
from tests.fixtures.transcripts import SAID, conversation
from tests.integration.api.test_uploads import error_type

FILES = "/api/files"


async def pages(client, file_id: str, **params) -> dict:
    answer = await client.get(f"{FILES}/{file_id}/transcript/segments", params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


def texts(page: dict) -> list[str]:
    return [segment["text"] for segment in page["items"]]


class TestWhole:
    async def test_the_whole_is_enveloped_and_tagged(self, client, sessions):
        file_id = await conversation(sessions, client)
        answer = await client.get(f"{FILES}/{file_id}/transcript")
        body = answer.json()
        assert (body["status"], body["message"]) == ("success", "Transcript")
        assert [segment["text"] for segment in body["data"]["segments"]] == [s for _, s in SAID]
        assert body["data"]["version"] == 1
        assert answer.headers["etag"].endswith('-1"')

    async def test_what_the_client_has_is_not_sent_again(self, client, sessions):
        file_id = await conversation(sessions, client)
        url = f"{FILES}/{file_id}/transcript"
        tag = (await client.get(url)).headers["etag"]
        for known in (tag, f"W/{tag}", f'"x", {tag}', "*"):
            answer = await client.get(url, headers={"If-None-Match": known})
            assert (answer.status_code, answer.content) == (304, b"")
            assert answer.headers["etag"] == tag
        other = await client.get(url, headers={"If-None-Match": '"x"'})
        assert other.status_code == 200

    async def test_none_yet(self, client, sessions):
        [file_id] = await stored_files(sessions, client)
        for path in ("transcript", "transcript/segments", "exports/srt", "analytics"):
            answer = await client.get(f"{FILES}/{file_id}/{path}")
            assert error_type(answer) == (409, "transcript_not_ready")

    async def test_an_administrators_reading_is_written_down_although_nothing_is_sent(
        self, client, stranger, sessions
    ):
        file_id = await conversation(sessions, client)
        await promote(sessions, stranger)
        url = f"{FILES}/{file_id}/transcript"
        tag = (await stranger.get(url)).headers["etag"]
        assert (await stranger.get(url, headers={"If-None-Match": tag})).status_code == 304
        for path in ("transcript/segments", "transcript/edits", "exports/txt", "analytics"):
            assert (await stranger.get(f"{FILES}/{file_id}/{path}")).status_code == 200
        async with session_scope(sessions) as session:
            read = select(AuditEvent).where(AuditEvent.action == "file.read")
            events = (await session.scalars(read)).all()
        assert [event.subject_id for event in events] == [file_id] * 6


class TestPages:
    async def test_in_order_with_their_number(self, client, sessions):
        file_id = await conversation(sessions, client, [(0, f"Word {n}") for n in range(7)])
        page = await pages(client, file_id, page=2, page_size=3)
        assert (page["total"], page["total_pages"]) == (7, 3)
        assert texts(page) == ["Word 3", "Word 4", "Word 5"]
        assert [segment["index"] for segment in page["items"]] == [3, 4, 5]
        assert texts(await pages(client, file_id, page=4, page_size=3)) == []

    async def test_by_time(self, client, sessions):
        # 0-1.9, 2-3.4, 3.5-5.4, 5.5-5.9
        file_id = await conversation(sessions, client)
        assert texts(await pages(client, file_id, **{"from": 3.4})) == [s for _, s in SAID[2:]]
        assert texts(await pages(client, file_id, to=2)) == ["Good morning to all."]
        page = await pages(client, file_id, **{"from": 2.1, "to": 3.6})
        assert texts(page) == ["Shall we begin?", "Yes, let us begin."]
        assert page["total"] == 2

    async def test_by_speaker(self, client, sessions):
        file_id = await conversation(sessions, client)
        whole = (await client.get(f"{FILES}/{file_id}/transcript")).json()["data"]
        ids = {speaker["label"]: speaker["id"] for speaker in whole["speakers"]}
        page = await pages(client, file_id, speaker=ids["SPEAKER_01"])
        assert texts(page) == ["Yes, let us begin."]
        assert page["items"][0]["speaker"] == "SPEAKER_01"
        both = await pages(client, file_id, speaker=list(ids.values()), page_size=1, page=2)
        assert (both["total"], texts(both)) == (4, ["Shall we begin?"])
        assert (await pages(client, file_id, speaker=str(uuid.uuid4())))["total"] == 0

    @pytest.mark.parametrize(
        "params",
        [
            {"from": -1},
            {"from": "nan"},
            {"to": "inf"},
            {"to": "x"},
            {"speaker": "Ada"},
            {"page": 0},
        ],
    )
    async def test_questions_that_make_no_sense(self, client, sessions, params):
        file_id = await conversation(sessions, client)
        answer = await client.get(f"{FILES}/{file_id}/transcript/segments", params=params)
        assert error_type(answer) == (422, "validation_error")

    async def test_a_page_far_behind_reads_only_itself(self, client, sessions):
        """Whatever the transcript's length: an offset would read all that comes before."""
        file_id = await conversation(sessions, client, [(0, "Word")])
        async with session_scope(sessions) as session:
            transcript = await session.scalar(select(Transcript))
            await session.execute(
                text("""
                    INSERT INTO segment (transcript_id, index, start, "end", text, words,
                                         avg_logprob, no_speech_prob, compression_ratio,
                                         temperature)
                    SELECT :id, n, n, n + 1, 'Word ' || n, '[]', 0, 0, 0, 0
                    FROM generate_series(1, 20000) AS n
                """),
                {"id": transcript.id},
            )
            await session.execute(text("ANALYZE segment"))
        statements: list[tuple[str, tuple]] = []
        engine = sessions.kw["bind"].sync_engine

        def seen(_connection, _cursor, statement, parameters, *_):
            if "FROM segment" in statement:
                statements.append((statement, parameters))

        event.listen(engine, "before_cursor_execute", seen)
        page = await pages(client, file_id, page=200, page_size=100)
        event.remove(engine, "before_cursor_execute", seen)
        assert texts(page)[0] == "Word 19900"
        assert page["total"] == 20_001
        assert len(statements) == 2
        async with session_scope(sessions) as session:
            connection = await session.connection()
            for statement, parameters in statements:
                rows = await connection.exec_driver_sql(
                    f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", parameters
                )
                plan = rows.scalar_one()
                plan = json.loads(plan) if isinstance(plan, str) else plan
                assert touched(plan[0]["Plan"]) <= 100


def touched(plan: dict) -> int:
    """The most rows that a node of a plan read, those thrown away included."""
    read = plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0)
    return int(max([read, *map(touched, plan.get("Plans", []))]))


class TestExportsFollowEdits:
    async def test_text_speaker_and_name_are_in_every_format(self, client, sessions):
        file_id = await conversation(sessions, client)
        url = f"{FILES}/{file_id}/transcript"
        third = (await client.get(url)).json()["data"]["segments"][2]
        answer = await client.put(
            f"{url}/segments/{third['id']}",
            json={"text": "Indeed, let us start.", "new_speaker": "Grace"},
            headers={"If-Match": "*"},
        )
        assert answer.status_code == 200, answer.text
        found = {
            suffix: (await client.get(f"{FILES}/{file_id}/exports/{suffix}")).text
            for suffix in ("txt", "srt", "vtt", "json", "rttm", "ctm")
        }
        for suffix in ("txt", "srt", "vtt", "json"):
            assert "Indeed, let us start." in found[suffix]
            assert "Grace" in found[suffix]
            assert "Yes," not in found[suffix]
        # 0.4 s and 1.9 s of the third segment, as its words have them.
        assert " 1 3.500 0.400 Indeed, 1.000\n" in found["ctm"]
        assert " 1 3.500 1.900 <NA> <NA> SPEAKER_02 <NA> <NA>\n" in found["rttm"]
        assert "SPEAKER_01" not in found["rttm"]
        turns = json.loads(found["json"])["turns"]
        assert [turn["speaker"] for turn in turns] == ["SPEAKER_00", "SPEAKER_02", "SPEAKER_00"]

    async def test_turns_are_diarizations_until_a_person_knows_better(self, client, sessions):
        heard = [[0.0, 5.0, "SPEAKER_00"], [3.0, 6.0, "SPEAKER_01"]]
        file_id = await conversation(sessions, client, turns=heard)
        url = f"{FILES}/{file_id}/transcript"
        first = (await client.get(url)).json()["data"]["segments"][0]
        edited = {"json": {"text": "Good evening to all."}, "headers": {"If-Match": "*"}}
        assert (await client.put(f"{url}/segments/{first['id']}", **edited)).status_code == 200
        rttm = (await client.get(f"{FILES}/{file_id}/exports/rttm")).text
        assert [line.split()[3:5] for line in rttm.splitlines()] == [
            ["0.000", "5.000"],
            ["3.000", "3.000"],
        ]

    async def test_a_long_transcript_comes_whole(self, client, sessions):
        file_id = await conversation(sessions, client, [(n % 2, f"Word {n}") for n in range(3000)])
        async with session_scope(sessions) as session:
            assert len((await session.scalars(select(Segment.id))).all()) == 3000
        whole = (await client.get(f"{FILES}/{file_id}/transcript")).json()["data"]
        assert len(whole["segments"]) == 3000
        txt = (await client.get(f"{FILES}/{file_id}/exports/txt")).text
        assert len(txt.splitlines()) == 3000
