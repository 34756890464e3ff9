"""What a runner tells operators: metrics of tasks and stages."""

from dataclasses import dataclass
from enum import StrEnum

from cluster.telemetry import catalogue
from cluster.telemetry.meters import Meters
from db.models import Task
from pipelines.stages.base import StagePace
from pipelines.usage import Account


class Outcome(StrEnum):
    """How an attempt ended."""

    completed = "completed"
    failed = "failed"
    """It may be tried again."""
    cancelled = "cancelled"
    drained = "drained"
    """Given back: the runner stops."""
    lost = "lost"
    """Somebody else has the task by now."""
    unwritten = "unwritten"
    """A store was away: its lease ends by itself."""


@dataclass(frozen=True, slots=True)
class RunnerTelemetry:
    """Counts what happens to tasks."""

    meters: Meters

    def claimed(self, task: Task) -> None:
        """A task was taken: how long it had waited counts once, at its first claim."""
        if task.attempt == 1 and task.started_at is not None:
            waited = (task.started_at - task.run_after).total_seconds()
            self.meters.observe(catalogue.TASK_WAIT, max(0.0, waited), lane=task.lane.value)

    def running(self, tasks: int) -> None:
        """So many are in hand."""
        self.meters.set(catalogue.RUNNING_TASKS, tasks)

    def ended(self, task: Task, outcome: Outcome, account: Account) -> None:
        """An attempt is over, having used so much."""
        self.meters.add(catalogue.ATTEMPTS, kind=task.kind.value, outcome=outcome.value)
        if outcome is Outcome.lost:
            self.meters.add(catalogue.FENCE_REJECTIONS)
        for stage, busy in account.busy.by_stage.items():
            self.meters.add(catalogue.MODEL_SECONDS, busy, stage=stage)
        for (_, provider, _), used in account.tokens.items():
            for direction in ("prompt", "completion"):
                tokens = getattr(used, f"{direction}_tokens")
                self.meters.add(catalogue.TOKENS, tokens, provider=provider, direction=direction)

    def failed(self, error_type: str) -> None:
        """Why one failed."""
        self.meters.add(catalogue.FAILURES, error=error_type)

    def completed(self, task: Task, audio_seconds: float, seconds: float) -> None:
        """A task was completed by an attempt that took so long; with a transcript, or without."""
        if audio_seconds:
            lane = task.lane.value
            self.meters.add(catalogue.PUBLISHED_AUDIO, audio_seconds, lane=lane)
            self.meters.add(catalogue.PUBLISHED_SECONDS, seconds, lane=lane)


@dataclass(frozen=True, slots=True)
class MeteredPace:
    """A pace that also tells operators."""

    pace: StagePace
    meters: Meters

    def note(self, stage: str, audio_seconds: float, seconds: float) -> None:
        """So much audio of a stage was worked through."""
        self.pace.note(stage, audio_seconds, seconds)
        self.meters.add(catalogue.STAGE_AUDIO, audio_seconds, stage=stage)
        self.meters.add(catalogue.STAGE_SECONDS, seconds, stage=stage)

    def deadline_seconds(self, stage: str, audio_seconds: float) -> float:
        """When a stage counts as stuck."""
        return self.pace.deadline_seconds(stage, audio_seconds)
