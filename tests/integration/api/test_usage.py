"""What users see of their use, and administrators of everybody's; exports that are no trap."""

import csv
import io
import json
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import SecretStr
from sqlalchemy import select, text

from api.factory import create_app
from cluster.settings import PriceSettings, TelemetrySettings
from db.engine import Sessions, session_scope
from db.models import AuditEvent, UsageEntry, UsageMeasure
from tests.fixtures.api import connect
from tests.fixtures.files import user_id
from tests.integration.api.test_admin import admin
from tests.integration.api.test_uploads import error_type

__all__ = ["admin"]

USAGE = "/api/admin/usage"
OWN = "/api/users/me/usage"
LAST_WEEK = datetime.now(UTC) - timedelta(days=7)


@pytest.fixture
async def services(services):
    prices = PriceSettings(
        audio_hour=1.0, model_hours={"*": 3.6}, million_tokens={"*": (1.0, 2.0)}, currency="CHF"
    )
    return replace(services, prices=prices)


async def used(sessions: Sessions, owner: uuid.UUID, measure: UsageMeasure, amount, **more):
    known = {
        "user_id": owner,
        "task_id": uuid.uuid4(),
        "kind": "transcription",
        "lane": "interactive",
        "measure": measure,
        "amount": amount,
    }
    async with session_scope(sessions) as session:
        session.add(UsageEntry(**{**known, **more}))


async def an_hour_and_a_summary(sessions: Sessions, owner: uuid.UUID) -> None:
    await used(sessions, owner, UsageMeasure.audio_seconds, 3600)
    await used(sessions, owner, UsageMeasure.model_seconds, 20, stage="transcribe", model="base")
    await used(sessions, owner, UsageMeasure.model_seconds, 10, stage="align", model="ctc")
    for measure, amount in (
        ("prompt_tokens", 500_000),
        ("completion_tokens", 10_000),
        ("calls", 3),
    ):
        more = {"stage": "summarize", "model": "small"}
        await used(sessions, owner, UsageMeasure(measure), amount, **more)


WHOLE = {
    "audio_seconds": 3600,
    "model_seconds": {"transcribe": 20, "align": 10},
    "tokens": [
        {"model": "small", "prompt_tokens": 500_000, "completion_tokens": 10_000, "calls": 3}
    ],
    # 1 for the hour, 0.03 for half a minute of models, 0.5 and 0.02 for tokens
    "cost": 1.55,
    "currency": "CHF",
}


class TestOwn:
    async def test_what_i_have_used(self, client, stranger, sessions):
        await an_hour_and_a_summary(sessions, await user_id(client))
        assert (await client.get(OWN)).json()["data"] == WHOLE
        assert (await stranger.get(OWN)).json()["data"]["cost"] == 0

    async def test_within_a_period(self, client, sessions):
        owner = await user_id(client)
        await used(sessions, owner, UsageMeasure.audio_seconds, 10, created_at=LAST_WEEK)
        await used(sessions, owner, UsageMeasure.audio_seconds, 5)
        moment = (LAST_WEEK + timedelta(days=1)).isoformat()
        for bounds, seconds in (({"from": moment}, 5), ({"to": moment}, 10), ({}, 15)):
            answer = await client.get(OWN, params=bounds)
            assert answer.json()["data"]["audio_seconds"] == seconds

    async def test_a_period_that_ends_before_it_begins_is_refused(self, client):
        bounds = {"from": "2030-01-02T00:00:00Z", "to": "2030-01-01T00:00:00Z"}
        assert error_type(await client.get(OWN, params=bounds)) == (422, "validation_error")


class TestEverybodys:
    async def test_by_user(self, admin, client, sessions):
        owner = await user_id(client)
        await an_hour_and_a_summary(sessions, owner)
        page = (await admin.get(USAGE)).json()["data"]
        email = (await client.get("/api/auth/me")).json()["data"]["email"]
        assert page["items"] == [{**WHOLE, "user_id": str(owner), "email": email}]
        assert page["total"] == 1

    async def test_in_pages_and_of_one(self, admin, sessions):
        owners = sorted(uuid.uuid4() for _ in range(5))
        for owner in owners:
            await used(sessions, owner, UsageMeasure.audio_seconds, 1)
        page = (await admin.get(USAGE, params={"page": 2, "page_size": 2})).json()["data"]
        assert [item["user_id"] for item in page["items"]] == [str(one) for one in owners[2:4]]
        assert (page["total"], page["total_pages"]) == (5, 3)
        one = (await admin.get(USAGE, params={"user_id": str(owners[4])})).json()["data"]
        assert [item["user_id"] for item in one["items"]] == [str(owners[4])]

    async def test_an_account_that_is_gone_stays_in_the_ledger(self, admin, sessions):
        await used(sessions, uuid.uuid4(), UsageMeasure.audio_seconds, 60)
        [item] = (await admin.get(USAGE)).json()["data"]["items"]
        assert (item["email"], item["audio_seconds"]) == (None, 60)

    async def test_nobody_else_sees_it(self, client, anonymous):
        for path in (USAGE, f"{USAGE}/export?format=csv"):
            assert error_type(await client.get(path)) == (403, "forbidden")
            assert error_type(await anonymous.get(path)) == (401, "not_authenticated")


