"""Generated requests against every operation of the OpenAPI document, over real stores.

schemathesis makes them from the document and checks each answer: no 5xx, no undocumented status, no
header, content type or body outside its schema. Most of the ids that it fills in exist, and belong
to the administrator who asks.
"""

import asyncio
import random
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, settings
from pydantic import SecretStr
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from api.dependencies import Services
from api.factory import ROUTERS, create_app
from api.openapi import describe
from cluster.egress import Resolve
from cluster.settings import DatabaseSettings
from db.engine import create_engine, create_sessions, session_scope
from db.guards import create_guard_engine
from db.keywords.postgres import PostgresKeywordStore
from db.models import Role, User
from db.vectors.pgvector import PgVectorStore
from tests.fixtures.api import SpeechHealth
from tests.fixtures.http import served
from tests.fixtures.world import furnish

EXAMPLES = 15
"""For each operation; `--hypothesis-seed` repeats a run."""
EXISTING = 0.8
"""Share of ids that are replaced by one that exists."""
ENDLESS = ["/api/files/streaming/{file_id}/events"]
"""Answers that do not end by themselves; tests/integration/api/test_file_events.py reads them."""
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]

EXCEPT = {"/api/llm-settings/models": not_a_server_error}
"""It asks others, who have no address here: what it must say then is a 5xx."""


def document() -> dict:
    app = FastAPI()
    for router in ROUTERS:
        app.include_router(router)
    return describe(app)


schema = schemathesis.openapi.from_dict(document()).exclude(path=ENDLESS)


@dataclass(frozen=True)
class Door:
    """A served API, an administrator's token, and the ids of what is theirs."""

    url: str
    token: str
    ids: dict[str, str]


async def administrator(services: Services, recording: bytes) -> tuple[str, dict[str, str]]:
    """An account with one of each thing: its token and the ids."""
    user_id = uuid.uuid4()
    async with session_scope(services.sessions) as session:
        session.add(User(id=user_id, email="ada@example.org", role=Role.admin))
    ids = await furnish(services.sessions, services.objects, user_id, recording)
    token = services.tokens.issue(user_id, uuid.UUID(ids["session_id"]))
    return token, {**ids, "user_id": str(user_id)}


@contextmanager
def opened(services: Services, recording: bytes) -> Iterator[Door]:
    """The application in a thread with a loop of its own: the tests themselves are not async."""
    door: list[Door] = []
    started, ended = threading.Event(), threading.Event()

    async def serve() -> None:
        database = DatabaseSettings(url=SecretStr(services.database_url))
        engine, guards = create_engine(database), create_guard_engine(database)
        sessions = create_sessions(engine)
        ours = replace(
            services,
            sessions=sessions,
            guards=create_sessions(guards),
            vectors=PgVectorStore(sessions),
            keywords=PostgresKeywordStore(sessions),
        )
        token, ids = await administrator(ours, recording)
        async with served(create_app(ours)) as port:
            door.append(Door(f"http://127.0.0.1:{port}", token, ids))
            started.set()
            await asyncio.to_thread(ended.wait)
        await ours.hub.close()
        await engine.dispose()
        await guards.dispose()

    def run() -> None:
        try:
            asyncio.run(serve())
        finally:
            started.set()

    thread = threading.Thread(target=run)
    thread.start()
    started.wait()
    try:
        yield door[0]
    finally:
        ended.set()
        thread.join()


@pytest.fixture
def resolver() -> Resolve:
    """No name has an address: what is generated is sent to nobody."""

    async def nowhere(host: str, port: int) -> list[str]:
        raise OSError(f"{host} has no address")

    return nowhere


@pytest.fixture
def door(services: Services, recording: bytes, speech_health: SpeechHealth) -> Iterator[Door]:
    # Without replicas that say which models they run no plan can be made: 503 would be right.
    stats = {"model": "a", "embedding_model": "b"}
    roles = ("transcriber", "speaker_segmenter", "aligner", "speaker_embedder")
    speech_health.answer = {role: {"status": "up", "stats": stats} for role in roles}
    with opened(services, recording) as found:
        yield found


@schema.parametrize()
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
def test_every_answer_is_as_the_document_says(case, door: Door):
    choice = random.Random(repr(case.path_parameters))
    if case.path_parameters and choice.random() < EXISTING:
        known = {name: door.ids[name] for name in case.path_parameters if name in door.ids}
        case.path_parameters.update(known)
    case.call_and_validate(
        base_url=door.url,
        headers={"Authorization": f"Bearer {door.token}"},
        checks=[check for check in CHECKS if check is not EXCEPT.get(case.path)],
        timeout=60,
    )
