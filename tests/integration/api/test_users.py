"""Accounts: one's own, and all of them for administrators."""

import asyncio
import json
import uuid
from dataclasses import replace

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from api.callers import Caller
from api.error_handlers import api_error
from api.errors import ApiError
from api.factory import create_app
from api.users import removal, service
from api.users.schemas import NewUser, UserChange
from db.engine import Sessions, session_scope
from db.models import BackfillEngine, BackfillStage
from db.objects.s3 import S3Objects
from db.queries import users
from db.vectors.pgvector import PgVectorStore
from pipelines import queue
from pipelines.backfills import requests
from pipelines.backfills.orders import Order
from tests.fixtures.api import PASSWORD, connect, prepare, sign_up, upload
from tests.fixtures.runner import SETTINGS
from tests.fixtures.voiceprints import add_file, add_profile, assign, axis, bring, points
from tests.integration.api.test_uploads import keys

USERS = "/api/users"
ME = "/api/users/me"
NOBODY = "0d143664-33d5-4ea5-ad88-2cf4103a401c"


@pytest.fixture
async def admin(app, sessions):
    """An administrator, signed in."""
    async with connect(app) as client:
        await enter(client, sessions, "root@example.org", admin=True)
        yield client


async def enter(
    client: httpx.AsyncClient, sessions: Sessions, email: str, *, admin: bool = False
) -> dict:
    """Sign up with this client, and stay signed in; the token pair."""
    pair = await sign_up(client, email)
    client.headers["Authorization"] = f"Bearer {pair['access_token']}"
    if admin:
        async with session_scope(sessions) as session:
            await session.execute(
                text("""UPDATE "user" SET role = 'admin' WHERE email = :email"""), {"email": email}
            )
    return pair


async def own(client: httpx.AsyncClient) -> dict:
    return (await client.get(ME)).json()["data"]


