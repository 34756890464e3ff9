"""Comments on files and on moments of them."""

import json

import pytest
from sqlalchemy import text

from db.engine import session_scope
from tests.fixtures.files import promote, stored_files, user_id
from tests.integration.api.test_uploads import error_type

COMMENTS = "/api/comments"


async def written(client, file_id: str, text: str = "Who is this?", **more) -> dict:
    answer = await client.post(f"{COMMENTS}/files/{file_id}", json={"text": text, **more})
    assert answer.status_code == 201, answer.text
    return answer.json()["data"]


async def texts(client, file_id: str, **params) -> list[str]:
    answer = await client.get(f"{COMMENTS}/files/{file_id}", params=params)
    assert answer.status_code == 200, answer.text
    return [item["text"] for item in answer.json()["data"]["items"]]


async def test_written_read_changed_deleted(client, sessions):
    [file_id] = await stored_files(sessions, client)
    comment = await written(client, file_id, "  Who is\nthis?  ", timestamp=12.5)
    assert (comment["text"], comment["timestamp"]) == ("Who is\nthis?", 12.5)
    assert (comment["file_id"], comment["user_id"]) == (file_id, str(await user_id(client)))
    path = f"{COMMENTS}/{comment['id']}"
    assert (await client.get(path)).json()["data"] == comment
    changed = (await client.put(path, json={"text": "This is Ada."})).json()["data"]
    assert (changed["text"], changed["timestamp"]) == ("This is Ada.", 12.5)
    assert changed["updated_at"] > comment["updated_at"]
    whole = (await client.put(path, json={"timestamp": None})).json()["data"]
    assert (whole["text"], whole["timestamp"]) == ("This is Ada.", None)
    assert (await client.delete(path)).status_code == 204
    assert error_type(await client.get(path)) == (404, "not_found")
    assert error_type(await client.delete(path)) == (404, "not_found")


async def test_in_two_orders_and_in_pages(client, sessions):
    file_id, other = await stored_files(sessions, client, 2)
    for name, moment in (("c", 30.0), ("whole", None), ("a", 10.0), ("b", 10.0)):
        await written(client, file_id, name, timestamp=moment)
    await written(client, other, "elsewhere")
    assert await texts(client, file_id) == ["c", "whole", "a", "b"]
    assert await texts(client, file_id, sort="timestamp") == ["whole", "a", "b", "c"]
    assert await texts(client, file_id, sort="timestamp", page=2, page_size=3) == ["c"]
    wrong = await client.get(f"{COMMENTS}/files/{file_id}", params={"sort": "text"})
    assert error_type(wrong) == (422, "validation_error")


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "#/text"),
        ({"text": ""}, "#/text"),
        ({"text": " \n "}, "#/text"),
        ({"text": None}, "#/text"),
        ({"text": "a\0b"}, "#/text"),
        ({"text": "\ud800"}, "#/text"),
        ({"text": "x" * 10_001}, "#/text"),
        ({"text": "fine", "timestamp": -0.1}, "#/timestamp"),
        ({"text": "fine", "timestamp": 60.001}, "#/timestamp"),
        ({"text": "fine", "timestamp": float("nan")}, "#/timestamp"),
        ({"text": "fine", "timestamp": float("inf")}, "#/timestamp"),
        ({"text": "fine", "timestamp": 1e400}, "#/timestamp"),
        ({"text": "fine", "timestamp": "soon"}, "#/timestamp"),
    ],
)
async def test_bodies_that_are_refused(client, sessions, body, pointer):
    [file_id] = await stored_files(sessions, client)
    content = {"content": json.dumps(body), "headers": {"Content-Type": "application/json"}}
    answer = await client.post(f"{COMMENTS}/files/{file_id}", **content)
    assert error_type(answer) == (422, "validation_error")
    assert answer.json()["errors"][0]["pointer"] == pointer
    assert await texts(client, file_id) == []


@pytest.mark.parametrize("body", [{}, {"text": None}, {"text": "x", "timestamp": 61}])
async def test_changes_that_are_refused(client, sessions, body):
    [file_id] = await stored_files(sessions, client)
    comment = await written(client, file_id)
    answer = await client.put(f"{COMMENTS}/{comment['id']}", json=body)
    assert error_type(answer) == (422, "validation_error")
    assert (await client.get(f"{COMMENTS}/{comment['id']}")).json()["data"] == comment


async def test_the_last_moment_and_an_unknown_end(client, sessions):
    [file_id] = await stored_files(sessions, client)
    await written(client, file_id, timestamp=60)
    [unknown] = await stored_files(sessions, client, duration=None)
    await written(client, unknown, timestamp=1e6)


async def test_a_stranger_has_no_part_in_it(client, stranger, sessions):
    [file_id] = await stored_files(sessions, client)
    comment = await written(client, file_id)
    path = f"{COMMENTS}/{comment['id']}"
    for method, target, body in (
        ("GET", f"{COMMENTS}/files/{file_id}", None),
        ("POST", f"{COMMENTS}/files/{file_id}", {"text": "x"}),
        ("GET", path, None),
        ("PUT", path, {"text": "x"}),
        ("DELETE", path, None),
    ):
        answer = await stranger.request(method, target, json=body)
        assert error_type(answer) == (404, "not_found")
    assert await texts(client, file_id) == ["Who is this?"]


async def test_an_administrator_reads_and_leaves_a_trace(client, stranger, sessions):
    [file_id] = await stored_files(sessions, client)
    comment = await written(client, file_id)
    await promote(sessions, stranger)
    path = f"{COMMENTS}/{comment['id']}"
    assert await texts(stranger, file_id) == ["Who is this?"]
    assert (await stranger.get(path)).json()["data"] == comment
    async with session_scope(sessions) as session:
        rows = await session.execute(
            text(
                "SELECT subject_id, actor_id, owner_id, address FROM audit_event"
                " WHERE action = 'file.read'"
            )
        )
    reads = [tuple(map(str, row)) for row in rows]
    expected = (file_id, str(await user_id(stranger)), str(await user_id(client)), "127.0.0.1")
    assert reads == [expected, expected]
    # To read is all that they may.
    for method, body in (("PUT", {"text": "x"}), ("DELETE", None)):
        answer = await stranger.request(method, path, json=body)
        assert error_type(answer) == (404, "not_found")


async def test_the_files_owner_deletes_what_others_wrote(client, stranger, sessions):
    # Nobody else can write on a file yet; when files are shared, this is the rule.
    [file_id] = await stored_files(sessions, client)
    comment = await written(client, file_id)
    async with session_scope(sessions) as session:
        await session.execute(
            text("UPDATE comment SET user_id = :u"), {"u": await user_id(stranger)}
        )
    path = f"{COMMENTS}/{comment['id']}"
    assert error_type(await client.put(path, json={"text": "x"})) == (404, "not_found")
    assert (await stranger.put(path, json={"text": "mine"})).status_code == 200
    assert (await client.delete(path)).status_code == 204
