"""A window gives the same text alone and in any batch, whatever languages and tasks share it."""

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.speech import SAMPLE_RATE, WindowRequest, WindowText
from tests.models.recordings import librivox, shared, telephone, whisper, windows_of

pytestmark = pytest.mark.models

MIXED = 8
ENGLISH = 8
BATCHES = st.lists(st.integers(0, 7), min_size=1, max_size=5, unique=True)
SIZES = st.sampled_from([1, 2, 3, 8])


@cache
def english() -> list[WindowRequest]:
    """Packages' recordings, and windows that wake the guards: noise, and a piece of a word."""
    clips = [WindowRequest(item.audio, "en") for item in librivox()]
    noise = np.random.default_rng(0).normal(0, 600, 3 * SAMPLE_RATE).astype(np.int16)
    call = telephone().audio
    return [
        *clips,
        WindowRequest(call[7 * SAMPLE_RATE : 16 * SAMPLE_RATE], "en", word_times=True),
        WindowRequest(noise, "en"),
        WindowRequest(call[: 7 * SAMPLE_RATE], "en", speech_seconds=0.0),
    ]


@cache
def mixed() -> list[WindowRequest]:
    """Four languages, both tasks, with and without word times, and a meeting that loops."""
    spanish, chinese = shared("es-mx.wav").audio, shared("zhcn_continuous_mode_sample.wav").audio
    return [
        WindowRequest(spanish, "es"),
        WindowRequest(spanish, "es", "translate"),
        WindowRequest(spanish, "es", word_times=True),
        WindowRequest(chinese[: 9 * SAMPLE_RATE], "zh", word_times=True),
        WindowRequest(shared("french.aiff").audio, "fr"),
        WindowRequest(shared("7902-96591-0000.flac").audio, "en"),
        next(windows_of(shared("EN2002a_30s.wav").audio, "en")),
        WindowRequest(shared("LJ002-0035.wav").audio, "en", word_times=True),
    ]


@cache
def alone(model: str) -> list[WindowText]:
    """Each window by itself."""
    requests = english() if model == "tiny.en" else mixed()
    answers = [whisper(model, batch_size=1).transcribe([request])[0] for request in requests]
    assert all(isinstance(answer, WindowText) for answer in answers)
    return [answer for answer in answers if isinstance(answer, WindowText)]


def assert_same(found: object, expected: WindowText) -> None:
    """Words, doubts and times are the same; scores within rounding of another matrix shape."""
    assert isinstance(found, WindowText)
    assert found.text == expected.text
    assert found.doubt == expected.doubt
    assert found.avg_logprob == pytest.approx(expected.avg_logprob, abs=1e-3)
    assert (found.words is None) == (expected.words is None)
    for word, other in zip(found.words or (), expected.words or (), strict=True):
        assert word.word == other.word
        assert (word.start, word.end) == pytest.approx((other.start, other.end), abs=0.021)


@settings(max_examples=8, deadline=None)
@given(chosen=BATCHES, size=SIZES)
def test_english_windows_in_any_batch(chosen, size):
    answers = whisper("tiny.en", batch_size=size).transcribe([english()[i] for i in chosen])
    for index, answer in zip(chosen, answers, strict=True):
        assert_same(answer, alone("tiny.en")[index])


@settings(max_examples=4, deadline=None)
@given(chosen=BATCHES, size=SIZES)
def test_languages_and_tasks_in_any_batch(chosen, size):
    answers = whisper("base", batch_size=size).transcribe([mixed()[i] for i in chosen])
    for index, answer in zip(chosen, answers, strict=True):
        assert_same(answer, alone("base")[index])


def test_greedy_decoding_in_one_batch():
    requests = english()[:5]
    together = whisper("tiny.en", beam_size=1).transcribe(requests)
    for request, answer in zip(requests, together, strict=True):
        (expected,) = whisper("tiny.en", beam_size=1, batch_size=1).transcribe([request])
        assert isinstance(expected, WindowText)
        assert_same(answer, expected)
