"""How a file is doing: attempts, the last error, what can be done and what is advised."""

import uuid

from sqlalchemy import text

from db.engine import session_scope
from tests.integration.api.test_files import FILES, claimed, transcribed, uploaded
from tests.integration.api.test_recovery import expired
from tests.integration.api.test_reprocess import failed
from tests.integration.api.test_uploads import error_type


async def standing(client, file_id) -> dict:
    return (await client.get(f"/api/my-files/{file_id}/status")).json()["data"]


async def test_from_upload_to_transcript(client, recording, sessions):
    file_id, _ = await uploaded(client, recording)
    now = await standing(client, file_id)
    assert (now["attempts"], now["max_attempts"], now["last_error_type"]) == (0, 3, None)
    assert now["actions_available"] == ["delete", "cancel"]
    assert now["recommendations"][0].startswith("Wait")
    await transcribed(sessions, file_id)
    now = await standing(client, file_id)
    assert now["actions_available"] == ["delete", "reprocess"]
    assert (now["attempts"], now["recommendations"]) == (1, [])


async def test_a_failure_is_remembered_while_it_is_tried_again(client, recording, sessions):
    file_id, _ = await uploaded(client, recording)
    await failed(sessions, file_id)
    now = await standing(client, file_id)
    assert (now["last_error_type"], now["attempts"]) == ("invalid_media", 1)
    assert now["actions_available"] == ["delete", "retry", "reprocess"]
    assert now["recommendations"] == list(now["task"]["suggestions"])
    await client.post(f"/api/tasks/retry/{file_id}")
    now = await standing(client, file_id)
    assert (now["last_error_type"], now["attempts"]) == ("invalid_media", 0)
    assert now["actions_available"] == ["delete", "cancel"]


async def test_a_stuck_one_can_be_recovered(client, recording, sessions):
    file_id, _ = await uploaded(client, recording)
    await claimed(sessions)
    await expired(sessions)
    now = await standing(client, file_id)
    assert now["is_stuck"] is True
    assert now["actions_available"] == ["cancel", "recover"]


async def test_a_deletion_that_must_wait_says_for_what(client, recording, sessions):
    file_id, task_id = await uploaded(client, recording)
    await claimed(sessions)
    answer = await client.delete(f"{FILES}/{file_id}")
    assert error_type(answer) == (409, "file_busy")
    body = answer.json()
    assert (body["file_id"], body["task_id"], body["task_state"]) == (file_id, task_id, "running")
    assert body["options"] == {"cancel_task": True, "wait_for_completion": True}
    await client.post(f"/api/tasks/{task_id}/cancel")
    body = (await client.delete(f"{FILES}/{file_id}")).json()
    assert body["options"] == {"cancel_task": False, "wait_for_completion": True}


async def test_an_administrator_reads_and_that_is_written_down(
    client, stranger, recording, sessions
):
    file_id, _ = await uploaded(client, recording)
    async with session_scope(sessions) as session:
        me = (await stranger.get("/api/auth/me")).json()["data"]["id"]
        await session.execute(
            text("""UPDATE "user" SET role = 'admin' WHERE id = :id"""), {"id": uuid.UUID(me)}
        )
    assert (await standing(stranger, file_id))["file"]["id"] == file_id
    assert (await stranger.get(f"{FILES}/{file_id}")).status_code == 200
    async with session_scope(sessions) as session:
        written = await session.scalar(
            text("SELECT count(*) FROM audit_event WHERE actor_id = :id AND subject_id = :file"),
            {"id": uuid.UUID(me), "file": file_id},
        )
    assert written == 2
    for answer in (
        await stranger.put(f"{FILES}/{file_id}", json={"title": "mine"}),
        await stranger.delete(f"{FILES}/{file_id}"),
    ):
        assert error_type(answer) == (404, "not_found")
