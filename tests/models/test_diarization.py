"""Diarization span by span is the plain pyannote pipeline's, and finds the speakers."""

import wave
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cluster.settings import PathSettings
from serving import catalogue
from serving.audio import STEP_SECONDS, spans
from serving.engines.speaker_clustering import SpeakerClusteringEngine, SpeakerClusteringOptions
from serving.engines.speaker_embedding import SpeakerEmbeddingEngine, SpeakerEmbeddingOptions
from serving.engines.speaker_segmentation import (
    SpeakerSegmentationEngine,
    SpeakerSegmentationOptions,
)
from serving.errors import ModelUnavailable
from serving.model_kinds import Role
from serving.ports import Embeddings
from serving.speech import (
    SAMPLE_RATE,
    Diarization,
    Pcm,
    SpanSegmentation,
    SpeakerBounds,
    SpeakerTurn,
)
from tests.fixtures import speech
from tests.models import recordings

pytestmark = pytest.mark.models

MODEL = catalogue.diarization("campplus")
SHORT_SPAN = 15
"""Chunks per span, so that recordings of a minute have several spans."""


@dataclass(frozen=True)
class Engines:
    segmentation: SpeakerSegmentationEngine
    embedding: SpeakerEmbeddingEngine
    clustering: SpeakerClusteringEngine

    def describe(self, parts: Sequence[Pcm]) -> tuple[list[SpanSegmentation], list[Embeddings]]:
        segmentations = self.segmentation.segment(parts)
        return segmentations, self.embedding.embed(list(zip(parts, segmentations, strict=True)))

    def diarize(self, audio: Pcm, chunks_per_span: int = 300, **bounds) -> Diarization:
        cut = spans(len(audio), chunks_per_span=chunks_per_span)
        described = self.describe([audio[start:end] for start, end in cut])
        return self.clustering.cluster(*described, SpeakerBounds(**bounds))


def weights(name: str, role: Role) -> Path:
    try:
        return catalogue.resolve(name, role, speech.ROOT / PathSettings().model_dir)
    except ModelUnavailable as error:
        pytest.skip(error.message)


@cache
def load_engines(step_seconds: float = STEP_SECONDS) -> Engines:
    segmentation = weights(MODEL.segmentation, Role.segmentation)
    engines = Engines(
        SpeakerSegmentationEngine(
            SpeakerSegmentationOptions(segmentation, step_seconds=step_seconds)
        ),
        SpeakerEmbeddingEngine(
            SpeakerEmbeddingOptions(weights(MODEL.embedding, Role.speaker_embedding))
        ),
        SpeakerClusteringEngine(
            SpeakerClusteringOptions(
                MODEL.threshold, MODEL.min_cluster_size, MODEL.method, MODEL.voiceprints
            )
        ),
    )
    engines.segmentation.load()
    engines.embedding.load()
    engines.clustering.load()
    return engines


@pytest.fixture
def engines() -> Engines:
    return load_engines()


class Centred:
    """An ONNX session that is given each voice's features centred by their own mean, as ours is.

    pyannote centres by the chunk's mean, in which are other voices and silence. Diarization is as
    good with either (14 AMI cuts, telephone, dialogue: DER 30.0 %), voiceprints are not.
    """

    def __init__(self, session: Any) -> None:
        self._session = session

    def run(self, output_names: list[str], input_feed: dict[str, Any]) -> Any:
        features = input_feed["feats"]
        centred = features - features.mean(axis=1, keepdims=True)
        return self._session.run(output_names, {"feats": centred})


@cache
def load_plain() -> Any:
    """pyannote's pipeline, put together from the same weights and hyper-parameters."""
    from pyannote.audio.core.plda import PLDA
    from pyannote.audio.pipelines import SpeakerDiarization

    from serving.engines import pyannote_model

    pipeline = SpeakerDiarization(
        segmentation=pyannote_model.load(weights(MODEL.segmentation, Role.segmentation), "cpu", 1),
        embedding=str(weights(MODEL.embedding, Role.speaker_embedding)),
        # Agglomerative clustering never looks at it; None would be refused.
        plda=PLDA.__new__(PLDA),
        clustering="AgglomerativeClustering",
        embedding_exclude_overlap=True,
        segmentation_batch_size=8,
    )
    pipeline._embedding.session_ = Centred(pipeline._embedding.session_)
    clustering = {
        "method": MODEL.method,
        "min_cluster_size": MODEL.min_cluster_size,
        "threshold": MODEL.threshold,
    }
    return pipeline.instantiate(
        {"clustering": clustering, "segmentation": {"min_duration_off": 0.0}}
    )


def diarize_plain(audio: Pcm) -> Any:
    import torch

    waveform = torch.from_numpy(audio.astype(np.float32) / 32768)[None]
    return load_plain()({"waveform": waveform, "sample_rate": SAMPLE_RATE, "uri": "test"})


def read(path: Path) -> Pcm:
    with wave.open(str(path)) as file:
        assert (file.getframerate(), file.getnchannels()) == (SAMPLE_RATE, 1)
        return np.frombuffer(file.readframes(file.getnframes()), dtype=np.int16)


def telephone() -> tuple[Pcm, Path]:
    path = speech.sample()
    return read(path), path.with_suffix(".rttm")


