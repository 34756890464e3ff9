"""Guessing passwords: lockout per account, rate limit per address, over all replicas."""

import asyncio
from dataclasses import replace

import httpx
import pytest
from pydantic import SecretStr
from sqlalchemy import text

from api.dependencies import Services
from api.factory import create_app
from cluster.settings import DatabaseSettings, ObjectSettings
from db.engine import Sessions, create_engine, create_sessions, session_scope
from db.objects.s3 import S3Objects
from db.queries import sign_in_attempts
from tests.fixtures.api import PASSWORD, connect, sign_up

EMAIL = "ada@example.org"


@pytest.fixture
def objects(object_settings: ObjectSettings) -> S3Objects:
    """Signing in needs no bucket, so none is made."""
    return S3Objects(object_settings)


@pytest.fixture
async def account(anonymous):
    """An account that can be attacked; its own session."""
    return await sign_up(anonymous, EMAIL)


def bearer(pair: dict) -> dict[str, str]:
    return {"Authorization": f"Bearer {pair['access_token']}"}


async def attempt(
    client: httpx.AsyncClient, password: str = "wrong", email: str = EMAIL
) -> httpx.Response:
    form = {"username": email, "password": password}
    return await client.post("/api/auth/login", data=form)


async def attempts(client: httpx.AsyncClient, count: int, email: str = EMAIL) -> list[int]:
    """The statuses of wrong passwords, one after the other."""
    return [(await attempt(client, email=email)).status_code for _ in range(count)]


async def age(sessions: Sessions, minutes: float) -> None:
    """Let time pass."""
    async with session_scope(sessions) as session:
        await session.execute(
            text("UPDATE sign_in_attempt SET created_at = created_at - :m * interval '1 minute'"),
            {"m": minutes},
        )


async def locks_awaited(sessions: Sessions) -> None:
    """Until somebody waits for a lock."""
    found = 0
    while not found:
        async with session_scope(sessions) as session:
            found = await session.scalar(text("SELECT count(*) FROM pg_locks WHERE NOT granted"))


