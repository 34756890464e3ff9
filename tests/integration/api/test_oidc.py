"""Sign-in at an OpenID provider that really runs: the good path, and everything forged on it."""

import asyncio
import base64
import hashlib
import hmac
import json
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from joserfc import jwt
from pydantic import SecretStr
from sqlalchemy import text

from api.auth.oidc_routes import COOKIE
from api.dependencies import Services
from api.factory import create_app
from cluster.settings import ObjectSettings, OidcSettings
from db.engine import session_scope
from db.objects.s3 import S3Objects
from tests.fixtures.api import connect, sign_up
from tests.fixtures.oidc import CLIENT_ID, CLIENT_SECRET, CONFIGURATION, REDIRECT_URI

LOGIN = "/api/auth/oidc/login"
CALLBACK = "/api/auth/oidc/callback"


@pytest.fixture
def objects(object_settings: ObjectSettings) -> S3Objects:
    """Signing in needs no bucket, so none is made."""
    return S3Objects(object_settings)


@pytest.fixture
def oidc_settings(openid_provider) -> OidcSettings:
    return OidcSettings(
        issuer=openid_provider.issuer,
        client_id=CLIENT_ID,
        client_secret=SecretStr(CLIENT_SECRET),
        redirect_uri=REDIRECT_URI,
    )


@pytest.fixture
async def browser(app):
    """A client that keeps cookies and follows no redirect by itself."""
    async with connect(app) as client:
        yield client


def with_settings(services: Services, **changes) -> Services:
    return replace(services, oidc=services.oidc.model_copy(update=changes))


async def at_provider(browser: httpx.AsyncClient) -> dict[str, str]:
    """Begin, go to the provider's page, say yes: what the browser is sent back with."""
    begun = await browser.get(LOGIN)
    assert begun.status_code == 302, begun.text
    async with httpx.AsyncClient() as outside:
        answer = await outside.get(begun.headers["location"])
    assert answer.status_code == 302, answer.text
    assert answer.headers["location"].startswith(REDIRECT_URI)
    query = parse_qs(urlsplit(answer.headers["location"]).query)
    return {name: values[0] for name, values in query.items()}


async def sign_in(browser: httpx.AsyncClient, **changes: str | None) -> httpx.Response:
    """All the way, with changes to what the browser is sent back with."""
    query = {**await at_provider(browser), **changes}
    return await browser.get(CALLBACK, params={k: v for k, v in query.items() if v is not None})


async def who(browser: httpx.AsyncClient, answer: httpx.Response) -> dict:
    assert answer.status_code == 200, answer.text
    token = answer.json()["data"]["access_token"]
    me = await browser.get("/api/auth/me", headers={"Authorization": f"Bearer {token}"})
    return me.json()["data"]


def refused(answer: httpx.Response) -> str:
    assert answer.status_code != 200, answer.text
    return answer.json()["error_type"]


