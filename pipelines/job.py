"""What a runner works with, and what the work on one claimed task may use."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta

from cluster.settings import (
    MaintenanceSettings,
    RunnerSettings,
    SearchSettings,
    SpeechSettings,
    VoiceSettings,
)
from cluster.telemetry import catalogue
from cluster.telemetry.catalogue import Origin
from cluster.telemetry.meters import Meters, RegistryMeters
from db.engine import Sessions
from db.keywords.port import KeywordStore
from db.models import MediaFile, Task
from db.objects.port import ObjectStore
from db.vectors.port import VectorStore
from pipelines.backfills.parts import BackfillParts
from pipelines.capacity import REPLICAS, Capacity, CountReplicas
from pipelines.downloads.work import DownloadParts
from pipelines.language.parts import LanguageParts
from pipelines.pace import Pace
from pipelines.progress import reported
from pipelines.queue import Claim
from pipelines.recordings import RecordingAudio
from pipelines.slots import FairSlots
from pipelines.stages.base import Audio, Checkpoints, Context, Models
from pipelines.telemetry import MeteredPace
from serving.ports import Ports

SOURCE_URL_LIFETIME = timedelta(hours=6)
"""How long the decoder may fetch a task's recording."""


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
    batch_size: int
    """Windows that a replica takes at a time."""
    count_replicas: CountReplicas
    meters: Meters = field(default_factory=lambda: RegistryMeters(catalogue.of(Origin.runner)))
    """Where metrics are counted; in a Serve replica: through Ray."""
    backfills: BackfillParts | None = None
    """None: no backfills are driven here, as in the actors of one."""


@dataclass(slots=True)
class Shared:
    """What the attempts of a runner share: places, and how fast things go."""

    capacity: Capacity
    parts: Mapping[str, FairSlots]
    """Of each stage that is worked through part by part."""
    calls: FairSlots
    """Of language models."""
    pace: Pace

    @classmethod
    def of(cls, parts: RunnerParts) -> "Shared":
        """As the operator set it, for a replica of each role until they are counted."""
        settings = parts.settings
        capacity = Capacity(settings, parts.batch_size, {})
        return cls(
            capacity,
            {stage: FairSlots(capacity.parts(stage), settings.lane_patience) for stage in REPLICAS},
            FairSlots(parts.language.settings.max_outstanding_calls, settings.lane_patience),
            Pace(settings.stage_base_seconds, settings.stage_slack),
        )

    def fit(self, replicas: Mapping[str, int]) -> None:
        """Have as much under way as so many replicas of each role need."""
        self.capacity = replace(self.capacity, replicas=replicas)
        for stage, slots in self.parts.items():
            slots.resize(self.capacity.parts(stage))


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
        task = self.task

        def slot(stage: str) -> AbstractAsyncContextManager[None]:
            return self.shared.parts[stage].take(task.user_id, task.lane, task.id)

        async with reported(self.parts.sessions, self.held, share) as meter:
            yield Context(
                ports=self.parts.ports,
                models=self.parts.models,
                audio=audio,
                checkpoints=checkpoints,
                progress=meter,
                pace=MeteredPace(self.shared.pace, self.parts.meters),
                slot=slot,
                # Its name alone: unpickling ours would load all of `db` in each replica.
                lane=task.lane.value,
                audio_seconds=task.audio_seconds or self.parts.max_audio_seconds,
                last_attempt=self.last,
                retries=self.parts.settings.window_retries,
            )
