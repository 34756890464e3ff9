"""What administrators see of the queue and set right in it; metrics; how one's files are doing."""

import uuid

import pytest
from sqlalchemy import func, select, text, update

from cluster.settings import RunnerSettings
from db.engine import Sessions, session_scope
from db.errors import FenceLost
from db.models import Destination, FileStatus, MediaFile, Task, TaskEvent, TaskState, Transcript
from db.queries import outbox
from pipelines import queue
from pipelines.queue import Claim
from tests.fixtures.api import upload
from tests.fixtures.files import stored_files, user_id
from tests.integration.api.test_files import FILES, claimed, transcribed, uploaded
from tests.integration.api.test_reprocess import failed, reprocess
from tests.integration.api.test_uploads import error_type

TASKS = "/api/tasks"
SYSTEM = f"{TASKS}/system"


@pytest.fixture
async def admin(client, sessions):
    async with session_scope(sessions) as session:
        await session.execute(text("""UPDATE "user" SET role = 'admin'"""))
    return client


async def expired(sessions: Sessions) -> None:
    """Every runner falls silent."""
    async with session_scope(sessions) as session:
        await session.execute(
            update(Task).values(lease_expires_at=func.now() - func.make_interval(0, 0, 0, 0, 1))
        )


async def set_status(sessions: Sessions, file_id: str, status: FileStatus) -> None:
    async with session_scope(sessions) as session:
        await session.execute(
            update(MediaFile).where(MediaFile.id == uuid.UUID(file_id)).values(status=status)
        )


async def status(client, file_id: str) -> str:
    return (await client.get(f"{FILES}/{file_id}")).json()["data"]["status"]


class TestSystemHealth:
    async def test_all_is_well(self, admin, recording, sessions):
        file_id, _ = await uploaded(admin, recording)
        health = (await admin.get(f"{SYSTEM}/health")).json()["data"]
        assert health["task_counts"]["queued"] == health["file_counts"]["queued"] == 1
        assert health["file_counts"]["completed"] == 0
        assert health["queued_hours"] == pytest.approx(2 / 3600, rel=0.1)
        assert health["stuck_tasks"] == health["inconsistent_files"] == []
        await transcribed(sessions, file_id)
        health = (await admin.get(f"{SYSTEM}/health")).json()["data"]
        assert health["inconsistent_files"] == []
        assert (health["queued_hours"], health["oldest_running_seconds"]) == (0, 0)

    async def test_what_is_wrong_is_named(self, admin, recording, sessions):
        _, task_id = await uploaded(admin, recording)
        await claimed(sessions)
        await expired(sessions)
        other = (await upload(admin, recording + b"1")).json()["data"]["file"]["id"]
        await set_status(sessions, other, FileStatus.completed)
        health = (await admin.get(f"{SYSTEM}/health")).json()["data"]
        assert [task["id"] for task in health["stuck_tasks"]] == [task_id]
        assert health["stuck_tasks"][0]["lease_owner"] == "a runner"
        assert health["oldest_running_seconds"] > 0
        [wrong] = health["inconsistent_files"]
        told = (wrong["file_id"], wrong["status"], wrong["expected"])
        assert told == (other, "completed", "queued")

    async def test_it_shows_whose_it_is_and_not_what_it_is_about(
        self, admin, stranger, recording, sessions
    ):
        file_id, _ = await uploaded(stranger, recording)
        await claimed(sessions)
        await expired(sessions)
        answer = await admin.get(f"{SYSTEM}/health")
        assert file_id in answer.text
        assert "one.flac" not in answer.text