class TestTheGoodPath:
    async def test_a_newcomer_gets_an_account(self, browser):
        answer = await sign_in(browser)
        account = await who(browser, answer)
        assert (account["email"], account["full_name"]) == ("ada@example.org", "Ada Lovelace")
        assert account["role"] == "user"
        assert answer.headers["Cache-Control"] == "no-store"

    async def test_who_comes_again_has_the_same_account_whatever_their_address(
        self, browser, openid_provider
    ):
        first = await who(browser, await sign_in(browser))
        openid_provider.person |= {"email": "ada@lovelace.example", "name": "A. L."}
        again = await who(browser, await sign_in(browser))
        assert again["id"] == first["id"]
        assert again["email"] == "ada@example.org"

    async def test_the_request_is_code_with_pkce_state_and_nonce(self, browser):
        begun = await browser.get(LOGIN)
        asked = {k: v[0] for k, v in parse_qs(urlsplit(begun.headers["location"]).query).items()}
        assert asked["response_type"] == "code"
        assert asked["code_challenge_method"] == "S256"
        assert asked["redirect_uri"] == REDIRECT_URI
        assert min(len(asked[name]) for name in ("state", "nonce", "code_challenge")) >= 32
        cookie = begun.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=lax" in cookie
        assert "path=/api/auth/oidc" in cookie

    async def test_it_is_a_session_like_any_other(self, browser):
        pair = (await sign_in(browser)).json()["data"]
        headers = {"Authorization": f"Bearer {pair['access_token']}"}
        sessions = (await browser.get("/api/auth/sessions", headers=headers)).json()["data"]
        assert [item["is_current"] for item in sessions["items"]] == [True]
        body = {"refresh_token": pair["refresh_token"]}
        assert (await browser.post("/api/auth/token/refresh", json=body)).status_code == 200

    async def test_configuration_and_keys_are_asked_for_once(self, browser, openid_provider):
        await sign_in(browser)
        await sign_in(browser)
        assert openid_provider.asked[CONFIGURATION] == openid_provider.asked["/jwks"] == 1

    async def test_a_rotated_key_is_fetched(self, browser, openid_provider):
        await who(browser, await sign_in(browser))
        openid_provider.rotate()
        await who(browser, await sign_in(browser))
        assert openid_provider.asked["/jwks"] == 2

    async def test_what_the_id_token_leaves_out_is_asked_for(self, browser, openid_provider):
        openid_provider.in_user_info = {
            "email": openid_provider.person.pop("email"),
            "email_verified": openid_provider.person.pop("email_verified"),
        }
        assert (await who(browser, await sign_in(browser)))["email"] == "ada@example.org"

    async def test_user_info_about_somebody_else_is_not_used(self, browser, openid_provider):
        openid_provider.in_user_info = {
            "sub": "somebody else",
            "email": openid_provider.person.pop("email"),
            "email_verified": True,
        }
        assert refused(await sign_in(browser)) == "provider_refused"

    async def test_a_secret_in_the_body_where_the_provider_wants_that(
        self, browser, openid_provider
    ):
        openid_provider.announced = {
            "token_endpoint_auth_methods_supported": ["client_secret_post"]
        }
        await who(browser, await sign_in(browser))

    async def test_two_at_once_make_one_account(self, app):
        async with connect(app) as one, connect(app) as two:
            answers = await asyncio.gather(sign_in(one), sign_in(two))
            accounts = [(await who(one, answer))["id"] for answer in answers]
        assert len(set(accounts)) == 1

    async def test_it_is_written_down(self, browser, openid_provider, sessions):
        account = await who(browser, await sign_in(browser))
        async with session_scope(sessions) as session:
            rows = await session.execute(
                text("SELECT action, details FROM audit_event WHERE owner_id = :id ORDER BY id"),
                {"id": account["id"]},
            )
            events: dict[str, dict] = dict(rows.all())
        assert events["user.identity_linked"]["issuer"] == openid_provider.issuer
        assert events["user.created"] == {"method": "oidc"}
        assert events["session.signed_in"] == {"method": "oidc"}


class TestTheCallback:
    @pytest.mark.parametrize(
        "change",
        [
            {"state": "another state"},
            {"state": None},
            {"state": "\0"},
            {"state": "é"},
            {"code": "made up"},
            {"code": None},
            {"code": "\0"},
            {"iss": "https://evil.example"},
            {"iss": None},
            {"code": None, "error": "access_denied"},
        ],
        ids=str,
    )
    async def test_what_is_changed_on_the_way_is_refused(self, browser, change):
        assert refused(await sign_in(browser, **change)) == "provider_refused"

    async def test_a_provider_that_does_not_promise_iss_may_leave_it_out(
        self, browser, openid_provider
    ):
        openid_provider.announced = {"authorization_response_iss_parameter_supported": False}
        await who(browser, await sign_in(browser, iss=None))
        assert refused(await sign_in(browser, iss="https://evil.example")) == "provider_refused"

    async def test_another_browser_cannot_end_what_this_one_began(self, browser, app):
        query = await at_provider(browser)
        async with connect(app) as another:
            assert refused(await another.get(CALLBACK, params=query)) == "provider_refused"
            await another.get(LOGIN)
            assert refused(await another.get(CALLBACK, params=query)) == "provider_refused"

    async def test_a_code_works_once(self, browser):
        query = await at_provider(browser)
        cookie = browser.cookies[COOKIE]
        assert (await browser.get(CALLBACK, params=query)).status_code == 200
        assert COOKIE not in browser.cookies
        browser.cookies.set(COOKIE, cookie)
        assert refused(await browser.get(CALLBACK, params=query)) == "provider_refused"

    async def test_a_code_of_another_sign_in_does_not_fit(self, browser, app):
        async with connect(app) as another:
            stolen = (await at_provider(another))["code"]
        assert refused(await sign_in(browser, code=stolen)) == "provider_refused"

    async def test_a_cookie_that_is_not_ours_is_refused(self, browser):
        query = await at_provider(browser)
        value = browser.cookies[COOKIE]
        for forged in (value[:-1], value.partition(".")[0], "x", "..", "null.null.null"):
            browser.cookies.clear()
            browser.cookies.set(COOKIE, forged)
            assert refused(await browser.get(CALLBACK, params=query)) == "provider_refused"


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def header_of(token: str) -> dict:
    encoded = token.partition(".")[0]
    return json.loads(base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)))


