"""Retention: which files go, how, and that nothing else does."""

import asyncio
import uuid
from datetime import timedelta

import pytest
from sqlalchemy import func, select, text, update

from db.engine import Sessions, session_scope
from db.models import FileStatus, MediaFile, TaskEvent
from db.queries import retention as files
from db.queries.retention import Rule
from pipelines import removal, retention
from pipelines.system_settings import RetentionSettings
from tests.fixtures.api import upload
from tests.fixtures.files import objects_noted
from tests.fixtures.runner import running
from tests.integration.api.test_admin import admin, audited, owner_of, sweep
from tests.integration.api.test_files import claimed, transcribed, uploaded
from tests.integration.api.test_uploads import error_type, keys, rows

__all__ = ["admin"]

RETENTION = "/api/admin/retention"
SETTINGS = "/api/admin/settings/retention"


async def aged(sessions: Sessions, file_id: str, days: float, status: FileStatus) -> None:
    """The file came in so many days ago and has this status; its task is over."""
    async with session_scope(sessions) as session:
        await session.execute(
            update(MediaFile)
            .where(MediaFile.id == uuid.UUID(file_id))
            .values(created_at=func.now() - timedelta(days=days), status=status)
        )
        await session.execute(
            text("UPDATE task SET state = :state WHERE media_file_id = :file"),
            {"state": status.value, "file": file_id},
        )


async def old_file(client, sessions: Sessions, data: bytes, days: float = 91, **changes) -> str:
    file_id, _ = await uploaded(client, data)
    await aged(sessions, file_id, days, changes.get("status", FileStatus.completed))
    return file_id


async def there(client, file_id: str) -> bool:
    return (await client.get(f"/api/files/{file_id}")).status_code == 200


async def enable(admin, sessions: Sessions, **changes) -> None:
    """Enable the daily run; the change was made long ago."""
    put = await admin.put(SETTINGS, json={"enabled": True, **changes})
    assert put.status_code == 200, put.text
    async with session_scope(sessions) as session:
        await session.execute(text("UPDATE system_setting SET updated_at = now() - interval '3 d'"))


class TestWhichFilesGo:
    @pytest.mark.parametrize(
        ("status", "days", "delete_failed", "goes"),
        [
            (FileStatus.completed, 91, False, True),
            (FileStatus.completed, 89, False, False),
            (FileStatus.failed, 91, False, False),
            (FileStatus.cancelled, 91, False, False),
            (FileStatus.failed, 91, True, True),
            (FileStatus.cancelled, 91, True, True),
            (FileStatus.failed, 89, True, False),
        ],
    )
    async def test_by_age_and_status(
        self, client, admin, sessions, recording, status, days, delete_failed, goes
    ):
        file_id = await old_file(client, sessions, recording, days, status=status)
        assert (
            await admin.put(SETTINGS, json={"days": 90, "delete_failed": delete_failed})
        ).status_code == 200
        preview = (await admin.get(f"{RETENTION}/preview")).json()["data"]
        assert [file["id"] for file in preview["files"]] == ([file_id] if goes else [])
        assert (preview["count"], preview["bytes"]) == ((1, len(recording)) if goes else (0, 0))
        done = (await admin.post(f"{RETENTION}/run")).json()["data"]
        assert done == {"files": int(goes), "bytes": preview["bytes"], "more": False}
        assert await there(client, file_id) is not goes

    async def test_a_file_that_is_worked_on_stays_whatever_its_age(
        self, client, admin, sessions, recording
    ):
        file_id = await old_file(client, sessions, recording)
        again = await client.post(f"/api/files/{file_id}/reprocess", json={})
        assert again.status_code == 201, again.text
        async with session_scope(sessions) as session:
            await session.execute(text("UPDATE media_file SET status = 'completed'"))
        for begin in (None, claimed):  # while it waits, while it runs
            if begin is not None:
                await begin(sessions)
            assert (await admin.get(f"{RETENTION}/preview")).json()["data"]["count"] == 0
            assert (await admin.post(f"{RETENTION}/run")).json()["data"]["files"] == 0
        assert await there(client, file_id)

    async def test_a_task_that_begins_after_the_look_saves_its_file(
        self, client, sessions, recording
    ):
        file_id = await old_file(client, sessions, recording)
        async with session_scope(sessions) as session:
            file = await files.take(session, Rule(90, delete_failed=False))
            assert str(file.id) == file_id
        assert (await client.post(f"/api/files/{file_id}/reprocess", json={})).status_code == 201
        async with session_scope(sessions) as session:
            assert not await retention._delete(session, file, by="schedule")
        assert await there(client, file_id)

    async def test_a_preview_may_ask_for_other_days_and_changes_nothing(
        self, client, admin, sessions, recording
    ):
        file_id = await old_file(client, sessions, recording, days=10)
        assert (await admin.get(f"{RETENTION}/preview")).json()["data"]["count"] == 0
        preview = await admin.get(f"{RETENTION}/preview", params={"days": 9})
        assert (preview.json()["data"]["count"], preview.json()["data"]["days"]) == (1, 9)
        assert await there(client, file_id)
        assert "files.listed" in [event.action for event in await audited(sessions)]

    @pytest.mark.parametrize("days", ["0", "3651", "-1", "x", "1e9", "\0", "9" * 5000])
    async def test_days_that_make_no_sense(self, admin, days):
        answer = await admin.get(f"{RETENTION}/preview", params={"days": days})
        assert error_type(answer) == (422, "validation_error")


