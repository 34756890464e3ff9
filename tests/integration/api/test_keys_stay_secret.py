"""A key that somebody enters is seen by its provider and nobody else.

Every log line at DEBUG, every answer of the API and every column of every row is searched for it,
after every route of configurations and work with a model, with servers that repeat the key in
whatever they say.
"""

import base64
import json
import logging
import traceback
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
import structlog
from sqlalchemy import update

from cluster import logs
from cluster.egress import Resolve
from cluster.settings import EgressSettings, LanguageSettings, LlmProvider, LogSettings
from db.engine import session_scope
from db.models import LlmConfiguration
from pipelines.language import configurations
from serving.errors import SpeechError
from serving.language import ChatMessage, ChatRole, GenerationRequest
from serving.providers.connect import connect as reach
from tests.fixtures.api import connect
from tests.fixtures.chat_server import ELSEWHERE, ChatServer, chat_server
from tests.fixtures.files import promote, user_id
from tests.fixtures.remote_site import resolve_locally
from tests.integration.api.test_erasure import dump

SETTINGS = "/api/llm-settings"
ADMIN = "/api/admin/llm-settings"
MARK = "q7ZkW2pX"
"""In every key, and nowhere else: who shows a piece of a key shows it."""
KEYS = (f"sk-{MARK}-first-0123456789", f"sk-{MARK}-second-9876543210", f"sk-{MARK}-of-all-5555")
FAULTS: tuple[dict[str, Any], ...] = (
    {"status": 200},
    {"status": 400},
    {"status": 401},
    {"status": 403},
    {"status": 404},
    {"status": 422},
    {"status": 429},
    {"status": 500},
    {"status": 503},
    {"broken": True},
)
REQUEST = GenerationRequest((ChatMessage(ChatRole.user, "Hello?"),), 16)


def shows_a_key(text: str) -> bool:
    """Whether a text has a key in it, or a piece of one, as it is or in base64."""
    folded = text.lower()
    encoded = {base64.b64encode(key.encode()).decode().lower().rstrip("=") for key in KEYS}
    return any(piece in folded for piece in (MARK.lower(), *encoded))


@dataclass
class Heard:
    """Everything that came out of the product, and where."""

    lines: list[tuple[str, str]] = field(default_factory=list)

    def note(self, where: str, text: str) -> None:
        self.lines.append((where, text))

    def leaks(self) -> list[tuple[str, str]]:
        return [(where, text[:300]) for where, text in self.lines if shows_a_key(text)]

    async def answer(self, response: httpx.Response) -> None:
        """Note an answer of the API: its body and its headers."""
        await response.aread()
        where = f"{response.request.method} {response.request.url.path}"
        self.note(where, response.text)
        self.note(f"{where} headers", str(response.headers.multi_items()))

    def error(self, error: BaseException) -> None:
        """Note all that an error could show, with what caused it."""
        self.note("error", repr(error) + str(error))
        self.note("traceback", "".join(traceback.format_exception(error)))


class Everything(logging.Handler):
    """Keeps every record as it would be written, with its arguments and its exception."""

    def __init__(self, heard: Heard) -> None:
        super().__init__(logging.NOTSET)
        self._heard = heard

    def emit(self, record: logging.LogRecord) -> None:
        self._heard.note(f"log {record.name}", record.getMessage())
        self._heard.note(f"log {record.name}", repr(record.__dict__))
        if record.exc_info and record.exc_info[1]:
            self._heard.error(record.exc_info[1])


