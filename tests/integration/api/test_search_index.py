"""/api/search: how the stores stand, making them anew, mending them, models."""

from dataclasses import replace
from typing import Any

import httpx
import pytest

from api.dependencies import Services
from api.factory import create_app
from api.search.routes import stores_of
from cluster.settings import SearchSettings
from db.vectors.create import create_vector_store
from serving.engines.fake_text import DIMENSION
from tests.fixtures.api import connect
from tests.fixtures.files import promote, user_id
from tests.fixtures.searchable import PATIENCE, bring, spoken
from tests.fixtures.stack import free_port

SEARCH = "/api/search"


@pytest.fixture
async def admin(services: Services, client: httpx.AsyncClient) -> httpx.AsyncClient:
    await promote(services.sessions, client)
    return client


async def data(answer: httpx.Response) -> Any:
    assert answer.is_success, answer.text
    return answer.json()["data"]


async def status(client: httpx.AsyncClient) -> dict[str, Any]:
    found: dict[str, Any] = await data(await client.get(f"{SEARCH}/reindex/status"))
    return found


async def test_a_reindex_is_one_task_that_can_be_stopped(admin, services):
    before = await status(admin)
    assert (before["active"], before["task"]) == (False, None)
    begun = await admin.post(f"{SEARCH}/reindex")
    assert begun.status_code == 202, begun.text
    task = begun.json()["data"]
    assert (task["action"], task["state"], task["progress"]) == ("reindex", "queued", 0.0)
    for path in ("reindex", "repair-indices"):
        again = await admin.post(f"{SEARCH}/{path}")
        assert (again.status_code, again.json()["task_id"]) == (409, task["id"])
    standing = await status(admin)
    assert (standing["active"], standing["task"]["id"]) == (True, task["id"])
    stopped = await data(await admin.post(f"{SEARCH}/reindex/stop"))
    assert (stopped["id"], stopped["state"]) == (task["id"], "cancelled")
    assert not (await status(admin))["active"]
    nothing = await admin.post(f"{SEARCH}/reindex/stop")
    assert nothing.json()["error_type"] == "conflict"
    audit = await data(await admin.get("/api/admin/audit"))
    actions = [event["action"] for event in audit["items"]]
    assert actions[:2] == ["search.stopped", "search.reindexed"]


@pytest.mark.parametrize("path", ["repair-indices", "reindex?pending_only=true"])
async def test_a_repair_is_such_a_task_too(admin, path):
    task = await data(await admin.post(f"{SEARCH}/{path}"))
    assert task["action"] == "repair"


async def test_a_request_that_is_sent_twice_begins_one_task(admin):
    headers = {"Idempotency-Key": "again"}
    first = await admin.post(f"{SEARCH}/reindex", headers=headers)
    second = await admin.post(f"{SEARCH}/reindex", headers=headers)
    assert second.headers["Idempotent-Replayed"] == "true"
    assert first.json() == second.json()


async def test_everybody_sees_how_far_their_files_are(client, stranger, services):
    stores = stores_of(services)
    mine = await user_id(client)
    await spoken(stores.sessions, mine, [("Ada", "One two three.")])
    await bring(stores)
    await spoken(stores.sessions, mine, [("Ada", "Four five six.")])
    health = await data(await client.get(f"{SEARCH}/index-health"))
    assert (health["status"], health["complete"]) == ("up", False)
    for store in health["stores"]:
        assert (store["files"], store["files_indexed"]) == (2, 1)
        assert (store["passages_expected"], store["passages_stored"]) == (1, 1)
        assert store["changes_waiting"] == 1
    assert [one["adapter"] for one in health["stores"]] == ["postgresql", "pgvector"]
    await bring(stores)
    assert (await data(await client.get(f"{SEARCH}/index-health")))["complete"]
    theirs = await data(await stranger.get(f"{SEARCH}/index-health"))
    assert [(one["files"], one["passages_stored"]) for one in theirs["stores"]] == [(0, 0)] * 2
    await promote(services.sessions, stranger)
    everybodys = await data(await stranger.get(f"{SEARCH}/index-health"))
    assert [one["files"] for one in everybodys["stores"]] == [2, 2]


async def test_a_store_that_is_away_is_down(client, services):
    url = f"http://127.0.0.1:{free_port()}"
    away = SearchSettings(qdrant_url=url, vector_retries=0, query_seconds=PATIENCE)
    dead = create_vector_store(away, services.sessions)
    async with connect(create_app(replace(services, vectors=dead, search=away))) as degraded:
        degraded.headers["Authorization"] = client.headers["Authorization"]
        health = await data(await degraded.get(f"{SEARCH}/index-health"))
    await dead.close()
    assert health["status"] == "down"
    states = [(one["status"], one["passages_stored"]) for one in health["stores"]]
    assert states == [("up", 0), ("down", None)]


async def test_models(client):
    found = await data(await client.get(f"{SEARCH}/models"))
    assert (found["embedding_model"], found["dimension"]) == ("fake", DIMENSION)
    assert "all-MiniLM-L6-v2" in [one["name"] for one in found["models"]]
    assert not any(one["in_use"] for one in found["models"])
