"""Voiceprints of real speech: a person is found again, in company and in few seconds."""

from functools import cache

import numpy as np
import pytest

from cluster.settings import PathSettings, VoiceSettings
from pipelines.speakers.calibration import MEASURED, Level, calibration
from serving.speech import SAMPLE_RATE, Diarization, Pcm
from serving.weights import voiceprint_model
from tests.fixtures import speech
from tests.models import recordings
from tests.models.test_diarization import MODEL, katiesteve, load_engines

pytestmark = pytest.mark.models

IDENTITY = voiceprint_model(MODEL.name, speech.ROOT / PathSettings().model_dir)
MEANING = calibration(IDENTITY, VoiceSettings())
STRANGERS = ["2412-153948-0000.flac", "libri-1088-134315-0000.wav", "jfk.flac", "es-mx.wav"]


def audio(name: str) -> Pcm:
    return recordings.shared(name).audio


@cache
def voices(name: str, seconds: float | None = None) -> Diarization:
    part = audio(name)[: None if seconds is None else round(seconds * SAMPLE_RATE)]
    return load_engines().diarize(part)


def only(found: Diarization) -> tuple[float, ...]:
    (voiceprint,) = found.embeddings.values()
    return voiceprint


def test_the_default_model_is_calibrated_for_these_very_weights():
    assert IDENTITY in MEASURED
    assert not MEANING.auto_accept


# Measured: 0.89, and 0.10 for whom she reads beside.
def test_a_reader_is_found_again_in_a_dialogue():
    pause = np.zeros(SAMPLE_RATE // 2, dtype=np.int16)
    parts = [audio("2412-153948-0001.flac"), pause, audio("libri-1088-134315-0000.wav")]
    dialogue = load_engines().diarize(np.concatenate(parts))
    alone = only(voices("2412-153948-0000.flac"))
    cosines = {name: np.dot(alone, other) for name, other in dialogue.embeddings.items()}
    first = dialogue.exclusive_turns[0].speaker
    assert len(cosines) == 2
    assert MEANING.level(cosines.pop(first)) is Level.high
    assert [MEANING.level(cosine) for cosine in cosines.values()] == [Level.low]


# Measured: 0.84 between the halves, at most 0.17 between any two of the four people: those who have
# the same names in the dialogue are others (tests/bench/voice_sources.py).
def test_people_are_nearer_to_themselves_than_to_anybody_else():
    clips = [audio(f"enrollment_audio_{who}.wav") for who in ("katie", "steve")]
    halves = [half for clip in clips for half in np.array_split(clip, 2)]
    talk, _ = katiesteve()
    dialogue = load_engines().diarize(talk).embeddings
    alone = [only(load_engines().diarize(half)) for half in halves]
    cosines = np.array(alone) @ np.array([*alone, *dialogue.values()]).T
    assert min(cosines[0, 1], cosines[2, 3]) >= MEANING.medium
    assert max(cosines[:2, 2:].max(), cosines[2:, 4:].max()) < MEANING.medium - 0.2


# Measured: at most 0.26. Centred by the mean of the chunk, which silence fills up, strangers have
# 0.57 on average in 3 s (docs/benchmarks.md).
@pytest.mark.parametrize("seconds", [3, 5])
def test_few_seconds_do_not_make_strangers_alike(seconds):
    found = np.array([only(voices(name, seconds)) for name in STRANGERS])
    assert np.triu(found @ found.T, 1).max() < MEANING.medium


# Measured: 0.963.
def test_silence_around_a_voice_does_not_change_it():
    clip = audio("jfk.flac")[: 6 * SAMPLE_RATE]
    silence = np.zeros(12 * SAMPLE_RATE, dtype=np.int16)
    quiet = load_engines().diarize(np.concatenate([clip, silence]))
    assert np.dot(only(quiet), only(load_engines().diarize(clip))) > 0.9
    assert quiet.clean_seconds == pytest.approx(voices("jfk.flac", 6).clean_seconds, abs=0.5)
