"""The audit log: what is in it, how it is asked and exported."""

import csv
import io
import json
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from api.admin import audit_routes
from api.admin.audit_routes import COLUMNS
from api.spreadsheets import FORMULA, cell, table
from db.engine import Sessions, session_scope
from db.models import AuditEvent
from tests.integration.api.test_admin import admin, audited
from tests.integration.api.test_files import uploaded
from tests.integration.api.test_uploads import error_type

__all__ = ["admin"]

AUDIT = "/api/admin/audit"
START = datetime(2026, 1, 1, tzinfo=UTC)


async def events(sessions: Sessions, count: int, **values) -> None:
    """Events of file reads, a minute apart; nothing else is in the log."""
    async with session_scope(sessions) as session:
        await session.execute(text("DELETE FROM audit_event"))
        for number in range(count):
            known = {
                "action": "file.read",
                "subject_type": "file",
                "subject_id": f"file-{number}",
                "created_at": START + timedelta(minutes=number),
            }
            session.add(AuditEvent(**{**known, **values}))


async def asked(admin, **params) -> list[dict]:
    answer = await admin.get(AUDIT, params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]["items"]


async def exported(admin, how: str, **params) -> str:
    answer = await admin.get(f"{AUDIT}/export", params={"format": how, **params})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-disposition"].startswith(f'attachment; filename="audit.{how}"')
    return answer.text


class TestList:
    async def test_newest_first_in_pages(self, admin, sessions):
        await events(sessions, 5)
        answer = await admin.get(AUDIT, params={"page": 2, "page_size": 2})
        page = answer.json()["data"]
        assert (page["total"], page["total_pages"]) == (5, 3)
        assert [item["subject_id"] for item in page["items"]] == ["file-2", "file-1"]

    async def test_every_filter(self, admin, sessions):
        await events(sessions, 3)
        actor, owner = uuid.uuid4(), uuid.uuid4()
        async with session_scope(sessions) as session:
            session.add(
                AuditEvent(
                    action="task.read",
                    actor_id=actor,
                    owner_id=owner,
                    subject_id="t",
                    created_at=START - timedelta(days=1),
                )
            )
        for params in (
            {"actor_id": str(actor)},
            {"owner_id": str(owner)},
            {"action": "task.read"},
            {"subject": "t"},
            {"to": START.isoformat()},
        ):
            assert [item["action"] for item in await asked(admin, **params)] == ["task.read"]
        some = await asked(admin, **{"from": (START + timedelta(minutes=1)).isoformat()})
        assert [item["subject_id"] for item in some] == ["file-2", "file-1"]
        # `to` is not in it: two ranges that meet share no event.
        bounds = {"from": START.isoformat(), "to": (START + timedelta(minutes=1)).isoformat()}
        assert [item["subject_id"] for item in await asked(admin, **bounds)] == ["file-0"]
        assert await asked(admin, actor_id=str(uuid.uuid4())) == []

    @pytest.mark.parametrize(
        "params",
        [
            {"actor_id": "me"},
            {"action": "file.eaten"},
            {"action": "\0"},
            {"subject": "a\0"},
            {"subject": "x" * 65},
            {"from": "yesterday"},
            {"from": "2026-01-01T00:00:00"},  # of which zone?
            {"to": "9" * 400},
            {"from": "0001-01-01T00:00:00+14:00"},
            {"from": "2026-01-02T00:00:00Z", "to": "2026-01-01T00:00:00Z"},
            {"to": "9999-12-31T23:59:59-12:00"},
        ],
    )
    async def test_questions_that_make_no_sense(self, admin, params):
        for path in (AUDIT, f"{AUDIT}/export"):
            answer = await admin.get(path, params={"format": "csv", **params})
            assert error_type(answer) == (422, "validation_error")

    async def test_reading_it_is_not_written_down_and_exporting_it_is(self, admin, sessions):
        await events(sessions, 1)
        await asked(admin)
        assert len(await audited(sessions)) == 1
        await exported(admin, "ndjson", subject="file-0")
        [_, event] = await audited(sessions)
        assert event.action == "audit.exported"
        assert event.details == {"format": "ndjson", "filters": {"subject": "file-0"}}

    async def test_what_an_administrator_reads_is_in_it(self, admin, client, recording, sessions):
        file_id, _ = await uploaded(client, recording)
        await admin.get("/api/admin/files")
        answer = await admin.delete(f"/api/admin/files/{file_id}")
        assert answer.status_code == 204
        [deleted] = await asked(admin, subject=file_id)
        me = (await admin.get("/api/auth/me")).json()["data"]["id"]
        assert (deleted["action"], deleted["actor_id"]) == ("file.deleted", me)
        assert deleted["owner_id"] != me
        assert deleted["address"]


class TestExport:
    @pytest.mark.parametrize("batch", [1, 2, 1000])
    async def test_both_formats_say_what_the_list_says(self, admin, sessions, monkeypatch, batch):
        monkeypatch.setattr(audit_routes, "BATCH", batch)
        await events(sessions, 5, details={"words": 'Übung, "quoted"\nnext', "number": 1})
        listed = await asked(admin, action="file.read")
        lines = (await exported(admin, "ndjson", action="file.read")).splitlines()
        assert [json.loads(line) for line in lines] == listed
        rows = list(csv.DictReader(io.StringIO(await exported(admin, "csv", action="file.read"))))
        assert [row["subject_id"] for row in rows] == [item["subject_id"] for item in listed]
        assert json.loads(rows[0]["details"]) == listed[0]["details"]
        assert rows[0].keys() == listed[0].keys()

    async def test_events_of_one_moment_are_each_exported_once(self, admin, sessions, monkeypatch):
        monkeypatch.setattr(audit_routes, "BATCH", 2)
        await events(sessions, 7, created_at=START)
        rows = await exported(admin, "csv", action="file.read")
        names = [row["subject_id"] for row in csv.DictReader(io.StringIO(rows))]
        assert sorted(names) == [f"file-{number}" for number in range(7)]

    async def test_formulas_come_out_as_text(self, admin, sessions):
        await events(sessions, 1, subject_id="=cmd|' /C calc'!A0", address="@SUM(1)")
        rows = await exported(admin, "csv", action="file.read")
        [row] = csv.DictReader(io.StringIO(rows))
        assert (row["subject_id"], row["address"]) == ("'=cmd|' /C calc'!A0", "'@SUM(1)")

    async def test_an_unknown_format(self, admin):
        answer = await admin.get(f"{AUDIT}/export", params={"format": "xlsx"})
        assert error_type(answer) == (422, "validation_error")


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=20), min_size=1))
def test_any_text_survives_and_no_cell_is_a_formula(values):
    [row] = list(csv.reader(io.StringIO(table([[cell(value) for value in values]]), newline="")))
    assert len(row) == len(values)
    for written, value in zip(row, values, strict=True):
        assert written in {value, f"'{value}"}
        assert not written.startswith(FORMULA)


def test_a_value_that_is_none_is_an_empty_cell():
    assert cell(None) == ""
    assert "details" in COLUMNS
