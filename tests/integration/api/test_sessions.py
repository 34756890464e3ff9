"""Sessions and passwords of a signed-in user, over a real database."""

import asyncio
import json

import httpx
import pytest
from sqlalchemy import text

from cluster.settings import ObjectSettings
from db.engine import session_scope
from db.objects.s3 import S3Objects
from tests.fixtures.api import PASSWORD, sign_up

EMAIL = "ada@example.org"
SESSIONS = "/api/auth/sessions"
ME = "/api/auth/me"
OTHER_PASSWORD = "staple of wrong donkeys"


@pytest.fixture
def objects(object_settings: ObjectSettings) -> S3Objects:
    """Signing in needs no bucket, so none is made."""
    return S3Objects(object_settings)


def bearer(pair: dict) -> dict[str, str]:
    return {"Authorization": f"Bearer {pair['access_token']}"}


async def sign_in(
    client: httpx.AsyncClient, password: str = PASSWORD, agent: str = "tests"
) -> dict | None:
    answer = await client.post(
        "/api/auth/login",
        data={"username": EMAIL, "password": password},
        headers={"User-Agent": agent},
    )
    return answer.json()["data"] if answer.status_code == 200 else None


async def alive(client: httpx.AsyncClient, pair: dict) -> bool:
    """Whether the access token works; the refresh token agrees."""
    works = (await client.get(ME, headers=bearer(pair))).status_code == 200
    if not works:
        assert (await refresh(client, pair)).status_code == 401
    return works


async def refresh(client: httpx.AsyncClient, pair: dict, agent: str = "tests") -> httpx.Response:
    body = {"refresh_token": pair["refresh_token"]}
    return await client.post("/api/auth/token/refresh", json=body, headers={"User-Agent": agent})


async def listed(client: httpx.AsyncClient, pair: dict, **query: int) -> dict:
    answer = await client.get(SESSIONS, params=query, headers=bearer(pair))
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


@pytest.fixture
async def first(anonymous):
    """The session in which the account was made."""
    return await sign_up(anonymous, EMAIL)


class TestList:
    async def test_it_shows_where_one_is_signed_in(self, anonymous, first):
        second = await sign_in(anonymous, agent="phone/1\x1b")
        page = await listed(anonymous, second)
        assert page["total"] == 2
        [newest, oldest] = page["items"]
        assert (newest["is_current"], oldest["is_current"]) == (True, False)
        assert (newest["user_agent"], newest["address"]) == ("phone/1", "127.0.0.1")
        assert newest["created_at"] == newest["last_used_at"] < newest["expires_at"]

    async def test_a_session_stays_one_when_its_tokens_are_exchanged(self, anonymous, first):
        [before] = (await listed(anonymous, first))["items"]
        again = (await refresh(anonymous, first, "another/2")).json()["data"]
        [after] = (await listed(anonymous, again))["items"]
        assert (after["id"], after["created_at"]) == (before["id"], before["created_at"])
        assert after["last_used_at"] > before["last_used_at"]
        assert after["user_agent"] == "another/2"

    async def test_what_has_ended_is_not_shown(self, anonymous, first, sessions):
        second = await sign_in(anonymous)
        await anonymous.post("/api/auth/logout", headers=bearer(second))
        async with session_scope(sessions) as session:
            await session.execute(
                text("UPDATE refresh_token SET expires_at = now() WHERE revoked_at IS NULL")
            )
        assert (await listed(anonymous, first))["items"] == []

    async def test_it_comes_in_pages(self, anonymous, first):
        for _ in range(4):
            await sign_in(anonymous)
        pages = [await listed(anonymous, first, page=n, page_size=2) for n in (1, 2, 3)]
        assert [len(page["items"]) for page in pages] == [2, 2, 1]
        assert len({item["id"] for page in pages for item in page["items"]}) == 5


class TestEnd:
    async def test_one_elsewhere(self, anonymous, first):
        second = await sign_in(anonymous)
        [mine] = [s for s in (await listed(anonymous, first))["items"] if s["is_current"]]
        path = f"{SESSIONS}/{mine['id']}"
        assert (await anonymous.delete(path, headers=bearer(second))).status_code == 204
        assert not await alive(anonymous, first)
        assert await alive(anonymous, second)
        again = await anonymous.delete(path, headers=bearer(second))
        assert (again.status_code, again.json()["error_type"]) == (404, "not_found")

    async def test_all(self, anonymous, first):
        second = await sign_in(anonymous)
        other = await sign_up(anonymous)
        answer = await anonymous.post("/api/auth/logout/all", headers=bearer(second))
        assert answer.status_code == 204
        assert not await alive(anonymous, first)
        assert not await alive(anonymous, second)
        assert await alive(anonymous, other)

    async def test_an_exchange_at_the_same_time_does_not_slip_through(self, anonymous, first):
        for _ in range(8):
            pair = await sign_in(anonymous)
            exchanged, ended = await asyncio.gather(
                refresh(anonymous, pair),
                anonymous.post("/api/auth/logout/all", headers=bearer(pair)),
            )
            assert ended.status_code in {204, 401}
            assert not await alive(anonymous, pair)
            if exchanged.status_code == 200:
                assert not await alive(anonymous, exchanged.json()["data"])


