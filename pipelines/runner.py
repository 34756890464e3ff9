"""The runner: claims tasks, runs their plans, keeps their leases, gives them back on a drain."""

import asyncio
import random
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any

import structlog
from sqlalchemy.exc import SQLAlchemyError

from cluster.settings import RunnerSettings
from db.engine import Sessions, session_scope
from db.errors import FenceLost, StoreError
from db.models import MediaFile, Task, TaskState
from db.notify import TASKS, listening
from db.objects.port import ObjectStore
from pipelines import online, persist, queue
from pipelines.checkpoints import StoredCheckpoints
from pipelines.plan import SHARE, plan
from pipelines.progress import ProgressMeter
from pipelines.queue import Claim
from pipelines.recordings import RecordingAudio
from pipelines.stages.base import Context, Models, Options, Recording
from pipelines.task_state import TERMINAL, transition
from serving.errors import SpeechError
from serving.ports import Ports
from serving.speech import MediaSource, SpeakerBounds

log = structlog.get_logger(__name__)

SOURCE_URL_LIFETIME = timedelta(hours=6)
UNEXPECTED = "processing_error"


class Interruption(StrEnum):
    """Why a task's work was stopped before its end."""

    drain = "drain"
    cancelled = "cancelled"
    lost = "lost"


@dataclass(slots=True)
class Running:
    """A claimed task and the coroutine that works on it."""

    held: Claim
    work: asyncio.Task[None]
    interruption: Interruption | None = None

    def interrupt(self, why: Interruption) -> None:
        """Stop the work at its next await."""
        self.interruption = why
        self.work.cancel()


@dataclass(frozen=True, slots=True)
class RunnerParts:
    """What a runner works with."""

    sessions: Sessions
    objects: ObjectStore
    ports: Ports
    models: Models
    settings: RunnerSettings
    database_url: str
    block_seconds: int