class TestDeletion:
    async def test_nothing_is_left_and_the_owner_is_told(
        self, client, admin, sessions, recording, objects
    ):
        file_id, _ = await uploaded(client, recording)
        await transcribed(sessions, file_id)
        await aged(sessions, file_id, 91, FileStatus.completed)
        owner = await owner_of(sessions, file_id)
        assert (await admin.post(f"{RETENTION}/run")).json()["data"]["files"] == 1
        for table in ("media_file", "transcript", "segment", "speaker", "task"):
            assert await rows(sessions, table) == 0, table
        await sweep(sessions, objects)
        assert (await keys(objects), await objects_noted(sessions)) == ([], [])
        async with session_scope(sessions) as session:
            told = await session.scalars(select(TaskEvent).where(TaskEvent.type == "file_deleted"))
            [event] = told.all()
            assert (event.user_id, event.payload) == (owner, {"file_id": file_id})

    async def test_the_audit_log_names_each_file_and_the_run(
        self, client, admin, sessions, recording
    ):
        file_id = await old_file(client, sessions, recording)
        owner = await owner_of(sessions, file_id)
        me = (await admin.get("/api/auth/me")).json()["data"]["id"]
        await admin.post(f"{RETENTION}/run")
        one, run = await audited(sessions)
        assert (one.action, one.subject_id, one.owner_id) == ("file.deleted", file_id, owner)
        assert (one.details["reason"], str(one.actor_id)) == ("retention", me)
        assert (run.action, run.details["files"], str(run.actor_id)) == ("retention.run", 1, me)

    async def test_two_runs_at_a_time_delete_each_file_once(
        self, client, admin, sessions, recording
    ):
        for number in range(6):
            await old_file(client, sessions, recording + bytes([number]))
        actor = uuid.uuid4()
        done = await asyncio.gather(
            *(retention.run_now(sessions, 100, actor_id=actor) for _ in range(3))
        )
        assert sum(run.files for run in done) == 6
        deleted = [e.subject_id for e in await audited(sessions) if e.action == "file.deleted"]
        assert len(deleted) == len(set(deleted)) == 6

    async def test_a_run_ends_at_its_limit_and_says_so(self, client, sessions, recording):
        for number in range(3):
            await old_file(client, sessions, recording + bytes([number]), days=91 + number)
        run = await retention.run_now(sessions, 2, actor_id=uuid.uuid4())
        assert (run.files, run.more) == (2, True)
        # The oldest go first.
        assert await rows(sessions, "media_file") == 1
        run = await retention.run_now(sessions, 1, actor_id=uuid.uuid4())
        assert (run.files, run.more) == (1, False)