class TestRecovery:
    @pytest.mark.parametrize("path", ["recover-stuck-tasks", "system/startup-recovery"])
    async def test_overdue_tasks_go_back_to_the_queue_at_no_cost(
        self, admin, stranger, recording, sessions, path
    ):
        file_id, task_id = await uploaded(stranger, recording)
        await claimed(sessions)
        assert (await admin.post(f"{TASKS}/{path}")).json()["data"]["tasks"] == []
        await expired(sessions)
        [task] = (await admin.post(f"{TASKS}/{path}")).json()["data"]["tasks"]
        told = (task["id"], task["state"], task["attempt"], task["fence"])
        assert told == (task_id, "queued", 0, 2)
        assert await status(stranger, file_id) == "queued"

    async def test_a_running_task_is_taken_from_its_runner(self, admin, recording, sessions):
        _, task_id = await uploaded(admin, recording)
        await claimed(sessions)
        answer = await admin.post(f"{SYSTEM}/recover-task/{task_id}")
        assert (answer.status_code, answer.json()["data"]["state"]) == (200, "queued")
        old = Claim(uuid.UUID(task_id), 1)
        with pytest.raises(FenceLost):
            async with session_scope(sessions) as session:
                await queue.report(session, old, stage="align", progress=0.5, eta_seconds=None)
        async with session_scope(sessions) as session:
            assert await queue.heartbeat(session, [old], RunnerSettings()) == {}
        await claimed(sessions)
        task = (await admin.get(f"{TASKS}/{task_id}")).json()["data"]
        assert (task["state"], task["attempt"], task["progress"]) == ("running", 1, 0)

    async def test_one_that_was_being_cancelled_is_cancelled(self, admin, recording, sessions):
        file_id, task_id = await uploaded(admin, recording)
        await claimed(sessions)
        await admin.post(f"{TASKS}/{task_id}/cancel")
        answer = await admin.post(f"{SYSTEM}/recover-task/{task_id}")
        assert answer.json()["data"]["state"] == "cancelled"
        assert await status(admin, file_id) == "cancelled"

    async def test_what_does_not_run_is_not_recovered(self, admin, recording, sessions):
        file_id, task_id = await uploaded(admin, recording)
        path = f"{SYSTEM}/recover-task/{task_id}"
        assert error_type(await admin.post(path)) == (409, "conflict")
        await transcribed(sessions, file_id)
        assert error_type(await admin.post(path)) == (409, "conflict")

    async def test_everybodys_files_or_one_users(self, admin, stranger, recording, sessions):
        mine, _ = await uploaded(admin, recording)
        theirs, their_task = await uploaded(stranger, recording)
        for _ in range(2):
            await claimed(sessions)
        await expired(sessions)
        me = (await admin.get("/api/auth/me")).json()["data"]["id"]
        recovered = (await admin.post(f"{SYSTEM}/recover-user-files/{me}")).json()["data"]
        assert [task["media_file_id"] for task in recovered["tasks"]] == [mine]
        await set_status(sessions, mine, FileStatus.cancelled)
        recovered = (await admin.post(f"{SYSTEM}/recover-all-user-files")).json()["data"]
        assert [task["id"] for task in recovered["tasks"]] == [their_task]
        assert [fixed["file_id"] for fixed in recovered["fixed_files"]] == [mine]
        assert (await status(admin, mine), await status(stranger, theirs)) == ("queued", "queued")
        again = (await admin.post(f"{SYSTEM}/recover-all-user-files")).json()["data"]
        assert again == {"tasks": [], "fixed_files": [], "unfixable_files": []}


