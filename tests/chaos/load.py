"""People who use a service while something is done to it: requests, recordings, a listener."""

import asyncio
import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.fixtures.media import ffmpeg
from tests.fixtures.speech import sample
from tests.fixtures.stack import Stack

UPLOAD = "/api/files/upload"
ASKED = ("/api/files", "/api/tasks", "/api/tags", "/api/auth/me")
READERS = 3
PAUSE_SECONDS = 0.02
RECORDING_EVERY_SECONDS = 4.0
RESTART = 1012


@dataclass
class Load:
    """What is asked for, and what came of it."""

    stack: Stack
    folder: Path
    answered: int = 0
    failures: list[str] = field(default_factory=list)
    tasks: list[str] = field(default_factory=list)
    heard: list[int] = field(default_factory=list)
    """Numbers of the events that the listener was told."""
    closed: list[int] = field(default_factory=list)
    """With which codes its connections ended."""
    _over: threading.Event = field(default_factory=threading.Event)

    def read(self) -> None:
        """Ask this and that."""
        with self.stack.client() as client:
            while not self._over.wait(PAUSE_SECONDS):
                path = ASKED[self.answered % len(ASKED)]
                self._ask(path, partial(client.get, path))

    def send(self) -> None:
        """Send a recording now and then, each with other bytes."""
        with self.stack.client() as client:
            while not self._over.is_set():
                files = {"file": ("short.flac", self._recording())}
                answer = self._ask("upload", partial(client.post, UPLOAD, files=files))
                if answer is not None:
                    self.tasks.append(answer.json()["data"]["task"]["id"])
                self._over.wait(RECORDING_EVERY_SECONDS)

    def _recording(self) -> bytes:
        told = ("-metadata", f"comment={uuid.uuid4()}")
        return ffmpeg(self.folder / "short.flac", "-i", str(sample()), *told).read_bytes()

    def _ask(self, what: str, ask: Callable[[], httpx.Response]) -> httpx.Response | None:
        try:
            answer = ask()
        except httpx.HTTPError as error:
            self.failures.append(f"{time.strftime('%X')} {what}: {error!r}")
            return None
        if answer.is_error:
            self.failures.append(f"{time.strftime('%X')} {what}: {answer.status_code}")
            return None
        self.answered += 1
        return answer

    def listen(self) -> None:
        """Hear all events; connect anew where the connection ends."""
        asyncio.run(self._listen())

    async def _listen(self) -> None:
        with self.stack.client() as client:
            headers = {"Authorization": client.headers["Authorization"]}
        address = self.stack.url.replace("http", "ws", 1)
        while not self._over.is_set():
            last = f"?last_event_id={self.heard[-1]}" if self.heard else ""
            async with connect(f"{address}/api/ws{last}", additional_headers=headers) as opened:
                await self._hear(opened)

    async def _hear(self, opened: ClientConnection) -> None:
        while not self._over.is_set():
            try:
                async with asyncio.timeout(0.5):
                    frame = json.loads(await opened.recv())
            except TimeoutError:
                continue
            except ConnectionClosed as gone:
                self.closed.append(gone.rcvd.code if gone.rcvd else 0)
                return
            if "id" in frame:
                self.heard.append(frame["id"])

    @contextmanager
    def running(self) -> Iterator[None]:
        """Everybody is at it while the block runs."""
        works = [*[self.read] * READERS, self.send, self.listen]
        threads = [threading.Thread(target=self._watched, args=(work,)) for work in works]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._over.set()
            for thread in threads:
                thread.join()

    def _watched(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001 - shown by the test
            self.failures.append(f"{work.__name__} gave up: {error!r}")
