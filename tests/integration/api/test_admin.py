"""What administrators see and do: figures, everybody's files, settings, cleaning up."""

import asyncio
import os
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, text

from api.factory import VERSION, create_app
from cluster.settings import MaintenanceSettings, RunnerSettings
from db.engine import Sessions, session_scope
from db.models import (
    AuditEvent,
    Backfill,
    BackfillEngine,
    BackfillStage,
    Destination,
    MediaFile,
    Task,
    TaskState,
)
from db.objects.s3 import S3Objects
from db.queries import oversight
from pipelines import leftovers, orphans, outbox, queue
from pipelines.queue import Claim
from pipelines.task_state import Failure
from serving.errors import SpeechUnavailable
from tests.fixtures.api import connect, part, prepare, send_part, sign_up, upload
from tests.fixtures.files import objects_noted
from tests.fixtures.runner import Gate, get, running, with_parts
from tests.fixtures.speech import sample
from tests.integration.api.test_files import claimed, transcribed, uploaded
from tests.integration.api.test_uploads import error_type, keys, rows

ADMIN = "/api/admin"


@pytest.fixture
async def admin(app, sessions):
    """An administrator, signed in."""
    async with connect(app) as connected:
        pair = await sign_up(connected)
        connected.headers["Authorization"] = f"Bearer {pair['access_token']}"
        me = (await connected.get("/api/auth/me")).json()["data"]["id"]
        async with session_scope(sessions) as session:
            await session.execute(
                text("""UPDATE "user" SET role = 'admin' WHERE id = :id"""), {"id": me}
            )
        yield connected


async def audited(sessions: Sessions) -> list[AuditEvent]:
    """The audit log but for what accounts did, oldest first."""
    async with session_scope(sessions) as session:
        events = await session.scalars(select(AuditEvent).order_by(AuditEvent.id))
        kinds = ("file", "files", "task", "settings", "retention", "cleanup", "audit")
        return [event for event in events if event.action.split(".")[0] in kinds]


async def owner_of(sessions: Sessions, file_id: str) -> uuid.UUID:
    async with session_scope(sessions) as session:
        return (await session.get_one(MediaFile, uuid.UUID(file_id))).user_id


async def sweep(sessions: Sessions, objects) -> None:
    """What a runner does with what is due."""
    handlers = {Destination.objects: leftovers.sweeper(sessions, objects)}
    await outbox.drain(sessions, handlers, MaintenanceSettings())


async def stats(admin) -> dict:
    answer = await admin.get(f"{ADMIN}/stats")
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


class TestStats:
    async def test_an_empty_installation(self, admin):
        told = await stats(admin)
        assert told["users"] == {"total": 1, "active": 1, "inactive": 0, "admins": 1, "new": 1}
        assert (told["files"]["total"], told["files"]["average_speakers"]) == (0, None)
        assert (told["tasks"]["success_rate"], told["tasks"]["average_seconds"]) == (None, None)
        assert told["tasks"]["recent"] == []

    async def test_everything_is_counted(self, admin, client, stranger, recording, sessions):
        file_id, task_id = await uploaded(client, recording)
        await transcribed(sessions, file_id)
        await uploaded(stranger, recording)
        async with session_scope(sessions) as session:
            await session.execute(
                text("UPDATE task SET finished_at = started_at + interval '90 s' WHERE id = :id"),
                {"id": task_id},
            )
            await session.execute(
                text("""UPDATE media_file SET duration = 2.5, created_at = now() - interval '8 d'
                        WHERE id = :id"""),
                {"id": file_id},
            )
        told = await stats(admin)
        assert (told["users"]["total"], told["users"]["admins"]) == (3, 1)
        files = told["files"]
        assert (files["total"], files["new"], files["total_duration"]) == (2, 1, 4.5)
        assert files["total_size_bytes"] == 2 * len(recording)
        assert (files["by_status"]["completed"], files["by_status"]["queued"]) == (1, 1)
        assert files["segments"] == {"value": 2, "estimated": False}
        assert files["average_speakers"] == 1.0
        tasks = told["tasks"]
        assert (tasks["total"], tasks["success_rate"], tasks["average_seconds"]) == (2, 1.0, 90.0)
        assert len(tasks["recent"]) == 2
        assert "options" not in tasks["recent"][0]

    async def test_a_large_table_is_estimated_and_says_so(self, sessions, monkeypatch):
        async with session_scope(sessions) as session:
            await session.execute(
                text("""INSERT INTO sign_in_attempt (account, address, succeeded)
                        SELECT 'x', 'y', false FROM generate_series(1, 3000)""")
            )
        from db.models import SignInAttempt

        monkeypatch.setattr(oversight, "COUNTED_EXACTLY", 2999)
        async with session_scope(sessions) as session:
            # Never analysed: at least what was counted is there.
            found = await oversight.amount(session, SignInAttempt)
            assert (found.value, found.estimated) == (3000, True)
        async with session_scope(sessions) as session:
            await session.execute(text("ANALYZE sign_in_attempt"))
        monkeypatch.setattr(oversight, "COUNTED_EXACTLY", 10)
        async with session_scope(sessions) as session:
            found = await oversight.amount(session, SignInAttempt)
            assert found.estimated
            assert found.value == pytest.approx(3000, rel=0.1)

    async def test_the_node_and_its_models(self, admin, speech_health, services):
        speech_health.answer = {
            "transcriber": {"status": "up", "seconds": 0.1, "stats": {"model": "base"}},
            "aligner": {"status": "down", "error": "10.0.0.7 does not answer"},
        }
        told = await stats(admin)
        assert told["models"] == {
            "transcriber": {"status": "up", "model": "base"},
            "aligner": {"status": "down", "model": None},
        }
        system = told["system"]
        assert (system["version"], system["cpus"]) == (VERSION, os.cpu_count())
        assert 0 < system["memory_available_bytes"] < system["memory_total_bytes"]
        assert 0 < system["disk"]["free_bytes"] < system["disk"]["total_bytes"]
        assert str(services.data_dir.resolve()).startswith(system["disk"]["path"])

    async def test_while_the_speech_service_is_away(self, services, admin):
        async def silent():
            raise SpeechUnavailable("10.0.0.7 does not answer")

        async with connect(create_app(replace(services, health=silent))) as other:
            other.headers["Authorization"] = admin.headers["Authorization"]
            assert (await stats(other))["models"] == {}


