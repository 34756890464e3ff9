"""Typed arguments of the speech deployments: knobs from Settings, resolved once. No secrets."""

from dataclasses import dataclass

from cluster.settings import MediaSettings, Settings
from serving import catalogue, weights
from serving.audio import STEP_SECONDS

FAKE = "fake"


@dataclass(frozen=True, slots=True)
class SpeechArguments:
    """What every model replica is told. Names are the catalogue's (serving.catalogue)."""

    engines: str
    device: str
    model_dir: str
    whisper_model: str
    compute_type: str
    beam_size: int
    batch_size: int
    batch_wait_seconds: float
    shared_places: int
    lane_patience: int
    warm_up: bool
    stuck_batch_seconds: float
    diarization_model: str
    embedding_model: str
    """Identity of its voiceprints: those of different models cannot be compared."""
    alignment_model: str
    segmentation_step_seconds: float
    segmentation_batch_size: int
    embedding_batch_size: int
    text_embedding_model: str
    text_embedding_identity: str
    """Of which model and weights its vectors are: those of different ones cannot be compared."""
    text_batch_size: int
    max_clustered_embeddings: int
    threads: int
    media: MediaSettings

    @property
    def max_ongoing_requests(self) -> int:
        """Enough waiting requests that the next batch fills while one runs (peers.md B4)."""
        return 2 * self.batch_size

    def model_of(self, role: str) -> str | None:
        """The name of the model that a role runs; None: it has none to choose."""
        models = {
            "transcriber": self.whisper_model,
            "aligner": self.alignment_model,
            "speaker_segmenter": self.diarization_model,
            "speaker_embedder": self.diarization_model,
            "speaker_clusterer": self.diarization_model,
            "text_embedder": self.text_embedding_model,
        }
        return FAKE if self.engines == FAKE and role in models else models.get(role)


def speech_arguments(settings: Settings, gpus: float) -> SpeechArguments:
    """What Settings and the cluster's GPUs come to.

    Raises:
        ModelUnavailable: a combination that cannot work, with the reason.
    """
    speech, model_dir = settings.speech, settings.paths.model_dir
    search = settings.search
    choice = catalogue.choose(speech, model_dir, has_gpu=gpus > 0, text_embedding=search.model)
    real = speech.engines != FAKE
    text_identity = weights.text_model(choice.text_embedding, model_dir) if real else FAKE
    return SpeechArguments(
        engines=speech.engines,
        device="cuda" if gpus > 0 else "cpu",
        model_dir=str(model_dir.resolve()),
        whisper_model=choice.whisper,
        compute_type=choice.compute_type,
        beam_size=speech.beam_size,
        batch_size=choice.batch_size,
        batch_wait_seconds=speech.batch_wait_seconds,
        shared_places=speech.shared_places
        or (choice.batch_size if gpus > 0 else speech.threads_per_replica),
        lane_patience=speech.batch_lane_patience,
        warm_up=speech.warm_up and real,
        stuck_batch_seconds=speech.stuck_batch_seconds,
        diarization_model=choice.diarization,
        embedding_model=weights.voiceprint_model(choice.diarization, model_dir) if real else FAKE,
        alignment_model=choice.alignment,
        segmentation_step_seconds=choice.segmentation_step_seconds if real else STEP_SECONDS,
        segmentation_batch_size=speech.segmentation_batch_size,
        embedding_batch_size=speech.embedding_batch_size,
        text_embedding_model=choice.text_embedding,
        text_embedding_identity=text_identity,
        text_batch_size=search.embedding_batch_size,
        max_clustered_embeddings=speech.max_clustered_embeddings,
        threads=speech.threads_per_replica,
        media=settings.media,
    )
