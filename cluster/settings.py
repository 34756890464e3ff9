"""Settings: every knob, in groups, read from the environment at the composition roots only.

The seed's names (`WHISPER_MODEL`, `DATABASE_URL`, `MINIO_ENDPOINT` …) are kept; our own carry the
prefix `RAYSCRIBE_`. Everybody else receives the small group it needs as a parameter.
"""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Self

from pydantic import AliasChoices, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

Seconds = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
MIB = 1024 * 1024


class Profile(StrEnum):
    """Which set of defaults applies: the seed's large models, or what a CPU can carry."""

    auto = "auto"
    cpu = "cpu"
    gpu = "gpu"


class Group(BaseSettings):
    """A group of settings; variables of other programs are ignored."""

    model_config = SettingsConfigDict(
        env_prefix="RAYSCRIBE_",
        extra="ignore",
        frozen=True,
        populate_by_name=True,
        # What stands below a field describes it in docs/operations.md.
        use_attribute_docstrings=True,
    )


def seed(name: str) -> AliasChoices:
    """The seed's variable name; `RAYSCRIBE_<name>` is understood too."""
    return AliasChoices(name, f"RAYSCRIBE_{name}")


class PathSettings(Group):
    """Where things lie on this machine."""

    data_dir: Path = Path("data")
    """Data, credentials and logs of the installation."""
    model_dir: Path = Field(Path("models"), validation_alias=seed("MODEL_CACHE_DIR"))
    """Model weights."""


class DatabaseSettings(Group):
    """PostgreSQL. Unset: the embedded server."""

    url: SecretStr | None = Field(None, validation_alias=seed("DATABASE_URL"))
    """`postgresql://user:password@host/database`; PostgreSQL 15 or later."""
    pool_size: Count = Field(5, validation_alias="RAYSCRIBE_DB_POOL_SIZE")
    """Connections of each API replica and each runner; twice as many at a peak."""
    statement_timeout_seconds: Seconds = Field(
        60, validation_alias="RAYSCRIBE_DB_STATEMENT_TIMEOUT_SECONDS"
    )
    """A statement that runs longer is ended: it holds a connection that others wait for."""
    max_guarded_requests: Count = Field(20, validation_alias="RAYSCRIBE_DB_MAX_GUARDED_REQUESTS")
    """Requests with an `Idempotency-Key` that one API replica works on at a time: each holds a
    connection, besides those above, until its answer."""


class ObjectSettings(Group):
    """S3. Unset: the embedded SeaweedFS."""

    endpoint: str | None = Field(None, validation_alias=seed("MINIO_ENDPOINT"))
    """`host:port` of the server."""
    access_key: SecretStr | None = Field(None, validation_alias=seed("MINIO_ACCESS_KEY"))
    """Needed with an endpoint."""
    secret_key: SecretStr | None = Field(None, validation_alias=seed("MINIO_SECRET_KEY"))
    """Needed with an endpoint."""
    secure: bool = Field(default=False, validation_alias=seed("MINIO_SECURE"))
    """HTTPS to the endpoint."""
    region: str = Field("us-east-1", validation_alias=seed("MINIO_REGION"))
    """Never empty: the client would ask the server, which costs a round trip per process."""
    bucket: str = Field("rayscribe", validation_alias=seed("MEDIA_BUCKET_NAME"))
    """Made where it is missing."""
    public_endpoint: str | None = Field(None, validation_alias=seed("MINIO_PUBLIC_ENDPOINT"))
    """The address under which browsers reach S3; presigned uploads are offered only where it is
    set."""


class AuthSettings(Group):
    """Tokens and passwords."""

    secret_key: SecretStr | None = Field(None, validation_alias=seed("SECRET_KEY"))
    """Signs access tokens; at least 32 bytes. Unset: made at the first start and kept."""
    access_token_minutes: Count = 15
    """Lifetime of an access token."""
    refresh_token_days: Count = 30
    """Lifetime of a refresh token, counted anew at every use."""
    min_password_length: Count = 10
    """Shortest password that is taken, in characters."""
    argon2_memory_kib: Count = 65536
    """Argon2id memory, KiB (RFC 9106, second recommended option is 64 MiB)."""
    open_registration: bool = True
    """Whether anybody may create an account; otherwise `rayscribe create-user` does."""


