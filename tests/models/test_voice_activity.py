"""Silero on real recordings: speech is found, whatever the blocks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.speech import SAMPLE_RATE, Pcm
from tests.models.recordings import decoded, shared, telephone, voice_activity

pytestmark = pytest.mark.models

PRECISION = 100
"""Points per second at which speech is compared."""


def marked(spans: list[tuple[float, float]], audio: Pcm) -> np.ndarray:
    points = np.zeros(len(audio) * PRECISION // SAMPLE_RATE, dtype=bool)
    for start, end in spans:
        points[int(start * PRECISION) : int(end * PRECISION)] = True
    return points


def heard(audio: Pcm) -> np.ndarray:
    return marked([(r.start, r.end) for r in voice_activity().detect(audio)], audio)


def annotated(rttm: str, audio: Pcm) -> np.ndarray:
    rows = [line.split() for line in rttm.splitlines()]
    return marked([(float(r[3]), float(r[3]) + float(r[4])) for r in rows], audio)


def test_telephone_speech_is_found():
    call = telephone()
    reference = annotated(call.path.with_suffix(".rttm").read_text(), call.audio)
    found = heard(call.audio)
    # Measured: recall 0.980, precision 0.988.
    assert (found & reference).sum() / reference.sum() > 0.96
    assert (found & reference).sum() / found.sum() > 0.95


def test_a_dialogue_with_pauses_is_found():
    talk = shared("katiesteve.wav")
    rttm = talk.path.parent.parent / "rttm" / "katiesteve.rttm"
    reference, found = annotated(rttm.read_text(), talk.audio), heard(talk.audio)
    # Measured: recall 1.000, precision 0.918 (0.1 s around every region are ours).
    assert (found & reference).sum() / reference.sum() > 0.98
    assert (found & reference).sum() / found.sum() > 0.88


def test_noise_and_tones_hold_no_speech():
    noise = np.random.default_rng(0).normal(0, 600, 10 * SAMPLE_RATE).astype(np.int16)
    tone = (6000 * np.sin(np.arange(10 * SAMPLE_RATE) * 2 * np.pi * 440 / SAMPLE_RATE)).astype(
        np.int16
    )
    assert voice_activity().detect(noise) == ()
    assert voice_activity().detect(tone) == ()


@settings(max_examples=10, deadline=None)
@given(cuts=st.lists(st.integers(0, 30 * SAMPLE_RATE), max_size=6))
def test_blocks_do_not_matter(cuts):
    audio = telephone().audio
    stream = voice_activity().stream()
    for block in np.split(audio, sorted(cuts)):
        stream.push(block)
    assert stream.finish() == voice_activity().detect(audio)


def test_speech_without_a_pause_is_cut_into_windows():
    call = decoded(telephone().path)
    without_pauses = np.concatenate([call[heard_samples(call)]] * 4)
    regions = voice_activity().detect(without_pauses)
    assert regions
    assert all(region.end - region.start <= 30 for region in regions)


def heard_samples(audio: Pcm) -> np.ndarray:
    keep = np.zeros(len(audio), dtype=bool)
    for region in voice_activity().detect(audio):
        keep[int(region.start * SAMPLE_RATE) : int(region.end * SAMPLE_RATE)] = True
    return keep
