"""What people write about their files."""

import pytest
from sqlalchemy import select

from db.engine import session_scope
from db.models import TaskEvent
from tests.integration.api.test_files import FILES, uploaded
from tests.integration.api.test_uploads import error_type


async def events_of(sessions, kind: str) -> list[dict]:
    async with session_scope(sessions) as session:
        found = await session.scalars(
            select(TaskEvent.payload).where(TaskEvent.type == kind).order_by(TaskEvent.sequence)
        )
        return list(found)


async def test_what_is_sent_changes_and_the_rest_stays(client, recording, sessions):
    file_id, _ = await uploaded(client, recording)
    url = f"{FILES}/{file_id}"
    sent = {"title": " Talk with Ada ", "author": "Radio", "description": "One.\nTwo."}
    answer = await client.put(url, json=sent)
    assert answer.status_code == 200, answer.text
    shown = answer.json()["data"]
    told = (shown["title"], shown["author"], shown["description"], shown["filename"])
    assert told == ("Talk with Ada", "Radio", "One.\nTwo.", "Интервью one.flac")
    assert shown["task"]["state"] == "queued"
    await client.put(url, json={"title": None, "filename": "new name.flac"})
    shown = (await client.get(url)).json()["data"]
    now = (shown["title"], shown["author"], shown["filename"])
    assert now == (None, "Radio", "new name.flac")
    first, second = await events_of(sessions, "file_updated")
    assert (first["file_id"], first["title"]) == (file_id, "Talk with Ada")
    assert (second["title"], second["filename"]) == (None, "new name.flac")


async def test_nothing_sent_changes_and_tells_nothing(client, recording, sessions):
    file_id, _ = await uploaded(client, recording)
    before = (await client.get(f"{FILES}/{file_id}")).json()["data"]
    after = (await client.put(f"{FILES}/{file_id}", json={})).json()["data"]
    assert after["updated_at"] == before["updated_at"]
    assert await events_of(sessions, "file_updated") == []


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"title": ""}, "#/title"),
        ({"title": "   "}, "#/title"),
        ({"title": "a\x00b"}, "#/title"),
        ({"title": "a\nb"}, "#/title"),
        ({"title": "a\u202eb"}, "#/title"),
        ({"title": "x" * 256}, "#/title"),
        ({"author": "\x07"}, "#/author"),
        ({"description": "x" * 10_001}, "#/description"),
        ({"description": "a\x00b"}, "#/description"),
        ({"filename": None}, "#"),
        ({"filename": "../etc/passwd"}, "#/filename"),
        ({"filename": ".."}, "#/filename"),
        ({"title": 5}, "#/title"),
        ({"status": "completed"}, "#/status"),
    ],
)
async def test_what_cannot_be_shown_is_refused(client, recording, body, pointer):
    file_id, _ = await uploaded(client, recording)
    answer = await client.put(f"{FILES}/{file_id}", json=body)
    assert error_type(answer) == (422, "validation_error")
    assert answer.json()["errors"][0]["pointer"] == pointer


async def test_only_the_owner_may(client, stranger, recording):
    file_id, _ = await uploaded(client, recording)
    answer = await stranger.put(f"{FILES}/{file_id}", json={"title": "mine"})
    assert error_type(answer) == (404, "not_found")
    assert (await client.get(f"{FILES}/{file_id}")).json()["data"]["title"] is None
