"""What /health says of vectors and keywords: PostgreSQL, or servers that live, ail or are away."""

import socket
from dataclasses import replace

import pytest
from sqlalchemy import text

from api.dependencies import Services
from api.factory import create_app
from cluster.settings import SearchSettings
from db.engine import session_scope
from db.keywords.create import create_keyword_store
from db.vectors.create import create_vector_store
from tests.fixtures.api import connect
from tests.fixtures.described_server import Trouble
from tests.fixtures.meilisearch_server import meilisearch_server
from tests.fixtures.qdrant_server import qdrant_server


async def health(services: Services, **search: str | None) -> tuple[int, dict]:
    settings = SearchSettings().model_copy(update=search)
    vectors = create_vector_store(settings, services.sessions)
    keywords = create_keyword_store(settings, services.sessions)
    changed = replace(services, search=settings, vectors=vectors, keywords=keywords)
    async with connect(create_app(changed)) as client:
        answer = await client.get("/health")
    await vectors.close()
    await keywords.close()
    return answer.status_code, answer.json()


def told(body: dict) -> dict[str, tuple[str, str]]:
    parts = {name: body["parts"][name] for name in ("vectors", "keywords")}
    return {name: (part["adapter"], part["status"]) for name, part in parts.items()}


async def test_without_servers_postgresql_plays_both_parts(services):
    status, body = await health(services)
    assert (status, body["status"]) == (200, "up")
    assert told(body) == {"vectors": ("pgvector", "up"), "keywords": ("postgresql", "up")}


async def test_without_postgresqls_extensions_both_are_down(services, sessions):
    async with session_scope(sessions) as session:
        # Hides the system's view: a PostgreSQL without extensions.
        columns = "(name text, default_version text, installed_version text)"
        await session.execute(text(f"CREATE TABLE public.pg_available_extensions {columns}"))
        database = await session.scalar(text("SELECT current_database()"))
        await session.execute(
            text(f"ALTER DATABASE {database} SET search_path TO public, pg_catalog")
        )
    await services.sessions.kw["bind"].dispose()
    status, body = await health(services)
    assert (status, body["status"]) == (503, "down")
    assert told(body) == {"vectors": ("pgvector", "down"), "keywords": ("postgresql", "down")}


async def test_servers_that_live(services):
    with qdrant_server() as qdrant, meilisearch_server() as server:
        status, body = await health(services, qdrant_url=qdrant.url, meili_url=f"{server.url}/")
    assert status == 200
    assert told(body) == {"vectors": ("qdrant", "up"), "keywords": ("meilisearch", "up")}
    # Not their /health and /healthz, where they ask nobody for a key.
    assert [request.operation for request in server.asked] == ["list_indexes"]
    assert [request.operation for request in qdrant.asked] == ["get_collections"]


@pytest.mark.parametrize("status", [503, 401])
async def test_a_server_that_ails_or_keeps_us_out_is_down(services, status):
    with qdrant_server() as qdrant, meilisearch_server() as server:
        qdrant.troubles = [Trouble(status)] * 3
        _, of_qdrant = await health(services, qdrant_url=qdrant.url)
        server.troubles = [Trouble(status)] * 3
        answered, of_meili = await health(services, meili_url=server.url)
    assert (answered, of_meili["status"]) == (503, "down")
    assert told(of_qdrant) == {"vectors": ("qdrant", "down"), "keywords": ("postgresql", "up")}
    assert told(of_meili) == {"vectors": ("pgvector", "up"), "keywords": ("meilisearch", "down")}


async def test_a_server_that_is_away_is_down_and_its_address_is_not_told(services):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    status, body = await health(services, meili_url=f"http://127.0.0.1:{port}")
    assert status == 503
    assert told(body)["keywords"] == ("meilisearch", "down")
    assert str(port) not in str(body)


async def test_readiness_does_not_depend_on_them(services):
    nobody = "http://127.0.0.1:1"
    settings = SearchSettings().model_copy(update={"qdrant_url": nobody, "meili_url": nobody})
    vectors = create_vector_store(settings, services.sessions)
    keywords = create_keyword_store(settings, services.sessions)
    changed = replace(services, search=settings, vectors=vectors, keywords=keywords)
    async with connect(create_app(changed)) as client:
        assert (await client.get("/health/ready")).status_code == 200
    await vectors.close()
    await keywords.close()