class TestForgedTokens:
    @pytest.mark.parametrize(
        "claims",
        [
            {"nonce": "another nonce"},
            {"nonce": None},
            {"iss": "https://evil.example"},
            {"iss": None},
            {"aud": "another client"},
            {"aud": ["another client"]},
            {"aud": [CLIENT_ID, "another client"], "azp": "another client"},
            {"exp": 1},
            {"exp": "tomorrow"},
            {"nbf": 99999999999},
            {"iat": 99999999999},
            {"sub": ""},
            {"sub": "nul\0"},
            {"sub": 7},
            {"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"},
        ],
        ids=str,
    )
    async def test_a_wrong_claim_is_refused(self, browser, openid_provider, claims):
        openid_provider.person |= claims
        assert refused(await sign_in(browser)) == "provider_refused"

    async def test_no_signature(self, browser, openid_provider):
        def unsigned(token: str) -> str:
            head = b64(json.dumps({**header_of(token), "alg": "none"}).encode())
            return f"{head}.{token.split('.')[1]}."

        openid_provider.announced = {
            "id_token_signing_alg_values_supported": ["RS256", "none", "HS256"]
        }
        openid_provider.forge = unsigned
        assert refused(await sign_in(browser)) == "provider_refused"

    @pytest.mark.parametrize("secret", ["public key", CLIENT_SECRET])
    async def test_a_signature_by_what_others_know(self, browser, openid_provider, secret):
        if secret == "public key":
            secret = openid_provider.key.as_pem(private=False).decode()

        def signed(token: str) -> str:
            head = b64(json.dumps({**header_of(token), "alg": "HS256"}).encode())
            body = f"{head}.{token.split('.')[1]}"
            return f"{body}.{b64(hmac.digest(secret.encode(), body.encode(), hashlib.sha256))}"

        openid_provider.announced = {
            "id_token_signing_alg_values_supported": ["RS256", "none", "HS256"]
        }
        openid_provider.forge = signed
        assert refused(await sign_in(browser)) == "provider_refused"

    async def test_another_key_under_the_same_name(self, browser, openid_provider):
        kid = openid_provider.key.kid
        genuine = openid_provider.key

        def signed(token: str) -> str:
            claims = jwt.decode(token, genuine).claims
            other = type(genuine).generate_key(2048)
            return jwt.encode({"alg": "RS256", "kid": kid}, claims, other)

        openid_provider.forge = signed
        assert refused(await sign_in(browser)) == "provider_refused"

    @pytest.mark.parametrize("token", ["", "x", "a.b.c", "é.é.é", None, 7, {}])
    async def test_what_is_no_token(self, browser, openid_provider, token):
        openid_provider.forge = lambda _: token
        assert refused(await sign_in(browser)) == "provider_refused"

    async def test_an_unknown_key_is_looked_for_once(self, browser, openid_provider):
        def unknown(token: str) -> str:
            head = b64(json.dumps({**header_of(token), "kid": "nobody's"}).encode())
            return f"{head}.{token.partition('.')[2]}"

        openid_provider.forge = unknown
        assert refused(await sign_in(browser)) == "provider_refused"
        assert openid_provider.asked["/jwks"] == 2


