"""The adapters: PostgreSQL, and a Meilisearch server if there is one."""

import os
import uuid
from collections.abc import AsyncIterator

import pytest
from pydantic import SecretStr

from cluster.settings import SearchSettings
from db.keywords.create import create_keyword_store
from db.keywords.port import KeywordStore

MEILI_URL = os.environ.get("MEILI_URL")
PREFIX = f"test-{uuid.uuid4().hex[:12]}-"
"""Of the indexes of this run, on a server that others may use too."""


def server_settings() -> SearchSettings:
    """Of the server at MEILI_URL."""
    key = os.environ.get("MEILI_MASTER_KEY") or os.environ.get("MEILI_API_KEY")
    return SearchSettings(meili_url=MEILI_URL, meili_api_key=SecretStr(key) if key else None)


@pytest.fixture(params=["postgresql", "meilisearch"])
def adapter(request: pytest.FixtureRequest) -> str:
    """Which adapter a test is about."""
    if request.param == "meilisearch" and MEILI_URL is None:
        pytest.skip("MEILI_URL is not set: no Meilisearch server to test with")
    return request.param


@pytest.fixture
async def stores(adapter, shared_sessions) -> AsyncIterator[tuple[KeywordStore, KeywordStore]]:
    """Two stores on one server, as two processes have them."""
    settings = server_settings() if adapter == "meilisearch" else SearchSettings(meili_url=None)
    first, second = (create_keyword_store(settings, shared_sessions) for _ in range(2))
    yield first, second
    for name in await first.indexes():
        if name.startswith(PREFIX):
            await first.drop(name)
    await first.close()
    await second.close()


@pytest.fixture
def store(stores) -> KeywordStore:
    return stores[0]


@pytest.fixture
def name() -> str:
    """A name that no index has."""
    return f"{PREFIX}{uuid.uuid4().hex[:12]}"


@pytest.fixture
async def index(store, name) -> str:
    """An index without passages."""
    await store.ensure(name)
    return name
