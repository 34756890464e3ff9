"""The way to the language model inside the cluster, looked up when first asked for."""

import asyncio
from typing import Any

import structlog
from ray import serve
from ray.exceptions import RayError
from ray.serve.exceptions import RayServeException

from cluster.serve_config import LANGUAGE
from cluster.settings import LanguageSettings
from pipelines.language.configurations import LocalState
from serving.client import Handle
from serving.errors import LlmUnavailable

log = structlog.get_logger(__name__)

DEPLOYMENT = "LanguageModel"


class ServedLanguageModel:
    """The deployment of the language model; it may start after whoever asks for it, or sleep."""

    def __init__(self, settings: LanguageSettings, patience_seconds: float) -> None:
        """`patience_seconds`: how long it may take to say what it is; it may have to start."""
        self._runs = settings.local
        self._patience_seconds = patience_seconds
        self._handle: Handle | None = None

    async def handle(self) -> Handle | None:
        """Its handle; None: no language model runs inside the cluster.

        Raises:
            LlmUnavailable: it is not deployed at the moment.
        """
        if self._runs and self._handle is None:
            try:
                self._handle = await asyncio.to_thread(
                    serve.get_deployment_handle, DEPLOYMENT, LANGUAGE.name
                )
            except (RayError, RayServeException, KeyError) as error:  # KeyError: it is not there
                raise _silent(error) from error
        return self._handle

    async def state(self) -> LocalState | None:
        """What it says of itself, for which it wakes; None: none runs.

        Raises:
            LlmUnavailable: it does not answer in time.
        """
        handle = await self.handle()
        if handle is None:
            return None
        response: Any = handle.describe.remote()
        try:
            async with asyncio.timeout(self._patience_seconds):
                described = await response
        except (RayError, RayServeException, TimeoutError) as error:
            response.cancel()
            raise _silent(error) from error
        return LocalState(described["model"], described["context_tokens"])

    async def asleep(self) -> bool:
        """Whether it has no replica now, and gets one when it is asked.

        Raises:
            LlmUnavailable: it is not deployed at the moment.
        """
        try:
            status = await asyncio.to_thread(serve.status)
            deployment = status.applications[LANGUAGE.name].deployments[DEPLOYMENT]
        except (RayError, RayServeException, KeyError) as error:  # KeyError: it is not there
            raise _silent(error) from error
        return sum(deployment.replica_states.values()) == 0


def _silent(error: Exception) -> LlmUnavailable:
    log.warning("no answer", deployment=DEPLOYMENT, error=repr(error))
    return LlmUnavailable(
        "The language model inside the cluster does not answer: it may still be starting."
    )
