"""Every metric there is: names, meanings and labels, in this one place.

The API's are at its `/metrics`. Those of replicas and runners go through Ray, whose agent on each
node exports them with `ray_` before the name and labels that say which replica.
"""

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """Prometheus' kinds."""

    counter = "counter"
    gauge = "gauge"
    histogram = "histogram"


class Origin(StrEnum):
    """Who counts."""

    api = "api"
    """Each replica of the API, at `/metrics`."""
    runner = "runner"
    """Each runner, through Ray."""
    replica = "replica"
    """Each model replica, through Ray."""


SERVE_LABELS = ("application", "deployment", "replica")
"""What Ray Serve adds to metrics of replicas and runners."""
SUFFIXES = {
    Kind.counter: ("_total",),
    Kind.gauge: ("",),
    Kind.histogram: ("_bucket", "_sum", "_count"),
}


@dataclass(frozen=True, slots=True)
class Metric:
    """Something that is measured."""

    name: str
    meaning: str
    kind: Kind
    origin: Origin
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    """Upper bounds, of a histogram."""

    @property
    def series(self) -> tuple[str, ...]:
        """Under which names Prometheus has it."""
        prefix = "" if self.origin is Origin.api else "ray_"
        return tuple(f"{prefix}{self.name}{suffix}" for suffix in SUFFIXES[self.kind])

    @property
    def all_labels(self) -> tuple[str, ...]:
        """With those that Ray Serve adds."""
        return self.labels if self.origin is Origin.api else (*self.labels, *SERVE_LABELS)


REQUEST_BUCKETS = (0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
BATCH_BUCKETS = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
QUEUE_BUCKETS = (0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 4 * 3600, 24 * 3600)

REQUESTS = Metric(
    "rayscribe_http_requests",
    "Answered requests",
    Kind.counter,
    Origin.api,
    ("method", "route", "status"),
)
REQUEST_SECONDS = Metric(
    "rayscribe_http_request_seconds",
    "Time to the end of the answer",
    Kind.histogram,
    Origin.api,
    ("method", "route"),
    REQUEST_BUCKETS,
)
TASKS = Metric("rayscribe_tasks", "Tasks by state", Kind.gauge, Origin.api, ("state",))
RUNNING_AGE = Metric(
    "rayscribe_task_running_age_seconds",
    "Time since the oldest running task was begun",
    Kind.gauge,
    Origin.api,
)
OVERDUE = Metric(
    "rayscribe_task_overdue", "Running tasks whose lease has run out", Kind.gauge, Origin.api
)
QUEUE_AUDIO = Metric(
    "rayscribe_queue_audio_seconds", "Audio that waits", Kind.gauge, Origin.api, ("lane",)
)
QUEUE_OLDEST = Metric(
    "rayscribe_queue_oldest_seconds",
    "How long the longest waiting task has waited",
    Kind.gauge,
    Origin.api,
    ("lane",),
)
QUEUE_AGE = Metric(
    "rayscribe_queue_age_seconds",
    "How long tasks have waited that wait now, by quantile",
    Kind.gauge,
    Origin.api,
    ("lane", "quantile"),
)
OUTBOX_DUE = Metric(
    "rayscribe_outbox_due",
    "Work for another store that is due",
    Kind.gauge,
    Origin.api,
    ("destination",),
)
OUTBOX_OLDEST = Metric(
    "rayscribe_outbox_oldest_seconds",
    "How long the oldest of it is overdue",
    Kind.gauge,
    Origin.api,
    ("destination",),
)
USER_AUDIO = Metric(
    "rayscribe_user_audio_seconds",
    "Audio of transcripts published in the last 24 hours: the users with most, all others as one",
    Kind.gauge,
    Origin.api,
    ("user_id",),
)

TASK_WAIT = Metric(
    "rayscribe_task_wait_seconds",
    "How long tasks waited for their first claim",
    Kind.histogram,
    Origin.runner,
    ("lane",),
    QUEUE_BUCKETS,
)
ATTEMPTS = Metric(
    "rayscribe_attempts",
    "Attempts that ended, by how",
    Kind.counter,
    Origin.runner,
    ("kind", "outcome"),
)
FAILURES = Metric(
    "rayscribe_failures", "Attempts that failed, by why", Kind.counter, Origin.runner, ("error",)
)
FENCE_REJECTIONS = Metric(
    "rayscribe_fence_rejections",
    "Writes that changed nothing since somebody else had the task by then",
    Kind.counter,
    Origin.runner,
)
RUNNING_TASKS = Metric(
    "rayscribe_running_tasks", "Tasks in the hands of a runner", Kind.gauge, Origin.runner
)
STAGE_AUDIO = Metric(
    "rayscribe_stage_audio_seconds",
    "Audio that stages worked through",
    Kind.counter,
    Origin.runner,
    ("stage",),
)
STAGE_SECONDS = Metric(
    "rayscribe_stage_seconds",
    "Seconds that tasks spent in a stage for it, waiting for replicas included",
    Kind.counter,
    Origin.runner,
    ("stage",),
)
PUBLISHED_AUDIO = Metric(
    "rayscribe_published_audio_seconds",
    "Audio of transcripts that were published",
    Kind.counter,
    Origin.runner,
    ("lane",),
)
PUBLISHED_SECONDS = Metric(
    "rayscribe_published_seconds",
    "Seconds of the attempts that published them",
    Kind.counter,
    Origin.runner,
    ("lane",),
)
MODEL_SECONDS = Metric(
    "rayscribe_model_seconds",
    "Seconds that models were busy for tasks, whatever came of them",
    Kind.counter,
    Origin.runner,
    ("stage",),
)
TOKENS = Metric(
    "rayscribe_tokens",
    "Tokens of language models, asked (prompt) and answered (completion), in completed tasks",
    Kind.counter,
    Origin.runner,
    ("provider", "direction"),
)

BATCHES = Metric("rayscribe_batches", "Batches", Kind.counter, Origin.replica, ("method",))
BATCH_ITEMS = Metric(
    "rayscribe_batch_items",
    "Items in them: windows, spans",
    Kind.counter,
    Origin.replica,
    ("method",),
)
BATCH_PLACES = Metric(
    "rayscribe_batch_places",
    "Places in them: items over places is how full batches are",
    Kind.counter,
    Origin.replica,
    ("method",),
)
BATCH_BUSY = Metric(
    "rayscribe_batch_busy_seconds",
    "Seconds that the engine worked on them",
    Kind.counter,
    Origin.replica,
    ("method",),
)
BATCH_AUDIO = Metric(
    "rayscribe_batch_audio_seconds",
    "Audio in them",
    Kind.counter,
    Origin.replica,
    ("method",),
)
BATCH_PADDING = Metric(
    "rayscribe_batch_padded_seconds",
    "Audio in them if all their items were as long as the longest",
    Kind.counter,
    Origin.replica,
    ("method",),
)
BATCH_WAIT = Metric(
    "rayscribe_batch_wait_seconds",
    "How long items waited in the replica until their batch began",
    Kind.histogram,
    Origin.replica,
    ("method", "lane"),
    BATCH_BUCKETS,
)
REPLICA_MEMORY = Metric(
    "rayscribe_replica_memory_bytes",
    "Resident memory of the process of a model replica, or of a runner",
    Kind.gauge,
    Origin.replica,
)

METRICS: tuple[Metric, ...] = tuple(
    value for value in list(globals().values()) if isinstance(value, Metric)
)
"""All of them."""


def of(origin: Origin) -> tuple[Metric, ...]:
    """Those that are counted there."""
    return tuple(metric for metric in METRICS if metric.origin is origin)
