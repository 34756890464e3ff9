"""Settings of the work: the queue, the runners, Ray, logs."""

from pathlib import Path
from typing import Annotated

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from cluster.settings.base import MIB, Count, Group, Seconds


class RunnerSettings(Group):
    """The task queue and the runner that claims from it."""

    model_config = SettingsConfigDict(
        env_prefix="RAYSCRIBE_RUNNER_", extra="ignore", frozen=True, populate_by_name=True
    )

    replicas: Count = 1
    """Replicas of the runner."""
    max_tasks: Count = 8
    """Tasks that a runner works on at a time, for each replica of Whisper that is its to keep
    busy."""
    max_tasks_per_user: Count = 6
    """Tasks of one user that are worked on at a time, over all runners: below the one before, so
    that somebody else's recording finds a place at once. So many for each replica of Whisper as
    well, while windows in hand are too few to keep all replicas busy: many short recordings."""
    max_language_tasks_per_user: Count = 3
    """The same of summaries and the like, which have places of their own: below
    `RAYSCRIBE_LLM_MAX_TASKS`."""
    lane_patience: Count = 10
    """How often in a row waiting tasks of a lane may be passed over for those of a better one."""
    lease_seconds: Seconds = 60
    """After so long without a heartbeat a task is another runner's to claim."""
    heartbeat_seconds: Seconds = 10
    """How often a runner renews its leases and looks for cancelled tasks."""
    poll_seconds: Seconds = 5
    """How long a runner waits for a notification before it looks for tasks all the same."""
    max_attempts: Count = 3
    """After so many attempts a task has failed."""
    retry_base_seconds: Seconds = 5
    """Pause before the second attempt; doubled for each further one."""
    batches_per_replica: Count = 2
    """Batches' worth of windows under way for each replica of Whisper, and of alignment: one that
    runs and one that waits. More would only stand in front of whoever comes next."""
    max_outstanding_windows: Count = 256
    """Most windows of one runner under way, whatever replicas there are: each is up to 1 MB in its
    memory and in Ray's object store. Replicas that need more need more runners."""
    spans_per_replica: Count = 4
    """Spans under way for each replica of diarization: each is five minutes of audio."""
    max_outstanding_spans: Count = 16
    """Most spans of one runner under way, whatever replicas there are: each is up to 10 MB in its
    memory and in Ray's object store."""
    window_retries: Count = 3
    """How often a window is asked for again in one attempt."""
    stage_base_seconds: Seconds = 600
    """A stage is given up after this, and the next times what it takes here."""
    stage_slack: Annotated[float, Field(ge=1)] = 10
    """Times the slowest recent recording's seconds per audio second (real time before there is
    one)."""
    call_timeout_seconds: Seconds = 600
    """A replica that has not answered by then is given up and the call made again."""


class QueueSettings(Group):
    """How much may wait."""

    model_config = SettingsConfigDict(
        env_prefix="RAYSCRIBE_QUEUE_", extra="ignore", frozen=True, populate_by_name=True
    )

    max_hours_per_user: Seconds = 500
    """Hours of audio that one user may have waiting; more is refused with 429."""
    max_hours: Seconds = 5000
    """The same for all users together: what cannot be done within days is refused now."""


class MaintenanceSettings(Group):
    """What runners do besides tasks."""

    model_config = SettingsConfigDict(
        env_prefix="RAYSCRIBE_MAINTENANCE_", extra="ignore", frozen=True, populate_by_name=True
    )

    interval_seconds: Seconds = 60
    """How often leftovers are swept and old rows dropped."""
    outbox_poll_seconds: Seconds = 5
    """How often work for other stores is looked for."""
    outbox_retry_seconds: Seconds = 10
    """Pause after a store failed; doubled for each further failure, up to an hour."""
    event_retention_days: Count = 30
    """Events older than this are dropped; a client that was away longer starts anew."""
    idempotency_retention_hours: Count = 24
    """How long the answer to an `Idempotency-Key` is kept."""
    sign_in_retention_days: Count = 7
    """Attempts to sign in older than this are dropped; not less than the longest lock, which is
    counted from them."""
    orphan_age_hours: Count = 24
    """Objects that no row names are removed by `POST /api/admin/cleanup` once they are this old:
    younger ones may be of an upload that is being completed."""


class RaySettings(Group):
    """The embedded Ray head, or the address of a cluster that is there already."""

    address: str | None = Field(None, validation_alias="RAYSCRIBE_RAY_ADDRESS")
    """`http://host:port` of the dashboard of a cluster that is there already; unset: the embedded
    head."""
    object_store_bytes: Count = Field(
        512 * MIB, validation_alias="RAYSCRIBE_RAY_OBJECT_STORE_BYTES"
    )
    """Shared memory of the embedded head's object store."""
    num_cpus: Count | None = Field(None, validation_alias="RAYSCRIBE_RAY_NUM_CPUS")
    """Unset: what the machine has. Logical CPUs only cap how many replicas fit."""
    gpus: Annotated[float, Field(ge=0)] | None = Field(None, validation_alias="RAYSCRIBE_RAY_GPUS")
    """GPUs that replicas may count on. Unset: those that the cluster has when it is deployed. Set
    it where nodes with GPUs come only when replicas ask for them (an autoscaler)."""


class LogSettings(Group):
    """Structured logs."""

    log_level: Annotated[str, Field(pattern="^(DEBUG|INFO|WARNING|ERROR)$")] = "INFO"
    """`DEBUG`, `INFO`, `WARNING` or `ERROR`."""
    log_format: Annotated[str, Field(pattern="^(json|text)$")] = "text"
    """`text` or `json`, a line for each event."""
    log_dir: Path | None = None
    """Our own events go to a file for each part in it. Unset: standard error; under `rayscribe up`,
    `logs` in the data directory."""
