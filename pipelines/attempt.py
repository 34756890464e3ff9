"""One attempt at a task: runs its plan and writes down how it ended, whatever happens."""

import asyncio
import random
import time
from dataclasses import dataclass, field
from enum import StrEnum

import structlog

from cluster.telemetry import tracing
from db.engine import session_scope
from db.errors import FenceLost, StoreError, StoreUnavailable
from db.models import MediaFile, Task
from pipelines import leftovers, queue, usage
from pipelines.errors import FileExists, IllegalTransition, QueueFull, TaskFailed
from pipelines.job import Job, RunnerParts, Shared
from pipelines.kinds import WORK
from pipelines.language.kinds import KINDS as LANGUAGE
from pipelines.queue import Claim
from pipelines.task_state import TERMINAL, Failure
from pipelines.telemetry import Outcome, RunnerTelemetry
from serving.errors import SpeechError

log = structlog.get_logger(__name__)

UNEXPECTED = "processing_error"


class Interruption(StrEnum):
    """Why an attempt was stopped before its end."""

    drain = "drain"
    cancelled = "cancelled"
    lost = "lost"


@dataclass(slots=True)
class Attempt:
    """A claimed task and the work on it."""

    parts: RunnerParts
    task: Task
    shared: Shared
    suspect: bool = False
    last: bool = False
    interruption: Interruption | None = None
    work: asyncio.Task[None] | None = field(default=None, init=False)
    written: bool = field(default=False, init=False)
    outcome: Outcome = field(default=Outcome.failed, init=False)

    @property
    def telemetry(self) -> RunnerTelemetry:
        """Where it is counted."""
        return RunnerTelemetry(self.parts.meters)

    @property
    def held(self) -> Claim:
        """What every write of this attempt names."""
        return Claim(self.task.id, self.task.fence)

    def start(self) -> asyncio.Task[None]:
        """Begin to work."""
        self.work = asyncio.create_task(self._work(), name=f"task-{self.task.id}")
        return self.work

    def interrupt(self, why: Interruption) -> None:
        """Stop the work at its next await; what is written down is only being cleaned up."""
        if self.work is not None and self.interruption is None and not self.written:
            self.interruption = why
            self.work.cancel()

    async def _work(self) -> None:
        task = self.task
        known = {"kind": task.kind.value, "lane": task.lane.value, "attempt": task.attempt}
        with (
            structlog.contextvars.bound_contextvars(task_id=str(task.id), fence=task.fence),
            tracing.task_span(task.id, f"task {task.kind}", **known) as span,
            usage.kept(self.parts.models) as account,
        ):
            try:
                await self._until_written()
                self.written = True
            except FenceLost:
                self.outcome = Outcome.lost
                log.warning("task lost to another runner")
            except StoreError as error:
                # The lease ends by itself, and another claim finds the task.
                self.outcome = Outcome.unwritten
                log.warning("the end of an attempt was not written", error=str(error))
            else:
                await self._clean_up_or_leave()
            finally:
                span.set_attribute("outcome", self.outcome.value)
                self.telemetry.ended(task, self.outcome, account)

    async def _until_written(self) -> None:
        try:
            await self._run()
        except (FenceLost, IllegalTransition):
            # Somebody cancelled while the result was being stored, or has the task now.
            self.outcome = Outcome.cancelled
            async with session_scope(self.parts.sessions) as session:
                await queue.stopped(session, self.held)
        except asyncio.CancelledError:
            # Cancelled once to stop the plan; what follows is writing it down.
            await asyncio.shield(self._interrupted())
        except SpeechError as error:
            await self._failed(error.code, error.message, retryable=error.retryable)
        except TaskFailed as error:
            await self._failed(error.error_type, error.message, retryable=error.retryable)
        except FileExists as error:
            await self._failed("duplicate_file", str(error), retryable=False)
        except QueueFull as error:
            await self._failed("queue_full", error.message, retryable=True)
        except StoreError as error:
            log.warning("store failed", error=str(error))
            await self._failed(
                "store_unavailable", "A store of this service did not answer.", retryable=True
            )
        except Exception:
            log.exception("task failed unexpectedly")
            message = (
                "Processing failed for a reason that is not the file's; "
                f"an operator finds it in the log under task {self.task.id}."
            )
            await self._failed(UNEXPECTED, message, retryable=True)

    async def _interrupted(self) -> None:
        """A drain gives the task back, a cancel ends it; a lost one is somebody else's."""
        match self.interruption:
            case Interruption.lost:
                raise FenceLost(f"task {self.task.id} was claimed by another runner")
            case Interruption.cancelled:
                self.outcome = Outcome.cancelled
                async with session_scope(self.parts.sessions) as session:
                    await queue.stopped(session, self.held)
            case Interruption.drain:
                self.outcome = Outcome.drained
                async with session_scope(self.parts.sessions) as session:
                    await queue.release(session, self.held)
            case None:
                # Ray ends a call of a replica that goes away as a cancellation.
                await self._failed(UNEXPECTED, "A model replica went away.", retryable=True)

    async def _failed(self, error_type: str, message: str, *, retryable: bool) -> None:
        """Queue again what may pass while attempts remain, else fail with the reason."""
        log.warning("attempt failed", error_type=error_type, error=message, retryable=retryable)
        self.telemetry.failed(error_type)
        settings = self.parts.settings
        failure = Failure(error_type, message, retryable)
        for pause in (1.0, 2.0, 4.0, 8.0, 0.0):
            try:
                async with session_scope(self.parts.sessions) as session:
                    await queue.give_up(session, self.held, settings, failure)
            except StoreUnavailable:
                if not pause:
                    raise
                await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - jitter
            else:
                return

    async def _run(self) -> None:
        task = self.task
        file_id = str(task.media_file_id) if task.media_file_id else None
        log.info("task started", kind=task.kind, attempt=task.attempt, file_id=file_id)
        started = time.monotonic()
        await WORK[task.kind](self._job)
        self.outcome = Outcome.completed
        seconds = time.monotonic() - started
        self.telemetry.completed(task, usage.current().audio_seconds, seconds)

    @property
    def _job(self) -> Job:
        return Job(self.task, self.parts, self.shared, self.last)

    async def _clean_up_or_leave(self) -> None:
        try:
            await self._clean_up()
        except StoreError as error:
            log.warning("decoded audio is left to the sweeper", error=str(error))

    async def _clean_up(self) -> None:
        """Drop the decoded audio of a task that has ended; one that goes on needs it."""
        if self.task.media_file_id is None or self.task.kind in LANGUAGE:
            return
        async with session_scope(self.parts.sessions) as session:
            task = await session.get(Task, self.task.id)
            file = await session.get(MediaFile, self.task.media_file_id)
        if task is not None and task.state in TERMINAL and file is not None:
            audio = self._job.audio(file)
            await audio.delete()
            async with session_scope(self.parts.sessions) as session:
                await leftovers.forget(session, audio.prefix)
