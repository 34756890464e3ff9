"""Makes the application: routes, error handlers, middlewares. Knows nothing of Ray."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline

from api import error_docs, error_handlers, health, openapi
from api.auth import routes as auth_routes
from api.body_limit import BodyLimit
from api.dependencies import Services
from api.events import routes as event_routes
from api.events import socket as event_socket
from api.files import media_routes, reprocess_routes, status_routes, upload_routes
from api.files import routes as file_routes
from api.metrics import Measured
from api.request_context import LastResort, RequestId
from api.tasks import recovery_routes
from api.tasks import routes as task_routes

VERSION = "0.1.0"
DESCRIPTION = (
    "Recordings in, transcripts with word times and speakers out. Every success under /api is "
    '`{"data", "message", "status"}`; every refusal is [one body](/docs/errors).'
)
# Paths with a word where others have an id come first.
ROUTERS = (
    auth_routes.router,
    auth_routes.oauth_router,
    upload_routes.router,
    media_routes.router,
    event_routes.router,
    event_socket.router,
    file_routes.router,
    reprocess_routes.router,
    status_routes.router,
    recovery_routes.router,
    task_routes.router,
    health.router,
    error_docs.router,
)

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


def create_app(services: Services, lifespan: Lifespan | None = None) -> FastAPI:
    """The application over these services; `lifespan` closes what they hold."""
    if services.api.part_bytes > services.api.max_body_bytes:
        raise ValueError(
            f"RAYSCRIBE_PART_BYTES={services.api.part_bytes} exceeds "
            f"RAYSCRIBE_MAX_BODY_BYTES={services.api.max_body_bytes}: no part could be uploaded"
        )
    app = FastAPIOffline(
        title="rayscribe",
        version=VERSION,
        description=DESCRIPTION,
        lifespan=lifespan,
        redirect_slashes=False,
    )
    app.state.services = services
    for router in ROUTERS:
        app.include_router(router)
    error_handlers.install(app)
    app.openapi = partial(openapi.describe, app)  # type: ignore[method-assign]
    # The one added last is outermost.
    app.add_middleware(BodyLimit, max_body_bytes=services.api.max_body_bytes)
    app.add_middleware(Measured, metrics=services.metrics)
    app.add_middleware(LastResort)
    app.add_middleware(RequestId)
    return app
