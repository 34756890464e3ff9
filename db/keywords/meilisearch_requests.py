"""Requests to a Meilisearch server: in threads, within their time, again after an outage."""

import asyncio
import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import requests
import structlog
from meilisearch import Client
from meilisearch._httprequests import HttpRequests
from meilisearch.errors import (
    MeilisearchApiError,
    MeilisearchCommunicationError,
    MeilisearchError,
    MeilisearchTimeoutError,
)
from meilisearch.index import Index
from meilisearch.models.task import Task, TaskInfo

from cluster.settings import SearchSettings
from db.errors import StoreUnavailable

Answer = TypeVar("Answer")
Question = Callable[["Server"], Answer]

THREADS = 8
"""Requests at a time of one process: the client waits for answers in threads."""
RETRIES = 2
"""How often a request that the server did not answer is sent again."""
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.2, 5.0
FIRST_LOOK_SECONDS, LONGEST_LOOK_SECONDS = 0.01, 0.5
"""Between looks whether a write is done."""
DENIED = (401, 403)
TIMED_OUT, TOO_MANY = 408, 429
NO_INDEX = "index_not_found"
WAITING = ("enqueued", "processing")

log = structlog.get_logger(__name__)


class Refused(Exception):
    """The server understood, and did not do it: a 4xx, or a write that failed."""

    def __init__(self, code: str, said: str) -> None:
        super().__init__(code, said)
        self.code = code
        self.said = said

    def __str__(self) -> str:
        """What the server said."""
        return f"Meilisearch: {self.said} ({self.code})"


class NotInTime(StoreUnavailable):
    """A write was taken, and is not done yet: it may be done later."""


class _Transport(HttpRequests):
    """The client's requests, on connections that are kept, past proxies of the environment."""

    def __init__(self, client: Client) -> None:
        super().__init__(client.config)
        if client.config.api_key is None:
            # It would say "None".
            del self.headers["Authorization"]
        self.session = requests.Session()
        # A store is reached directly or not at all, and with no key of a .netrc.
        self.session.trust_env = False

    def get(self, path: str) -> Any:
        """Ask."""
        return self.send_request(self.session.get, path)

    def post(
        self,
        path: str,
        body: Any = None,
        content_type: str | None = "application/json",
        *,
        serializer: Any = None,
    ) -> Any:
        """Ask, or write."""
        return self.send_request(self.session.post, path, body, content_type, serializer=serializer)

    def patch(
        self, path: str, body: Any = None, content_type: str | None = "application/json"
    ) -> Any:
        """Change."""
        return self.send_request(self.session.patch, path, body, content_type)

    def delete(self, path: str, body: Any = None) -> Any:
        """Remove."""
        return self.send_request(self.session.delete, path, body)


class Server:
    """The official client, for one thread: it keeps the headers of a request in itself."""

    def __init__(self, url: str, key: str | None, seconds: float) -> None:
        # Its annotation wants whole seconds; what sends the requests does not.
        self.client = Client(url, key, timeout=seconds)  # type: ignore[arg-type]
        self._transport = _Transport(self.client)
        self.client.http = self.client.task_handler.http = self._transport

    def index(self, uid: str) -> Index:
        """What may be asked of one index."""
        found = self.client.index(uid)
        found.http = self._transport
        return found

    def close(self) -> None:
        """Close the connections."""
        self._transport.session.close()


class Servers:
    """A client for each thread that asks."""

    def __init__(self, url: str, key: str | None, seconds: float) -> None:
        self._settings = url, key, seconds
        self._mine = threading.local()
        self._all: list[Server] = []

    def mine(self) -> Server:
        """The client of the thread that calls this."""
        found: Server | None = getattr(self._mine, "server", None)
        if found is None:
            found = self._mine.server = Server(*self._settings)
            self._all.append(found)
        return found

    def close(self) -> None:
        """Close all their connections."""
        for server in self._all:
            server.close()


def create_client(settings: SearchSettings) -> Servers:
    """Clients of the server of the settings; asks nothing yet.

    Raises:
        ValueError: the settings name no such server.
    """
    url, key = (settings.meili_url or "").rstrip("/"), settings.meili_api_key
    if not url.startswith(("http://", "https://")):
        raise ValueError("MEILI_URL must be http://host:7700 or https://host:7700")
    return Servers(url, key.get_secret_value() if key else None, settings.keyword_timeout_seconds)


