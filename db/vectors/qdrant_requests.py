"""Requests to a Qdrant server: within their time, again after an outage, with clear errors."""

import asyncio
import math
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

import httpx
import structlog
from qdrant_client import AsyncQdrantClient
from qdrant_client.common.client_exceptions import QdrantException, ResourceExhaustedResponse
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

from cluster.settings import SearchSettings
from db.errors import StoreUnavailable

Answer = TypeVar("Answer")
Question = Callable[[AsyncQdrantClient], Awaitable[Answer]]

FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 5.0
DENIED = (401, 403)
NOT_THERE, THERE_ALREADY, TOO_MANY = 404, 409, 429

log = structlog.get_logger(__name__)


def create_client(settings: SearchSettings) -> AsyncQdrantClient:
    """A client of the server of the settings; asks nothing yet.

    Raises:
        ValueError: the settings name no such server.
    """
    url, key = settings.qdrant_url or "", settings.qdrant_api_key
    if not url.startswith(("http://", "https://")):
        raise ValueError("QDRANT_URL must be http://host:6333 or https://host:6333")
    return AsyncQdrantClient(
        url=url,
        # As a header of ours: the client warns of a key over http, which is for docs/operations.md.
        headers={"api-key": key.get_secret_value()} if key else None,
        # In whole seconds, up; `Requests` has the exact limit.
        timeout=math.ceil(settings.vector_timeout_seconds),
        # Asked in a thread of its own, and through the environment's proxy.
        check_compatibility=False,
        # A store is reached directly or not at all.
        trust_env=False,
    )


class Refused(Exception):
    """The server understood the request and did not do it."""

    def __init__(self, status: int, said: str) -> None:
        super().__init__(status, said)
        self.status = status
        self.said = said

    def __str__(self) -> str:
        """What the server said."""
        return f"Qdrant answered {self.status}: {self.said}"


class Requests:
    """Asks a server, as often as the settings allow. What is asked may be done twice."""

    def __init__(self, client: AsyncQdrantClient, settings: SearchSettings) -> None:
        self._client = client
        self._seconds = settings.vector_timeout_seconds
        self._retries = settings.vector_retries

    async def ask(self, question: Question[Answer]) -> Answer:
        """The answer.

        Raises:
            Refused: a 4xx, which would be the same again.
            StoreUnavailable: no answer, or that the server cannot or may not answer.
        """
        for attempt in range(self._retries + 1):
            try:
                async with asyncio.timeout(self._seconds):
                    return await question(self._client)
            except (TimeoutError, QdrantException, *HTTP_ERRORS) as error:
                if attempt == self._retries or not _is_outage(error):
                    raise _explained(error, self._seconds) from error
                pause = _pause(attempt, error)
                log.warning("qdrant did not answer", error=_text(error), again_in_seconds=pause)
            await asyncio.sleep(pause)
        raise AssertionError("the last attempt returns or raises")

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()


HTTP_ERRORS = (ResponseHandlingException, UnexpectedResponse)


def _is_outage(error: Exception) -> bool:
    """Whether the same request may be answered later."""
    if isinstance(error, ResponseHandlingException):
        return isinstance(error.source, httpx.TransportError)
    if isinstance(error, UnexpectedResponse):
        return error.status_code == TOO_MANY or (error.status_code or 0) >= 500
    return True


def _pause(attempt: int, error: Exception) -> float:
    """Grows, and differs between those who were turned away together."""
    asked = float(error.retry_after_s) if isinstance(error, ResourceExhaustedResponse) else 0.0
    grown: float = FIRST_PAUSE_SECONDS * 2**attempt * random.uniform(0.5, 1.5)  # noqa: S311 - no secret
    return min(max(grown, asked), LONGEST_PAUSE_SECONDS)


def _explained(error: Exception, seconds: float) -> Exception:
    if isinstance(error, TimeoutError):
        return StoreUnavailable(f"Qdrant did not answer within {seconds:g} s")
    status = error.status_code if isinstance(error, UnexpectedResponse) else None
    if status in DENIED:
        return StoreUnavailable(f"Qdrant does not let us in ({status}): look at QDRANT_API_KEY")
    if status is not None and 400 <= status < 500 and status != TOO_MANY:
        return Refused(status, _text(error))
    return StoreUnavailable(f"Qdrant: {_text(error)}")


def _text(error: Exception) -> str:
    """In one line."""
    if isinstance(error, ResponseHandlingException):
        return repr(error.source)
    return " ".join(str(error).split()) or repr(error)