class TestLockout:
    async def test_after_five_wrong_passwords_the_right_one_has_to_wait(self, anonymous, account):
        assert await attempts(anonymous, 6) == [401] * 5 + [429]
        locked = await attempt(anonymous, PASSWORD)
        assert (locked.status_code, locked.json()["error_type"]) == (429, "too_many_attempts")
        assert 0 < int(locked.headers["Retry-After"]) <= 15 * 60

    async def test_an_address_that_nobody_has_is_locked_alike(self, anonymous, account):
        await attempts(anonymous, 5)
        await attempts(anonymous, 5, "nobody@example.org")
        known, unknown = (
            await attempt(anonymous),
            await attempt(anonymous, email="NOBODY@example.org"),
        )
        assert known.status_code == unknown.status_code == 429
        assert known.json().keys() == unknown.json().keys()
        assert known.json()["detail"][:30] == unknown.json()["detail"][:30]

    async def test_others_are_not_locked(self, anonymous, account):
        await sign_up(anonymous, "eve@example.org")
        await attempts(anonymous, 6)
        assert (await attempt(anonymous, PASSWORD, "eve@example.org")).status_code == 200

    async def test_the_lock_ends_and_each_further_failure_doubles_it(
        self, anonymous, account, sessions
    ):
        await attempts(anonymous, 5)
        await age(sessions, 16)
        assert await attempts(anonymous, 2) == [401, 429]
        await age(sessions, 16)
        assert await attempts(anonymous, 1) == [429]
        await age(sessions, 15)
        assert (await attempt(anonymous, PASSWORD)).status_code == 200

    async def test_a_success_lets_failures_be_forgotten(self, anonymous, account):
        for _ in range(3):
            assert await attempts(anonymous, 4) == [401] * 4
            assert (await attempt(anonymous, PASSWORD)).status_code == 200

    async def test_knocking_at_a_locked_account_does_not_keep_it_locked(
        self, anonymous, account, sessions
    ):
        await attempts(anonymous, 5)
        await age(sessions, 14)
        assert await attempts(anonymous, 20) == [429] * 20
        await age(sessions, 2)
        assert (await attempt(anonymous, PASSWORD)).status_code == 200

    async def test_twenty_at_once_get_no_more_tries(self, anonymous, account):
        answers = await asyncio.gather(*(attempt(anonymous) for _ in range(20)))
        statuses = [answer.status_code for answer in answers]
        assert statuses.count(401) <= 5
        assert set(statuses) == {401, 429}
        assert (await attempts(anonymous, 5)).count(401) == 5 - statuses.count(401)
        assert (await attempt(anonymous, PASSWORD)).status_code == 429

    async def test_twenty_at_once_with_the_right_one_come_in(self, anonymous, account):
        answers = await asyncio.gather(*(attempt(anonymous, PASSWORD) for _ in range(20)))
        assert {answer.status_code for answer in answers} == {200}

    async def test_an_attempt_whose_caller_hung_up_counts(self, anonymous, account, sessions):
        await attempts(anonymous, 5)
        async with session_scope(sessions) as session:
            await session.execute(text("UPDATE sign_in_attempt SET succeeded = NULL"))
        assert (await attempt(anonymous)).headers["Retry-After"] == "1"
        await age(sessions, 2)
        assert int((await attempt(anonymous, PASSWORD)).headers["Retry-After"]) > 60

    async def test_it_holds_at_the_oauth_route_too(self, anonymous, account):
        await attempts(anonymous, 5)
        form = {"username": EMAIL, "password": PASSWORD}
        answer = await anonymous.post("/api/auth/token", data=form)
        assert (answer.status_code, answer.json()["error_type"]) == (429, "too_many_attempts")

    async def test_sessions_that_are_open_stay_so(self, anonymous, account):
        await attempts(anonymous, 6)
        assert (await anonymous.get("/api/auth/me", headers=bearer(account))).status_code == 200
        body = {"refresh_token": account["refresh_token"]}
        assert (await anonymous.post("/api/auth/token/refresh", json=body)).status_code == 200

    async def test_it_is_written_down_without_what_was_typed(self, anonymous, account, sessions):
        await attempts(anonymous, 6)
        await attempt(anonymous, "wrong", "my secret instead of my address")
        async with session_scope(sessions) as session:
            rows = (await session.execute(text("SELECT action, details FROM audit_event"))).all()
            everything = await session.execute(
                text(
                    "SELECT audit_event::text FROM audit_event UNION SELECT sign_in_attempt::text"
                    " FROM sign_in_attempt"
                )
            )
            stored = str(everything.all())
        actions = [action for action, _ in rows]
        assert actions.count("session.sign_in_failed") == 5
        assert [d["failures"] for a, d in rows if a == "session.account_locked"] == [5]
        assert "my secret" not in stored
        assert "wrong" not in stored


class TestConfirmingThePassword:
    """Who took a session cannot guess the password with it; strangers cannot block its owner."""

    async def change(self, client: httpx.AsyncClient, pair: dict, current: str) -> httpx.Response:
        body = {"current_password": current, "new_password": "staple of wrong donkeys"}
        return await client.post("/api/auth/password", json=body, headers=bearer(pair))

    async def test_a_thief_of_a_session_is_locked_out(self, anonymous, account):
        answers = [await self.change(anonymous, account, "wrong") for _ in range(6)]
        assert [answer.status_code for answer in answers] == [403] * 5 + [429]
        assert answers[0].json()["error_type"] == "wrong_password"
        assert (await self.change(anonymous, account, PASSWORD)).status_code == 429
        put = {"email": "mine@example.org", "current_password": PASSWORD}
        answer = await anonymous.put("/api/users/me", json=put, headers=bearer(account))
        assert answer.status_code == 429

    async def test_a_stranger_does_not_keep_the_owner_from_it(self, anonymous, account):
        await attempts(anonymous, 6)
        assert (await self.change(anonymous, account, PASSWORD)).status_code == 204