class Runner:
    """Claims and runs until stopped. All state of a task is in PostgreSQL."""

    def __init__(self, parts: RunnerParts, owner: str | None = None) -> None:
        self._parts = parts
        self._settings = parts.settings
        self._owner = owner or f"runner-{uuid.uuid4().hex[:12]}"
        self._running: dict[uuid.UUID, Running] = {}
        self._wake = asyncio.Event()
        self._windows = asyncio.Semaphore(parts.settings.max_outstanding_windows)
        self._loops: list[asyncio.Task[None]] = []
        self._cleaning: set[asyncio.Task[None]] = set()

    @property
    def running(self) -> int:
        """How many tasks are in this runner's hands."""
        return len(self._running)

    def start(self) -> None:
        """Begin to claim."""
        loops = (self._claim_forever, self._beat_forever, self._listen_forever)
        self._loops = [
            asyncio.create_task(self._forever(loop), name=loop.__name__) for loop in loops
        ]

    def check(self) -> None:
        """Raise when a loop has ended: a runner that claims nothing must be replaced."""
        for loop in self._loops:
            if loop.done():
                raise RuntimeError(f"{loop.get_name()} has ended")

    async def stop(self) -> None:
        """Drain: claim no more, end the work, give every lease back."""
        for loop in self._loops:
            loop.cancel()
        for running in list(self._running.values()):
            running.interrupt(Interruption.drain)
        await asyncio.gather(
            *self._loops, *(item.work for item in self._running.values()), return_exceptions=True
        )
        await asyncio.gather(*self._cleaning)

    async def _forever(self, loop: Any) -> None:
        """A loop that outlives its store: an outage is logged, waited out, and tried again."""
        while True:
            try:
                await loop()
            except Exception:
                log.exception("runner loop failed", loop=loop.__name__)
            await asyncio.sleep(random.uniform(0.5, 1.5))  # noqa: S311 - jitter

    async def _claim_forever(self) -> None:
        while True:
            free = self._settings.max_tasks - len(self._running)
            if free > 0:
                async with session_scope(self._parts.sessions) as session:
                    tasks = await queue.claim(session, self._owner, free, self._settings)
                for task in tasks:
                    self._begin(task)
            try:
                async with asyncio.timeout(self._settings.poll_seconds):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._wake.clear()

    async def _listen_forever(self) -> None:
        async with listening(
            self._parts.database_url, TASKS, lambda _: self._wake.set()
        ) as connection:
            gone = asyncio.Event()
            connection.add_termination_listener(lambda _: gone.set())
            await gone.wait()

    async def _beat_forever(self) -> None:
        while True:
            await asyncio.sleep(self._settings.heartbeat_seconds)
            held = [item.held for item in self._running.values()]
            async with session_scope(self._parts.sessions) as session:
                states = await queue.heartbeat(session, held, self._settings)
            for item in list(self._running.values()):
                state = states.get(item.held.task_id)
                if state is None:
                    item.interrupt(Interruption.lost)
                elif state is TaskState.cancelling:
                    item.interrupt(Interruption.cancelled)

    def _begin(self, task: Task) -> None:
        held = Claim(task.id, task.fence)
        work = asyncio.create_task(self._work(task, held), name=f"task-{task.id}")
        self._running[task.id] = Running(held, work)

        def ended(_: asyncio.Task[None]) -> None:
            self._running.pop(task.id, None)
            self._wake.set()
            cleaning = asyncio.create_task(self._clean_up(held))
            self._cleaning.add(cleaning)
            cleaning.add_done_callback(self._cleaning.discard)

        work.add_done_callback(ended)

    async def _work(self, task: Task, held: Claim) -> None:
        """Run a task to an end that is written down, whatever happens."""
        with structlog.contextvars.bound_contextvars(task_id=str(task.id), fence=held.fence):
            try:
                await self._run(task, held)
            except FenceLost:
                log.warning("task lost to another runner")
            except asyncio.CancelledError:
                await asyncio.shield(self._interrupted(held))
                raise
            except SpeechError as error:
                await self._failed(held, error.code, error.message, retryable=error.retryable)
            except StoreError as error:
                await self._failed(held, "store_unavailable", str(error), retryable=True)
            except Exception as error:
                log.exception("task failed unexpectedly")
                message = f"Processing failed unexpectedly ({type(error).__name__}: {error})."
                await self._failed(held, UNEXPECTED, message, retryable=True)

    async def _interrupted(self, held: Claim) -> None:
        """A drain gives the task back, a cancel ends it; a lost one is somebody else's."""
        why = self._running[held.task_id].interruption
        if why is Interruption.lost:
            return
        async with session_scope(self._parts.sessions) as session:
            if why is Interruption.cancelled:
                task = await queue.held_task(session, held)
                await transition(session, task, TaskState.cancelled)
            else:
                await queue.release(session, held)

    async def _failed(self, held: Claim, error_type: str, message: str, *, retryable: bool) -> None:
        """Queue again what may pass while attempts remain, else fail with the reason."""
        log.warning("task failed", error_type=error_type, error=message, retryable=retryable)
        async with session_scope(self._parts.sessions) as session:
            current = await queue.held_task(session, held)
            if current.state is TaskState.cancelling:
                await transition(session, current, TaskState.cancelled)
            elif retryable and current.attempt < self._settings.max_attempts:
                delay = self._settings.retry_base_seconds * 2 ** (current.attempt - 1)
                await queue.retry_later(
                    session,
                    current,
                    error_type=error_type,
                    message=message,
                    delay_seconds=delay * random.uniform(0.5, 1.5),  # noqa: S311 - jitter
                )
            else:
                await transition(
                    session,
                    current,
                    TaskState.failed,
                    error_type=error_type,
                    error_message=message,
                )

    async def _run(self, task: Task, held: Claim) -> None:
        async with session_scope(self._parts.sessions) as session:
            file = await session.get_one(MediaFile, task.media_file_id)
        log.info("task started", attempt=task.attempt, file_id=str(file.id))
        audio = self._audio(file)
        async with self._context(task, held, file, audio) as context:
            options = options_of(task.options)
            url = await self._parts.objects.presign_get(file.object_key, SOURCE_URL_LIFETIME)
            recording = Recording(file.sha256, MediaSource(url, file.size_bytes), options)
            recording = await online.run(recording, plan(options), context)
        thumbnail = await self._keep_thumbnail(file, recording)
        async with session_scope(self._parts.sessions) as session:
            await persist.publish(session, held, recording, self._parts.models, thumbnail)
        log.info("task completed", segments=len(recording.segments))

    def _audio(self, file: MediaFile) -> RecordingAudio:
        prefix = f"{file.object_key}.recording"
        return RecordingAudio(self._parts.objects, prefix, self._parts.block_seconds)

    async def _clean_up(self, held: Claim) -> None:
        """Drop the decoded audio of a task that has ended; one that goes on needs it."""
        try:
            async with session_scope(self._parts.sessions) as session:
                task = await session.get(Task, held.task_id)
                if task is None or task.state not in TERMINAL:
                    return
                file = await session.get(MediaFile, task.media_file_id)
            if file is not None:
                await self._audio(file).delete()
        except (StoreError, SQLAlchemyError, OSError) as error:
            log.warning("decoded audio was left behind", error=str(error))

    async def _keep_thumbnail(self, file: MediaFile, recording: Recording) -> str | None:
        if recording.preparation is None or recording.preparation.thumbnail is None:
            return None
        key = f"{file.object_key}.thumbnail.jpg"
        await self._parts.objects.put(key, recording.preparation.thumbnail, "image/jpeg")
        return key

    @asynccontextmanager
    async def _context(
        self, task: Task, held: Claim, file: MediaFile, audio: RecordingAudio
    ) -> AsyncIterator[Context]:
        async def write(stage: str, progress: float, eta_seconds: float | None) -> None:
            async with session_scope(self._parts.sessions) as session:
                await queue.report(
                    session, held, stage=stage, progress=progress, eta_seconds=eta_seconds
                )

        own = asyncio.Semaphore(self._settings.max_outstanding_windows_per_task)

        @asynccontextmanager
        async def slot() -> AsyncIterator[None]:
            async with AsyncExitStack() as stack:
                await stack.enter_async_context(own)
                await stack.enter_async_context(self._windows)
                yield

        meter = ProgressMeter(SHARE, write)
        writer = asyncio.create_task(meter.run())
        try:
            yield Context(
                ports=self._parts.ports,
                models=self._parts.models,
                audio=audio,
                checkpoints=StoredCheckpoints(self._parts.sessions, held, file.id),
                progress=meter,
                slot=slot,
                last_attempt=task.attempt >= self._settings.max_attempts,
                retries=self._settings.window_retries,
            )
        finally:
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)


def options_of(stored: dict[str, Any]) -> Options:
    """A task's options, as the API stored them."""
    bounds = SpeakerBounds(
        minimum=stored.get("min_speakers") or 1,
        maximum=stored.get("max_speakers") or 20,
        exact=stored.get("num_speakers"),
    )
    return Options(
        language=stored.get("language") or "auto",
        task=stored.get("task") or "transcribe",
        speakers=bounds,
        diarize=stored.get("diarize", True),
    )