class TestExport:
    async def exported(self, admin, how: str, **params) -> str:
        answer = await admin.get(f"{USAGE}/export", params={"format": how, **params})
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-disposition"].startswith('attachment; filename="usage.')
        return answer.text

    async def test_as_csv(self, admin, client, sessions):
        owner = await user_id(client)
        await an_hour_and_a_summary(sessions, owner)
        rows = list(csv.DictReader(io.StringIO(await self.exported(admin, "csv"))))
        assert len(rows) == 6
        assert {row["user_id"] for row in rows} == {str(owner)}
        [audio] = [row for row in rows if row["measure"] == "audio_seconds"]
        assert (float(audio["amount"]), float(audio["cost"]), audio["currency"]) == (3600, 1, "CHF")

    async def test_as_lines_of_json(self, admin, sessions):
        await used(sessions, uuid.uuid4(), UsageMeasure.calls, 2, model="small")
        [line] = (await self.exported(admin, "ndjson")).splitlines()
        assert json.loads(line)["model"] == "small"

    async def test_nothing_is_taken_for_a_formula(self, admin, client, sessions):
        owner = await user_id(client)
        # Names of models are what users enter, and addresses may begin with anything.
        for number, model in enumerate(
            ('=HYPERLINK("http://x","y")', "+1", "-1", "@SUM(A1)", "\tx")
        ):
            await used(sessions, owner, UsageMeasure.calls, number + 1, model=model)
        async with session_scope(sessions) as session:
            await session.execute(
                text("""UPDATE "user" SET email = '=cmd|calc!A0@example.org' WHERE id = :id"""),
                {"id": owner},
            )
        rows = list(csv.reader(io.StringIO(await self.exported(admin, "csv"))))
        assert len(rows) == 6
        for row in rows:
            assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in row)
        assert "'=cmd|calc!A0@example.org" in rows[1]

    async def test_it_is_written_down(self, admin, sessions):
        owner = uuid.uuid4()
        await self.exported(admin, "csv", user_id=str(owner))
        async with session_scope(sessions) as session:
            query = select(AuditEvent).where(AuditEvent.action == "usage.exported")
            [event] = await session.scalars(query)
        assert event.details == {"format": "csv", "filters": {"user_id": str(owner)}}

    async def test_more_users_than_are_in_memory_at_a_time(self, admin, sessions, monkeypatch):
        monkeypatch.setattr("api.usage.routes.BATCH", 3)
        for _ in range(8):
            await used(sessions, uuid.uuid4(), UsageMeasure.audio_seconds, 1)
        assert len((await self.exported(admin, "ndjson")).splitlines()) == 8


class TestMetrics:
    async def shown(
        self, services, sessions, token: str | None, **headers: str
    ) -> dict[str, float]:
        secret = SecretStr(token) if token else None
        telemetry = TelemetrySettings(metrics_token=secret, metrics_users=2)
        async with connect(create_app(replace(services, telemetry=telemetry))) as asking:
            lines = (await asking.get("/metrics", headers=headers)).text.splitlines()
        ours = [line for line in lines if line.startswith("rayscribe_user_audio_seconds{")]
        return {line.split('"')[1]: float(line.rsplit(" ", 1)[1]) for line in ours}

    async def test_the_users_with_most_are_named_and_all_others_are_one(self, services, sessions):
        owners = [uuid.uuid4() for _ in range(5)]
        for seconds, owner in enumerate(owners, start=1):
            await used(sessions, owner, UsageMeasure.audio_seconds, seconds)
            await used(sessions, owner, UsageMeasure.audio_seconds, 100, created_at=LAST_WEEK)
        shown = await self.shown(services, sessions, "s3cret", authorization="Bearer s3cret")
        assert shown == {str(owners[4]): 5, str(owners[3]): 4, "other": 6}

    @pytest.mark.parametrize("token", [None, "s3cret"])
    async def test_nobody_is_named_to_who_does_not_show_the_token(self, services, sessions, token):
        await used(sessions, uuid.uuid4(), UsageMeasure.audio_seconds, 7)
        assert await self.shown(services, sessions, token) == {"other": 7}
        wrong = await self.shown(services, sessions, token, authorization="Bearer guess")
        assert wrong == {"other": 7}
