"""Runner: the Serve deployment that pulls work; it does no heavy work on its loop."""

import os
import socket
from typing import Any

from ray import serve
from ray.serve.handle import DeploymentHandle

from cluster.egress import Policy
from cluster.encryption import Encryption
from cluster.logs import configure
from cluster.settings import Settings
from db.engine import create_engine, create_sessions
from db.keywords.create import create_keyword_store
from db.objects.s3 import S3Objects
from db.vectors.create import create_vector_store
from pipelines.downloads.work import DownloadParts
from pipelines.job import RunnerParts
from pipelines.language.parts import LanguageParts
from pipelines.local_model import ServedLanguageModel
from pipelines.runner import Runner as TaskRunner
from pipelines.stages.base import Models
from serving.client import create_ports


class Runner:
    """Hosts one task runner. Nobody calls it: replicas are fixed in number (DESIGN §5)."""

    def __init__(self, models: Models, handles: dict[str, DeploymentHandle[Any]]) -> None:
        # A replica is a process of its own: this is its composition root.
        settings = Settings()
        configure(settings.logs, "runner")
        if settings.database.url is None:
            raise ValueError("DATABASE_URL is not set")
        self._engine = create_engine(settings.database)
        sessions = create_sessions(self._engine)
        self._parts = RunnerParts(
            sessions=sessions,
            vectors=create_vector_store(settings.search, sessions),
            keywords=create_keyword_store(settings.search, sessions),
            objects=S3Objects(settings.objects),
            ports=create_ports(handles, settings.runner.call_timeout_seconds),
            models=models,
            settings=settings.runner,
            speech=settings.speech,
            voices=settings.voices,
            database_url=settings.database.url.get_secret_value(),
            block_seconds=settings.media.block_seconds,
            max_audio_seconds=settings.media.max_audio_seconds,
            maintenance=settings.maintenance,
            downloads=DownloadParts.of(settings, Policy(settings.egress)),
            language=LanguageParts(
                settings=settings.language,
                egress=settings.egress,
                encryption=Encryption(settings.auth),
                # A task waits until it has loaded, as for the first word of any other.
                local=ServedLanguageModel(settings.language, settings.language.first_token_seconds),
            ),
            search=settings.search,
        )
        self._runner: TaskRunner | None = None

    async def reconfigure(self, _config: dict[str, Any]) -> None:
        """Serve's first call on the replica's event loop, before it is ready: start claiming."""
        if self._runner is None:
            context = serve.get_replica_context()
            # Says to an operator which process has a task.
            owner = f"{context.replica_tag}@{socket.gethostname()}:{os.getpid()}"
            self._runner = TaskRunner(self._parts, owner)
            self._runner.start()

    def check_health(self) -> None:
        """Serve asks this; an exception gets the replica replaced."""
        if self._runner is not None:
            self._runner.check()

    async def stats(self) -> dict[str, Any]:
        """How many tasks are in hand."""
        return {"role": "runner", "running": self._runner.running if self._runner else 0}

    async def __del__(self) -> None:
        """Serve calls this when the replica goes: give the work back."""
        if self._runner is not None:
            await self._runner.stop()
        await self._parts.vectors.close()
        await self._parts.keywords.close()
        await self._engine.dispose()
