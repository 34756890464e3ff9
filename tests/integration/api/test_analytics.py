"""Analytics: computed when asked for, stored by version, never of an older transcript."""

import asyncio
import uuid

from sqlalchemy import select, text, update

from db.engine import session_scope
from db.models import Analytics, Speaker
from db.queries import analytics
from pipelines.analytics import SCHEMA_VERSION
from tests.fixtures.files import promote, stored_files
from tests.fixtures.transcripts import conversation, transcribe
from tests.integration.api.test_uploads import error_type

FILES = "/api/files"


async def figures(client, file_id: str) -> dict:
    answer = await client.get(f"{FILES}/{file_id}/analytics")
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


async def edit_first(client, file_id: str, body: dict) -> None:
    url = f"{FILES}/{file_id}/transcript"
    [first, *_] = (await client.get(url)).json()["data"]["segments"]
    answer = await client.put(f"{url}/segments/{first['id']}", json=body, headers={"If-Match": "*"})
    assert answer.status_code == 200, answer.text


async def rows(sessions) -> list[Analytics]:
    async with session_scope(sessions) as session:
        return list((await session.scalars(select(Analytics))).all())


async def test_figures_of_a_conversation(client, sessions):
    file_id = await conversation(sessions, client)
    found = await figures(client, file_id)
    assert found["file_id"] == file_id
    assert found["word_count"] == 12
    assert found["duration_seconds"] == 6
    # 1.9 + 1.4 + 0.4 and 1.9 seconds; two segments of one speaker are one turn.
    assert found["talk_time"]["by_speaker"] == {"SPEAKER_00": 3.7, "SPEAKER_01": 1.9}
    assert found["turn_taking"] == {"by_speaker": {"SPEAKER_00": 2, "SPEAKER_01": 1}, "total": 3}
    assert found["questions"] == {"by_speaker": {"SPEAKER_00": 1, "SPEAKER_01": 0}, "total": 1}
    assert found["interruptions"]["total"] == 0
    assert [(s["label"], s["display_name"]) for s in found["speakers"]] == [
        ("SPEAKER_00", "Ada"),
        ("SPEAKER_01", None),
    ]


async def test_they_are_computed_once_and_anew_after_an_edit(client, sessions):
    file_id = await conversation(sessions, client)
    first = await figures(client, file_id)
    async with session_scope(sessions) as session:
        marked = {**(await session.scalar(select(Analytics.figures))), "word_count": 4711}
        await session.execute(update(Analytics).values(figures=marked))
    assert (await figures(client, file_id))["word_count"] == 4711
    await edit_first(client, file_id, {"text": "Good morning to all of you here?"})
    after = await figures(client, file_id)
    assert after["word_count"] == 15
    assert after["questions"]["total"] == 2
    assert (first["transcript_version"], after["transcript_version"]) == (1, 2)
    assert len(await rows(sessions)) == 1


async def test_other_definitions_are_computed_anew(client, sessions):
    file_id = await conversation(sessions, client)
    await figures(client, file_id)
    async with session_scope(sessions) as session:
        old = {"schema_version": "0", "figures": {}, "transcript_version": 99}
        await session.execute(update(Analytics).values(old))
    assert (await figures(client, file_id))["word_count"] == 12
    [row] = await rows(sessions)
    assert (row.schema_version, row.transcript_version) == (SCHEMA_VERSION, 1)


async def test_refresh(client, stranger, sessions):
    file_id = await conversation(sessions, client)
    await figures(client, file_id)
    async with session_scope(sessions) as session:
        await session.execute(text("UPDATE analytics SET figures = '{}'"))
    url = f"{FILES}/{file_id}/analytics/refresh"
    answer = await client.post(url)
    assert answer.json()["data"]["word_count"] == 12
    assert (await figures(client, file_id))["word_count"] == 12
    await promote(sessions, stranger)
    assert error_type(await stranger.post(url)) == (404, "not_found")
    [empty] = await stored_files(sessions, client)
    answer = await client.post(f"{FILES}/{empty}/analytics/refresh")
    assert error_type(answer) == (409, "transcript_not_ready")


async def test_a_new_name_is_said_and_nothing_is_computed(client, sessions):
    file_id = await conversation(sessions, client)
    first = await figures(client, file_id)
    async with session_scope(sessions) as session:
        await session.execute(
            update(Speaker).where(Speaker.label == "SPEAKER_01").values(display_name="Grace")
        )
    after = await figures(client, file_id)
    assert [speaker["display_name"] for speaker in after["speakers"]] == ["Ada", "Grace"]
    assert after["computed_at"] == first["computed_at"]


async def test_many_ask_at_the_same_time(client, sessions):
    file_id = await conversation(sessions, client)
    answers = await asyncio.gather(*(figures(client, file_id) for _ in range(8)))
    assert {answer["word_count"] for answer in answers} == {12}
    assert len(await rows(sessions)) == 1


async def test_what_was_computed_late_replaces_nothing_newer(client, sessions):
    file_id = await conversation(sessions, client)
    await edit_first(client, file_id, {"text": "Hello?"})
    await figures(client, file_id)
    async with session_scope(sessions) as session:
        await analytics.store(session, uuid.UUID(file_id), 1, SCHEMA_VERSION, {"word_count": 0})
    [row] = await rows(sessions)
    assert (row.transcript_version, row.figures["word_count"]) == (2, 9)


async def test_a_file_that_is_deleted_while_they_are_computed(client, sessions):
    file_id = await conversation(sessions, client)
    await asyncio.gather(
        *(client.get(f"{FILES}/{file_id}/analytics") for _ in range(4)),
        client.delete(f"{FILES}/{file_id}"),
    )
    assert error_type(await client.get(f"{FILES}/{file_id}/analytics")) == (404, "not_found")
    assert await rows(sessions) == []


async def test_without_diarization_nobody_is_known(client, sessions):
    file_id = await conversation(
        sessions, client, [(None, "Hello there?")], speakers=0, diarization="off"
    )
    found = await figures(client, file_id)
    assert found["talk_time"] == {"by_speaker": {"unknown": 0.9}, "total": 0.9}
    assert (found["interruptions"], found["overlap_seconds"]) == (None, None)


async def test_a_recording_without_speech(client, sessions):
    [file_id] = await stored_files(sessions, client)
    await transcribe(sessions, file_id, [], speakers=0)
    found = await figures(client, file_id)
    assert (found["silence_ratio"], found["word_count"]) == (1, 0)


async def test_they_are_no_stage_of_a_reprocessing(client, sessions):
    file_id = await conversation(sessions, client)
    url = f"{FILES}/{file_id}/reprocess"
    answer = await client.post(url, json={"stages": ["analytics"]})
    assert error_type(answer) == (422, "validation_error")
    assert "/analytics/refresh" in answer.json()["detail"]
