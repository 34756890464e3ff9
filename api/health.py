"""What operators ask: /health of every part, /health/ready of what uploads need, /metrics."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Any, Literal

import structlog
from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel
from sqlalchemy import text

from api.dependencies import App, Services, Session
from api.errors import ErrorType
from api.openapi import errors
from api.schemas import documented
from db.engine import session_scope
from db.queries import outbox, oversight, tasks, usage

TIMEOUT_SECONDS = 5.0
DAY = timedelta(days=1)

logger = structlog.get_logger(__name__)
router = APIRouter(tags=["health"])

Status = Literal["up", "down"]


class PartHealth(BaseModel):
    """One part: whether it answered, and in how many seconds."""

    status: Status
    """Whether it answered."""
    seconds: float
    """How long the answer took."""
    adapter: str | None = None
    """Which server plays the part, where there is a choice."""

    model_config = documented({"status": "up", "seconds": 0.002, "adapter": "pgvector"})


class Health(BaseModel):
    """All parts; `up` unless one is down."""

    status: Status
    """`down`: at least one part is."""
    parts: Mapping[str, PartHealth]
    """By name: the stores, Ray, each speech deployment."""

    model_config = documented(
        {
            "status": "up",
            "parts": {
                "database": {"status": "up", "seconds": 0.002},
                "objects": {"status": "up", "seconds": 0.004},
                "vectors": {"status": "up", "seconds": 0.003, "adapter": "pgvector"},
                "keywords": {"status": "up", "seconds": 0.003, "adapter": "postgresql"},
                "transcriber": {"status": "up", "seconds": 0.011},
            },
        }
    )


UNHEALTHY: dict[int | str, dict[str, Any]] = {503: {"model": Health, "description": "Not all up"}}


async def _database(services: Services) -> None:
    async with session_scope(services.sessions) as session:
        await session.execute(text("SELECT 1"))


async def _ask(name: str, question: Callable[[], Awaitable[Any]]) -> tuple[PartHealth, Any]:
    """Ask a part. Why it is down is for the log: the text may name hosts."""
    started = time.monotonic()
    status: Status = "up"
    answer = None
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            answer = await question()
    except Exception as error:  # noqa: BLE001 - whatever it is, the part is down
        logger.warning("part is down", part=name, error=repr(error))
        status = "down"
    return PartHealth(status=status, seconds=round(time.monotonic() - started, 4)), answer


async def _stores(services: Services) -> dict[str, PartHealth]:
    (database, _), (objects, _) = await asyncio.gather(
        _ask("database", lambda: _database(services)),
        _ask("objects", services.objects.ready),
    )
    return {"database": database, "objects": objects}


async def _speech(services: Services) -> dict[str, PartHealth]:
    cluster, answers = await _ask("ray", services.health)
    deployments = {
        name: PartHealth(
            status="up" if answer["status"] == "up" else "down",
            seconds=answer.get("seconds", cluster.seconds),
        )
        for name, answer in (answers or {}).items()
    }
    return {"ray": cluster, **deployments}


async def _part(adapter: str, question: Callable[[], Awaitable[Any]]) -> PartHealth:
    answered, _ = await _ask(adapter, question)
    return answered.model_copy(update={"adapter": adapter})


async def _search(services: Services) -> dict[str, PartHealth]:
    """Vectors, and keywords: an own server where its address is set, else PostgreSQL."""
    vectors, keywords = await asyncio.gather(
        _part(services.vectors.adapter, services.vectors.ready),
        _part(services.keywords.adapter, services.keywords.ready),
    )
    return {"vectors": vectors, "keywords": keywords}


def _health(parts: Mapping[str, PartHealth], response: Response) -> Health:
    healthy = not any(part.status == "down" for part in parts.values())
    if not healthy:
        response.status_code = 503
    return Health(status="up" if healthy else "down", parts=parts)


@router.get(
    "/health",
    summary="Health of every part",
    response_description="Everything is up",
    responses=UNHEALTHY,
)
async def health(services: App, response: Response) -> Health:
    """Asks every store, Ray and every speech deployment, at once, now.

    `vectors` and `keywords` are PostgreSQL unless `QDRANT_URL` or `MEILI_URL` names a server.
    While one of them is down, searches say that they are without it; what is new is found
    afterwards. Voiceprints are in `vectors` too: new voices are compared with others afterwards.
    """
    stores, search, speech = await asyncio.gather(
        _stores(services), _search(services), _speech(services)
    )
    return _health(stores | search | speech, response)


@router.get(
    "/health/ready",
    summary="Whether requests can be served",
    response_description="Ready",
    responses=UNHEALTHY,
)
async def ready(services: App, response: Response) -> Health:
    """Asks only the stores: without them nothing can be accepted; speech may come later."""
    return _health(await _stores(services), response)


@router.get(
    "/metrics",
    summary="Prometheus metrics",
    response_class=Response,
    responses={
        200: {"description": "Metrics", "content": {"text/plain": {"schema": {"type": "string"}}}},
        **errors(ErrorType.store_unavailable),
    },
)
async def metrics(request: Request, services: App, session: Session) -> Response:
    """Requests of this replica; tasks, queue, outbox and use of the whole installation.

    What model replicas and runners count, Ray's agent on each node tells (docs/monitoring.md).
    Users are named to whoever shows the token of `RAYSCRIBE_METRICS_TOKEN`.
    """
    services.metrics.show_tasks(await tasks.count_by_state(session))
    services.metrics.show_lanes(await oversight.load(session))
    services.metrics.show_outbox(await outbox.waiting(session))
    telemetry = services.telemetry
    shown = telemetry.names_users_to(request.headers.get("authorization", ""))
    named = telemetry.metrics_users if shown else 0
    services.metrics.show_users(*await usage.audio_of_the_last(session, DAY, named))
    return Response(services.metrics.text(), media_type=CONTENT_TYPE_LATEST)