class TestRateLimit:
    @pytest.fixture
    async def limited(self, services: Services):
        """An application that takes five attempts in a minute."""
        auth = services.auth.model_copy(update={"attempts_per_minute": 5})
        return create_app(replace(services, auth=auth))

    async def test_an_address_has_so_many_attempts_whoever_it_tries(self, limited, sessions):
        async with connect(limited) as client:
            statuses = [
                (await attempt(client, email=f"{n}@example.org")).status_code for n in range(7)
            ]
            assert statuses == [401] * 5 + [429] * 2
            refused = await attempt(client)
            assert 0 < int(refused.headers["Retry-After"]) <= 60
            await age(sessions, 1.1)
            assert (await attempt(client)).status_code == 401

    async def test_registrations_count(self, limited):
        async with connect(limited) as client:
            bodies = [{"email": f"{n}@example.org", "password": PASSWORD} for n in range(7)]
            statuses = [
                (await client.post("/api/auth/register", json=body)).status_code for body in bodies
            ]
        assert statuses == [201] * 5 + [429] * 2

    async def test_many_at_once_get_no_more(self, limited):
        async with connect(limited) as client:
            tries = (attempt(client, email=f"{n}@example.org") for n in range(20))
            statuses = [answer.status_code for answer in await asyncio.gather(*tries)]
        assert statuses.count(401) == 5

    async def test_a_flood_of_one_address_leaves_connections_for_others(
        self, services: Services, account, sessions, database_url
    ):
        settings = DatabaseSettings(url=SecretStr(database_url), pool_size=2)
        engine = create_engine(settings)
        app = create_app(replace(services, sessions=create_sessions(engine)))
        async with connect(app) as client, asyncio.timeout(20):
            async with session_scope(sessions) as session:
                # As another replica does while it counts.
                await sign_in_attempts.lock(session, "127.0.0.1")
                flood = [asyncio.create_task(attempt(client)) for _ in range(20)]
                await locks_awaited(sessions)
                answer = await client.get("/api/auth/me", headers=bearer(account))
                assert answer.status_code == 200
            assert {(await each).status_code for each in flood} == {401, 429}
        await engine.dispose()

    @pytest.mark.parametrize(
        ("proxies", "told_apart"),
        [("", False), ("10.0.0.0/8", False), ("10.0.0.0/8,127.0.0.1", True)],
    )
    async def test_only_trusted_proxies_say_who_calls(
        self, services: Services, sessions, proxies, told_apart
    ):
        api = services.api.model_copy(update={"trusted_proxies": proxies})
        auth = services.auth.model_copy(update={"attempts_per_minute": 1})
        async with connect(create_app(replace(services, api=api, auth=auth))) as client:
            statuses = []
            for n in range(3):
                # The first is what a client can make up; the proxy adds the second.
                client.headers["X-Forwarded-For"] = f"203.0.113.7, 192.0.2.{n}, 10.1.2.3"
                statuses.append((await attempt(client, email=f"{n}@example.org")).status_code)
        assert statuses == ([401] * 3 if told_apart else [401, 429, 429])
        async with session_scope(sessions) as session:
            stored = set(await session.scalars(text("SELECT address FROM sign_in_attempt")))
        assert "203.0.113.7" not in stored
        assert stored == ({f"192.0.2.{n}" for n in range(3)} if told_apart else {"127.0.0.1"})

    @pytest.mark.parametrize("forwarded", ["", "unknown", "\x7f", "é", "x" * 5000, "1.2.3.4:80"])
    async def test_what_a_proxy_sends_never_breaks(self, services: Services, forwarded):
        api = services.api.model_copy(update={"trusted_proxies": "127.0.0.1"})
        async with connect(create_app(replace(services, api=api))) as client:
            headers = {b"X-Forwarded-For": forwarded.encode()}
            form = {"username": EMAIL, "password": "wrong"}
            answer = await client.post("/api/auth/login", data=form, headers=headers)
        assert answer.status_code == 401