def error(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error_type"]


async def send(client: httpx.AsyncClient, method: str, path: str, body: object) -> httpx.Response:
    """Any JSON, also what httpx would not encode."""
    headers = {"Content-Type": "application/json"}
    return await client.request(method, path, content=json.dumps(body), headers=headers)


class TestOneself:
    async def test_it_is_the_account_of_auth_me(self, client):
        assert await own(client) == (await client.get("/api/auth/me")).json()["data"]

    async def test_a_name_is_changed(self, client):
        answer = await client.put(ME, json={"full_name": " Ada Lovelace "})
        assert answer.json()["data"]["full_name"] == "Ada Lovelace"
        assert await own(client) == answer.json()["data"]

    async def test_an_address_needs_the_password(self, client, anonymous):
        before = await own(client)
        assert error(await client.put(ME, json={"email": "new@example.org"})) == (
            403,
            "wrong_password",
        )
        body = {"email": "new@example.org", "current_password": "wrong"}
        assert error(await client.put(ME, json=body)) == (403, "wrong_password")
        assert await own(client) == before
        answer = await client.put(ME, json={**body, "current_password": PASSWORD})
        assert answer.json()["data"]["email"] == "new@example.org"
        form = {"username": "NEW@example.org", "password": PASSWORD}
        assert (await anonymous.post("/api/auth/login", data=form)).status_code == 200

    async def test_ones_own_address_may_change_its_case(self, client):
        email = (await own(client))["email"].upper()
        answer = await client.put(ME, json={"email": email, "current_password": PASSWORD})
        assert answer.json()["data"]["email"] == email

    async def test_an_address_is_one_persons(self, client, stranger):
        taken = (await own(stranger))["email"].upper()
        answer = await client.put(ME, json={"email": taken, "current_password": PASSWORD})
        assert error(answer) == (409, "email_taken")

    async def test_of_two_who_want_an_address_one_gets_it(self, client, stranger):
        body = {"email": "wanted@example.org", "current_password": PASSWORD}
        answers = await asyncio.gather(client.put(ME, json=body), stranger.put(ME, json=body))
        assert sorted(answer.status_code for answer in answers) == [200, 409]

    @pytest.mark.parametrize(
        "body",
        [
            {"role": "admin"},
            {"is_active": True},
            {"is_superuser": True},
            {"id": NOBODY},
            {"password": "staple of wrong donkeys"},
            {"password_hash": "x"},
            {"share_weight": 1000},
            {"email": "nobody"},
            {"email": "nul\0@example.org"},
            {"email": "\ud800@example.org"},
            {"full_name": "nul\0"},
            {"full_name": "line\nbreak"},
            {"full_name": "x" * 256},
            {"full_name": 7},
            ["full_name"],
            "full_name",
            None,
        ],
        ids=str,
    )
    async def test_nothing_else_can_be_set(self, client, body):
        before = await own(client)
        answer = await send(client, "PUT", ME, body)
        assert error(answer) == (422, "validation_error")
        assert answer.json()["errors"][0]["pointer"].startswith("#")
        assert await own(client) == before

    async def test_nothing_to_change_changes_nothing(self, client):
        before = await own(client)
        for body in ({}, {"full_name": None}, {"email": before["email"]}):
            assert (await client.put(ME, json=body)).json()["data"] == before


class TestList:
    async def test_pages_filters_and_search(self, admin, client):
        await client.put(ME, json={"full_name": "Ada 100% Love_lace"})
        everybody = (await admin.get(USERS)).json()["data"]
        assert everybody["total"] == 2
        mine = (await own(client))["id"]
        for query in (
            {"search": "LOVE_"},
            {"search": "100%"},
            {"role": "user"},
            {"search": mine[:0] + (await own(client))["email"][:8]},
        ):
            found = (await admin.get(USERS, params=query)).json()["data"]
            assert [item["id"] for item in found["items"]] == [mine], query
        for query in ({"search": "%x"}, {"search": "Love%lace"}, {"is_active": False}):
            assert (await admin.get(USERS, params=query)).json()["data"]["total"] == 0, query

    @pytest.mark.parametrize("query", ["search=%00", "role=root", "is_active=2", "page=0"])
    async def test_a_wrong_question_is_refused(self, admin, query):
        assert error(await admin.get(f"{USERS}?{query}")) == (422, "validation_error")

    async def test_it_is_for_administrators(self, client):
        assert error(await client.get(USERS)) == (403, "forbidden")


class TestCreate:
    async def test_somebody_can_sign_in_then(self, admin, anonymous):
        body = {"email": "new@example.org", "password": PASSWORD, "role": "admin"}
        made = await admin.post(USERS, json=body)
        assert (made.status_code, made.json()["data"]["role"]) == (201, "admin")
        form = {"username": "new@example.org", "password": PASSWORD}
        assert (await anonymous.post("/api/auth/login", data=form)).status_code == 200
        assert error(await admin.post(USERS, json=body)) == (409, "email_taken")

    @pytest.mark.parametrize("change", [{"password": "short"}, {"role": "root"}, {"x": 1}], ids=str)
    async def test_what_cannot_be_an_account_is_refused(self, admin, change):
        body = {"email": "new@example.org", "password": PASSWORD, **change}
        assert error(await admin.post(USERS, json=body)) == (422, "validation_error")


class TestChange:
    async def test_role_name_and_address(self, admin, client, sessions):
        user = await own(client)
        body = {"role": "admin", "full_name": "Ada", "email": "ada@example.com"}
        changed = (await admin.put(f"{USERS}/{user['id']}", json=body)).json()["data"]
        assert changed == {**user, **body}
        assert (await client.get(USERS)).status_code == 200
        async with session_scope(sessions) as session:
            rows = await session.execute(
                text("SELECT action, details FROM audit_event WHERE owner_id = :id"),
                {"id": user["id"]},
            )
            events: dict[str, dict] = dict(rows.all())
        assert events["user.role_changed"] == {"before": "user", "after": "admin"}
        assert events["user.email_changed"]["before"] == user["email"]
        assert events["user.updated"] == {"fields": ["full_name"]}

    async def test_an_address_that_is_taken(self, admin, client):
        body = {"email": "ROOT@example.org"}
        answer = await admin.put(f"{USERS}/{(await own(client))['id']}", json=body)
        assert error(answer) == (409, "email_taken")

    async def test_a_disabled_account_is_out_at_once_and_for_good(self, admin, anonymous, sessions):
        pair = await enter(anonymous, sessions, "ada@example.org")
        path = f"{USERS}/{(await own(anonymous))['id']}"
        assert (await admin.put(path, json={"is_active": False})).status_code == 200
        assert error(await anonymous.get(ME)) == (401, "invalid_token")
        await admin.put(path, json={"is_active": True})
        # The sessions of before do not come back to life.
        assert (await anonymous.get(ME)).status_code == 401
        body = {"refresh_token": pair["refresh_token"]}
        assert (await anonymous.post("/api/auth/token/refresh", json=body)).status_code == 401
        form = {"username": "ada@example.org", "password": PASSWORD}
        assert (await anonymous.post("/api/auth/login", data=form)).status_code == 200

    async def test_a_new_password_ends_sessions_and_a_lock(self, admin, anonymous, sessions):
        await enter(anonymous, sessions, "ada@example.org")
        path = f"{USERS}/{(await own(anonymous))['id']}"
        form = {"username": "ada@example.org", "password": "wrong"}
        for _ in range(6):
            locked = await anonymous.post("/api/auth/login", data=form)
        assert locked.status_code == 429
        assert error(await admin.put(path, json={"password": "short"})) == (422, "validation_error")
        changed = await admin.put(path, json={"password": "staple of wrong donkeys"})
        assert changed.status_code == 200
        assert "staple" not in changed.text
        assert (await anonymous.get(ME)).status_code == 401
        form["password"] = "staple of wrong donkeys"
        assert (await anonymous.post("/api/auth/login", data=form)).status_code == 200

    @pytest.mark.parametrize("body", [{"role": None}, {}], ids=str)
    async def test_nothing_to_change_changes_nothing(self, admin, client, body):
        user = await own(client)
        changed = await admin.put(f"{USERS}/{user['id']}", json=body)
        assert changed.json()["data"] == user

    @pytest.mark.parametrize(
        "body", [{"role": "root"}, {"is_active": "maybe"}, {"id": "x"}, {"password_hash": "x"}]
    )
    async def test_nothing_else_can_be_set(self, admin, client, body):
        answer = await admin.put(f"{USERS}/{(await own(client))['id']}", json=body)
        assert error(answer) == (422, "validation_error")


class TestTheLastAdministrator:
    async def test_nobody_does_it_to_themselves(self, admin):
        path = f"{USERS}/{(await own(admin))['id']}"
        assert error(await admin.put(path, json={"role": "user"})) == (409, "conflict")
        assert error(await admin.put(path, json={"is_active": False})) == (409, "conflict")
        assert error(await admin.delete(path)) == (409, "conflict")
        assert (await admin.put(path, json={"full_name": "Root", "role": "admin"})).is_success

    @pytest.mark.parametrize("how", ["demote", "disable", "delete"])
    async def test_two_who_do_it_to_each_other_leave_one(self, app, sessions, how):
        async def against(client: httpx.AsyncClient, other: str) -> httpx.Response:
            if how == "delete":
                return await client.delete(f"{USERS}/{other}")
            body = {"role": "user"} if how == "demote" else {"is_active": False}
            return await client.put(f"{USERS}/{other}", json=body)

        async with connect(app) as one, connect(app) as two:
            await enter(one, sessions, "one@example.org", admin=True)
            await enter(two, sessions, "two@example.org", admin=True)
            ids = [(await own(client))["id"] for client in (one, two)]
            answers = await asyncio.gather(against(one, ids[1]), against(two, ids[0]))
        assert sum(answer.is_success for answer in answers) == 1
        assert {answer.status_code for answer in answers} <= {200, 204, 401, 403, 409}
        async with session_scope(sessions) as session:
            left = await session.scalar(
                text("""SELECT count(*) FROM "user" WHERE role = 'admin' AND is_active""")
            )
        assert left == 1

    async def test_who_lost_the_role_while_waiting_does_nothing(self, admin, client, services):
        caller, other = Caller("127.0.0.1"), uuid.UUID((await own(admin))["id"])
        async with session_scope(services.sessions) as session:
            former = await users.get(session, uuid.UUID((await own(client))["id"]))
        wanted = NewUser(email="new@example.org", password=PASSWORD)
        for attempt in (
            service.create(services, former, wanted, caller),
            service.change(services, former, other, UserChange(full_name="x"), caller),
            removal.remove(services, former, other, caller),
        ):
            with pytest.raises(ApiError) as refused:
                await attempt
            assert refused.value.error_type == "forbidden"


class TestDelete:
    async def test_everything_goes(self, admin, client, objects, sessions, recording):
        await upload(client, recording)
        await prepare(client, b"some bytes")
        user_id = (await own(client))["id"]
        assert any(user_id in key for key in await keys(objects))
        assert (await admin.delete(f"{USERS}/{user_id}")).status_code == 204
        assert error(await client.get(ME)) == (401, "invalid_token")
        assert error(await admin.get(f"{USERS}/{user_id}")) == (404, "not_found")
        assert not any(user_id in key for key in await keys(objects))
        async with session_scope(sessions) as session:
            tables = await session.scalars(
                text(
                    "SELECT table_name FROM information_schema.columns "
                    "WHERE column_name = 'user_id' AND table_schema = current_schema()"
                )
            )
            for table in tables.all():
                count = text(f'SELECT count(*) FROM "{table}" WHERE user_id = :id')
                assert await session.scalar(count, {"id": user_id}) == 0, table
            noted = await session.scalars(text("SELECT subject FROM outbox"))
            # What a runner may still write goes too.
            assert {f"media/{user_id}/", f"uploads/{user_id}/"} <= set(noted)
            deleted = await session.scalar(
                text("SELECT details FROM audit_event WHERE action = 'user.deleted'")
            )
        assert deleted["email"].endswith("@example.org")

    @pytest.mark.parametrize("stops_half_way", [False, True])
    async def test_nothing_of_their_voices_is_left(
        self, admin, client, sessions, monkeypatch, stops_half_way
    ):
        user_id, store = uuid.UUID((await own(client))["id"]), PgVectorStore(sessions)
        _, [voice] = await add_file(sessions, user_id, axis(0))
        profile_id = await add_profile(sessions, user_id, "Ada")
        await assign(sessions, user_id, [voice], profile_id)
        await bring(sessions, store)
        assert await points(store) == {voice, profile_id}
        if stops_half_way:
            # Behind the files: the person is there, and known by nothing.
            monkeypatch.setattr("api.users.removal.prefixes_of_user", None)
        await admin.delete(f"{USERS}/{user_id}")
        await bring(sessions, store)
        assert await points(store) == set()

    async def test_others_keep_what_is_theirs(self, admin, client, stranger, recording):
        kept = (await upload(stranger, recording)).json()["data"]["file"]["id"]
        await upload(client, recording)
        await admin.delete(f"{USERS}/{(await own(client))['id']}")
        assert (await stranger.get(f"/api/files/{kept}")).status_code == 200

    async def test_a_runner_loses_its_task(self, admin, client, sessions, recording):
        await upload(client, recording)
        async with session_scope(sessions) as session:
            claimed = await queue.claim(session, "a runner", SETTINGS)
        user_id = (await own(client))["id"]
        assert (await admin.delete(f"{USERS}/{user_id}")).status_code == 204
        async with session_scope(sessions) as session:
            held = queue.Claim(claimed.task.id, claimed.task.fence)
            assert await queue.heartbeat(session, [held], SETTINGS) == {}

    async def test_what_their_backfill_has_reserved_is_anybodys(
        self, admin, client, stranger, sessions
    ):
        asked_by = uuid.UUID((await own(client))["id"])
        others = uuid.UUID((await own(stranger))["id"])
        wanted = Order(stage=BackfillStage.retranscribe)
        async with session_scope(sessions) as session:
            begun = await requests.submit(session, asked_by, wanted, BackfillEngine.inprocess)
            reserved = await queue.submit(
                session, user_id=others, media_file_id=None, backfill_id=begun.backfill.id
            )
            driving = await queue.claim(session, "a runner", SETTINGS)
            assert (driving.task.id, reserved.reserved) == (begun.task.id, True)
        assert (await admin.delete(f"{USERS}/{asked_by}")).status_code == 204
        async with session_scope(sessions) as session:
            claimed = await queue.claim(session, "a runner", SETTINGS)
        assert claimed.task.id == reserved.id

    async def test_more_files_than_go_at_once(
        self, admin, client, sessions, recording, monkeypatch
    ):
        monkeypatch.setattr("api.users.removal.FILES_AT_ONCE", 2)
        for number in range(5):
            await upload(client, recording + bytes(number))
        user_id = (await own(client))["id"]
        assert (await admin.delete(f"{USERS}/{user_id}")).status_code == 204
        async with session_scope(sessions) as session:
            assert await session.scalar(text("SELECT count(*) FROM media_file")) == 0

    async def test_one_that_stops_half_way_is_on_record(
        self, admin, client, sessions, recording, monkeypatch
    ):
        file_id = (await upload(client, recording)).json()["data"]["file"]["id"]
        user_id = (await own(client))["id"]
        # Fails behind the files, where nobody has noted the whole of the account yet.
        monkeypatch.setattr("api.users.removal.prefixes_of_user", None)
        assert (await admin.delete(f"{USERS}/{user_id}")).status_code == 500
        async with session_scope(sessions) as session:
            noted = await session.scalars(text("SELECT subject FROM outbox"))
            assert f"media/{user_id}/{file_id}/" in set(noted)
            reason = "SELECT details->>'reason' FROM audit_event WHERE action = 'user.deactivated'"
            assert await session.scalar(text(reason)) == "deletion"

    async def test_without_the_object_store_the_rest_goes_now(
        self, admin, client, services, object_settings, recording
    ):
        await upload(client, recording)
        user_id = (await own(client))["id"]
        nowhere = object_settings.model_copy(update={"endpoint": "127.0.0.1:1"})
        async with connect(create_app(replace(services, objects=S3Objects(nowhere)))) as storeless:
            storeless.headers.update(admin.headers)
            assert (await storeless.delete(f"{USERS}/{user_id}")).status_code == 204
        assert error(await admin.get(f"{USERS}/{user_id}")) == (404, "not_found")

    async def test_an_upload_that_crosses_it_is_refused_or_gone(
        self, admin, client, sessions, recording
    ):
        user_id = (await own(client))["id"]
        crossed, deleted = await asyncio.gather(
            upload(client, recording), admin.delete(f"{USERS}/{user_id}")
        )
        assert deleted.status_code == 204
        assert crossed.status_code in {201, 202, 401, 404}, crossed.text
        async with session_scope(sessions) as session:
            assert await session.scalar(text("SELECT count(*) FROM media_file")) == 0


def test_a_row_of_nobody_says_that_the_account_is_gone():
    gone = Exception('violates foreign key constraint "fk_media_file_user_id_user"')
    assert api_error(IntegrityError("INSERT", None, gone)).error_type == "invalid_token"
    other = Exception('violates unique constraint "uq_tag_name"')
    assert api_error(IntegrityError("INSERT", None, other)).error_type == "internal_error"