class Requests:
    """Asks a server, and waits for its writes, as long as the settings allow."""

    def __init__(self, servers: Servers, settings: SearchSettings) -> None:
        self._servers = servers
        self._seconds = settings.keyword_timeout_seconds
        self._write_seconds = settings.keyword_write_seconds
        # Of its own: a server that is silent holds up nobody else's work in threads.
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="meilisearch")

    async def ask(self, question: Question[Answer], *, again: bool = True) -> Answer:
        """The answer; `again`: what is asked may be done twice.

        Raises:
            Refused: a 4xx, which would be the same again.
            StoreUnavailable: no answer, or none that can be understood.
        """
        retries = RETRIES if again else 0
        for attempt in range(retries + 1):
            try:
                return await self._answer(question)
            except (TimeoutError, requests.RequestException, MeilisearchError) as error:
                if attempt == retries or not _is_outage(error):
                    raise _explained(error, self._seconds) from error
                pause = _pause(attempt)
                log.warning("meilisearch did not answer", error=_text(error), again_in=pause)
            await asyncio.sleep(pause)
        raise AssertionError("the last attempt returns or raises")

    async def _answer(self, question: Question[Answer]) -> Answer:
        def ask() -> Answer:
            try:
                return question(self._servers.mine())
            except requests.RequestException:
                raise
            except (ValueError, TypeError, KeyError, AttributeError) as error:
                raise StoreUnavailable(f"Meilisearch's answer is not known: {error!r}") from error

        async with asyncio.timeout(self._seconds):
            return await asyncio.get_running_loop().run_in_executor(self._threads, ask)

    async def write(self, question: Question[TaskInfo]) -> None:
        """Have something written, and return when searches find it.

        Raises:
            Refused: the server says at once, or when it comes to it, that it cannot be done.
            StoreUnavailable: no answer.
            NotInTime: it is not done yet.
        """
        await self.done((await self.ask(question)).task_uid)

    async def done(self, task: int) -> None:
        """Wait for a write that was taken; raises as `write` does."""
        pause = FIRST_LOOK_SECONDS
        try:
            async with asyncio.timeout(self._write_seconds):
                found = await self._look(task)
                while found.status in WAITING:
                    await asyncio.sleep(pause)
                    pause = min(pause * 1.5, LONGEST_LOOK_SECONDS)
                    found = await self._look(task)
        except TimeoutError as error:
            waited = f"{self._write_seconds:g} s"
            raise NotInTime(f"Meilisearch has not done write {task} within {waited}") from error
        if found.status != "succeeded":
            said = found.error or {"code": found.status, "message": f"write {task} was not done"}
            raise Refused(said["code"], said["message"])

    async def _look(self, task: int) -> Task:
        return await self.ask(lambda server: server.client.get_task(task))

    async def close(self) -> None:
        """Close the connections; what is under way ends by its own time limit."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._servers.close()


OUTAGES = (
    TimeoutError,
    MeilisearchTimeoutError,
    MeilisearchCommunicationError,
    requests.ConnectionError,
    requests.exceptions.ChunkedEncodingError,
)


def _is_outage(error: Exception) -> bool:
    """Whether the same request may be answered later."""
    if isinstance(error, MeilisearchApiError):
        return error.status_code in {TIMED_OUT, TOO_MANY} or error.status_code >= 500
    return isinstance(error, OUTAGES)


def _pause(attempt: int) -> float:
    """Grows, and differs between those who were turned away together."""
    grown: float = FIRST_PAUSE_SECONDS * 2**attempt * random.uniform(0.5, 1.5)  # noqa: S311 - no secret
    return min(grown, LONGEST_PAUSE_SECONDS)


def _explained(error: Exception, seconds: float) -> Exception:
    if isinstance(error, (TimeoutError, MeilisearchTimeoutError)):
        return StoreUnavailable(f"Meilisearch did not answer within {seconds:g} s")
    if isinstance(error, MeilisearchApiError) and not _is_outage(error):
        if error.status_code in DENIED:
            told = f"does not let us in ({error.status_code}): look at MEILI_API_KEY"
            return StoreUnavailable(f"Meilisearch {told}")
        return Refused(str(error.code or error.status_code), " ".join(error.message.split()))
    return StoreUnavailable(f"Meilisearch: {_text(error)}")


def _text(error: Exception) -> str:
    """In one line."""
    said = error.message if isinstance(error, MeilisearchError) else str(error)
    return " ".join(said.split()) or repr(error)
