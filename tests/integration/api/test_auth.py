"""Accounts, sessions and tokens, over a real database."""

import asyncio
import base64
import hashlib
import hmac
import json
import time
import uuid
from dataclasses import replace

import httpx
import pytest
from fastapi import FastAPI
from joserfc import jwt
from joserfc.jwk import OctKey
from sqlalchemy import text

from api.dependencies import Services
from api.factory import create_app
from cluster.settings import ObjectSettings
from db.engine import Sessions, session_scope
from db.objects.s3 import S3Objects
from db.queries import users
from tests.fixtures.api import PASSWORD, SECRET_KEY, connect, sign_up

ME = "/api/auth/me"

NOBODY = "0d143664-33d5-4ea5-ad88-2cf4103a401c"
"""A fixed id: processes of tests collect the same ones."""


@pytest.fixture
def objects(object_settings: ObjectSettings) -> S3Objects:
    """Signing in needs no bucket, so none is made."""
    return S3Objects(object_settings)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def refresh(client: httpx.AsyncClient, token: str) -> httpx.Response:
    return await client.post(
        "/api/auth/token/refresh",
        content=json.dumps({"refresh_token": token}),
        headers={"Content-Type": "application/json"},
    )


async def test_register_sign_in_and_ask_who_one_is(anonymous):
    body = {"email": "Ada@Example.org", "password": PASSWORD, "full_name": "Ada Lovelace"}
    registered = await anonymous.post("/api/auth/register", json=body)
    assert registered.status_code == 201
    assert registered.json()["data"]["role"] == "user"
    assert "password" not in registered.text
    form = {"username": "ada@example.ORG", "password": PASSWORD}
    pair = (await anonymous.post("/api/auth/login", data=form)).json()["data"]
    me = await anonymous.get(ME, headers=bearer(pair["access_token"]))
    assert me.json()["data"]["email"] == "Ada@Example.org"
    assert me.json()["status"] == "success"


async def test_an_address_is_taken_whatever_its_case(anonymous):
    first = {"email": "ada@example.org", "password": PASSWORD}
    await anonymous.post("/api/auth/register", json=first)
    again = await anonymous.post("/api/auth/register", json={**first, "email": "ADA@example.org"})
    assert (again.status_code, again.json()["error_type"]) == (409, "email_taken")


async def test_two_registrations_at_once_make_one_account(anonymous):
    body = {"email": "race@example.org", "password": PASSWORD}
    both = await asyncio.gather(
        *(anonymous.post("/api/auth/register", json=body) for _ in range(2))
    )
    assert sorted(answer.status_code for answer in both) == [201, 409]


@pytest.mark.parametrize(
    "change",
    [
        {"email": "nobody"},
        {"email": "a b@example.org"},
        {"email": "nul\0@example.org"},
        {"email": f"{'a' * 255}@example.org"},
        {"password": "short"},
        {"password": "x" * 1025},
        {"full_name": "line\nbreak"},
        {"full_name": "\ud800"},
        {"password": "\ud800 is half a character"},
        {"email": "\ud800@example.org"},
    ],
)
async def test_registration_refuses_what_cannot_be_an_account(anonymous, change):
    body = {"email": "ada@example.org", "password": PASSWORD, **change}
    answer = await anonymous.post(
        "/api/auth/register",
        content=json.dumps(body),
        headers={"Content-Type": "application/json"},
    )
    problem = answer.json()
    assert (answer.status_code, problem["error_type"]) == (422, "validation_error")
    assert problem["errors"][0]["pointer"].startswith("#/")
    assert PASSWORD not in answer.text


async def test_registration_can_be_closed(services: Services):
    auth = services.auth.model_copy(update={"open_registration": False})
    closed = replace(services, auth=auth)
    async with connect(create_app(closed)) as client:
        body = {"email": "ada@example.org", "password": PASSWORD}
        answer = await client.post("/api/auth/register", json=body)
    assert (answer.status_code, answer.json()["error_type"]) == (403, "registration_closed")


@pytest.mark.parametrize("email", ["known@example.org", "unknown@example.org", "nul\0@example.org"])
async def test_a_wrong_password_and_an_unknown_address_look_alike(anonymous, email):
    await sign_up(anonymous, "known@example.org")
    answer = await anonymous.post("/api/auth/login", data={"username": email, "password": "wrong"})
    assert (answer.status_code, answer.json()["error_type"]) == (401, "invalid_credentials")
    assert answer.json()["detail"] == "The email or the password is wrong."


async def test_an_unknown_address_costs_a_hash_too(services: Services):
    started = time.process_time()
    for _ in range(20):
        assert not await services.passwords.matches(PASSWORD, None)
    unknown = time.process_time() - started
    known_hash = await services.passwords.hash(PASSWORD)
    started = time.process_time()
    for _ in range(20):
        assert await services.passwords.matches(PASSWORD, known_hash)
    assert unknown > 0.2 * (time.process_time() - started)