class TestFiles:
    async def test_all_users_files_and_the_look_is_written_down(
        self, admin, client, stranger, recording, sessions
    ):
        one, _ = await uploaded(client, recording)
        other, _ = await uploaded(stranger, recording)
        page = (await admin.get(f"{ADMIN}/files")).json()["data"]
        assert [item["id"] for item in page["items"]] == [other, one]
        owner = await owner_of(sessions, one)
        some = await admin.get(f"{ADMIN}/files", params={"owner_id": str(owner), "page_size": 1})
        assert [item["id"] for item in some.json()["data"]["items"]] == [one]
        failed = await admin.get(f"{ADMIN}/files", params={"status": "failed"})
        assert failed.json()["data"]["total"] == 0
        listed = [event for event in await audited(sessions) if event.action == "files.listed"]
        assert [event.owner_id for event in listed] == [None, owner, None]

    async def test_deleted_by_force_whatever_goes_on(
        self, admin, client, recording, sessions, objects
    ):
        file_id, task_id = await uploaded(client, recording)
        await claimed(sessions)
        async with session_scope(sessions) as session:
            task = await session.get_one(Task, uuid.UUID(task_id))
        assert (await client.delete(f"/api/files/{file_id}")).status_code == 409
        assert (await admin.delete(f"{ADMIN}/files/{file_id}")).status_code == 204
        assert (await client.get(f"/api/files/{file_id}")).status_code == 404
        assert (await keys(objects), await rows(sessions, "task")) == ([], 0)
        async with session_scope(sessions) as session:
            types = await session.execute(text("SELECT type FROM task_event ORDER BY id"))
            assert types.scalars().all()[-2:] == ["transcription_status", "file_deleted"]
            # Its runner finds out at the next beat, and what it still writes is swept later.
            held = Claim(task.id, task.fence)
            assert await queue.heartbeat(session, [held], RunnerSettings()) == {}
        [prefix] = await objects_noted(sessions)
        assert file_id in prefix
        [event] = await audited(sessions)
        assert (event.action, event.subject_id) == ("file.deleted", file_id)
        assert event.details["reason"] == "administrator"

    async def test_a_file_that_nobody_works_on_leaves_no_note(
        self, admin, client, recording, sessions, objects
    ):
        file_id, _ = await uploaded(client, recording)
        assert (await admin.delete(f"{ADMIN}/files/{file_id}")).status_code == 204
        assert (await keys(objects), await objects_noted(sessions)) == ([], [])
        again = await admin.delete(f"{ADMIN}/files/{file_id}")
        assert error_type(again) == (404, "not_found")
        assert len(await audited(sessions)) == 1