async def test_a_reused_token_is_written_down(anonymous, first, sessions):
    await refresh(anonymous, first)
    await refresh(anonymous, first)
    async with session_scope(sessions) as session:
        actions = await session.scalars(text("SELECT action FROM audit_event ORDER BY id"))
        assert list(actions)[-1] == "session.token_reused"


async def test_a_token_that_comes_again_and_again_is_written_down_once(anonymous, first, sessions):
    answers = [await refresh(anonymous, first) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 401, 401, 401]
    async with session_scope(sessions) as session:
        actions = list(await session.scalars(text("SELECT action FROM audit_event")))
        assert actions.count("session.token_reused") == 1


async def test_tokens_are_kept_out_of_caches(anonymous, first):
    form = {"username": EMAIL, "password": PASSWORD}
    for answer in (
        await anonymous.post("/api/auth/login", data=form),
        await anonymous.post("/api/auth/token", data=form),
        await refresh(anonymous, first),
    ):
        assert answer.status_code == 200
        assert answer.headers["Cache-Control"] == "no-store"


class TestPassword:
    async def change(self, client: httpx.AsyncClient, pair: dict, **body: str) -> httpx.Response:
        body = {"current_password": PASSWORD, "new_password": OTHER_PASSWORD, **body}
        return await client.post(
            "/api/auth/password",
            content=json.dumps(body),
            headers={**bearer(pair), "Content-Type": "application/json"},
        )

    async def test_another_one_ends_the_other_sessions(self, anonymous, first):
        second = await sign_in(anonymous)
        assert (await self.change(anonymous, second)).status_code == 204
        assert not await alive(anonymous, first)
        assert await alive(anonymous, second)
        assert (await refresh(anonymous, second)).status_code == 200
        assert await sign_in(anonymous) is None
        assert await sign_in(anonymous, OTHER_PASSWORD)

    async def test_it_needs_the_current_one(self, anonymous, first):
        answer = await self.change(anonymous, first, current_password="wrong")
        assert (answer.status_code, answer.json()["error_type"]) == (403, "wrong_password")
        assert await sign_in(anonymous)

    @pytest.mark.parametrize(
        ("new", "word"),
        [
            ("short", "too_short"),
            ("password123", "too_common"),
            ("1234567890", "too_simple"),
            ("adalovelace of example", None),
            ("x" * 1025, "string_too_long"),
        ],
    )
    async def test_an_easy_one_is_refused(self, anonymous, first, new, word):
        answer = await self.change(anonymous, first, new_password=new)
        if word is None:
            assert answer.status_code == 204
            return
        assert (answer.status_code, answer.json()["error_type"]) == (422, "validation_error")
        [problem] = answer.json()["errors"]
        assert (problem["pointer"], problem["type"]) == ("#/new_password", word)
        assert await sign_in(anonymous)

    async def test_of_two_changes_at_once_one_counts(self, anonymous, first):
        answers = await asyncio.gather(
            self.change(anonymous, first),
            self.change(anonymous, first, new_password="another horse entirely"),
        )
        assert sorted(answer.status_code for answer in answers) == [204, 403]

    async def test_who_signs_in_with_the_old_one_meanwhile_stays_out(self, anonymous, first):
        _, pair = await asyncio.gather(self.change(anonymous, first), sign_in(anonymous))
        if pair is not None:
            assert not await alive(anonymous, pair)

    async def test_anybody_may_know_the_rules(self, anonymous):
        policy = (await anonymous.get("/api/auth/password-policy")).json()["data"]
        assert (policy["min_length"], policy["max_length"]) == (10, 1024)
        assert policy["refused"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("username", b"%ED%A0%80"),
        ("username", b"%00"),
        ("username", b"%FF%FE"),
        ("password", b"%ED%A0%80"),
        ("password", b"%00"),
        ("password", b"%FF" * 2000),
    ],
)
async def test_forms_hold_any_bytes(anonymous, name, value):
    form = {"username": b"ada%40example.org", "password": b"wrong", name: value}
    body = b"&".join(key.encode() + b"=" + text for key, text in form.items())
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    for path in ("/api/auth/login", "/api/auth/token"):
        answer = await anonymous.post(path, content=body, headers=headers)
        assert answer.status_code in {400, 401, 422}, answer.text
