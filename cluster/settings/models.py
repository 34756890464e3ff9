"""Settings of the models and of their replicas."""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import SettingsConfigDict

from cluster.settings.base import Count, Group, Seconds, seed

Share = Annotated[float, Field(gt=0, le=1)]


Step = Annotated[float, Field(ge=0.5, le=10, multiple_of=0.25)]


class Profile(StrEnum):
    """Which set of defaults applies: the seed's large models, or what a CPU can carry."""

    auto = "auto"
    cpu = "cpu"
    gpu = "gpu"


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
    """How long a batch waits for more windows while its model is free."""
    shared_places: Count | None = None
    """Up to how many windows a batch is filled with those of other lanes than its first one's.
    Unset: on a GPU the whole batch, which takes hardly longer; on a CPU as many as a replica has
    threads, since more would take their own time."""
    batch_lane_patience: Count = 4
    """How many batches in a row may pass over waiting windows of a lane for those of a better."""
    warm_up: bool = True
    """Whether a replica lets its model work once before it takes requests."""
    stuck_batch_seconds: Seconds = 120
    """A batch that runs longer than this, and than 20 times the slowest one so far, is stuck: its
    replica is replaced. Raise it where the first batch of a large model takes longer."""
    segmentation_step_seconds: Step | None = None
    """From the start of one chunk of ten seconds to the next: how often diarization hears each
    second, and most of what it costs. Unset: 2.5 (cpu), 1 (gpu; pyannote's own)."""
    segmentation_batch_size: Count = 8
    """Chunks per pass. On a CPU 8 costs 2.4 CPU-s per minute of audio, 32 costs 3.2."""
    embedding_batch_size: Count = 32
    """Voices per pass."""
    max_clustered_embeddings: Count = 5000
    """Most voices of a recording that are compared with each other: of more, those that are near in
    time and alike are one."""
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
    """Replicas and their share of a node, by role; fractions of a CPU, so that all fit on two.

    GPU shares count only where the cluster has GPUs; they divide 24 GB by the sizes of the models
    of the GPU profile, and were not measured. Memory: what a replica took at its peak in the CPU
    profile with a recording of two hours (docs/benchmarks.md), rounded up. On a GPU none is asked
    for, nor for fake engines, unless it is set.
    """

    model_config = SettingsConfigDict(
        env_prefix="RAYSCRIBE_REPLICAS_", extra="ignore", frozen=True, populate_by_name=True
    )

    num_cpus: Annotated[float, Field(gt=0)] = 0.1
    """Logical CPUs of every replica."""
    pools: bool = False
    """Whether replicas go only to nodes of their kind, which say it by Ray's label
    `rayscribe.io/pool`: `gpu` for models, `llm` for the language model, `cpu` for all else. For
    clusters whose nodes have different images or hardware."""
    drain_seconds: Seconds = 150
    """How long a model replica that is to go (an update, fewer are needed) may finish what it has
    accepted: longer than `RAYSCRIBE_STUCK_BATCH_SECONDS`, as no batch may take longer."""
    preparer_min: Count = 1
    """Fewest replicas of the decoder."""
    preparer_max: Count = 2
    """Most replicas of the decoder."""
    preparer_memory_mib: Count | None = None
    """Memory of a replica of the decoder."""
    transcriber_min: Count = 1
    """Fewest replicas of Whisper."""
    transcriber_max: Count = 1
    """Most replicas of Whisper."""
    transcriber_gpus: Share = 0.4
    """GPU share of a replica of Whisper."""
    transcriber_memory_mib: Count | None = None
    """Memory of a replica of Whisper."""
    aligner_min: Count = 1
    """Fewest replicas of word alignment."""
    aligner_max: Count = 1
    """Most replicas of word alignment."""
    aligner_gpus: Share = 0.15
    """GPU share of a replica of word alignment."""
    aligner_memory_mib: Count | None = None
    """Memory of a replica of word alignment."""
    speaker_segmenter_min: Count = 1
    """Fewest replicas of speaker segmentation."""
    speaker_segmenter_max: Count = 1
    """Most replicas of speaker segmentation."""
    speaker_segmenter_gpus: Share = 0.15
    """GPU share of a replica of speaker segmentation."""
    speaker_segmenter_memory_mib: Count | None = None
    """Memory of a replica of speaker segmentation."""
    speaker_embedder_min: Count = 1
    """Fewest replicas of speaker embedding."""
    speaker_embedder_max: Count = 1
    """Most replicas of speaker embedding."""
    speaker_embedder_gpus: Share = 0.2
    """GPU share of a replica of speaker embedding."""
    speaker_embedder_memory_mib: Count | None = None
    """Memory of a replica of speaker embedding."""
    speaker_clusterer_min: Count = 1
    """Fewest replicas of speaker clustering."""
    speaker_clusterer_max: Count = 1
    """Most replicas of speaker clustering."""
    speaker_clusterer_memory_mib: Count | None = None
    """Memory of a replica of speaker clustering."""
    text_embedder_min: Count = 1
    """Fewest replicas of text embedding."""
    text_embedder_max: Count = 1
    """Most replicas of text embedding."""
    text_embedder_gpus: Share = 0.1
    """GPU share of a replica of text embedding."""
    text_embedder_memory_mib: Count | None = None
    """Memory of a replica of text embedding."""
    language_model_min: Annotated[int, Field(ge=0)] = 1
    """Fewest replicas of the language model; 0: none while nobody asks, and a wait for it then."""
    language_model_max: Count = 1
    """Most replicas of the language model."""
    runner_memory_mib: Count | None = None
    """Memory of a runner."""
    api_memory_mib: Count | None = None
    """Memory of a replica of the API."""
