"""One attempt at a task: runs its plan and writes down how it ended, whatever happens."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Any

import structlog

from cluster.settings import MaintenanceSettings, RunnerSettings, SpeechSettings
from db.engine import Sessions, session_scope
from db.errors import FenceLost, StoreError, StoreUnavailable
from db.models import MediaFile, Task, TaskKind
from db.objects.port import ObjectStore
from pipelines import leftovers, online, persist, queue
from pipelines.checkpoints import StoredCheckpoints
from pipelines.downloads.work import DownloadParts, Work
from pipelines.errors import FileExists, IllegalTransition, QueueFull, TaskFailed
from pipelines.pace import Pace
from pipelines.plan import SHARE, plan
from pipelines.progress import ProgressMeter
from pipelines.queue import Claim
from pipelines.recordings import RecordingAudio
from pipelines.slots import FairSlots
from pipelines.stages.base import Context, Models, Options, Recording
from pipelines.task_state import TERMINAL, Failure
from serving.errors import SpeechError
from serving.ports import Ports
from serving.speech import MediaSource, SpeakerBounds

log = structlog.get_logger(__name__)

SOURCE_URL_LIFETIME = timedelta(hours=6)
UNEXPECTED = "processing_error"
SPANS = "diarize"
"""The stage whose parts are spans: ten times as long as windows, so fewer are under way."""


class Interruption(StrEnum):
    """Why an attempt was stopped before its end."""

    drain = "drain"
    cancelled = "cancelled"
    lost = "lost"


@dataclass(frozen=True, slots=True)
class RunnerParts:
    """What a runner works with."""

    sessions: Sessions
    objects: ObjectStore
    ports: Ports
    models: Models
    settings: RunnerSettings
    speech: SpeechSettings
    database_url: str
    block_seconds: int
    max_audio_seconds: float
    maintenance: MaintenanceSettings
    downloads: DownloadParts


@dataclass(slots=True)
class Shared:
    """What the attempts of a runner share: places, and how fast things go."""

    windows: FairSlots
    spans: FairSlots
    pace: Pace

    @classmethod
    def of(cls, settings: RunnerSettings) -> "Shared":
        """As the operator set it."""
        return cls(
            FairSlots(settings.max_outstanding_windows, settings.lane_patience),
            FairSlots(settings.max_outstanding_spans, settings.lane_patience),
            Pace(settings.stage_base_seconds, settings.stage_slack),
        )

    def slots(self, stage: str) -> FairSlots:
        """The places that count for a stage."""
        return self.spans if stage == SPANS else self.windows


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
        with structlog.contextvars.bound_contextvars(
            task_id=str(self.task.id), fence=self.task.fence
        ):
            try:
                await self._until_written()
                self.written = True
            except FenceLost:
                log.warning("task lost to another runner")
            except StoreError as error:
                # The lease ends by itself, and another claim finds the task.
                log.warning("the end of an attempt was not written", error=str(error))
            else:
                await self._clean_up_or_leave()

    async def _until_written(self) -> None:
        try:
            await self._run()
        except (FenceLost, IllegalTransition):
            # Somebody cancelled while the result was being stored, or has the task now.
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
                async with session_scope(self.parts.sessions) as session:
                    await queue.stopped(session, self.held)
            case Interruption.drain:
                async with session_scope(self.parts.sessions) as session:
                    await queue.release(session, self.held)
            case None:
                # Ray ends a call of a replica that goes away as a cancellation.
                await self._failed(UNEXPECTED, "A model replica went away.", retryable=True)

    async def _failed(self, error_type: str, message: str, *, retryable: bool) -> None:
        """Queue again what may pass while attempts remain, else fail with the reason."""
        log.warning("attempt failed", error_type=error_type, error=message, retryable=retryable)
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
        if self.task.kind is TaskKind.transcription:
            await self._transcribe()
        else:
            await self._download()

    async def _download(self) -> None:
        log.info("download started", attempt=self.task.attempt)
        parts = self.parts
        await Work(
            self.task, parts.downloads, parts.sessions, parts.objects, parts.ports.preparer
        ).run()

    async def _transcribe(self) -> None:
        async with session_scope(self.parts.sessions) as session:
            file = await session.get_one(MediaFile, self.task.media_file_id)
            await leftovers.note(
                session, self._audio(file).prefix, leftovers.KeptWhile.task_active, file.id
            )
        log.info("task started", attempt=self.task.attempt, file_id=str(file.id))
        async with self._context(file) as context:
            options = options_of(self.task.options, self.parts.speech)
            url = await self.parts.objects.presign_get(file.object_key, SOURCE_URL_LIFETIME)
            recording = Recording(file.sha256, MediaSource(url, file.size_bytes), options)
            recording = await online.run(recording, plan(options), context)
        thumbnail = await self._keep_thumbnail(file, recording)
        async with session_scope(self.parts.sessions) as session:
            await persist.publish(session, self.held, recording, self.parts.models, thumbnail)
        log.info("task completed", segments=len(recording.segments))

    def _audio(self, file: MediaFile) -> RecordingAudio:
        # A task's own: what one leaves behind is not pulled away under the next.
        prefix = f"{file.object_key}.recording/{self.task.id}"
        return RecordingAudio(self.parts.objects, prefix, self.parts.block_seconds)

    async def _clean_up_or_leave(self) -> None:
        try:
            await self._clean_up()
        except StoreError as error:
            log.warning("decoded audio is left to the sweeper", error=str(error))

    async def _clean_up(self) -> None:
        """Drop the decoded audio of a task that has ended; one that goes on needs it."""
        if self.task.kind is not TaskKind.transcription:
            return
        async with session_scope(self.parts.sessions) as session:
            task = await session.get(Task, self.task.id)
            file = await session.get(MediaFile, self.task.media_file_id)
        if task is not None and task.state in TERMINAL and file is not None:
            audio = self._audio(file)
            await audio.delete()
            async with session_scope(self.parts.sessions) as session:
                await leftovers.forget(session, audio.prefix)

    async def _keep_thumbnail(self, file: MediaFile, recording: Recording) -> str | None:
        if recording.preparation is None or recording.preparation.thumbnail is None:
            return None
        key = f"{file.object_key}.thumbnail.jpg"
        await self.parts.objects.put(key, recording.preparation.thumbnail, "image/jpeg")
        return key

    @asynccontextmanager
    async def _context(self, file: MediaFile) -> AsyncIterator[Context]:
        settings = self.parts.settings

        async def write(stage: str, progress: float, eta_seconds: float | None) -> None:
            async with session_scope(self.parts.sessions) as session:
                await queue.report(
                    session, self.held, stage=stage, progress=progress, eta_seconds=eta_seconds
                )

        windows = asyncio.Semaphore(settings.max_outstanding_windows_per_task)
        spans = asyncio.Semaphore(settings.max_outstanding_spans_per_task)

        @asynccontextmanager
        async def slot(stage: str) -> AsyncIterator[None]:
            shared = self.shared.slots(stage).take(self.task.user_id, self.task.lane)
            async with spans if stage == SPANS else windows, shared:
                yield

        meter = ProgressMeter(SHARE, write)
        async with meter.running():
            yield Context(
                ports=self.parts.ports,
                models=self.parts.models,
                audio=self._audio(file),
                checkpoints=StoredCheckpoints(self.parts.sessions, self.held, file.id),
                progress=meter,
                pace=self.shared.pace,
                slot=slot,
                audio_seconds=self.task.audio_seconds or self.parts.max_audio_seconds,
                last_attempt=self.last,
                retries=settings.window_retries,
            )


def options_of(stored: dict[str, Any], defaults: SpeechSettings) -> Options:
    """A task's options as the API stored them; what it left out follows the installation's."""
    low, high = stored.get("min_speakers"), stored.get("max_speakers")
    bounds = SpeakerBounds(
        minimum=low or min(defaults.min_speakers, high or defaults.min_speakers),
        maximum=high or max(defaults.max_speakers, low or defaults.max_speakers),
        exact=stored.get("num_speakers"),
    )
    return Options(
        language=stored.get("language") or defaults.whisper_language,
        task=stored.get("task") or "transcribe",
        speakers=bounds,
        diarize=stored.get("diarize", True),
    )