async def test_a_disabled_account_is_out_at_once(anonymous, sessions: Sessions):
    pair = await sign_up(anonymous, "gone@example.org")
    async with session_scope(sessions) as session:
        await session.execute(text('UPDATE "user" SET is_active = false'))
    assert (await anonymous.get(ME, headers=bearer(pair["access_token"]))).status_code == 401
    assert (await refresh(anonymous, pair["refresh_token"])).status_code == 401
    form = {"username": "gone@example.org", "password": PASSWORD}
    assert (await anonymous.post("/api/auth/login", data=form)).status_code == 401


class TestOAuthTokenRoute:
    async def test_its_success_is_bare(self, anonymous):
        await sign_up(anonymous, "ada@example.org")
        form = {"username": "ada@example.org", "password": PASSWORD, "grant_type": "password"}
        answer = await anonymous.post("/api/auth/token", data=form)
        assert answer.status_code == 200
        assert set(answer.json()) == {"access_token", "token_type", "expires_in", "refresh_token"}

    @pytest.mark.parametrize(
        ("form", "error"),
        [
            ({"username": "ada@example.org", "password": "wrong"}, "invalid_grant"),
            ({"username": "ada@example.org"}, "invalid_request"),
            ({}, "invalid_request"),
            ({"grant_type": "client_credentials"}, "unsupported_grant_type"),
        ],
    )
    async def test_its_refusals_are_those_of_rfc_6749(self, anonymous, form, error):
        answer = await anonymous.post("/api/auth/token", data=form)
        problem = answer.json()
        assert answer.status_code == problem["status_code"] == 400
        assert problem["error"] == problem["error_type"] == error
        assert problem["error_description"] == problem["detail"]


class TestRefreshTokens:
    async def test_one_is_exchanged_for_a_pair_that_works(self, anonymous):
        pair = await sign_up(anonymous)
        answer = await refresh(anonymous, pair["refresh_token"])
        fresh = answer.json()["data"]
        assert fresh["refresh_token"] != pair["refresh_token"]
        me = await anonymous.get(ME, headers=bearer(fresh["access_token"]))
        assert me.status_code == 200
        assert (await refresh(anonymous, fresh["refresh_token"])).status_code == 200

    async def test_one_that_comes_twice_ends_the_session(self, anonymous):
        pair = await sign_up(anonymous)
        fresh = (await refresh(anonymous, pair["refresh_token"])).json()["data"]
        replay = await refresh(anonymous, pair["refresh_token"])
        assert (replay.status_code, replay.json()["error_type"]) == (401, "invalid_refresh_token")
        # The refusal is kept although it is one: the thief's and the owner's tokens are dead.
        assert (await refresh(anonymous, fresh["refresh_token"])).status_code == 401
        assert (await anonymous.get(ME, headers=bearer(fresh["access_token"]))).status_code == 401

    async def test_other_sessions_of_the_user_live_on(self, anonymous):
        first = await sign_up(anonymous, "ada@example.org")
        form = {"username": "ada@example.org", "password": PASSWORD}
        second = (await anonymous.post("/api/auth/login", data=form)).json()["data"]
        await refresh(anonymous, first["refresh_token"])
        await refresh(anonymous, first["refresh_token"])
        assert (await anonymous.get(ME, headers=bearer(second["access_token"]))).status_code == 200

    async def test_of_two_at_once_at_most_one_is_served(self, anonymous):
        pair = await sign_up(anonymous)
        both = await asyncio.gather(*(refresh(anonymous, pair["refresh_token"]) for _ in range(2)))
        assert sorted(answer.status_code for answer in both) == [200, 401]

    async def test_an_expired_one_is_refused(self, anonymous, sessions: Sessions):
        pair = await sign_up(anonymous)
        async with session_scope(sessions) as session:
            await session.execute(text("UPDATE refresh_token SET expires_at = now()"))
        assert (await refresh(anonymous, pair["refresh_token"])).status_code == 401

    @pytest.mark.parametrize("token", ["nonsense", "\0", "é", "x" * 512])
    async def test_a_made_up_one_is_refused(self, anonymous, token):
        answer = await refresh(anonymous, token)
        assert (answer.status_code, answer.json()["error_type"]) == (401, "invalid_refresh_token")

    async def test_only_its_hash_is_stored(self, anonymous, sessions: Sessions):
        pair = await sign_up(anonymous)
        async with session_scope(sessions) as session:
            rows = await session.execute(text("SELECT refresh_token::text FROM refresh_token"))
            assert pair["refresh_token"] not in str(rows.all())


async def test_logout_ends_the_session_at_once(anonymous):
    pair = await sign_up(anonymous)
    headers = bearer(pair["access_token"])
    assert (await anonymous.post("/api/auth/logout", headers=headers)).status_code == 204
    assert (await anonymous.get(ME, headers=headers)).json()["error_type"] == "invalid_token"
    assert (await refresh(anonymous, pair["refresh_token"])).status_code == 401


