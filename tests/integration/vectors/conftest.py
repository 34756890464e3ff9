"""The adapters: pgvector, the official Qdrant client's local mode, a Qdrant server if there is."""

import os
import uuid
import warnings
from collections.abc import AsyncIterator

import pytest
from httpx import Headers
from pydantic import SecretStr
from qdrant_client import AsyncQdrantClient
from qdrant_client.http.exceptions import UnexpectedResponse
from qdrant_client.local.async_qdrant_local import AsyncQdrantLocal

from cluster.settings import SearchSettings
from db.vectors.pgvector import PgVectorStore
from db.vectors.port import Space, VectorStore
from db.vectors.qdrant import QdrantStore
from db.vectors.qdrant_requests import create_client

QDRANT_URL = os.environ.get("QDRANT_URL")
PREFIX = f"test-{uuid.uuid4().hex[:12]}-"
"""Of the spaces of this run, on a server that others may use too."""


def local_client() -> AsyncQdrantClient:
    """Qdrant in this process, which says as a server does that a collection is not there."""
    client = AsyncQdrantClient(":memory:")
    local = client._client
    assert isinstance(local, AsyncQdrantLocal)
    find, create = local._get_collection, local.create_collection

    def found(name: str):
        if name not in local.collections:
            raise UnexpectedResponse(404, "Not Found", b"not there", Headers())
        return find(name)

    async def created(collection_name: str, **options):
        if collection_name in local.collections:
            raise UnexpectedResponse(409, "Conflict", b"there already", Headers())
        return await create(collection_name, **options)

    vars(local).update(_get_collection=found, create_collection=created)
    return client


def server_settings() -> SearchSettings:
    """Of the server at QDRANT_URL."""
    key = os.environ.get("QDRANT_API_KEY")
    return SearchSettings(qdrant_url=QDRANT_URL, qdrant_api_key=SecretStr(key) if key else None)


@pytest.fixture(params=["pgvector", "qdrant-local", "qdrant"])
def adapter(request: pytest.FixtureRequest) -> str:
    """Which adapter a test is about."""
    if request.param == "qdrant" and QDRANT_URL is None:
        pytest.skip("QDRANT_URL is not set: no Qdrant server to test with")
    return request.param


@pytest.fixture
async def stores(adapter, shared_sessions) -> AsyncIterator[tuple[VectorStore, VectorStore]]:
    """Two stores on one server, as two processes have them."""
    if adapter == "pgvector":
        yield PgVectorStore(shared_sessions), PgVectorStore(shared_sessions)
        return
    settings = server_settings()
    clients = [local_client()] * 2
    if adapter == "qdrant":
        clients = [create_client(settings), create_client(settings)]
    with warnings.catch_warnings():
        # That it has no indexes, which is so in local mode.
        warnings.simplefilter("ignore", UserWarning)
        first, second = (QdrantStore(client, settings) for client in clients)
        yield first, second
        for name in await first.spaces():
            if name.startswith(PREFIX):
                await first.drop(name)
        await first.close()
        if adapter == "qdrant":
            await second.close()


@pytest.fixture
def store(stores) -> VectorStore:
    return stores[0]


@pytest.fixture
async def space(store) -> Space:
    """A space of four dimensions."""
    made = Space(f"{PREFIX}{uuid.uuid4().hex[:12]}", 4)
    await store.ensure(made)
    return made
