"""Language models that users set up: keys, addresses, the active one, tests, what works."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
from sqlalchemy import select, text

from api.factory import create_app
from cluster.egress import Resolve
from cluster.settings import EgressSettings, LanguageSettings, LlmProvider
from db.engine import session_scope
from db.models import LlmConfiguration
from pipelines.language.configurations import LocalState
from serving.engines.fake_language import MODEL as FAKE
from serving.engines.fake_language import FakeLanguageEngine
from serving.errors import LlmUnavailable
from serving.providers.known import KNOWN
from tests.fixtures.api import connect
from tests.fixtures.chat_server import MODEL, ChatServer, chat_server
from tests.fixtures.files import promote
from tests.fixtures.language import EngineHandle
from tests.fixtures.remote_site import resolve_locally
from tests.integration.api.test_uploads import error_type

SETTINGS = "/api/llm-settings"
ADMIN = "/api/admin/llm-settings"
KEY = "sk-a-key-of-the-user"
LIMIT = 4


class Local:
    """The model inside the cluster; a test makes it sleep or fall silent."""

    def __init__(self) -> None:
        self.sleeps = False
        self.silent = False
        self.asked = 0

    async def handle(self) -> EngineHandle:
        return EngineHandle(FakeLanguageEngine(4096))

    async def state(self) -> LocalState:
        self.asked += 1
        if self.silent:
            raise LlmUnavailable("The language model inside the cluster does not answer.")
        return LocalState(FAKE, 4096)

    async def asleep(self) -> bool:
        return self.sleeps


@pytest.fixture
async def server() -> AsyncIterator[ChatServer]:
    async with chat_server() as running:
        yield running


@pytest.fixture
def egress_settings(server: ChatServer) -> EgressSettings:
    return server.egress()


@pytest.fixture
def resolver() -> Resolve:
    return resolve_locally


@pytest.fixture
def language_settings() -> LanguageSettings:
    return LanguageSettings(max_configurations=LIMIT, test_seconds=5)


@pytest.fixture
def local() -> Local:
    return Local()


@pytest.fixture
async def with_local(services, local, client) -> AsyncIterator[httpx.AsyncClient]:
    """The same user where a model runs inside the cluster."""
    settings = services.language.model_copy(update={"local": True})
    inside = replace(services, language=settings, local_model=local)
    async with connect(create_app(inside)) as connected:
        connected.headers["Authorization"] = client.headers["Authorization"]
        yield connected


def body(server: ChatServer, name: str = "Mine", **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "provider": "custom",
        "model": MODEL,
        "base_url": server.base_url,
        "api_key": KEY,
        **more,
    }


async def made(client, server, name: str = "Mine", **more: Any) -> dict[str, Any]:
    answer = await client.post(SETTINGS, json=body(server, name, **more))
    assert answer.status_code == 201, answer.text
    return answer.json()["data"]


async def changed(client, config_id: str, **changes: Any) -> dict[str, Any]:
    answer = await client.put(f"{SETTINGS}/config/{config_id}", json=changes)
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


async def told(client, path: str, method: str = "GET", **more: Any) -> dict[str, Any]:
    answer = await client.request(method, f"{SETTINGS}/{path}", **more)
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


async def active(client) -> list[str]:
    items = (await client.get(SETTINGS)).json()["data"]["items"]
    return [item["name"] for item in items if item["is_active"]]


async def rows(sessions) -> list[LlmConfiguration]:
    async with session_scope(sessions) as session:
        found = await session.scalars(select(LlmConfiguration).order_by(LlmConfiguration.name))
        return list(found)


def pointer(answer: httpx.Response) -> str:
    assert error_type(answer) == (422, "validation_error"), answer.text
    return answer.json()["errors"][0]["pointer"]


class TestConfigurations:
    async def test_made_read_changed_deleted(self, client, server, sessions):
        row = await made(client, server, " Mine ", context_tokens=32_768, temperature=0)
        assert (row["name"], row["provider"], row["model"]) == ("Mine", "custom", MODEL)
        assert (row["base_url"], row["has_api_key"]) == (server.base_url, True)
        assert (row["context_tokens"], row["temperature"], row["is_active"]) == (32_768, 0, True)
        assert (row["last_tested_at"], row["test_status"]) == (None, None)
        assert await told(client, f"config/{row['id']}") == row
        new = await changed(client, row["id"], name="Ours", model="another")
        assert (new["name"], new["model"], new["context_tokens"]) == ("Ours", "another", 32_768)
        assert (new["has_api_key"], new["api_key_dropped"]) == (True, False)
        gone = await told(client, f"config/{row['id']}", "DELETE")
        assert gone == {"active_id": None}
        assert await rows(sessions) == []

    async def test_a_key_is_stored_encrypted_for_its_row(self, client, server, services, sessions):
        row = await made(client, server)
        [stored] = await rows(sessions)
        assert KEY not in stored.api_key
        assert services.encryption.decrypt(stored.api_key, row["id"]) == KEY

    async def test_the_list_is_by_name_and_ones_own(self, client, stranger, server):
        for name in ("c", "a", "B"):
            await made(client, server, name)
        await made(stranger, server, "theirs")
        page = (await client.get(SETTINGS, params={"page_size": 2})).json()["data"]
        assert [item["name"] for item in page["items"]] == ["a", "B"]
        assert (page["total"], page["total_pages"]) == (3, 2)

    async def test_a_name_is_had_once(self, client, stranger, server):
        await made(client, server, "a")
        other = await made(client, server, "b")
        taken = await client.post(SETTINGS, json=body(server, "a"))
        assert error_type(taken) == (409, "name_taken")
        path = f"{SETTINGS}/config/{other['id']}"
        assert error_type(await client.put(path, json={"name": "a"})) == (409, "name_taken")
        await made(stranger, server, "a")

    async def test_their_number_is_limited_also_at_once(self, client, server):
        answers = await asyncio.gather(
            *[client.post(SETTINGS, json=body(server, f"{n}")) for n in range(LIMIT + 4)]
        )
        codes = sorted(answer.status_code for answer in answers)
        assert codes == [201] * LIMIT + [409] * 4
        refused = next(answer for answer in answers if answer.status_code == 409)
        assert error_type(refused) == (409, "too_many_configurations")
        assert refused.json()["max_configurations"] == LIMIT

    async def test_what_is_a_strangers_is_not_there(self, client, stranger, server):
        row = await made(client, server)
        for method, path, sent in (
            ("GET", f"config/{row['id']}", None),
            ("PUT", f"config/{row['id']}", {"name": "x"}),
            ("DELETE", f"config/{row['id']}", None),
            ("POST", f"test-config/{row['id']}", None),
            ("POST", "set-active", {"configuration_id": row["id"]}),
            ("GET", f"models?config_id={row['id']}", None),
        ):
            answer = await stranger.request(method, f"{SETTINGS}/{path}", json=sent)
            assert error_type(answer) == (404, "not_found"), path
        assert server.asked == []


class TestWhatIsRefused:
    @pytest.mark.parametrize(
        ("wrong", "where"),
        [
            ({"name": " "}, "#/name"),
            ({"provider": "chatgpt"}, "#/provider"),
            ({"model": None}, "#/model"),
            ({"model": "a\nb"}, "#/model"),
            ({"api_key": ""}, "#/api_key"),
            ({"api_key": "a\r\nX-Admin: 1"}, "#/api_key"),
            ({"api_key": "käse"}, "#/api_key"),
            ({"context_tokens": 1023}, "#/context_tokens"),
            ({"context_tokens": 2_000_001}, "#/context_tokens"),
            ({"temperature": 2.1}, "#/temperature"),
            ({"base_url": None}, "#/base_url"),
            ({"base_url": "http://x/?key=1"}, "#/base_url"),
            ({"base_url": "http://x/#a"}, "#/base_url"),
            ({"base_url": "http://[::1"}, "#/base_url"),
            ({"provider": "openai", "base_url": None, "api_key": None}, "#/api_key"),
            ({"provider": "anthropic", "base_url": None, "api_key": None}, "#/api_key"),
            ({"provider": "ollama", "base_url": None}, "#/base_url"),
        ],
    )
    async def test_what_cannot_work(self, client, server, wrong, where):
        answer = await client.post(SETTINGS, json=body(server, **wrong))
        assert pointer(answer) == where
        assert KEY not in answer.text

    @pytest.mark.parametrize(
        "url",
        [
            "http://127.0.0.1:5432",
            "http://169.254.169.254/latest",
            "http://[::1]/v1",
            "http://media.example:1/v1",
            "ftp://media.example/v1",
            "https://ada:secret@media.example/v1",
            "http://nowhere.test/v1",
        ],
    )
    async def test_addresses_that_may_not_be_reached(self, client, server, url):
        row = await made(client, server)
        for answer in (
            await client.post(SETTINGS, json=body(server, "b", base_url=url)),
            await client.put(f"{SETTINGS}/config/{row['id']}", json={"base_url": url}),
            await client.post(f"{SETTINGS}/test", json=body(server, base_url=url)),
            await client.post(f"{SETTINGS}/models", json={"provider": "custom", "base_url": url}),
        ):
            assert error_type(answer) == (422, "url_refused"), answer.text
        assert server.asked == []

    async def test_a_change_of_nothing(self, client, server):
        path = f"{SETTINGS}/config/{(await made(client, server))['id']}"
        for sent in ({}, {"name": None, "model": None}):
            assert pointer(await client.put(path, json=sent)) == "#"

    async def test_the_one_inside_needs_none_of_it(self, client, with_local):
        inside = {"name": "inside", "provider": "local"}
        answer = await client.post(SETTINGS, json=inside)
        assert error_type(answer) == (409, "not_configured")
        for more in ({"base_url": "https://media.example/v1"}, {"api_key": KEY}):
            answer = await with_local.post(SETTINGS, json=inside | more)
            assert answer.status_code == 422, answer.text
        answer = await with_local.post(SETTINGS, json=inside)
        assert answer.status_code == 201
        assert answer.json()["data"]["model"] == "local"

    async def test_what_the_operator_does_not_allow(self, client, services, server):
        row = await made(client, server)
        only = services.language.model_copy(update={"providers": "vllm,local"})
        async with connect(create_app(replace(services, language=only))) as strict:
            strict.headers["Authorization"] = client.headers["Authorization"]
            answer = await strict.post(SETTINGS, json=body(server, "b"))
            assert error_type(answer) == (409, "not_configured")
            assert "allowed are: local, vllm" in answer.json()["detail"]
            assert (await told(strict, f"test-config/{row['id']}", "POST"))["status"] == "failed"
            status = await told(strict, "status")
            assert (status["available"], status["error_type"]) == (False, "llm_failed")
            kinds = (await told(strict, "providers"))["providers"]
            assert [one["provider"] for one in kinds if one["allowed"]] == ["local", "vllm"]
        assert server.asked == []


class TestKeysAndAddresses:
    async def test_left_out_it_stays_null_takes_it_away(self, client, server, services, sessions):
        row = await made(client, server)
        assert (await changed(client, row["id"], model="b"))["has_api_key"]
        new = await changed(client, row["id"], api_key="another-key")
        assert (new["has_api_key"], new["api_key_dropped"]) == (True, False)
        [stored] = await rows(sessions)
        assert services.encryption.decrypt(stored.api_key, row["id"]) == "another-key"
        new = await changed(client, row["id"], api_key=None)
        assert (new["has_api_key"], new["api_key_dropped"]) == (False, False)

    @pytest.mark.parametrize(
        "elsewhere",
        [
            {"base_url": "http://other.example/v1"},
            {"provider": "openai", "model": "gpt"},
            {"provider": "vllm", "base_url": None},
        ],
    )
    async def test_it_goes_to_no_other_address(self, client, server, sessions, elsewhere):
        row = await made(client, server)
        if elsewhere.get("provider") == "vllm":
            elsewhere = {"provider": "vllm", "base_url": server.base_url}
        new = await changed(client, row["id"], **elsewhere)
        assert (new["has_api_key"], new["api_key_dropped"]) == (False, True)
        [stored] = await rows(sessions)
        assert stored.api_key is None

    async def test_sent_again_it_comes_along(self, client, server):
        row = await made(client, server)
        moved = {"base_url": "http://other.example/v1/", "api_key": "for-there"}
        new = await changed(client, row["id"], **moved)
        assert (new["base_url"], new["has_api_key"]) == ("http://other.example/v1", True)
        assert not new["api_key_dropped"]

    async def test_the_same_address_written_otherwise_is_the_same(self, client, server):
        row = await made(client, server)
        written = server.base_url.replace("http://media", "HTTP://MEDIA") + "/"
        new = await changed(client, row["id"], base_url=written)
        assert (new["base_url"], new["has_api_key"]) == (server.base_url, True)

    async def test_another_provider_has_another_address(self, client, server):
        row = await made(client, server)
        new = await changed(client, row["id"], provider="anthropic", api_key="k")
        assert (new["base_url"], new["has_api_key"]) == (None, True)
        path = f"{SETTINGS}/config/{row['id']}"
        assert pointer(await client.put(path, json={"provider": "ollama"})) == "#/base_url"

    async def test_a_moved_one_sends_no_key(self, client, server):
        row = await made(client, server)
        [unkeyed] = [await changed(client, row["id"], provider="vllm", base_url=server.base_url)]
        assert unkeyed["api_key_dropped"]
        assert (await told(client, f"test-config/{row['id']}", "POST"))["success"]
        assert server.keys == [""]


class TestActive:
    async def test_one_is_set_active_another_follows_a_deleted_one(self, client, server):
        ids = {name: (await made(client, server, name))["id"] for name in "abc"}
        assert await active(client) == ["a"]
        chosen = {"configuration_id": ids["b"]}
        assert (await told(client, "set-active", "POST", json=chosen))["is_active"]
        assert await active(client) == ["b"]
        gone = await told(client, f"config/{ids['b']}", "DELETE")
        assert gone == {"active_id": ids["c"]}
        assert await active(client) == ["c"]
        assert await told(client, f"config/{ids['a']}", "DELETE") == {"active_id": None}

    async def test_two_are_set_active_at_once(self, client, server):
        ids = [(await made(client, server, name))["id"] for name in "abc"]
        answers = await asyncio.gather(
            *[
                client.post(f"{SETTINGS}/set-active", json={"configuration_id": one})
                for one in ids * 3
            ]
        )
        assert {answer.status_code for answer in answers} == {200}
        assert len(await active(client)) == 1

    async def test_all_are_deleted(self, client, stranger, server):
        for name in "ab":
            await made(client, server, name)
        await made(stranger, server)
        assert await told(client, "all", "DELETE") == {"removed": 2}
        assert await told(client, "all", "DELETE") == {"removed": 0}
        assert await active(stranger) == ["Mine"]


class TestTrials:
    async def test_before_it_is_saved(self, client, server, sessions):
        trial = await told(client, "test", "POST", json=body(server))
        assert (trial["success"], trial["status"], trial["model"]) == (True, "success", MODEL)
        assert trial["context_tokens"] == 8192
        assert trial["response_time_ms"] >= 0
        assert trial["error_type"] is None
        assert server.keys == [f"Bearer {KEY}"]
        assert await rows(sessions) == []

    async def test_what_came_of_it_is_kept(self, client, server):
        row = await made(client, server)
        assert (await told(client, f"test-config/{row['id']}", "POST"))["success"]
        kept = await told(client, f"config/{row['id']}")
        assert (kept["test_status"], kept["test_message"]) == ("success", "The model answers.")
        assert kept["last_tested_at"] is not None
        assert kept["updated_at"] == row["updated_at"]
        server.status = 401
        trial = await told(client, f"test-config/{row['id']}", "POST")
        assert (trial["success"], trial["error_type"]) == (False, "llm_unauthorised")
        kept = await told(client, f"config/{row['id']}")
        assert (kept["test_status"], kept["test_message"]) == ("failed", trial["message"])
        # Another name says nothing about it, another model does.
        assert (await changed(client, row["id"], name="b"))["test_status"] == "failed"
        assert (await changed(client, row["id"], model="c"))["test_status"] is None

    @pytest.mark.parametrize(
        ("status", "kind"),
        [
            (400, "llm_failed"),
            (404, "llm_failed"),
            (429, "llm_rate_limited"),
            (500, "llm_unavailable"),
        ],
    )
    async def test_a_failing_server_is_asked_once(self, client, server, status, kind):
        server.status = status
        trial = await told(client, "test", "POST", json=body(server))
        assert (trial["status"], trial["error_type"]) == ("failed", kind)
        assert len(server.asked) == 1
        assert KEY not in trial["message"]

    async def test_nobody_there(self, client, services, server):
        gone = replace(services, egress=EgressSettings(allow="media.example:9"))
        async with connect(create_app(gone)) as other:
            other.headers["Authorization"] = client.headers["Authorization"]
            wanted = body(server, base_url="http://media.example:9/v1")
            trial = await told(other, "test", "POST", json=wanted)
        assert (trial["success"], trial["error_type"]) == (False, "llm_unavailable")

    async def test_an_address_that_leads_inside_meanwhile(self, client, services, server):
        row = await made(client, server)
        closed = replace(services, egress=EgressSettings())
        async with connect(create_app(closed)) as other:
            other.headers["Authorization"] = client.headers["Authorization"]
            trial = await told(other, f"test-config/{row['id']}", "POST")
        assert (trial["success"], trial["error_type"]) == (False, "llm_failed")
        assert server.asked == []

    async def test_the_one_that_works_for_me(self, client, server, with_local):
        trial = await told(client, "test-current", "POST")
        assert (trial["success"], trial["status"]) == (False, "not_configured")
        inside = await told(with_local, "test-current", "POST")
        assert (inside["success"], inside["provider"], inside["model"]) == (True, "local", FAKE)
        row = await made(client, server)
        assert (await told(with_local, "test-current", "POST"))["model"] == MODEL
        assert (await told(client, f"config/{row['id']}"))["test_status"] == "success"

    async def test_a_silent_one_inside(self, with_local, local):
        local.silent = True
        trial = await told(with_local, "test-current", "POST")
        assert (trial["success"], trial["error_type"]) == (False, "llm_unavailable")
        unsaved = await told(with_local, "test", "POST", json={"provider": "local"})
        assert (unsaved["success"], unsaved["error_type"]) == (False, "llm_unavailable")

    async def test_a_key_of_an_installation_that_forgot_its_own(self, client, sessions, server):
        row = await made(client, server)
        async with session_scope(sessions) as session:
            await session.execute(text("UPDATE llm_configuration SET api_key = 'v1.AAAA'"))
        trial = await told(client, f"test-config/{row['id']}", "POST")
        assert (trial["success"], trial["error_type"]) == (False, "llm_unauthorised")
        assert "enter it anew" in trial["message"]
        status = await told(client, "status")
        assert (status["available"], status["source"]) == (False, "own")
        assert status["error_type"] == "llm_unauthorised"
        assert server.asked == []


class TestModels:
    async def test_of_a_configuration_and_before_it_is_saved(self, client, server):
        row = await made(client, server)
        asked = {"provider": "custom", "base_url": server.base_url, "api_key": "other-key"}
        for listed in (
            await told(client, f"models?config_id={row['id']}"),
            await told(client, "models"),
            await told(client, "models", "POST", json=asked),
        ):
            assert listed == {"provider": "custom", "models": ["model-1", "model-2"], "total": 2}
        assert server.keys == [f"Bearer {KEY}"] * 2 + ["Bearer other-key"]
        assert set(server.asked) == {"GET /v1/models"}

    async def test_of_nothing(self, client):
        assert error_type(await client.get(f"{SETTINGS}/models")) == (409, "not_configured")

    async def test_of_the_one_inside(self, with_local):
        assert (await told(with_local, "models"))["models"] == [FAKE]

    async def test_of_a_server_that_refuses(self, client, server):
        row = await made(client, server)
        path = f"{SETTINGS}/models?config_id={row['id']}"
        for status, expected in ((401, (502, "llm_unauthorised")), (503, (503, "llm_unavailable"))):
            server.status = status
            answer = await client.get(path)
            assert error_type(answer) == expected
            assert KEY not in answer.text


class TestStatus:
    async def test_nothing_is_set_up(self, client):
        status = await told(client, "status")
        assert (status["available"], status["source"]) == (False, "none")
        assert status["error_type"] == "not_configured"
        assert "POST /api/llm-settings" in status["reason"]

    async def test_own_default_local(self, client, stranger, sessions, server, with_local):
        inside = await told(with_local, "status")
        assert (inside["available"], inside["source"], inside["model"]) == (True, "local", FAKE)
        assert inside["context_tokens"] == 4096
        await promote(sessions, stranger)
        default = {**body(server), "model": "of all"}
        assert (await stranger.put(ADMIN, json=default)).status_code == 200
        of_all = await told(with_local, "status")
        assert (of_all["source"], of_all["model"]) == ("default", "of all")
        assert of_all["configuration_id"] is None
        row = await made(client, server)
        mine = await told(with_local, "status")
        assert (mine["source"], mine["model"]) == ("own", MODEL)
        assert mine["configuration_id"] == row["id"]
        assert mine["reason"] is None
        assert server.asked == []

    async def test_one_inside_that_sleeps_is_not_woken(self, with_local, local):
        local.sleeps = True
        status = await told(with_local, "status")
        assert (status["available"], status["source"], status["model"]) == (True, "local", None)
        assert local.asked == 0

    async def test_one_inside_that_is_silent(self, with_local, local):
        local.silent = True
        status = await told(with_local, "status")
        assert (status["available"], status["source"]) == (False, "local")
        assert status["error_type"] == "llm_unavailable"

    async def test_providers(self, client, with_local):
        kinds = (await told(client, "providers"))["providers"]
        assert {one["provider"] for one in kinds} == set(LlmProvider) == KNOWN.keys()
        assert kinds[0]["provider"] == "local"
        assert not kinds[0]["available"]
        assert (await told(with_local, "providers"))["providers"][0]["available"]


async def test_a_deleted_account_takes_its_configurations_along(client, server, sessions):
    await made(client, server)
    me = uuid.UUID((await client.get("/api/auth/me")).json()["data"]["id"])
    async with session_scope(sessions) as session:
        await session.execute(text('DELETE FROM "user" WHERE id = :id'), {"id": me})
    assert await rows(sessions) == []
