"""What /health says of vectors and keywords: PostgreSQL, or servers that live, ail or are away."""

import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from sqlalchemy import text

from api.dependencies import Services
from api.factory import create_app
from cluster.settings import SearchSettings
from db.engine import session_scope
from db.vectors.create import create_vector_store
from tests.fixtures.api import connect
from tests.fixtures.qdrant_server import Trouble, qdrant_server


@dataclass
class Server:
    """An HTTP server that answers every question with one status."""

    url: str
    status: int = 200
    asked: list[str] = field(default_factory=list)


@pytest.fixture
def server() -> Iterator[Server]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known.asked.append(self.path)
            self.send_response(known.status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        known = Server(f"http://127.0.0.1:{http.server_port}")
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        yield known
        http.shutdown()
        thread.join()


async def health(services: Services, **search: str | None) -> tuple[int, dict]:
    settings = SearchSettings().model_copy(update=search)
    vectors = create_vector_store(settings, services.sessions)
    changed = replace(services, search=settings, vectors=vectors)
    async with connect(create_app(changed)) as client:
        answer = await client.get("/health")
    await vectors.close()
    return answer.status_code, answer.json()


def told(body: dict) -> dict[str, tuple[str, str]]:
    parts = {name: body["parts"][name] for name in ("vectors", "keywords")}
    return {name: (part["adapter"], part["status"]) for name, part in parts.items()}


async def test_without_servers_postgresql_plays_both_parts(services):
    status, body = await health(services)
    assert (status, body["status"]) == (200, "up")
    assert told(body) == {"vectors": ("pgvector", "up"), "keywords": ("postgres", "up")}


async def test_without_pgvector_vectors_are_down_and_keywords_are_not_needed_yet(
    services, sessions
):
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
    assert told(body) == {
        "vectors": ("pgvector", "down"),
        "keywords": ("postgres", "not_configured"),
    }


async def test_servers_that_live(services, server):
    with qdrant_server() as qdrant:
        status, body = await health(services, qdrant_url=qdrant.url, meili_url=f"{server.url}/")
    assert status == 200
    assert told(body) == {"vectors": ("qdrant", "up"), "keywords": ("meilisearch", "up")}
    assert server.asked == ["/health"]
    # Not its /healthz, where it asks nobody for a key.
    assert [request.operation for request in qdrant.asked] == ["get_collections"]


@pytest.mark.parametrize("trouble", [Trouble(503), Trouble(401)])
async def test_a_server_that_ails_or_keeps_us_out_is_down(services, trouble):
    with qdrant_server() as qdrant:
        qdrant.troubles = [trouble] * 3
        status, body = await health(services, qdrant_url=qdrant.url)
    assert (status, body["status"]) == (503, "down")
    assert told(body) == {"vectors": ("qdrant", "down"), "keywords": ("postgres", "up")}


@pytest.mark.parametrize("address", ["http://127.0.0.1:{port}", "nonsense", "ftp://127.0.0.1"])
async def test_a_server_that_is_away_is_down_and_its_address_is_not_told(services, address):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    status, body = await health(services, meili_url=address.format(port=port))
    assert status == 503
    assert told(body)["keywords"] == ("meilisearch", "down")
    assert str(port) not in str(body)


async def test_readiness_does_not_depend_on_them(services):
    settings = SearchSettings().model_copy(update={"qdrant_url": "http://127.0.0.1:1"})
    vectors = create_vector_store(settings, services.sessions)
    changed = replace(services, search=settings, vectors=vectors)
    async with connect(create_app(changed)) as client:
        assert (await client.get("/health/ready")).status_code == 200
    await vectors.close()