class TestDailyRun:
    async def test_it_runs_once_for_its_time(self, client, admin, sessions, recording):
        file_id = await old_file(client, sessions, recording)
        await enable(admin, sessions)
        run = await retention.run_if_due(sessions)
        assert (run.files, run.bytes) == (1, len(recording))
        assert run.finished_at
        assert not await there(client, file_id)
        later = await old_file(client, sessions, recording)
        assert await retention.run_if_due(sessions) is None
        assert await there(client, later)
        told = (await admin.get(RETENTION)).json()["data"]
        assert (told["last_run"]["files"], told["settings"]["enabled"]) == (1, True)
        assert told["next_run_at"] > told["last_run"]["started_at"]
        one, end = [e for e in await audited(sessions) if e.action != "settings.changed"]
        assert (one.actor_id, one.details["by"]) == (None, "schedule")
        assert (end.action, end.details["files"]) == ("retention.run", 1)

    async def test_it_does_not_run_unless_it_is_enabled(self, client, admin, sessions, recording):
        file_id = await old_file(client, sessions, recording)
        assert await retention.run_if_due(sessions) is None
        await enable(admin, sessions, days=365)
        assert (await retention.run_if_due(sessions)).files == 0
        assert await there(client, file_id)
        assert (await admin.delete(SETTINGS)).status_code == 200
        assert await retention.run_if_due(sessions) is None
        assert (await admin.get(RETENTION)).json()["data"]["next_run_at"] is None

    async def test_a_change_waits_for_the_next_time(self, client, admin, sessions, recording):
        file_id = await old_file(client, sessions, recording)
        assert (await admin.put(SETTINGS, json={"enabled": True})).status_code == 200
        assert await retention.run_if_due(sessions) is None
        assert await there(client, file_id)

    async def test_a_crash_in_the_middle_costs_nothing(
        self, client, admin, sessions, recording, monkeypatch
    ):
        for number in range(3):
            await old_file(client, sessions, recording + bytes([number]))
        await enable(admin, sessions)
        remove, count = removal.remove, 0

        async def dies(session, file):
            nonlocal count
            count += 1
            removed = await remove(session, file)
            if count == 2:
                # After everything was written and before it was committed.
                raise RuntimeError("killed")
            return removed

        monkeypatch.setattr(removal, "remove", dies)
        with pytest.raises(RuntimeError, match="killed"):
            await retention.run_if_due(sessions)
        assert await rows(sessions, "media_file") == 2
        halfway = (await admin.get(RETENTION)).json()["data"]["last_run"]
        assert (halfway["files"], halfway["finished_at"]) == (1, None)
        run = await retention.run_if_due(sessions)
        assert (run.files, await rows(sessions, "media_file")) == (3, 0)
        actions = [event.action for event in await audited(sessions)]
        assert (actions.count("file.deleted"), actions.count("retention.run")) == (3, 1)

    async def test_several_runners_make_one_run(self, client, admin, sessions, recording):
        for number in range(5):
            await old_file(client, sessions, recording + bytes([number]))
        await enable(admin, sessions)
        async with asyncio.timeout(60):
            while await rows(sessions, "media_file"):
                await asyncio.gather(*(retention.run_if_due(sessions) for _ in range(3)))
        assert await retention.run_if_due(sessions) is None
        actions = [event.action for event in await audited(sessions)]
        assert (actions.count("file.deleted"), actions.count("retention.run")) == (5, 1)

    async def test_a_runner_does_it_by_itself(self, client, admin, sessions, recording, parts):
        file_id = await old_file(client, sessions, recording)
        await enable(admin, sessions)
        async with running(parts), asyncio.timeout(30):
            while await there(client, file_id):
                await asyncio.sleep(0.1)


async def test_the_defaults_delete_nothing_by_themselves(client, sessions, recording):
    file_id = (await upload(client, recording)).json()["data"]["file"]["id"]
    await aged(sessions, file_id, 3000, FileStatus.completed)
    assert RetentionSettings().enabled is False
    assert await retention.run_if_due(sessions) is None
    assert await there(client, file_id)
    assert await audited(sessions) == []
