"""The history of a transcript's edits: who did what, undo, and any edits one after the other."""

import uuid

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from db.engine import session_scope
from db.models import TaskEvent
from tests.fixtures.transcripts import (
    FILES,
    content,
    conversation,
    edit,
    finds,
    history,
    merge,
    read,
    sound,
    split,
    undo,
)
from tests.integration.api.test_uploads import error_type


@pytest.fixture
async def file_id(client, sessions) -> str:
    return await conversation(sessions, client)


class TestHistory:
    async def test_who_did_what_newest_first(self, client, file_id):
        before, _ = await read(client, file_id)
        first, second = before["segments"][:2]
        await edit(client, file_id, first, {"text": "Good evening."})
        await merge(client, file_id, [first, second])
        me = (await client.get("/api/auth/me")).json()["data"]
        merged, edited = await history(client, file_id)
        assert (merged["action"], merged["version"]) == ("segments_merged", 3)
        assert [s["text"] for s in merged["before"]] == ["Good evening.", "Shall we begin?"]
        assert [s["text"] for s in merged["after"]] == ["Good evening. Shall we begin?"]
        assert (edited["action"], edited["version"]) == ("text_changed", 2)
        assert (edited["user_id"], edited["user_name"]) == (me["id"], me["email"])
        assert edited["before"] == [
            {name: first[name] for name in ("id", "start", "end", "text", "speaker")}
        ]

    async def test_it_comes_in_pages(self, client, file_id):
        before, _ = await read(client, file_id)
        for n in range(3):
            await edit(client, file_id, before["segments"][0], {"text": f"Line {n}."})
        url = f"{FILES}/{file_id}/transcript/edits"
        page = (await client.get(url, params={"page": 2, "page_size": 2})).json()["data"]
        assert (page["total"], [item["version"] for item in page["items"]]) == (3, [2])

    async def test_clients_are_told(self, client, file_id, sessions):
        before, _ = await read(client, file_id)
        await edit(client, file_id, before["segments"][0], {"speaker_id": None})
        async with session_scope(sessions) as session:
            events = (await session.scalars(select(TaskEvent))).all()
        assert [(e.type, e.payload) for e in events] == [
            (
                "transcript_updated",
                {"file_id": file_id, "version": 2, "action": "speaker_changed"},
            )
        ]
        assert str(events[0].media_file_id) == file_id

    @pytest.mark.parametrize("what", ["text", "speaker", "new_speaker", "split", "merge"])
    async def test_undo_is_exact_and_undone_again(self, client, file_id, what, sessions):
        before, _ = await read(client, file_id)
        segments = before["segments"]
        bodies: dict[str, dict] = {
            "text": {"text": "Something else entirely"},
            "speaker": {"speaker_id": None},
            "new_speaker": {"new_speaker": "Grace"},
        }
        if what == "split":
            answer = await split(client, file_id, segments[1], {"word": 1})
        elif what == "merge":
            answer = await merge(client, file_id, segments[1:])
        else:
            answer = await edit(client, file_id, segments[1], bodies[what])
        edited, _ = await read(client, file_id)
        assert content(edited) != content(before)
        answer = await undo(client, file_id, answer.json()["data"]["edit_id"])
        assert answer.status_code == 200, answer.text
        undone, _ = await read(client, file_id)
        assert content(undone) == content(before)
        assert undone["version"] == 3
        assert await finds(sessions, file_id, "shall we begin")
        answer = await undo(client, file_id, answer.json()["data"]["edit_id"])
        assert answer.status_code == 200, answer.text
        assert content((await read(client, file_id))[0]) == content(edited)

    async def test_only_the_latest_is_undone(self, client, file_id, sessions):
        before, _ = await read(client, file_id)
        first = before["segments"][0]
        edits = [
            (await edit(client, file_id, first, {"text": said})).json()["data"]["edit_id"]
            for said in ("One.", "Two.")
        ]
        assert error_type(await undo(client, file_id, edits[0])) == (409, "conflict")
        other_id = await conversation(sessions, client)
        assert error_type(await undo(client, other_id, edits[1])) == (404, "not_found")
        assert error_type(await undo(client, file_id, edits[1], {})) == (
            428,
            "precondition_required",
        )
        assert (await undo(client, file_id, edits[1])).status_code == 200
        after, _ = await read(client, file_id)
        assert after["segments"][0]["text"] == "One."


actions = st.lists(
    st.tuples(
        st.sampled_from(["text", "speaker", "split", "merge", "undo"]),
        st.integers(0, 100),
        st.integers(1, 4),
    ),
    min_size=1,
    max_size=8,
)


@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(actions)
async def test_any_edits_leave_a_sound_transcript(client, sessions, sequence):
    """On the rows, what tests/unit/pipelines/test_editing.py says of the pure functions."""
    file_id = await conversation(sessions, client)
    for action, at, number in sequence:
        before, tag = await read(client, file_id)
        headers = {"If-Match": tag}
        segments = before["segments"]
        segment = segments[at % len(segments)]
        if action == "text":
            body = {"text": " ".join(["Some", "words"] * number)}
            answer = await edit(client, file_id, segment, body, headers)
        elif action == "speaker":
            speaker_id = [*(s["id"] for s in before["speakers"]), None][number % 3]
            answer = await edit(client, file_id, segment, {"speaker_id": speaker_id}, headers)
        elif action == "split":
            answer = await split(client, file_id, segment, {"word": number}, headers)
        elif action == "merge":
            several = segments[segment["index"] : segment["index"] + number + 1]
            answer = await merge(client, file_id, several, headers)
        else:
            [latest, *_] = [*await history(client, file_id), {"id": uuid.uuid4()}]
            answer = await undo(client, file_id, latest["id"], headers)
        assert answer.status_code in {200, 404, 422}, answer.text
        after, now = await read(client, file_id)
        sound(after)
        assert (now != tag) == (content(after) != content(before))
        if answer.status_code == 200 and now != tag:
            changed = answer.json()["data"]["segments"]
            places = slice(changed[0]["index"], changed[-1]["index"] + 1)
            assert after["segments"][places] == changed