class TestFixFile:
    def fix(self, admin, file_id):
        return admin.post(f"{SYSTEM}/fix-file/{file_id}")

    async def test_one_that_is_right_is_left_alone(self, admin, recording, sessions):
        file_id, _ = await uploaded(admin, recording)
        data = (await self.fix(admin, file_id)).json()["data"]
        assert (data["changed"], data["status"], data["expected"]) == (False, "queued", "queued")
        async with session_scope(sessions) as session:
            told = set(await session.scalars(select(TaskEvent.type)))
            assert "file_updated" not in told

    async def test_a_wrong_status_is_set_right_and_told(self, admin, recording, sessions):
        file_id, _ = await uploaded(admin, recording)
        await failed(sessions, file_id)
        await set_status(sessions, file_id, FileStatus.processing)
        data = (await self.fix(admin, file_id)).json()["data"]
        assert (data["changed"], data["status"], data["expected"]) == (True, "processing", "failed")
        file = (await admin.get(f"{FILES}/{file_id}")).json()["data"]
        assert (file["status"], file["error_type"]) == ("failed", "invalid_media")
        async with session_scope(sessions) as session:
            last = await session.scalar(select(TaskEvent).order_by(TaskEvent.id.desc()).limit(1))
            assert (last.type, last.payload["status"]) == ("file_updated", "failed")

    async def test_a_transcript_makes_it_completed(self, admin, recording, sessions):
        file_id, _ = await uploaded(admin, recording)
        await transcribed(sessions, file_id)
        await reprocess(admin, file_id)
        await failed(sessions, file_id)
        await set_status(sessions, file_id, FileStatus.failed)
        assert (await self.fix(admin, file_id)).json()["data"]["expected"] == "completed"
        assert await status(admin, file_id) == "completed"

    async def test_a_lost_result_can_be_made_again(self, admin, recording, sessions):
        file_id, _ = await uploaded(admin, recording)
        await transcribed(sessions, file_id)
        async with session_scope(sessions) as session:
            await session.delete(await session.scalar(select(Transcript)))
        assert (await self.fix(admin, file_id)).json()["data"]["expected"] == "failed"
        file = (await admin.get(f"{FILES}/{file_id}")).json()["data"]
        assert (file["error_type"], "retry it" in file["error_message"]) == (
            "processing_error",
            True,
        )
        assert (await admin.post(f"{TASKS}/retry/{file_id}")).status_code == 201

    async def test_bytes_that_came_again_since(self, admin, recording, sessions):
        file_id, _ = await uploaded(admin, recording)
        await set_status(sessions, file_id, FileStatus.failed)
        await upload(admin, recording)
        assert error_type(await self.fix(admin, file_id)) == (409, "duplicate_file")
        recovered = (await admin.post(f"{SYSTEM}/recover-all-user-files")).json()["data"]
        assert [left["file_id"] for left in recovered["unfixable_files"]] == [file_id]


class TestMyFiles:
    async def test_counts_problems_and_the_latest(self, client, stranger, recording, sessions):
        good, _ = await uploaded(client, recording)
        await transcribed(sessions, good)
        bad = (await upload(client, recording + b"1")).json()["data"]["file"]["id"]
        await failed(sessions, bad)
        stuck = (await upload(client, recording + b"2")).json()["data"]["task"]["id"]
        await claimed(sessions)
        await expired(sessions)
        mine = (await client.get("/api/my-files/status")).json()["data"]
        counts = {"queued": 0, "processing": 1, "completed": 1, "failed": 1, "cancelled": 0}
        assert mine["counts"] == counts
        [problem] = mine["problem_files"]
        assert (problem["file"]["id"], problem["task"]["retryable"]) == (bad, False)
        assert problem["task"]["suggestions"]
        assert [task["id"] for task in mine["stuck_tasks"]] == [stuck]
        assert len(mine["recent_files"]) == 3
        theirs = (await stranger.get("/api/my-files/status")).json()["data"]
        assert (sum(theirs["counts"].values()), theirs["stuck_tasks"]) == (0, [])

    async def test_what_can_be_done_with_a_file(self, client, recording, sessions):
        file_id, _ = await uploaded(client, recording)

        async def can() -> tuple[str, ...]:
            state = (await client.get(f"/api/my-files/{file_id}/status")).json()["data"]
            return tuple(name for name, value in state.items() if value is True)

        assert await can() == ("can_cancel", "can_delete")
        await claimed(sessions)
        assert await can() == ("can_cancel",)
        await expired(sessions)
        assert await can() == ("is_stuck", "can_cancel")
        async with session_scope(sessions) as session:
            await session.execute(update(Task).values(attempt=3))
        assert (await can())[0] == "is_stuck"
        async with session_scope(sessions) as session:
            claimed_again = await queue.claim(session, "another", RunnerSettings())
            assert claimed_again is not None
            assert claimed_again.task.state is TaskState.failed
        assert await can() == ("can_retry", "can_reprocess", "can_delete")