class ApiSettings(Group):
    """The HTTP door."""

    host: str = "127.0.0.1"
    """Address to listen on; anything but loopback needs a TLS proxy in front."""
    port: Annotated[int, Field(ge=0, le=65535)] = 5174
    """Port to listen on; 0: any free one, kept from then on."""
    max_body_bytes: Count = 8 * MIB
    """Largest body: Serve's proxy keeps it in memory, so a larger one is refused unread."""
    part_bytes: Annotated[int, Field(ge=5 * MIB)] = 8 * MIB
    """Size of the parts of an upload; not more than the largest body."""
    max_upload_bytes: Count = 16 * 1024 * MIB
    """Largest file."""
    upload_expiry_hours: Count = 24
    """How long an upload may take before it is given up."""
    replicas: Count = 1
    """Replicas of the API."""
    max_ongoing_requests: Count = 2000
    """Requests of one replica at a time; WebSockets and server-sent events hold one each."""


class MediaSettings(Group):
    """What the sandboxed decoder accepts, and what it may use."""

    max_audio_seconds: Seconds = 12 * 3600
    """Longest recording."""
    min_audio_seconds: Seconds = 0.1
    """Shortest recording."""
    max_channels: Count = 16
    """Most channels of an audio stream."""
    max_streams: Count = 32
    """Most streams of a file."""
    decoder_memory_bytes: Count = 2048 * MIB
    """Memory that a decoder may use."""
    decoder_base_seconds: Seconds = 60
    """Time that a decode may take: this, and for each second of audio the next."""
    decoder_seconds_per_audio_second: Seconds = 0.5
    """See the one before."""
    block_seconds: Count = 300
    """Audio that is decoded and stored at a time; what a decode keeps in memory."""


class SpeechSettings(Group):
    """Which models, and how they run. Unset: the profile's default."""

    profile: Profile = Profile.auto
    """Which defaults apply: `cpu`, `gpu`, or `auto`, what the machine has."""
    engines: Annotated[str, Field(pattern="^(real|fake)$")] = "real"
    """`fake` engines are deterministic by audio hash: for everything that is not about a model."""
    whisper_model: str | None = Field(None, validation_alias=seed("WHISPER_MODEL"))
    """A name of `rayscribe models`, or a folder. Unset: `base` (cpu), `large-v2` (gpu)."""
    whisper_language: str = Field("auto", validation_alias=seed("WHISPER_LANGUAGE"))
    """Language where a request names none: `auto`, or a code."""
    diarization_model: str | None = Field(None, validation_alias=seed("DIARIZATION_MODEL"))
    """Unset: `campplus` (cpu), `pyannote/speaker-diarization-3.1` (gpu)."""
    alignment_model: str | None = None
    """Unset: `ctc_phoneme` (cpu), `wav2vec2` (gpu)."""
    batch_size: Count | None = Field(None, validation_alias=seed("BATCH_SIZE"))
    """Windows of up to 30 s in a batch. Unset: 4 (cpu), 16 (gpu)."""
    compute_type: str | None = Field(None, validation_alias=seed("COMPUTE_TYPE"))
    """CTranslate2's number format. Unset: `int8` (cpu), `float16` (gpu)."""
    min_speakers: Count = Field(1, validation_alias=seed("MIN_SPEAKERS"))
    """Fewest speakers where a request names no number."""
    max_speakers: Count = Field(20, validation_alias=seed("MAX_SPEAKERS"))
    """Most speakers where a request names no number."""
    huggingface_token: SecretStr | None = Field(None, validation_alias=seed("HUGGINGFACE_TOKEN"))
    """For gated repositories of the hub; the CPU default needs none."""
    beam_size: Count = 5
    """Whisper's beam; 1 is greedy."""
    batch_wait_seconds: Annotated[float, Field(ge=0)] = 0.05
    """How long a batch waits for more windows."""
    max_concurrent_batches: Count = 2
    """Batches of one replica at a time."""
    stuck_batch_seconds: Seconds = 120
    """A batch that runs longer than this, and than 20 times the slowest one so far, is stuck: its
    replica is replaced. Raise it where the first batch of a large model takes longer."""
    segmentation_batch_size: Count = 8
    """Chunks per pass. On a CPU 8 costs 2.4 CPU-s per minute of audio, 32 costs 3.2."""
    embedding_batch_size: Count = 32
    """Voices per pass."""
    max_clustered_embeddings: Count = 5000
    """Most points that are clustered: the rest is assigned to the nearest centroid."""
    threads_per_replica: Count = 2
    """Threads of a model replica (OMP_NUM_THREADS)."""

    @model_validator(mode="after")
    def speakers_in_order(self) -> Self:
        """Refuse bounds that no recording can meet."""
        if self.min_speakers > self.max_speakers:
            message = f"MIN_SPEAKERS={self.min_speakers} exceeds MAX_SPEAKERS={self.max_speakers}"
            raise ValueError(message)
        return self


