"""Whisper encodes a window once for its language, its text and the readings of what is doubtful.

But for a short one that is doubtful: that one is heard again with 30 s (ADR 32).
"""

from functools import cache
from typing import Any

import numpy as np
import pytest

from serving.engines.whisper import WhisperEngine, WhisperOptions
from serving.speech import SAMPLE_RATE, Doubt, WindowRequest, WindowText
from tests.models.recordings import librivox, shared, whisper, whisper_folder

pytestmark = pytest.mark.models


class Counting:
    """faster-whisper's model; counts the windows that it encodes."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self.encoded: list[int] = []

    def encode(self, features: np.ndarray) -> Any:
        self.encoded.append(len(features))
        return self._model.encode(features)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)


@pytest.fixture
def counted() -> tuple[WhisperEngine, list[int]]:
    engine = WhisperEngine(WhisperOptions(str(whisper_folder("base")), beam_size=1))
    engine.load()
    counting = engine._encoder._model = Counting(engine._model)
    return engine, counting.encoded


def windows() -> list[WindowRequest]:
    return [WindowRequest(clip.audio, "en") for clip in librivox()[:3]]


def texts(engine: WhisperEngine, requests: list[Any]) -> list[str]:
    answers: list[Any] = engine.transcribe(requests)
    return [answer.text for answer in answers]


@cache
def expected() -> list[str]:
    return texts(whisper("base", beam_size=1), windows())


def test_a_window_that_was_asked_for_its_language_is_not_encoded_again(counted):
    engine, encoded = counted
    engine.detect_language([window.audio for window in windows()[:2]])
    assert sum(encoded) == 2
    assert texts(engine, windows()) == expected()
    assert sum(encoded) == len(windows())
    # Once: whoever asks again has it encoded again.
    assert texts(engine, windows()[:1]) == expected()[:1]
    assert sum(encoded) == len(windows()) + 1


def test_what_is_prepared_reads_as_what_is_not(counted):
    engine, _ = counted
    prepared = [engine.prepare(window) for window in windows()]
    assert all(window.features is not None for window in prepared)
    assert texts(engine, prepared) == expected()
    engine.detect_language([windows()[0].audio])
    assert engine.prepare(windows()[0]).features is None


def test_what_cannot_be_transcribed_is_prepared_for_its_verdict(counted):
    engine, _ = counted
    wrong = WindowRequest(np.zeros(0, dtype=np.int16), "en")
    assert engine.transcribe([engine.prepare(wrong)])[0].code == "audio_too_short"


def test_doubtful_windows_are_read_again_and_encoded_again_only_where_silence_was_missing(counted):
    engine, encoded = counted
    meeting = shared("EN2002a_30s.wav").audio[: 30 * SAMPLE_RATE]
    request = WindowRequest(meeting, "en")
    readings = []
    read = engine._read

    def reading(*arguments: Any) -> Any:
        readings.append(arguments)
        return read(*arguments)

    engine._read = reading
    noise = np.random.default_rng(0).normal(0, 600, 3 * SAMPLE_RATE).astype(np.int16)
    found = engine.transcribe([request, windows()[0], WindowRequest(noise, "en")])
    assert len(readings) > 3, "no window was doubtful: the test shows nothing"
    # The noise is doubtful, and short: it is heard with all of the silence then.
    assert sum(encoded) == 3 + 1
    for answer, window in zip(found, [request, windows()[0]], strict=False):
        assert isinstance(answer, WindowText)
        assert answer.doubt is not Doubt.unreadable
        assert answer.text == texts(whisper("base", beam_size=1), [window])[0]


def test_warming_up_is_work_and_leaves_nothing_behind(counted):
    engine, encoded = counted
    engine.warm_up()
    assert encoded == [1]
    assert texts(engine, windows()[:1]) == expected()[:1]