def katiesteve() -> tuple[Pcm, Path]:
    rttm = speech.shared("rttm/katiesteve.rttm")
    return read(speech.shared("audio/katiesteve.wav")), rttm


def annotation(turns: Sequence[SpeakerTurn]) -> Any:
    from pyannote.core import Annotation, Segment

    result = Annotation()
    for index, turn in enumerate(turns):
        result[Segment(turn.start, turn.end), index] = turn.speaker
    return result


def error_rate(rttm: Path, audio: Pcm, hypothesis: Any, collar: float) -> float:
    """Diarization error rate over the whole recording, overlaps counted."""
    from pyannote.core import Segment, Timeline
    from pyannote.database.util import load_rttm
    from pyannote.metrics.diarization import DiarizationErrorRate

    (reference,) = load_rttm(rttm).values()
    whole = Timeline([Segment(0, len(audio) / SAMPLE_RATE)])
    return float(DiarizationErrorRate(collar=collar)(reference, hypothesis, uem=whole))


def turns(result: Any) -> list[tuple[float, float, str]]:
    return sorted((s.start, s.end, label) for s, _, label in result.itertracks(yield_label=True))


def plain_tuples(found: Sequence[SpeakerTurn]) -> list[tuple[float, float, str]]:
    return sorted((turn.start, turn.end, turn.speaker) for turn in found)


# Measured: 5.2 % and 1.3 % on the telephone call, 1.2 % and 1.1 % on Katie and Steve.
@pytest.mark.parametrize(
    ("recording", "most", "most_with_collar"),
    [(telephone, 0.055, 0.02), (katiesteve, 0.02, 0.02)],
)
def test_both_speakers_are_found_when_they_speak(engines, recording, most, most_with_collar):
    audio, rttm = recording()
    found = engines.diarize(audio)
    assert len(found.speakers) == 2
    assert error_rate(rttm, audio, annotation(found.turns), 0.0) <= most
    assert error_rate(rttm, audio, annotation(found.turns), 0.25) <= most_with_collar


def joined() -> Pcm:
    """Four speakers in several spans; the end lies inside a step."""
    call, _ = telephone()
    desk, _ = katiesteve()
    return np.concatenate([call, desk, call[: 7 * SAMPLE_RATE + 123]])


@pytest.mark.parametrize(
    ("recording", "chunks_per_span"),
    [
        (lambda: telephone()[0], 300),
        (lambda: katiesteve()[0], 300),
        (lambda: telephone()[0][: 4 * SAMPLE_RATE], 300),
        (joined, SHORT_SPAN),
    ],
    ids=["telephone", "katiesteve", "shorter-than-a-chunk", "several-spans"],
)
def test_the_result_is_that_of_the_plain_pipeline(engines, recording, chunks_per_span):
    audio = recording()
    ours, theirs = engines.diarize(audio, chunks_per_span), diarize_plain(audio)
    expected = turns(theirs.speaker_diarization)
    assert plain_tuples(ours.turns) == expected
    assert plain_tuples(ours.exclusive_turns) == turns(theirs.exclusive_speaker_diarization)
    labels = theirs.speaker_diarization.labels()
    assert sorted(ours.embeddings) == labels
    for label, centroid in zip(labels, theirs.speaker_embeddings, strict=True):
        # A mean by frames of clean speech beside one of all chunks alike. Measured: 0.9966 or more.
        assert np.dot(ours.embeddings[label], centroid / np.linalg.norm(centroid)) > 0.98


def test_recordings_in_one_batch_do_not_change_each_other(engines):
    call, _ = telephone()
    parts = [call[: 14 * SAMPLE_RATE], call[14 * SAMPLE_RATE : 25 * SAMPLE_RATE]]
    segmentations, embeddings = engines.describe(parts)
    for part, segmentation, vectors in zip(parts, segmentations, embeddings, strict=True):
        (alone,), (vectors_alone,) = engines.describe([part])
        np.testing.assert_array_equal(segmentation.activity, alone.activity)
        np.testing.assert_allclose(vectors, vectors_alone, atol=1e-4, equal_nan=True)


def test_the_number_of_speakers_asked_for_is_honoured(engines):
    call, _ = telephone()
    assert len(engines.diarize(call, exact=1).speakers) == 1
    assert len(engines.diarize(call, minimum=2, maximum=4).speakers) == 2


def test_silence_has_no_speakers(engines):
    silence = np.zeros(12 * SAMPLE_RATE, dtype=np.int16)
    assert engines.diarize(silence) == Diarization((), (), {}, MODEL.voiceprints)


# Measured: 0.91 between the two recordings of one reader, at most 0.22 between readers.
def test_a_persons_recordings_are_alike_and_other_peoples_are_not(engines):
    names = ["2412-153948-0000.flac", "2412-153948-0001.flac", "libri-1088-134315-0000.wav"]
    audio = [recordings.shared(name).audio for name in [*names, "jfk.flac"]]
    voices = [next(iter(engines.diarize(part, exact=1).embeddings.values())) for part in audio]
    units = np.array([np.array(voice) / np.linalg.norm(voice) for voice in voices])
    likeness = units @ units.T
    assert likeness[0, 1] > 0.7
    assert np.triu(likeness, 1)[:, 2:].max() < 0.4