class TestAccounts:
    async def test_one_with_the_same_address_is_not_taken_over(self, browser, app):
        await sign_up(browser, "ADA@example.org")
        answer = await sign_in(browser)
        assert (answer.status_code, refused(answer)) == (409, "email_taken")

    async def test_two_people_with_the_same_address_are_two(self, browser, openid_provider):
        await who(browser, await sign_in(browser))
        openid_provider.person |= {"sub": "another ada"}
        assert refused(await sign_in(browser)) == "email_taken"

    async def test_a_disabled_one_stays_out(self, browser, sessions):
        await sign_in(browser)
        async with session_scope(sessions) as session:
            await session.execute(text('UPDATE "user" SET is_active = false'))
        answer = await sign_in(browser)
        assert (answer.status_code, refused(answer)) == (403, "forbidden")

    async def test_it_has_no_password(self, browser):
        pair = (await sign_in(browser)).json()["data"]
        headers = {"Authorization": f"Bearer {pair['access_token']}"}
        for password in ("", "None"):
            form = {"username": "ada@example.org", "password": password or "x"}
            assert (await browser.post("/api/auth/login", data=form)).status_code == 401
            body = {"current_password": password, "new_password": "staple of wrong donkeys"}
            answer = await browser.post("/api/auth/password", json=body, headers=headers)
            assert refused(answer) == "wrong_password"

    @pytest.mark.parametrize(
        "claims",
        [
            {"email_verified": False},
            {"email": "nobody"},
            {"email": "nul\0@example.org"},
            {"email": f"{'a' * 250}@example.org"},
            {"email": None},
        ],
        ids=str,
    )
    async def test_an_address_that_cannot_be_trusted_is_refused(
        self, browser, openid_provider, claims
    ):
        openid_provider.person |= claims
        assert refused(await sign_in(browser)) == "provider_refused"

    async def test_the_operator_may_trust_it(self, services, openid_provider):
        del openid_provider.person["email_verified"]
        async with connect(create_app(with_settings(services, trust_emails=True))) as browser:
            await who(browser, await sign_in(browser))

    async def test_a_name_is_cleaned(self, browser, openid_provider):
        openid_provider.person |= {"name": "A\0d\na\u202e" + "x" * 300}
        name = (await who(browser, await sign_in(browser)))["full_name"]
        assert name.startswith("A d a ")
        assert len(name) == 255

    async def test_only_some_domains(self, services, openid_provider):
        app = create_app(with_settings(services, allowed_domains="example.com, EXAMPLE.net"))
        async with connect(app) as browser:
            assert refused(await sign_in(browser)) == "provider_refused"
            openid_provider.person |= {"email": "ada@Example.NET"}
            await who(browser, await sign_in(browser))

    async def test_only_who_is_known(self, services, browser, openid_provider):
        async with connect(create_app(with_settings(services, create_accounts=False))) as strict:
            assert refused(await sign_in(strict)) == "registration_closed"
            await who(browser, await sign_in(browser))
            await who(strict, await sign_in(strict))

    async def test_the_provider_may_say_who_administers(self, services, openid_provider, sessions):
        settings = {"admin_claim": "groups", "admin_value": "admins"}
        async with connect(create_app(with_settings(services, **settings))) as browser:
            openid_provider.person |= {"groups": ["staff", "admins"]}
            assert (await who(browser, await sign_in(browser)))["role"] == "admin"
            openid_provider.person |= {"groups": ["staff"]}
            # Nobody else could make another one.
            assert refused(await sign_in(browser)) == "last_admin"
            await sign_up(browser, "root@example.org")
            async with session_scope(sessions) as session:
                await session.execute(text("""UPDATE "user" SET role = 'admin'"""))
            assert (await who(browser, await sign_in(browser)))["role"] == "user"


class TestTheProviderItself:
    async def test_without_one_there_is_no_such_way(self, services):
        app = create_app(replace(services, oidc=OidcSettings()))
        async with connect(app) as browser:
            for path in (LOGIN, CALLBACK):
                assert refused(await browser.get(path)) == "not_configured"
            methods = (await browser.get("/api/auth/methods")).json()["data"]
        assert (methods["oidc"], methods["oidc_issuer"]) == (False, None)

    async def test_the_ways_in_name_it(self, browser, openid_provider):
        methods = (await browser.get("/api/auth/methods")).json()["data"]
        assert methods["oidc"]
        assert methods["oidc_issuer"] == openid_provider.issuer

    async def test_one_that_is_down_at_the_start(self, browser, openid_provider):
        openid_provider.stop()
        answer = await browser.get(LOGIN)
        assert (answer.status_code, refused(answer)) == (502, "provider_unreachable")
        assert openid_provider.issuer not in answer.text

    async def test_one_that_goes_down_in_between(self, browser, openid_provider):
        query = await at_provider(browser)
        openid_provider.stop()
        assert refused(await browser.get(CALLBACK, params=query)) == "provider_unreachable"

    @pytest.mark.parametrize(
        "announced",
        [
            {"issuer": "https://evil.example"},
            {"issuer": None},
            {"token_endpoint": "http://192.0.2.1/token"},
            {"jwks_uri": None},
            {"authorization_endpoint": "javascript:alert(1)"},
        ],
        ids=str,
    )
    async def test_one_whose_configuration_is_not_its_own(
        self, browser, openid_provider, announced
    ):
        openid_provider.announced = announced
        assert refused(await browser.get(LOGIN)) == "provider_unreachable"

    @pytest.mark.parametrize("host", ["127.0.0.1:9", "169.254.169.254", "localhost:1"])
    async def test_one_that_sends_us_inside(self, browser, openid_provider, host):
        openid_provider.announced = {"jwks_uri": f"https://{host}/jwks"}
        assert refused(await sign_in(browser)) == "provider_unreachable"

    async def test_a_provider_that_comes_back_is_used(self, browser, openid_provider):
        openid_provider.announced = {"issuer": "https://evil.example"}
        assert refused(await browser.get(LOGIN)) == "provider_unreachable"
        openid_provider.announced = {}
        await who(browser, await sign_in(browser))
