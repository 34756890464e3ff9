"""The installation's default language model: for whom, who changes it, what is written down."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import select

from cluster.egress import Resolve
from cluster.settings import EgressSettings
from db.engine import session_scope
from db.models import AuditEvent
from tests.fixtures.chat_server import ChatServer, chat_server
from tests.fixtures.files import promote
from tests.fixtures.remote_site import resolve_locally
from tests.integration.api.test_llm_settings import (
    ADMIN,
    KEY,
    SETTINGS,
    body,
    pointer,
    rows,
    told,
)


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
async def admin(client, sessions):
    await promote(sessions, client)
    return client


async def audited(sessions) -> list[dict[str, Any]]:
    async with session_scope(sessions) as session:
        events = await session.scalars(
            select(AuditEvent)
            .where(AuditEvent.action == "settings.changed")
            .order_by(AuditEvent.id)
        )
        return [event.details for event in events]


async def put(admin, server, **more: Any) -> dict[str, Any]:
    wanted = {key: value for key, value in body(server).items() if key != "name"}
    answer = await admin.put(ADMIN, json=wanted | more)
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


async def test_set_read_tested_removed(admin, server, sessions):
    assert (await admin.get(ADMIN)).json()["data"] == {"configuration": None}
    nothing = (await admin.post(f"{ADMIN}/test")).json()["data"]
    assert nothing["status"] == "not_configured"
    row = await put(admin, server)
    assert (row["name"], row["has_api_key"], row["is_active"]) == ("default", True, True)
    assert (await admin.post(f"{ADMIN}/test")).json()["data"]["success"]
    found = (await admin.get(ADMIN)).json()["data"]["configuration"]
    assert (found["id"], found["test_status"]) == (row["id"], "success")
    assert (await admin.delete(ADMIN)).status_code == 204
    assert (await admin.delete(ADMIN)).status_code == 204
    assert await rows(sessions) == []


async def test_its_key_stays_and_goes_like_a_users(admin, server):
    await put(admin, server)
    unsent = {key: value for key, value in body(server).items() if key != "api_key"}
    kept = (await admin.put(ADMIN, json=unsent | {"model": "b"})).json()["data"]
    assert (kept["has_api_key"], kept["api_key_dropped"], kept["model"]) == (True, False, "b")
    moved = unsent | {"base_url": "http://other.example/v1"}
    gone = (await admin.put(ADMIN, json=moved)).json()["data"]
    assert (gone["has_api_key"], gone["api_key_dropped"]) == (False, True)
    # Without a key this one could not work.
    needy = {"provider": "openai", "model": "gpt"}
    assert pointer(await admin.put(ADMIN, json=needy)) == "#/api_key"


async def test_changes_are_written_down_without_the_key(admin, server, sessions):
    await put(admin, server)
    await put(admin, server, api_key="another-key")
    unsent = {key: value for key, value in body(server).items() if key != "api_key"}
    assert (await admin.put(ADMIN, json=unsent)).status_code == 200
    await admin.delete(ADMIN)
    events = await audited(sessions)
    assert [bool(event["before"]) for event in events] == [False, True, True]
    assert events[0]["after"]["has_api_key"]
    assert events[1]["after"]["api_key_changed"]
    assert events[2]["after"] is None
    assert "sk-" not in str(events)
    assert "v1." not in str(events)


async def test_it_works_for_who_set_up_nothing(admin, stranger, server):
    await put(admin, server)
    assert (await told(stranger, "test-current", "POST"))["success"]
    assert server.keys == [f"Bearer {KEY}"]
    # It is nobody's: there is no way to it, and so to its key, on the routes of users.
    row = (await admin.get(ADMIN)).json()["data"]["configuration"]
    for client in (admin, stranger):
        assert (await client.get(f"{SETTINGS}/config/{row['id']}")).status_code == 404
        moved = {"base_url": "http://other.example/v1"}
        answer = await client.put(f"{SETTINGS}/config/{row['id']}", json=moved)
        assert answer.status_code == 404
    assert (await stranger.get(SETTINGS)).json()["data"]["total"] == 0


async def test_two_at_once(admin, server, sessions):
    await asyncio.gather(*[put(admin, server, model=f"{n}") for n in range(6)])
    [row] = await rows(sessions)
    assert row.user_id is None
