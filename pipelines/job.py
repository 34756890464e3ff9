"""What a runner works with, and what the work on one claimed task may use."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

from cluster.settings import (
    LanguageSettings,
    MaintenanceSettings,
    RunnerSettings,
    SearchSettings,
    SpeechSettings,
    VoiceSettings,
)
from db.engine import Sessions
from db.keywords.port import KeywordStore
from db.models import MediaFile, Task
from db.objects.port import ObjectStore
from db.vectors.port import VectorStore
from pipelines.downloads.work import DownloadParts
from pipelines.language.parts import LanguageParts
from pipelines.pace import Pace
from pipelines.progress import reported
from pipelines.queue import Claim
from pipelines.recordings import RecordingAudio
from pipelines.slots import FairSlots
from pipelines.stages.base import Audio, Checkpoints, Context, Models
from serving.ports import Ports

SOURCE_URL_LIFETIME = timedelta(hours=6)
"""How long the decoder may fetch a task's recording."""
SPANS = frozenset({"diarize", "embed"})
"""Stages whose parts are spans: ten times as long as windows, so fewer are under way."""


@dataclass(frozen=True, slots=True)
class RunnerParts:
    """What a runner works with."""

    sessions: Sessions
    objects: ObjectStore
    vectors: VectorStore
    keywords: KeywordStore
    ports: Ports
    models: Models
    settings: RunnerSettings
    speech: SpeechSettings
    voices: VoiceSettings
    database_url: str
    block_seconds: int
    max_audio_seconds: float
    maintenance: MaintenanceSettings
    downloads: DownloadParts
    language: LanguageParts
    search: SearchSettings


@dataclass(slots=True)
class Shared:
    """What the attempts of a runner share: places, and how fast things go."""

    windows: FairSlots
    spans: FairSlots
    calls: FairSlots
    """Of language models."""
    pace: Pace

    @classmethod
    def of(cls, settings: RunnerSettings, language: LanguageSettings) -> "Shared":
        """As the operator set it."""
        return cls(
            FairSlots(settings.max_outstanding_windows, settings.lane_patience),
            FairSlots(settings.max_outstanding_spans, settings.lane_patience),
            FairSlots(language.max_outstanding_calls, settings.lane_patience),
            Pace(settings.stage_base_seconds, settings.stage_slack),
        )

    def slots(self, stage: str) -> FairSlots:
        """The places that count for a stage."""
        return self.spans if stage in SPANS else self.windows


@dataclass(frozen=True, slots=True)
class Job:
    """A claimed task, and all that the work on it may use."""

    task: Task
    parts: RunnerParts
    shared: Shared
    last: bool
    """Whether the task has failed if this attempt does, whatever the reason."""

    @property
    def held(self) -> Claim:
        """What every write names."""
        return Claim(self.task.id, self.task.fence)

    def audio(self, file: MediaFile) -> RecordingAudio:
        """Where the decoded audio of the task's file is kept until the task is over."""
        # A task's own: what one leaves behind is not pulled away under the next.
        prefix = f"{file.object_key}.recording/{self.task.id}"
        return RecordingAudio(self.parts.objects, prefix, self.parts.block_seconds)

    @asynccontextmanager
    async def context(
        self, share: Mapping[str, float], audio: Audio, checkpoints: Checkpoints
    ) -> AsyncIterator[Context]:
        """What stages may use while the block runs; `share` is each one's part of the progress."""
        settings = self.parts.settings
        windows = asyncio.Semaphore(settings.max_outstanding_windows_per_task)
        spans = asyncio.Semaphore(settings.max_outstanding_spans_per_task)

        @asynccontextmanager
        async def slot(stage: str) -> AsyncIterator[None]:
            shared = self.shared.slots(stage).take(self.task.user_id, self.task.lane)
            async with spans if stage in SPANS else windows, shared:
                yield

        async with reported(self.parts.sessions, self.held, share) as meter:
            yield Context(
                ports=self.parts.ports,
                models=self.parts.models,
                audio=audio,
                checkpoints=checkpoints,
                progress=meter,
                pace=self.shared.pace,
                slot=slot,
                audio_seconds=self.task.audio_seconds or self.parts.max_audio_seconds,
                last_attempt=self.last,
                retries=settings.window_retries,
            )
