"""The ingress on Ray Serve: deployment `Api`, whose replicas make the application themselves."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from ray import serve
from ray.exceptions import RayError
from ray.serve import Application
from ray.serve.exceptions import RayServeException

from api.attendance import ASKED_EVERY_SECONDS, Attendance
from api.dependencies import Services
from api.factory import create_app
from cluster import logs
from cluster.resources import Role, deployment_options
from cluster.settings import MediaSettings, SearchSettings, Settings
from db.engine import create_engine, create_sessions
from db.guards import create_guard_engine
from db.keywords.create import create_keyword_store
from db.objects.s3 import S3Objects
from db.vectors.create import create_vector_store
from pipelines.local_model import ServedLanguageModel
from serving import client
from serving.ports import TextEmbeddings
from serving.speech import MediaProbe, MediaSource, MuxRequest

HEALTH_TIMEOUT_SECONDS = 4.0
PROBE_TIMEOUT_SECONDS = 120.0
DESCRIBE_SECONDS = 5.0
"""How long the language model may take to say what it is: somebody waits for that."""
MUX_SLACK_SECONDS = 600.0
"""Beside ffmpeg's time: waiting for its turn, fetching the video and storing the result."""


class SpeechPlane:
    """The speech deployments, looked up when first asked for: they may start after this one."""

    def __init__(self, media: MediaSettings, search: SearchSettings) -> None:
        self._mux_seconds = media.mux_seconds + MUX_SLACK_SECONDS
        self._embed_seconds = search.query_seconds
        self._handles: Mapping[str, client.Handle] | None = None

    async def _found(self) -> Mapping[str, client.Handle]:
        if self._handles is None:
            try:
                self._handles = await asyncio.to_thread(client.find_handles)
            except (RayError, RayServeException, KeyError) as error:  # KeyError: no such deployment
                raise client.unwrapped(error, "the speech application") from error
        return self._handles

    async def probe(self, source: MediaSource) -> MediaProbe:
        """Read a media file's header in the Preparer's sandbox."""
        ports = client.create_ports(await self._found(), PROBE_TIMEOUT_SECONDS)
        return await ports.preparer.probe(source)

    async def mux(self, request: MuxRequest) -> int:
        """Put subtitles into a video, in the Preparer's sandbox."""
        ports = client.create_ports(await self._found(), self._mux_seconds)
        return await ports.preparer.mux(request)

    async def embed(self, texts: Sequence[str]) -> TextEmbeddings:
        """Vectors of what somebody looks for, who does not wait long."""
        ports = client.create_ports(await self._found(), self._embed_seconds)
        return await ports.text_embedder.embed(texts)

    async def health(self) -> Mapping[str, Mapping[str, Any]]:
        """Each deployment's own answer."""
        return await client.health(await self._found(), HEALTH_TIMEOUT_SECONDS)


def replica_app() -> FastAPI:
    """The application of a replica, from its own environment."""
    settings = Settings()
    logs.configure(settings.logs, "api")
    if settings.database.url is None:
        raise ValueError("DATABASE_URL is not set: start with `rayscribe up`, or name a server")
    engine = create_engine(settings.database)
    guard_engine = create_guard_engine(settings.database)
    speech = SpeechPlane(settings.media, settings.search)
    sessions = create_sessions(engine)
    services = Services(
        api=settings.api,
        auth=settings.auth,
        database_url=settings.database.url.get_secret_value(),
        sessions=sessions,
        guards=create_sessions(guard_engine),
        queue=settings.queue,
        runner=settings.runner,
        maintenance=settings.maintenance,
        search=settings.search,
        voices=settings.voices,
        vectors=create_vector_store(settings.search, sessions),
        keywords=create_keyword_store(settings.search, sessions),
        data_dir=settings.paths.data_dir,
        objects=S3Objects(settings.objects),
        prober=speech,
        text_embedder=speech,
        health=speech.health,
        egress=settings.egress,
        download=settings.download,
        oidc=settings.oidc,
        language=settings.language,
        telemetry=settings.telemetry,
        prices=settings.prices,
        backfill=settings.backfill,
        buckets_of=settings.objects,
        local_model=ServedLanguageModel(settings.language, DESCRIBE_SECONDS),
        presigned_uploads=settings.objects.public_endpoint is not None,
    )

    attendance = Attendance()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        watch = asyncio.create_task(attendance.watch(services.hub.send_away))
        yield
        watch.cancel()
        await services.hub.close()
        await services.vectors.close()
        await services.keywords.close()
        await engine.dispose()
        await guard_engine.dispose()

    app = create_app(services, lifespan)
    app.state.attendance = attendance
    return app


class Ingress:
    """What Serve asks the replica itself."""

    app: FastAPI
    """Serve's wrapper sets it."""

    def check_health(self) -> None:
        """Serve asks this for as long as it keeps the replica."""
        self.app.state.attendance.asked()


def build(args: dict[str, str]) -> Application:  # noqa: ARG001 - Serve's signature of a builder
    """The ingress deployment `Api`; the application is made on the replica, never pickled."""
    settings = Settings()
    deployment = serve.deployment(
        name="Api",
        max_ongoing_requests=settings.api.max_ongoing_requests,
        health_check_period_s=ASKED_EVERY_SECONDS,
        graceful_shutdown_timeout_s=settings.api.drain_seconds,
        **deployment_options(Role.api, settings, gpus=0),
    )
    return deployment(serve.ingress(replica_app)(Ingress)).bind()