class TestForgedTokens:
    """RFC 8725: what an attacker would send instead of our token."""

    @pytest.fixture
    async def claims(self, app: FastAPI, anonymous):
        pair = await sign_up(anonymous)
        key = OctKey.import_key(SECRET_KEY)
        return jwt.decode(pair["access_token"], key, algorithms=["HS256"]).claims

    @staticmethod
    def signed(claims, *, key: str = SECRET_KEY, alg: str = "HS256", header=None) -> str:
        header = {"alg": alg, **(header or {})}
        return jwt.encode(header, claims, OctKey.import_key(key), algorithms=[alg])

    @staticmethod
    async def status(client: httpx.AsyncClient, token: str) -> int:
        answer = await client.get(ME, headers=bearer(token))
        if answer.status_code != 200:
            assert answer.json()["error_type"] in {"invalid_token", "not_authenticated"}
            assert answer.headers["WWW-Authenticate"].startswith("Bearer")
        return answer.status_code

    async def test_the_genuine_claims_work(self, anonymous, claims):
        assert await self.status(anonymous, self.signed(claims)) == 200

    @pytest.mark.parametrize(
        "change",
        [
            {"exp": 1},
            {"exp": "9999999999"},
            {"exp": None},
            {"iss": "somebody"},
            {"iss": None},
            {"aud": "another-api"},
            {"aud": None},
            {"typ": "refresh"},
            {"typ": None},
            {"nbf": 99999999999},
            {"iat": 99999999999},
            {"sub": "1 OR 1=1"},
            {"sub": None},
            {"sub": NOBODY},
            {"sid": NOBODY},
            {"sid": None},
            {"sid": ["a"]},
            {"jti": None},
        ],
        ids=str,
    )
    async def test_other_claims_do_not(self, anonymous, claims, change):
        changed = {k: v for k, v in {**claims, **change}.items() if v is not None}
        assert await self.status(anonymous, self.signed(changed)) == 401

    @pytest.mark.parametrize("alg", ["HS384", "HS512"])
    async def test_only_our_algorithm_is_read(self, anonymous, claims, alg):
        assert await self.status(anonymous, self.signed(claims, alg=alg)) == 401

    async def test_another_key_does_not_sign(self, anonymous, claims):
        assert await self.status(anonymous, self.signed(claims, key="x" * 40)) == 401

    @pytest.mark.parametrize("alg", ["none", "None", "nOnE", "RS256", "HS256"])
    async def test_no_signature_is_no_token(self, anonymous, claims, alg):
        _, payload, _ = self.signed(claims).split(".")
        header = base64.urlsafe_b64encode(f'{{"alg":"{alg}","typ":"JWT"}}'.encode()).decode()
        assert await self.status(anonymous, f"{header.rstrip('=')}.{payload}.") == 401

    async def test_a_changed_payload_breaks_the_signature(self, anonymous, claims):
        header, _, signature = self.signed(claims).split(".")
        _, other, _ = self.signed({**claims, "sub": str(uuid.uuid4())}).split(".")
        assert await self.status(anonymous, f"{header}.{other}.{signature}") == 401

    async def test_unknown_critical_headers_are_not_ignored(self, anonymous, claims):
        def b64(data: bytes) -> str:
            return base64.urlsafe_b64encode(data).decode().rstrip("=")

        head = b64(json.dumps({"alg": "HS256", "crit": ["x"], "x": 1}).encode())
        body = f"{head}.{b64(json.dumps(claims).encode())}"
        tag = hmac.new(SECRET_KEY.encode(), body.encode(), hashlib.sha256).digest()
        assert await self.status(anonymous, f"{body}.{b64(tag)}") == 401

    @pytest.mark.parametrize("token", ["", "x", "a.b.c", "a.b.c.d.e", "é.é.é", "." * 5000])
    async def test_what_is_no_token_at_all(self, anonymous, token):
        answer = await anonymous.get(ME, headers={b"Authorization": f"Bearer {token}".encode()})
        assert answer.status_code == 401

    async def test_a_token_in_the_address_or_a_cookie_is_not_read(self, anonymous, claims):
        token = self.signed(claims)
        for answer in (
            await anonymous.get(ME, params={"token": token, "access_token": token}),
            await anonymous.get(ME, headers={"Cookie": f"access_token={token}"}),
            await anonymous.get(ME, headers={"Authorization": f"Basic {token}"}),
        ):
            assert (answer.status_code, answer.json()["error_type"]) == (401, "not_authenticated")


@pytest.mark.parametrize("path", ["/api/auth/login", "/api/auth/token"])
@pytest.mark.parametrize("name", ["password", "username"])
async def test_half_a_character_in_a_form_signs_nobody_in(anonymous, path, name):
    form = {"username": "ada@example.org", "password": "wrong", name: r"\ud800"}
    parts = (
        f'--x\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'
        for key, value in form.items()
    )
    headers = {"Content-Type": "multipart/form-data; boundary=x; charset=unicode_escape"}
    answer = await anonymous.post(path, content="".join(parts) + "--x--\r\n", headers=headers)
    assert answer.status_code in {401, 422}, answer.text


async def test_what_has_no_bytes_is_nobodys(services: Services):
    known = await services.passwords.hash(PASSWORD)
    assert not await services.passwords.matches("\ud800", known)
    async with session_scope(services.sessions) as session:
        assert await users.by_email(session, "\ud800@example.org") is None