class ReplicaSettings(Group):
    """Replicas and their share of a node, by role; fractions of a CPU, so that all fit on two."""

    model_config = SettingsConfigDict(
        env_prefix="RAYSCRIBE_REPLICAS_", extra="ignore", frozen=True, populate_by_name=True
    )

    num_cpus: Annotated[float, Field(gt=0)] = 0.1
    """Logical CPUs of every replica."""
    num_gpus: Annotated[float, Field(gt=0, le=1)] = 0.2
    """GPU share of a model replica; used only where the cluster has GPUs."""
    preparer_min: Count = 1
    """Fewest replicas of the decoder."""
    preparer_max: Count = 2
    """Most replicas of the decoder."""
    transcriber_min: Count = 1
    """Fewest replicas of Whisper."""
    transcriber_max: Count = 1
    """Most replicas of Whisper."""
    aligner_min: Count = 1
    """Fewest replicas of word alignment."""
    aligner_max: Count = 1
    """Most replicas of word alignment."""
    speaker_segmenter_min: Count = 1
    """Fewest replicas of speaker segmentation."""
    speaker_segmenter_max: Count = 1
    """Most replicas of speaker segmentation."""
    speaker_embedder_min: Count = 1
    """Fewest replicas of speaker embedding."""
    speaker_embedder_max: Count = 1
    """Most replicas of speaker embedding."""
    speaker_clusterer_min: Count = 1
    """Fewest replicas of speaker clustering."""
    speaker_clusterer_max: Count = 1
    """Most replicas of speaker clustering."""


class RunnerSettings(Group):
    """The task queue and the runner that claims from it."""

    model_config = SettingsConfigDict(
        env_prefix="RAYSCRIBE_RUNNER_", extra="ignore", frozen=True, populate_by_name=True
    )

    replicas: Count = 1
    """Replicas of the runner."""
    max_tasks: Count = 8
    """Tasks that one runner works on at a time."""
    max_tasks_per_user: Count = 6
    """Tasks of one user that are worked on at a time, over all runners: below the one before, so
    that somebody else's recording finds a place at once."""
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
    max_outstanding_windows_per_task: Count = 8
    """Windows of a task under way: Serve's router is first in, first out, and a long file must not
    stand in front of a short one."""
    max_outstanding_windows: Count = 32
    """The same for all tasks of a runner together."""
    max_outstanding_spans_per_task: Count = 2
    """Spans of a task under way (diarization): each is five minutes of audio."""
    max_outstanding_spans: Count = 4
    """The same for all tasks of a runner together."""
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


class LogSettings(Group):
    """Structured logs."""

    log_level: Annotated[str, Field(pattern="^(DEBUG|INFO|WARNING|ERROR)$")] = "INFO"
    """`DEBUG`, `INFO`, `WARNING` or `ERROR`."""
    log_format: Annotated[str, Field(pattern="^(json|text)$")] = "text"
    """`text` or `json`, a line for each event."""
    log_dir: Path | None = None
    """Our own events go to a file for each part in it. Unset: standard error; under `rayscribe up`,
    `logs` in the data directory."""


class Settings:
    """All groups, each read from the environment once."""

    def __init__(self) -> None:
        self.paths = PathSettings()
        self.database = DatabaseSettings()
        self.objects = ObjectSettings()
        self.auth = AuthSettings()
        self.api = ApiSettings()
        self.media = MediaSettings()
        self.speech = SpeechSettings()
        self.replicas = ReplicaSettings()
        self.runner = RunnerSettings()
        self.queue = QueueSettings()
        self.maintenance = MaintenanceSettings()
        self.ray = RaySettings()
        self.logs = LogSettings()
