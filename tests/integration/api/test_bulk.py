"""One action on many files, and the recovery that owners ask for."""

import asyncio
import uuid

import pytest
from sqlalchemy import func, select, text, update

from cluster.settings import RunnerSettings
from db.engine import session_scope
from db.models import Task, TaskState
from pipelines import queue
from tests.fixtures.api import upload
from tests.integration.api.test_files import FILES, claimed, transcribed, uploaded
from tests.integration.api.test_recovery import expired
from tests.integration.api.test_reprocess import failed
from tests.integration.api.test_uploads import error_type, keys, rows

BULK = f"{FILES}/management/bulk-action"
STUCK = f"{FILES}/management/stuck"
RECOVERY = "/api/my-files/request-recovery"


async def act(client, action: str, *file_ids, headers=None, **options):
    """The results by file, in the order told."""
    body = {"file_ids": [str(each) for each in file_ids], "action": action, **options}
    answer = await client.post(BULK, json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    data = answer.json()["data"]
    results = {result["file_id"]: result for result in data["results"]}
    assert data["succeeded"] == sum(result["success"] for result in results.values())
    assert data["succeeded"] + data["failed"] == len(data["results"]) == len(results)
    return results


async def another(client, recording: bytes, number: int) -> str:
    """One more file; a FLAC with a byte behind it is another file of the same sound."""
    answer = await upload(client, recording + bytes([number]), f"{number}.flac")
    return answer.json()["data"]["file"]["id"]


async def aged(sessions, minutes: int = 6) -> None:
    """As if every task had been asked for so long ago."""
    async with session_scope(sessions) as session:
        await session.execute(
            update(Task).values(
                created_at=Task.created_at - func.make_interval(0, 0, 0, 0, 0, minutes)
            )
        )


async def states(sessions) -> dict[str, list[TaskState]]:
    """The states of each file's tasks, in their order."""
    async with session_scope(sessions) as session:
        found: dict[str, list[TaskState]] = {}
        for task in await session.scalars(select(Task).order_by(Task.created_at)):
            found.setdefault(str(task.media_file_id), []).append(task.state)
        return found


class TestBulk:
    async def test_delete_each_for_itself(self, client, stranger, recording, sessions, objects):
        busy, task_id = await uploaded(client, recording)
        await claimed(sessions)
        idle = await another(client, recording, 1)
        theirs, _ = await uploaded(stranger, recording)
        nobodys = str(uuid.uuid4())
        results = await act(client, "delete", idle, busy, theirs, nobodys, idle)
        assert list(results) == [idle, busy, theirs, nobodys]
        assert results[idle]["success"] is True
        assert results[busy]["error_type"] == "file_busy"
        assert task_id in results[busy]["message"]
        told = [
            (results[each]["error_type"], results[each]["message"].replace(each, "ID"))
            for each in (theirs, nobodys)
        ]
        assert told[0] == told[1]
        assert told[0][0] == "not_found"
        assert await rows(sessions, "media_file") == 2
        assert len(await keys(objects)) == 2

    async def test_retry(self, client, recording, sessions):
        broken, _ = await uploaded(client, recording)
        await failed(sessions, broken)
        done = await another(client, recording, 1)
        await transcribed(sessions, done)
        waiting = await another(client, recording, 2)
        results = await act(client, "retry", broken, done, waiting)
        assert results[broken]["success"] is True
        assert results[done]["error_type"] == "file_completed"
        assert results[waiting]["error_type"] == "file_busy"
        task = await client.get(f"/api/tasks/{results[broken]['task_id']}")
        assert task.json()["data"]["state"] == "queued"
        assert (await states(sessions))[broken] == [TaskState.failed, TaskState.queued]

    async def test_cancel(self, client, recording, sessions):
        running, _ = await uploaded(client, recording)
        await claimed(sessions)
        waiting = await another(client, recording, 1)
        for _ in range(2):
            results = await act(client, "cancel", running, waiting)
            assert results[running]["message"] == "Is being cancelled."
        assert results[waiting]["error_type"] == "conflict"
        found = await states(sessions)
        assert (found[running], found[waiting]) == ([TaskState.cancelling], [TaskState.cancelled])

    async def test_reprocess_with_options(self, client, recording, sessions):
        file_id, _ = await uploaded(client, recording)
        await transcribed(sessions, file_id)
        options = {"stages": ["rediarize"], "max_speakers": 3, "language": "en"}
        results = await act(client, "reprocess", file_id, **options)
        task = (await client.get(f"/api/tasks/{results[file_id]['task_id']}")).json()["data"]
        assert (task["options"]["max_speakers"], task["options"]["language"]) == (3, "en")
        assert "stages" not in task["options"]
        assert "file_ids" not in task["options"]

    async def test_summarize_is_not_set_up(self, client, recording):
        file_id, _ = await uploaded(client, recording)
        nobodys = str(uuid.uuid4())
        results = await act(client, "summarize", file_id, nobodys)
        assert results[file_id]["error_type"] == "not_configured"
        assert results[nobodys]["error_type"] == "not_found"

    async def test_recover(self, client, recording, sessions):
        stuck, _ = await uploaded(client, recording)
        await claimed(sessions)
        results = await act(client, "recover", stuck)
        assert results[stuck]["error_type"] == "conflict"
        await expired(sessions)
        results = await act(client, "recover", stuck)
        assert results[stuck]["success"] is True
        task = (await client.get(f"/api/tasks/{results[stuck]['task_id']}")).json()["data"]
        assert (task["state"], task["attempt"]) == ("queued", 1)

    async def test_recovery_gives_a_file_no_attempt_beyond_the_last(
        self, client, recording, sessions
    ):
        file_id, _ = await uploaded(client, recording)
        limit = RunnerSettings().max_attempts
        for attempt in range(1, limit + 1):
            await claimed(sessions)
            await expired(sessions)
            results = await act(client, "recover", file_id)
            task = (await client.get(f"/api/tasks/{results[file_id]['task_id']}")).json()["data"]
            # The one before the last stays with its silent runner, so that the next takes it alone.
            alone = attempt == limit - 1
            assert (task["state"], task["attempt"]) == ("running" if alone else "queued", attempt)
        async with session_scope(sessions) as session:
            last = await queue.claim(session, "a runner", RunnerSettings())
            assert last.task.state is TaskState.failed
            assert last.task.error_type == "attempts_exhausted"

    async def test_the_same_key_has_one_effect(self, client, recording, sessions):
        file_id, _ = await uploaded(client, recording)
        await failed(sessions, file_id)
        key = {"Idempotency-Key": "a bulk"}
        first = await act(client, "retry", file_id, headers=key)
        assert await act(client, "retry", file_id, headers=key) == first
        assert len((await states(sessions))[file_id]) == 2
        body = {"file_ids": [file_id], "action": "delete"}
        other = await client.post(BULK, json=body, headers=key)
        assert error_type(other) == (422, "idempotency_key_reused")

    async def test_two_at_once_leave_one_truth(self, client, recording, sessions):
        file_id, _ = await uploaded(client, recording)
        await failed(sessions, file_id)
        results = await asyncio.gather(*(act(client, "retry", file_id) for _ in range(3)))
        told = sorted(str(result[file_id]["error_type"]) for result in results)
        assert told == ["None", "file_busy", "file_busy"]
        assert len((await states(sessions))[file_id]) == 2

    @pytest.mark.parametrize(
        ("body", "pointer"),
        [
            ({"file_ids": [], "action": "delete"}, "#/file_ids"),
            (
                {"file_ids": [str(uuid.uuid4()) for _ in range(101)], "action": "delete"},
                "#/file_ids",
            ),
            ({"file_ids": ["1"], "action": "delete"}, "#/file_ids/0"),
            ({"file_ids": [str(uuid.uuid4())], "action": "destroy"}, "#/action"),
            ({"file_ids": [str(uuid.uuid4())], "action": "delete", "max_speakers": 2}, "#"),
            ({"file_ids": [str(uuid.uuid4())], "action": "delete", "force": True}, "#/force"),
        ],
    )
    async def test_what_makes_no_sense_is_refused(self, client, body, pointer):
        answer = await client.post(BULK, json=body)
        assert error_type(answer) == (422, "validation_error")
        assert answer.json()["errors"][0]["pointer"] == pointer

    async def test_an_unknown_language_is_refused_once(self, client, recording, sessions):
        file_id, _ = await uploaded(client, recording)
        body = {"file_ids": [file_id], "action": "reprocess", "language": "xx"}
        assert error_type(await client.post(BULK, json=body)) == (422, "language_unsupported")


class TestStuck:
    async def test_ones_own_only(self, client, stranger, recording, sessions):
        file_id, task_id = await uploaded(client, recording)
        await claimed(sessions)
        assert (await client.get(STUCK)).json()["data"]["total"] == 0
        await expired(sessions)
        page = (await client.get(STUCK)).json()["data"]
        [item] = page["items"]
        assert (item["file"]["id"], item["task"]["id"], page["total"]) == (file_id, task_id, 1)
        assert (await stranger.get(STUCK)).json()["data"]["items"] == []


class TestRequestedRecovery:
    async def test_what_may_succeed_is_tried_and_the_rest_is_explained(
        self, client, stranger, recording, sessions
    ):
        hopeless, _ = await uploaded(client, recording)
        await failed(sessions, hopeless, "invalid_media")
        hopeful = await another(client, recording, 1)
        await failed(sessions, hopeful, "speech_unavailable")
        while (await states(sessions))[hopeful] != [TaskState.failed]:
            # A failure of this kind is tried again at once, until no attempt is left.
            async with session_scope(sessions) as session:
                await session.execute(text("UPDATE task SET run_after = now()"))
            await failed(sessions, hopeful, "speech_unavailable")
        theirs, _ = await uploaded(stranger, recording)
        await failed(sessions, theirs, "processing_error_of_old")
        await aged(sessions)
        late = await another(client, recording, 2)
        await failed(sessions, late, "out_of_memory_of_old")
        stuck = await another(client, recording, 3)
        await claimed(sessions)
        await expired(sessions)
        results = {
            result["file_id"]: result
            for result in (await client.post(RECOVERY)).json()["data"]["results"]
        }
        assert results.keys() == {hopeless, hopeful, late, stuck}
        assert results[hopeful]["success"] is results[stuck]["success"] is True
        assert results[hopeless]["error_type"] == "conflict"
        assert "will not help" in results[hopeless]["message"]
        assert results[late]["error_type"] == "too_many_attempts"
        found = await states(sessions)
        assert found[hopeful] == [TaskState.failed, TaskState.queued]
        assert found[stuck] == [TaskState.queued]
        assert found[theirs] == [TaskState.failed]

    async def test_five_minutes_lie_between_two_tries(self, client, recording, sessions):
        file_id, _ = await uploaded(client, recording)
        await failed(sessions, file_id, "of another version")
        await aged(sessions)
        [first] = (await client.post(RECOVERY)).json()["data"]["results"]
        assert first["success"] is True
        await failed(sessions, file_id, "of another version")
        [second] = (await client.post(RECOVERY)).json()["data"]["results"]
        assert second["error_type"] == "too_many_attempts"
        assert len((await states(sessions))[file_id]) == 2
        await aged(sessions)
        [third] = (await client.post(RECOVERY)).json()["data"]["results"]
        assert third["success"] is True

    async def test_nothing_to_do(self, client):
        answer = (await client.post(RECOVERY)).json()["data"]
        assert answer == {"results": [], "succeeded": 0, "failed": 0}
