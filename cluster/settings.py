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
        env_prefix="RAYSCRIBE_", extra="ignore", frozen=True, populate_by_name=True
    )


def seed(name: str) -> AliasChoices:
    """The seed's variable name; `RAYSCRIBE_<name>` is understood too."""
    return AliasChoices(name, f"RAYSCRIBE_{name}")


class PathSettings(Group):
    """Where things lie on this machine."""

    data_dir: Path = Path("data")
    model_dir: Path = Field(Path("models"), validation_alias=seed("MODEL_CACHE_DIR"))


class DatabaseSettings(Group):
    """PostgreSQL. Unset: the embedded server."""

    url: SecretStr | None = Field(None, validation_alias=seed("DATABASE_URL"))
    pool_size: Count = Field(5, validation_alias="RAYSCRIBE_DB_POOL_SIZE")
    # A statement that runs longer than this holds a connection that others wait for.
    statement_timeout_seconds: Seconds = Field(
        60, validation_alias="RAYSCRIBE_DB_STATEMENT_TIMEOUT_SECONDS"
    )


class ObjectSettings(Group):
    """S3. Unset: the embedded SeaweedFS."""

    endpoint: str | None = Field(None, validation_alias=seed("MINIO_ENDPOINT"))
    access_key: SecretStr | None = Field(None, validation_alias=seed("MINIO_ACCESS_KEY"))
    secret_key: SecretStr | None = Field(None, validation_alias=seed("MINIO_SECRET_KEY"))
    secure: bool = Field(default=False, validation_alias=seed("MINIO_SECURE"))
    # Always named: without it the client asks the server, which costs a round trip per process.
    region: str = Field("us-east-1", validation_alias=seed("MINIO_REGION"))
    bucket: str = Field("rayscribe", validation_alias=seed("MEDIA_BUCKET_NAME"))
    # The address under which browsers reach S3; presigned uploads are offered only where it is set.
    public_endpoint: str | None = Field(None, validation_alias=seed("MINIO_PUBLIC_ENDPOINT"))


class AuthSettings(Group):
    """Tokens and passwords."""

    secret_key: SecretStr | None = Field(None, validation_alias=seed("SECRET_KEY"))
    access_token_minutes: Count = 15
    refresh_token_days: Count = 30
    min_password_length: Count = 10
    # Argon2id memory, KiB (RFC 9106, second recommended option is 64 MiB).
    argon2_memory_kib: Count = 65536
    open_registration: bool = True


class ApiSettings(Group):
    """The HTTP door."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 5174
    # Serve's proxy keeps a whole body in memory, so a larger one is refused before it is read.
    max_body_bytes: Count = 8 * MIB
    part_bytes: Annotated[int, Field(ge=5 * MIB)] = 8 * MIB
    max_upload_bytes: Count = 16 * 1024 * MIB
    upload_expiry_hours: Count = 24
    replicas: Count = 1
    # WebSockets and server-sent events hold one each.
    max_ongoing_requests: Count = 2000


class MediaSettings(Group):
    """What the sandboxed decoder accepts, and what it may use (DESIGN §9)."""

    max_audio_seconds: Seconds = 12 * 3600
    min_audio_seconds: Seconds = 0.1
    max_channels: Count = 16
    max_streams: Count = 32
    decoder_memory_bytes: Count = 2048 * MIB
    # Wall-clock ceiling of a decode: this plus this many seconds per audio second.
    decoder_base_seconds: Seconds = 60
    decoder_seconds_per_audio_second: Seconds = 0.5
    block_seconds: Count = 300


class SpeechSettings(Group):
    """Which models, and how they run. `None` means the profile's default."""

    profile: Profile = Profile.auto
    # `fake` engines are deterministic by audio hash: for everything that is not about a model.
    engines: Annotated[str, Field(pattern="^(real|fake)$")] = "real"
    whisper_model: str | None = Field(None, validation_alias=seed("WHISPER_MODEL"))
    whisper_language: str = Field("auto", validation_alias=seed("WHISPER_LANGUAGE"))
    diarization_model: str | None = Field(None, validation_alias=seed("DIARIZATION_MODEL"))
    alignment_model: str | None = None
    batch_size: Count | None = Field(None, validation_alias=seed("BATCH_SIZE"))
    compute_type: str | None = Field(None, validation_alias=seed("COMPUTE_TYPE"))
    min_speakers: Count = Field(1, validation_alias=seed("MIN_SPEAKERS"))
    max_speakers: Count = Field(20, validation_alias=seed("MAX_SPEAKERS"))
    huggingface_token: SecretStr | None = Field(None, validation_alias=seed("HUGGINGFACE_TOKEN"))
    beam_size: Count = 5
    batch_wait_seconds: Annotated[float, Field(ge=0)] = 0.05
    max_concurrent_batches: Count = 2
    # Chunks per pass. On a CPU 8 costs 2.4 CPU-s per minute of audio, 32 costs 3.2.
    segmentation_batch_size: Count = 8
    embedding_batch_size: Count = 32
    # More points than this are not clustered: the rest is assigned to the nearest centroid.
    max_clustered_embeddings: Count = 5000
    threads_per_replica: Count = 2

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
    # GPU share of a model replica; used only where the cluster has GPUs.
    num_gpus: Annotated[float, Field(gt=0, le=1)] = 0.2
    preparer_min: Count = 1
    preparer_max: Count = 2
    transcriber_min: Count = 1
    transcriber_max: Count = 1
    aligner_min: Count = 1
    aligner_max: Count = 1
    speaker_segmenter_min: Count = 1
    speaker_segmenter_max: Count = 1
    speaker_embedder_min: Count = 1
    speaker_embedder_max: Count = 1
    speaker_clusterer_min: Count = 1
    speaker_clusterer_max: Count = 1


class RunnerSettings(Group):
    """The task queue and the runner that claims from it (DESIGN §6)."""

    model_config = SettingsConfigDict(
        env_prefix="RAYSCRIBE_RUNNER_", extra="ignore", frozen=True, populate_by_name=True
    )

    replicas: Count = 1
    max_tasks: Count = 8
    lease_seconds: Seconds = 60
    heartbeat_seconds: Seconds = 10
    poll_seconds: Seconds = 5
    max_attempts: Count = 3
    retry_base_seconds: Seconds = 5
    # Serve's router is first in, first out: a long file must not stand in front of a short one.
    max_outstanding_windows_per_task: Count = 8
    max_outstanding_windows: Count = 32
    window_retries: Count = 3
    # A replica that has not answered by then is given up and the call made again.
    call_timeout_seconds: Seconds = 600


class RaySettings(Group):
    """The embedded Ray head, or the address of a cluster that is there already."""

    address: str | None = Field(None, validation_alias="RAYSCRIBE_RAY_ADDRESS")
    object_store_bytes: Count = Field(
        512 * MIB, validation_alias="RAYSCRIBE_RAY_OBJECT_STORE_BYTES"
    )
    # None: what the machine has. Logical CPUs only cap how many replicas fit.
    num_cpus: Count | None = Field(None, validation_alias="RAYSCRIBE_RAY_NUM_CPUS")


class LogSettings(Group):
    """Structured logs."""

    log_level: Annotated[str, Field(pattern="^(DEBUG|INFO|WARNING|ERROR)$")] = "INFO"
    log_format: Annotated[str, Field(pattern="^(json|text)$")] = "text"
    # None: standard error. `rayscribe up` names its own folder: a file for each part.
    log_dir: Path | None = None


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
        self.ray = RaySettings()
        self.logs = LogSettings()
