"""Makes the application: routes, error handlers, middlewares. Knows nothing of Ray."""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from functools import cache, partial

from fastapi import APIRouter, FastAPI
from fastapi_offline import FastAPIOffline
from starlette.routing import BaseRoute
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from api import error_docs, error_handlers, health, openapi
from api.admin import audit_routes, retention_routes, settings_routes, voiceprint_routes
from api.admin import routes as admin_routes
from api.auth import oidc_routes, session_routes
from api.auth import routes as auth_routes
from api.backfills import report_routes as backfill_report_routes
from api.backfills import routes as backfill_routes
from api.body_limit import BodyLimit
from api.callers import Located
from api.collections import routes as collection_routes
from api.comments import routes as comment_routes
from api.dependencies import Services
from api.events import routes as event_routes
from api.events import socket as event_socket
from api.files import (
    bulk_routes,
    link_routes,
    reprocess_routes,
    status_routes,
    upload_routes,
)
from api.files import routes as file_routes
from api.llm_settings import default_routes as llm_default_routes
from api.llm_settings import routes as llm_settings_routes
from api.llm_settings import trial_routes as llm_trial_routes
from api.metrics import Measured
from api.prompts import routes as prompt_routes
from api.request_context import LastResort, RequestId
from api.search import index_routes as search_index_routes
from api.search import routes as search_routes
from api.speaker_clusters import edit_routes as speaker_cluster_edit_routes
from api.speaker_clusters import routes as speaker_cluster_routes
from api.speaker_profiles import collection_routes as speaker_collection_routes
from api.speaker_profiles import enrolment_routes
from api.speaker_profiles import routes as profile_routes
from api.speaker_profiles import speaker_routes as profile_speaker_routes
from api.speakers import change_routes as speaker_change_routes
from api.speakers import routes as speaker_routes
from api.speakers import structure_routes as speaker_structure_routes
from api.streaming import routes as streaming_routes
from api.streaming import subtitle_routes
from api.summarization import routes as summary_routes
from api.summarization import search_routes as summary_search_routes
from api.summarization import speaker_routes as prediction_routes
from api.summarization import topic_routes
from api.tags import routes as tag_routes
from api.tasks import recovery_routes
from api.tasks import routes as task_routes
from api.transcripts import analytics_routes
from api.transcripts import edit_routes as transcript_edit_routes
from api.transcripts import routes as transcript_routes
from api.usage import routes as usage_routes
from api.user_settings import routes as user_settings_routes
from api.users import routes as user_routes
from cluster.settings.base import words

VERSION = "0.1.0"
DESCRIPTION = (
    "Recordings in, transcripts with word times and speakers out. Every success under /api is "
    '`{"data", "message", "status"}`; every refusal is [one body](/docs/errors).'
)
# Paths with a word where others have an id come first.
ROUTERS = (
    auth_routes.router,
    auth_routes.oauth_router,
    session_routes.router,
    oidc_routes.router,
    usage_routes.own_router,
    user_routes.router,
    upload_routes.router,
    link_routes.router,
    streaming_routes.router,
    subtitle_routes.router,
    event_routes.router,
    event_socket.router,
    bulk_routes.router,
    file_routes.router,
    reprocess_routes.router,
    status_routes.router,
    transcript_routes.router,
    transcript_edit_routes.router,
    analytics_routes.router,
    tag_routes.router,
    collection_routes.router,
    comment_routes.router,
    speaker_change_routes.router,
    speaker_structure_routes.router,
    speaker_routes.router,
    profile_routes.router,
    profile_speaker_routes.router,
    speaker_collection_routes.router,
    enrolment_routes.router,
    speaker_cluster_routes.router,
    speaker_cluster_edit_routes.router,
    llm_settings_routes.router,
    llm_trial_routes.router,
    prompt_routes.router,
    search_routes.router,
    search_index_routes.router,
    summary_search_routes.router,
    topic_routes.router,
    prediction_routes.router,
    summary_routes.router,
    user_settings_routes.router,
    recovery_routes.router,
    task_routes.router,
    admin_routes.router,
    audit_routes.router,
    retention_routes.router,
    usage_routes.router,
    voiceprint_routes.router,
    backfill_routes.router,
    backfill_report_routes.router,
    settings_routes.router,
    llm_default_routes.router,
    health.router,
    error_docs.router,
)

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


@cache
def _routes() -> Sequence[BaseRoute]:
    """All routes, made once: FastAPI takes a fifth of a second to see what their endpoints want."""
    together = APIRouter()
    for router in ROUTERS:
        together.include_router(router)
    return together.routes


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
    app.router.routes.extend(_routes())
    error_handlers.install(app)
    app.openapi = partial(openapi.describe, app)  # type: ignore[method-assign]
    # The one added last is outermost.
    app.add_middleware(BodyLimit, max_body_bytes=services.api.max_body_bytes)
    app.add_middleware(Measured, metrics=services.metrics)
    app.add_middleware(LastResort)
    app.add_middleware(RequestId)
    app.add_middleware(Located)
    if proxies := words(services.api.trusted_proxies):
        app.add_middleware(ProxyHeadersMiddleware, trusted_hosts=proxies)
    return app