async def test_a_runner_loses_a_file_that_is_deleted_under_its_hands(
    admin, client, sessions, objects, parts, recording
):
    gate = Gate(parts.ports.transcriber)
    # Somebody speaks in it, so that the transcriber is asked.
    file_id, _ = await uploaded(client, sample().read_bytes())
    async with running(with_parts(parts, transcriber=gate)) as runner, asyncio.timeout(60):
        await gate.reached.wait()
        assert (await admin.delete(f"{ADMIN}/files/{file_id}")).status_code == 204
        while runner.running:
            await asyncio.sleep(0.05)
        # It goes on with other work.
        gate.open.set()
        other, task_id = await uploaded(client, recording)
        while (await get(sessions, uuid.UUID(task_id))).state is not TaskState.completed:
            await asyncio.sleep(0.05)
    async with session_scope(sessions) as session:
        await session.execute(text("UPDATE outbox SET due_at = now()"))
    await sweep(sessions, objects)
    assert {key.split("/")[2] for key in await keys(objects)} == {other}


class TestSettings:
    async def test_defaults_and_changes_and_back(self, admin, sessions):
        settings = f"{ADMIN}/settings"
        assert (await admin.get(settings)).json()["data"]["retention"]["days"] == 90
        put = await admin.put(f"{settings}/retention", json={"days": 30})
        assert (put.status_code, put.json()["data"]["days"]) == (200, 30)
        assert (await admin.get(settings)).json()["data"]["retention"]["days"] == 30
        # The same once more changes nothing.
        await admin.put(f"{settings}/retention", json={"days": 30})
        put = await admin.put(f"{settings}/retention", json={"timezone": "Europe/Berlin"})
        # What is left out has its default.
        assert put.json()["data"]["days"] == 90
        reset = await admin.delete(f"{settings}/retention")
        assert reset.json()["data"] == (await admin.get(f"{settings}/retention")).json()["data"]
        assert reset.json()["data"]["timezone"] == "UTC"
        assert await rows(sessions, "system_setting") == 0
        changes = [
            (event.details["before"]["days"], event.details["after"]["days"])
            for event in await audited(sessions)
        ]
        assert changes == [(90, 30), (30, 90), (90, 90)]

    @pytest.mark.parametrize(
        ("section", "body"),
        [
            ("retry", {"max_attempts": 0}),
            ("retry", {"max_attempts": 11}),
            ("retry", {"max_attempts": "3"}),
            ("retry", {"enabled": "yes"}),
            ("retry", {"attempts": 3}),
            ("retry", []),
            ("audit", {"retention_days": 29}),
            ("audit", {"retention_days": 10**30}),
            ("retention", {"timezone": "\0"}),
            ("retention", {"timezone": "x" * 100_000}),
            ("retention", {"run_at": "25:00"}),
        ],
    )
    async def test_what_makes_no_sense_is_refused(self, admin, sessions, section, body):
        answer = await admin.put(f"{ADMIN}/settings/{section}", json=body)
        assert error_type(answer) == (422, "validation_error")
        assert await rows(sessions, "system_setting") == 0

    async def test_a_section_that_there_is_not(self, admin):
        answer = await admin.get(f"{ADMIN}/settings/retention_run")
        assert error_type(answer) == (404, "not_found")


class TestRetrySettings:
    async def failed(self, sessions: Sessions, *, max_attempts: int = 3) -> Task:
        """Claim the task, and let the attempt fail for a passing reason."""
        runner = RunnerSettings(max_attempts=max_attempts)
        async with session_scope(sessions) as session:
            await session.execute(text("UPDATE task SET run_after = now() - interval '1 s'"))
        async with session_scope(sessions) as session:
            claim = await queue.claim(session, "a runner", runner)
            held = Claim(claim.task.id, claim.task.fence)
        async with session_scope(sessions) as session:
            failure = Failure("out_of_memory", "no", retryable=True)
            await queue.give_up(session, held, runner, failure)
            task = await session.get_one(Task, held.task_id, populate_existing=True)
            # A run that says it is the last one is.
            assert claim.last_attempt is (task.state is TaskState.failed)
            return task

    async def test_the_runners_setting_counts_unless_it_is_changed(
        self, admin, client, recording, sessions
    ):
        await upload(client, recording)
        assert (await self.failed(sessions, max_attempts=2)).state is TaskState.queued
        assert (await self.failed(sessions, max_attempts=2)).state is TaskState.failed

    async def test_a_change_counts_for_tasks_that_wait_already(
        self, admin, client, recording, sessions
    ):
        await upload(client, recording)
        assert (await self.failed(sessions)).state is TaskState.queued
        await admin.put(f"{ADMIN}/settings/retry", json={"max_attempts": 2})
        assert (await self.failed(sessions)).state is TaskState.failed

    async def test_without_retries_the_first_failure_is_the_end(
        self, admin, client, recording, sessions
    ):
        await upload(client, recording)
        await admin.put(f"{ADMIN}/settings/retry", json={"enabled": False})
        assert (await self.failed(sessions)).state is TaskState.failed

    async def test_without_retries_a_task_outlives_its_runner_all_the_same(
        self, admin, client, recording, sessions
    ):
        await upload(client, recording)
        await admin.put(f"{ADMIN}/settings/retry", json={"enabled": False})
        await claimed(sessions)
        async with session_scope(sessions) as session:
            await session.execute(text("UPDATE task SET lease_expires_at = now() - interval '1 s'"))
        async with session_scope(sessions) as session:
            claim = await queue.claim(session, "another", RunnerSettings())
            assert (claim.task.state, claim.task.attempt) == (TaskState.running, 2)

    async def test_more_attempts_than_the_runners_setting(self, admin, client, recording, sessions):
        await upload(client, recording)
        await admin.put(f"{ADMIN}/settings/retry", json={"max_attempts": 3})
        states = [(await self.failed(sessions, max_attempts=1)).state for _ in range(3)]
        assert states == [TaskState.queued, TaskState.queued, TaskState.failed]