class TestMetrics:
    async def metrics(self, client) -> dict[str, float]:
        lines = (await client.get("/metrics")).text.splitlines()
        pairs = [line.rsplit(" ", 1) for line in lines if not line.startswith("#")]
        return {name: float(value) for name, value in pairs}

    async def test_an_idle_installation_shows_zeros(self, client):
        shown = await self.metrics(client)
        assert shown["rayscribe_task_running_age_seconds"] == 0
        assert shown["rayscribe_task_overdue"] == 0
        for lane in ("live", "interactive", "bulk"):
            assert shown[f'rayscribe_queue_audio_seconds{{lane="{lane}"}}'] == 0
            assert shown[f'rayscribe_queue_oldest_seconds{{lane="{lane}"}}'] == 0
        assert shown['rayscribe_outbox_due{destination="objects"}'] == 0
        assert shown['rayscribe_outbox_oldest_seconds{destination="objects"}'] == 0

    async def test_what_waits_runs_and_is_overdue(self, client, recording, sessions):
        await uploaded(client, recording)
        await claimed(sessions)
        await upload(client, recording + b"1")
        async with session_scope(sessions) as session:
            await session.execute(
                text(
                    "UPDATE task SET updated_at = now() - interval '90 s', "
                    "run_after = now() - interval '90 s' WHERE state = 'queued'"
                )
            )
            await session.execute(
                text(
                    "UPDATE task SET started_at = now() - interval '70 s', "
                    "lease_expires_at = now() - interval '1 s' WHERE state = 'running'"
                )
            )
            await outbox.add(session, Destination.objects, "a test", {})
            await session.execute(
                text("UPDATE outbox SET due_at = now() - interval '50 s' WHERE subject = 'a test'")
            )
        shown = await self.metrics(client)
        assert shown["rayscribe_task_running_age_seconds"] == pytest.approx(70, abs=20)
        assert shown["rayscribe_task_overdue"] == 1
        audio = shown['rayscribe_queue_audio_seconds{lane="interactive"}']
        assert audio == pytest.approx(2, abs=0.1)
        oldest = shown['rayscribe_queue_oldest_seconds{lane="interactive"}']
        assert oldest == pytest.approx(90, abs=20)
        for quantile in ("0.5", "0.95", "0.99"):
            name = f'rayscribe_queue_age_seconds{{lane="interactive",quantile="{quantile}"}}'
            assert shown[name] == pytest.approx(90, abs=20)
        assert shown['rayscribe_outbox_due{destination="objects"}'] == 1
        overdue = shown['rayscribe_outbox_oldest_seconds{destination="objects"}']
        assert overdue == pytest.approx(50, abs=20)

    async def test_a_task_that_is_to_wait_does_not_wait_yet(self, client, recording, sessions):
        await uploaded(client, recording)
        async with session_scope(sessions) as session:
            await session.execute(text("UPDATE task SET run_after = now() + interval '1 h'"))
        shown = await self.metrics(client)
        assert shown['rayscribe_queue_oldest_seconds{lane="interactive"}'] == 0
        assert shown['rayscribe_queue_age_seconds{lane="interactive",quantile="0.99"}'] == 0

    async def test_quantiles_of_those_who_wait(self, client, sessions):
        await stored_files(sessions, client)
        owner = await user_id(client)
        async with session_scope(sessions) as session:
            for waited in range(1, 101):
                task = await queue.submit(session, user_id=owner, media_file_id=None)
                await session.execute(
                    text(
                        "UPDATE task SET run_after = now() - make_interval(secs => :waited), "
                        "updated_at = run_after - interval '1 h' WHERE id = :id"
                    ),
                    {"waited": waited * 10, "id": task.id},
                )
        shown = await self.metrics(client)
        for quantile, age in (("0.5", 500), ("0.95", 950), ("0.99", 990)):
            name = f'rayscribe_queue_age_seconds{{lane="interactive",quantile="{quantile}"}}'
            assert shown[name] == pytest.approx(age, abs=35)
