"""Voice activity: regions from probabilities, and streams that do not depend on block sizes.

The Silero weights are in faster-whisper's wheel, so the real model runs here.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from serving.engines.voice_activity import (
    FRAME_SECONDS,
    VoiceActivityDetector,
    VoiceActivityOptions,
    find_spans,
)
from serving.errors import ModelUnavailable
from serving.speech import SAMPLE_RATE

PLAIN = VoiceActivityOptions(min_speech_seconds=0, min_silence_seconds=0, pad_seconds=0)
PROBABILITIES = arrays(np.float32, st.integers(0, 4000), elements=st.floats(0, 1, width=32))


def options(**changes: Any) -> VoiceActivityOptions:
    return replace(PLAIN, **changes)


def levels(*runs: tuple[float, int]) -> np.ndarray:
    return np.concatenate([np.full(frames, level, np.float32) for level, frames in runs])


def test_speech_starts_at_onset_and_ends_below_offset():
    heard = levels((0.4, 5), (0.6, 5), (0.4, 5), (0.3, 5), (0.45, 5))
    assert find_spans(heard, options(onset=0.5, offset=0.35)) == [(5, 15)]


def test_short_silence_is_filled_and_short_speech_dropped():
    heard = levels((1, 10), (0, 2), (1, 10), (0, 20), (1, 2), (0, 20))
    seconds = 4 * FRAME_SECONDS
    assert find_spans(heard, options(min_silence_seconds=seconds)) == [(0, 22), (42, 44)]
    both = options(min_silence_seconds=seconds, min_speech_seconds=seconds)
    assert find_spans(heard, both) == [(0, 22)]


def test_padding_stops_in_the_middle_of_the_silence_and_at_the_ends():
    heard = levels((0, 3), (1, 10), (0, 4), (1, 10), (0, 100))
    assert find_spans(heard, options(pad_seconds=5 * FRAME_SECONDS)) == [(0, 15), (15, 32)]


def test_long_speech_is_cut_where_it_is_weakest_in_the_second_half():
    heard = np.full(1500, 0.9, np.float32)
    heard[100] = 0.4  # weaker, but in the first half: the cut would waste a window
    heard[700] = 0.5
    assert find_spans(heard, options()) == [(0, 700), (700, 1500)]


@given(PROBABILITIES, st.sampled_from([VoiceActivityOptions(), PLAIN, options(pad_seconds=2)]))
def test_spans_are_disjoint_in_order_inside_and_short_enough(heard, chosen):
    spans = find_spans(heard, chosen)
    edges = [edge for span in spans for edge in span]
    assert edges == sorted(edges)
    assert all(0 <= first < last <= len(heard) for first, last in spans)
    assert all((last - first) * FRAME_SECONDS <= 30 for first, last in spans)


@given(PROBABILITIES)
def test_all_that_is_certain_is_kept(heard):
    spans = find_spans(heard, PLAIN)
    inside = np.zeros(len(heard), dtype=bool)
    for first, last in spans:
        inside[first:last] = True
    assert inside[heard >= PLAIN.onset].all()
    assert not inside[heard < PLAIN.offset].any()


@pytest.fixture(scope="module")
def detector() -> VoiceActivityDetector:
    engine = VoiceActivityDetector()
    engine.load()
    return engine


def babble(seconds: float) -> np.ndarray:
    """A buzz in bursts: enough like a voice for probabilities to move."""
    time = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    buzz = sum(np.sin(2 * np.pi * 120 * k * time) / k for k in range(1, 30))
    burst = np.sin(2 * np.pi * 3 * time) > 0
    return (6000 * buzz * burst).clip(-32768, 32767).astype(np.int16)


@settings(max_examples=15, deadline=None)
@given(cuts=st.lists(st.integers(0, 12 * SAMPLE_RATE), max_size=8))
def test_any_split_gives_the_same_probabilities(detector, cuts):
    audio = babble(12.3)
    whole = detector.stream()
    whole.push(audio)
    parts = detector.stream()
    for part in np.split(audio, sorted(cuts)):
        parts.push(part)
    assert np.array_equal(whole.probabilities(), parts.probabilities())
    assert whole.finish() == parts.finish()


def test_probabilities_are_the_librarys(detector):
    from faster_whisper.vad import get_vad_model

    audio = babble(9 * 0.512)
    stream = detector.stream()
    stream.push(audio)
    theirs = get_vad_model()(audio.astype(np.float32) / 32768).reshape(-1)
    # The last frame differs: the library clears the end of it by accident.
    np.testing.assert_allclose(stream.probabilities()[:-1], theirs[:-1], atol=1e-4)


@pytest.mark.parametrize("samples", [0, 1, 511, 513, SAMPLE_RATE])
def test_silence_of_any_length_holds_no_speech(detector, samples):
    assert detector.detect(np.zeros(samples, np.int16)) == ()


def test_a_stream_needs_a_loaded_model():
    with pytest.raises(ModelUnavailable):
        VoiceActivityDetector().stream()


def test_a_missing_model_is_said(tmp_path):
    engine = VoiceActivityDetector(VoiceActivityOptions(model_path=str(tmp_path / "none.onnx")))
    with pytest.raises(ModelUnavailable, match=r"none\.onnx"):
        engine.load()