class TestCleanup:
    async def clean(self, admin, **params) -> dict:
        answer = await admin.post(f"{ADMIN}/cleanup", params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    @pytest.fixture
    def ageless(self, services, admin):
        """An administrator where an orphan may be of any age."""
        maintenance = MaintenanceSettings(orphan_age_hours=1).model_copy(
            update={"orphan_age_hours": 0}
        )
        other = connect(create_app(replace(services, maintenance=maintenance)))
        other.headers["Authorization"] = admin.headers["Authorization"]
        return other

    async def test_objects_that_no_row_names(
        self, ageless, client, recording, long_recording, objects, sessions
    ):
        file_id, _ = await uploaded(client, recording)
        owner = await owner_of(sessions, file_id)
        opened = await prepare(client, long_recording)
        await send_part(client, opened["upload_id"], 1, part(long_recording, 1))
        kept = set(await keys(objects))
        assert len(kept) == 2
        lost = [
            f"media/{owner}/{uuid.uuid4()}/original",
            f"media/{owner}/{uuid.uuid4()}/original.thumbnail.jpg",
            f"uploads/{owner}/{uuid.uuid4()}/00001",
        ]
        foreign = ["media/readme.txt", f"media/{owner}/notes/x", "elsewhere/x"]
        for key in (*lost, *foreign):
            await objects.put(key, b"12345")
        looked = await self.clean(ageless, dry_run=True)
        assert (looked["objects"], looked["bytes"], looked["unknown"]) == (3, 15, 2)
        assert set(await keys(objects)) == kept | {*lost, *foreign}
        assert await audited(sessions) == []
        done = await self.clean(ageless)
        assert done == looked | {"dry_run": False}
        assert set(await keys(objects)) == kept | {*foreign}
        assert (await self.clean(ageless))["objects"] == 0
        runs = [event for event in await audited(sessions) if event.action == "cleanup.run"]
        assert [event.details["objects"] for event in runs] == [3, 0]

    async def test_manifests_that_no_backfill_reads_any_more(self, ageless, objects, sessions):
        unread, read, unused = (f"backfills/manifests/{uuid.uuid4()}" for _ in range(3))
        for key in (unread, read, unused):
            await objects.put(key, b"{}")
        async with session_scope(sessions) as session:
            for location, selected_at in ((unread, None), (read, datetime.now(UTC))):
                backfill = Backfill(stage=BackfillStage.bring_in, engine=BackfillEngine.online)
                backfill.selection, backfill.selected_at = {"manifest": location}, selected_at
                session.add(backfill)
        assert (await self.clean(ageless))["objects"] == 2
        assert await keys(objects) == [unread]

    async def test_one_that_fails_is_written_down_as_begun(
        self, admin, services, object_settings, sessions
    ):
        nowhere = object_settings.model_copy(update={"endpoint": "127.0.0.1:1"})
        async with connect(create_app(replace(services, objects=S3Objects(nowhere)))) as storeless:
            storeless.headers.update(admin.headers)
            assert (await storeless.post(f"{ADMIN}/cleanup")).status_code == 503
        assert [event.action for event in await audited(sessions)] == ["cleanup.begun"]

    async def test_what_is_young_stays(self, admin, objects):
        key = f"media/{uuid.uuid4()}/{uuid.uuid4()}/original"
        await objects.put(key, b"x")
        done = await self.clean(admin)
        assert (done["seen"], done["objects"]) == (1, 0)
        assert await keys(objects) == [key]

    async def test_many_objects_are_looked_at_in_several_requests(self, objects, sessions):
        for number in range(5):
            await objects.put(f"media/{uuid.uuid4()}/{uuid.uuid4()}/{number}", b"x")
            await objects.put(f"uploads/{uuid.uuid4()}/{uuid.uuid4()}/{number}", b"x")
        first = await orphans.sweep(sessions, objects, timedelta(0), limit=1)
        assert (first.seen, first.objects) == (5, 5)
        assert first.next_after.startswith("media/")
        rest = await orphans.sweep(
            sessions, objects, timedelta(0), limit=100, after=first.next_after
        )
        assert (rest.objects, rest.next_after) == (5, None)
        assert await keys(objects) == []

    async def test_rows_whose_time_is_over(
        self, admin, client, recording, long_recording, sessions, objects
    ):
        await upload(client, recording)
        opened = await prepare(client, long_recording)
        await send_part(client, opened["upload_id"], 1, part(long_recording, 1))
        async with session_scope(sessions) as session:
            for statement in (
                "UPDATE task_event SET created_at = now() - interval '31 d'",
                "UPDATE upload SET expires_at = now() - interval '25 h'",
                """INSERT INTO sign_in_attempt (account, address, succeeded, created_at)
                   VALUES ('a', 'b', false, now() - interval '8 d')""",
                """INSERT INTO audit_event (action, created_at)
                   VALUES ('file.read', now() - interval '366 d'), ('file.read', now())""",
                """INSERT INTO idempotency_key
                   (user_id, key, fingerprint, status_code, body, created_at)
                   SELECT id, 'k', 'f', 200, '{}', now() - interval '25 h' FROM "user" LIMIT 1""",
                """INSERT INTO refresh_token (user_id, family_id, token_hash, expires_at)
                   SELECT id, gen_random_uuid(), 'h', now() - interval '25 h'
                   FROM "user" LIMIT 1""",
            ):
                await session.execute(text(statement))
            events = await session.scalar(text("SELECT count(*) FROM task_event"))
            await session.execute(text("DELETE FROM outbox"))
        looked = (await self.clean(admin, dry_run=True))["rows"]
        assert await rows(sessions, "upload") == 1
        done = (await self.clean(admin))["rows"]
        assert (
            done
            == looked
            == {
                "events": events,
                "idempotency_keys": 1,
                "sign_in_attempts": 1,
                "audit_events": 1,
                "sessions": 1,
                "uploads": 1,
            }
        )
        assert set((await self.clean(admin))["rows"].values()) == {0}
        # The parts of the upload are noted, whatever became of the first note.
        async with session_scope(sessions) as session:
            [entry] = (await session.execute(text("SELECT * FROM outbox"))).all()
        assert opened["upload_id"] in entry.subject

    async def test_the_audit_log_is_kept_for_as_long_as_set(self, admin, sessions):
        async with session_scope(sessions) as session:
            await session.execute(
                text("""INSERT INTO audit_event (action, created_at)
                        VALUES ('file.read', now() - interval '100 d')""")
            )
        assert (await self.clean(admin))["rows"]["audit_events"] == 0
        await admin.put(f"{ADMIN}/settings/audit", json={"retention_days": 99})
        assert (await self.clean(admin))["rows"]["audit_events"] == 1

    @pytest.mark.parametrize("after", ["\0", "a b", "é", "x" * 1025, ""])
    async def test_keys_that_are_none(self, admin, after):
        answer = await admin.post(f"{ADMIN}/cleanup", params={"after": after})
        assert error_type(answer) == (422, "validation_error")


async def test_leftovers_of_a_runner_that_was_slow_to_notice_go_later(
    admin, client, recording, sessions, objects
):
    file_id, _ = await uploaded(client, recording)
    owner = await owner_of(sessions, file_id)
    await claimed(sessions)
    assert (await admin.delete(f"{ADMIN}/files/{file_id}")).status_code == 204
    late = f"media/{owner}/{file_id}/original.recording/x/0"
    await objects.put(late, b"late")
    async with session_scope(sessions) as session:
        await session.execute(text("UPDATE outbox SET due_at = now()"))
        [entry] = (
            await session.execute(text("SELECT payload FROM outbox WHERE destination = 'objects'"))
        ).all()
    assert entry.payload["kept_while"] == leftovers.KeptWhile.nothing
    await sweep(sessions, objects)
    assert await keys(objects) == []


async def test_only_administrators(client):
    for path in ("stats", "files", "settings", "audit", "retention"):
        assert error_type(await client.get(f"{ADMIN}/{path}")) == (403, "forbidden")
