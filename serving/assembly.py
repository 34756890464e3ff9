"""Builds each role's engine from arguments, real or fake; the caller loads it."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from serving import catalogue
from serving.arguments import SpeechArguments
from serving.engines import fake
from serving.engines.ctc_phoneme_alignment import CtcPhonemeAligner, CtcPhonemeOptions
from serving.engines.fake_text import FakeTextEmbedder
from serving.engines.media_decoder import MediaDecoder, MediaDecoderOptions
from serving.engines.speaker_clustering import SpeakerClusteringEngine, SpeakerClusteringOptions
from serving.engines.speaker_embedding import SpeakerEmbeddingEngine, SpeakerEmbeddingOptions
from serving.engines.speaker_segmentation import (
    SpeakerSegmentationEngine,
    SpeakerSegmentationOptions,
)
from serving.engines.text_embedding import TextEmbeddingEngine, TextEmbeddingOptions
from serving.engines.voice_activity import VoiceActivityDetector
from serving.engines.voice_grouping import VoiceGroupingEngine, VoiceGroupingOptions
from serving.engines.wav2vec2_alignment import Wav2Vec2Aligner, Wav2Vec2Options
from serving.engines.whisper import WhisperEngine, WhisperOptions
from serving.model_kinds import Role

Builder = Callable[[SpeechArguments], Any]


def _weights(arguments: SpeechArguments, name: str, role: Role) -> Path:
    # The token is a secret: it comes by the environment, never in arguments.
    token = os.environ.get("HUGGINGFACE_TOKEN")
    return catalogue.resolve(name, role, Path(arguments.model_dir), token)


def preparer(arguments: SpeechArguments) -> Any:
    """The decoder is real always: what it takes in is the outside world."""
    return MediaDecoder(MediaDecoderOptions(arguments.media), VoiceActivityDetector())


def transcriber(arguments: SpeechArguments) -> Any:
    """Whisper."""
    if arguments.engines == "fake":
        return fake.FakeTranscriber()
    return WhisperEngine(
        WhisperOptions(
            model_path=str(_weights(arguments, arguments.whisper_model, Role.asr)),
            device=arguments.device,
            compute_type=arguments.compute_type,
            threads=arguments.threads,
            batch_size=arguments.batch_size,
            beam_size=arguments.beam_size,
        )
    )


def aligner(arguments: SpeechArguments) -> Any:
    """CTC phonemes (English, CPU), or wav2vec2 per language."""
    if arguments.engines == "fake":
        return fake.FakeAligner()
    if arguments.alignment_model == "ctc_phoneme":
        return CtcPhonemeAligner(CtcPhonemeOptions(threads=arguments.threads))
    return Wav2Vec2Aligner(
        Wav2Vec2Options(
            device=arguments.device, cache_dir=str(Path(arguments.model_dir) / "wav2vec2")
        )
    )


def speaker_segmenter(arguments: SpeechArguments) -> Any:
    """Pyannote's segmentation."""
    if arguments.engines == "fake":
        return fake.FakeSpeakerSegmenter()
    model = catalogue.diarization(arguments.diarization_model)
    return SpeakerSegmentationEngine(
        SpeakerSegmentationOptions(
            model=_weights(arguments, model.segmentation, Role.segmentation),
            device=arguments.device,
            threads=arguments.threads,
            batch_size=arguments.segmentation_batch_size,
            step_seconds=arguments.segmentation_step_seconds,
        )
    )


def speaker_embedder(arguments: SpeechArguments) -> Any:
    """CAM++ or WeSpeaker."""
    if arguments.engines == "fake":
        return fake.FakeSpeakerEmbedder()
    model = catalogue.diarization(arguments.diarization_model)
    return SpeakerEmbeddingEngine(
        SpeakerEmbeddingOptions(
            model=_weights(arguments, model.embedding, Role.speaker_embedding),
            device=arguments.device,
            threads=arguments.threads,
            batch_size=arguments.embedding_batch_size,
        )
    )


def speaker_clusterer(arguments: SpeechArguments) -> Any:
    """Agglomerative clustering."""
    if arguments.engines == "fake":
        return fake.FakeSpeakerClusterer(arguments.embedding_model)
    model = catalogue.diarization(arguments.diarization_model)
    return SpeakerClusteringEngine(
        SpeakerClusteringOptions(
            threshold=model.threshold,
            min_cluster_size=model.min_cluster_size,
            method=model.method,
            embedding_model=arguments.embedding_model,
            max_clustered_embeddings=arguments.max_clustered_embeddings,
        )
    )


def text_embedder(arguments: SpeechArguments) -> Any:
    """Sentence-transformers."""
    if arguments.engines == "fake":
        return FakeTextEmbedder()
    return TextEmbeddingEngine(
        TextEmbeddingOptions(
            model=_weights(arguments, arguments.text_embedding_model, Role.text_embedding),
            device=arguments.device,
            threads=arguments.threads,
            batch_size=arguments.text_batch_size,
        )
    )


def voice_grouping(arguments: SpeechArguments) -> VoiceGroupingEngine:
    """Build the clustering of a library, real always: it has no weights."""
    return VoiceGroupingEngine(VoiceGroupingOptions(threads=arguments.threads))


BUILDERS: Mapping[str, Builder] = {
    builder.__name__: builder
    for builder in (
        preparer,
        transcriber,
        aligner,
        speaker_segmenter,
        speaker_embedder,
        speaker_clusterer,
        text_embedder,
    )
}
"""By role."""