@pytest.fixture
def heard(tmp_path) -> Iterator[Heard]:
    """What is heard while every logger of the product's own configuration is at DEBUG."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    found = Heard()
    logs.configure(LogSettings(log_format="json", log_level="DEBUG", log_dir=tmp_path), "api")
    root.addHandler(Everything(found))
    yield found
    found.note("log file", (tmp_path / "api.log").read_text())
    for handler in root.handlers:
        handler.close()
    root.handlers[:], root.level = before[0], before[1]
    structlog.reset_defaults()


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
    return LanguageSettings(test_seconds=10, retries=1, max_retry_seconds=0.01)


@pytest.fixture
async def listening(app, client, sessions, heard) -> AsyncIterator[httpx.AsyncClient]:
    """An administrator whose every answer is heard."""
    await promote(sessions, client)
    async with connect(app) as connected:
        connected.headers["Authorization"] = client.headers["Authorization"]
        connected.event_hooks["response"] = [heard.answer]
        yield connected


def body(server: ChatServer, key: str, **more: Any) -> dict[str, Any]:
    return {
        "provider": "custom",
        "model": "m",
        "base_url": server.base_url,
        "api_key": key,
        **more,
    }


async def configured(client: httpx.AsyncClient, server: ChatServer) -> str:
    """A configuration that was made, read, listed, changed and set active; its id."""
    made = await client.post(SETTINGS, json={"name": "mine", **body(server, KEYS[0])})
    assert made.status_code == 201, made.text
    config_id: str = made.json()["data"]["id"]
    path = f"{SETTINGS}/config/{config_id}"
    for method, url, sent in (
        ("GET", SETTINGS, None),
        ("GET", path, None),
        ("PUT", path, {"api_key": KEYS[1]}),
        ("PUT", path, {"name": KEYS[1], "api_key": f"{KEYS[1]}\n"}),
        ("POST", SETTINGS, {"name": "mine", **body(server, KEYS[0])}),
        ("POST", SETTINGS, {"name": "bad", **body(server, KEYS[0], base_url="http://[::1]/")}),
        ("POST", SETTINGS, {"name": "bad", **body(server, KEYS[0], context_tokens=KEYS[0])}),
        ("POST", f"{SETTINGS}/set-active", {"configuration_id": config_id}),
        ("GET", f"{SETTINGS}/status", None),
        ("GET", f"{SETTINGS}/providers", None),
        ("PUT", ADMIN, body(server, KEYS[2])),
        ("GET", ADMIN, None),
    ):
        await client.request(method, url, json=sent)
    return config_id


async def asked(client: httpx.AsyncClient, server: ChatServer, config_id: str) -> None:
    """Every route that sends a key somewhere."""
    unsaved = {"provider": "custom", "base_url": server.base_url, "api_key": KEYS[0]}
    for method, url, sent in (
        *[
            ("POST", f"{SETTINGS}/test", body(server, KEYS[0], provider=provider))
            for provider in LlmProvider
        ],
        ("POST", f"{SETTINGS}/test-config/{config_id}", None),
        ("POST", f"{SETTINGS}/test-current", None),
        ("POST", f"{ADMIN}/test", None),
        ("GET", f"{SETTINGS}/models?config_id={config_id}", None),
        ("POST", f"{SETTINGS}/models", unsaved),
        ("GET", f"{SETTINGS}/config/{config_id}", None),
        ("GET", f"{SETTINGS}/status", None),
    ):
        await client.request(method, url, json=sent)


async def used(services, sessions, me: uuid.UUID, heard: Heard) -> None:
    """What a runner does with a key: it finds the connection and asks the model."""
    async with session_scope(sessions) as session:
        connection = await configurations.resolve(
            session, me, services.language, None, services.encryption
        )
    heard.note("connection", repr(connection))
    model = reach(connection, services.egress, services.language, resolve=services.resolve)
    heard.note("model", repr(model) + repr(vars(model)))
    try:
        heard.note("answer", repr(await model.generate(REQUEST)))
        async for piece in model.stream(REQUEST):
            heard.note("piece", repr(piece))
    except SpeechError as error:
        heard.error(error)
    finally:
        await model.close()


async def test_a_key_is_nowhere(listening, server, services, sessions, heard):
    me = await user_id(listening)
    config_id = await configured(listening, server)
    for fault in FAULTS:
        server.status, server.broken = fault.get("status", 200), fault.get("broken", False)
        await asked(listening, server, config_id)
        await used(services, sessions, me, heard)
    # It did go where it belongs: else all of this would show nothing.
    assert {line.removeprefix("Bearer ") for line in server.keys} == set(KEYS)
    assert len(heard.lines) > 300
    assert any(where.startswith("log") for where, _ in heard.lines)
    assert not heard.leaks()
    for table, text in (await dump(sessions)).items():
        assert not shows_a_key(text), table


async def test_where_nobody_answers_or_may(listening, server, services, sessions, heard):
    me = await user_id(listening)
    config_id = await configured(listening, server)
    nobody = f"http://{ELSEWHERE}/v1"
    await listening.post(f"{SETTINGS}/test", json=body(server, KEYS[0], base_url=nobody))
    async with session_scope(sessions) as session:
        # As if the operator had closed it since.
        await session.execute(update(LlmConfiguration).values(base_url="http://10.0.0.1/v1"))
    await asked(listening, server, config_id)
    await used(services, sessions, me, heard)
    assert not heard.leaks()
    for table, text in (await dump(sessions)).items():
        assert not shows_a_key(text), table


async def test_a_key_that_cannot_be_read_shows_nothing_either(
    listening, server, services, sessions, heard
):
    me = await user_id(listening)
    config_id = await configured(listening, server)
    async with session_scope(sessions) as session:
        await session.execute(update(LlmConfiguration).values(api_key=f"v1.{'A' * 40}"))
    await asked(listening, server, config_id)
    async with session_scope(sessions) as session:
        with pytest.raises(SpeechError) as refused:
            await configurations.resolve(session, me, services.language, None, services.encryption)
    heard.error(refused.value)
    # Only the one that is not stored went anywhere.
    assert {line.removeprefix("Bearer ") for line in server.keys} == {KEYS[0]}
    assert not heard.leaks()


async def test_erased_with_its_account_or_its_configuration(listening, server, sessions):
    config_id = await configured(listening, server)
    async with session_scope(sessions) as session:
        sealed = (await session.get_one(LlmConfiguration, uuid.UUID(config_id))).api_key
    assert sealed in json.dumps(await dump(sessions))
    assert (await listening.delete(f"{SETTINGS}/config/{config_id}")).status_code == 200
    assert sealed not in json.dumps(await dump(sessions))


def test_the_search_finds_what_it_looks_for():
    for key in KEYS:
        encoded = base64.b64encode(key.encode()).decode()
        for text in (key, key.upper(), f"x{key}y", key[3:14], encoded):
            assert shows_a_key(text)
    assert not shows_a_key("sk-another-first-0123456789")
