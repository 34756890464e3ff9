"""Engines without weights, deterministic by audio: for everything that is not about a model."""

import hashlib
import os
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from serving.errors import LanguageUnsupported, SpeechError
from serving.speech import (
    SAMPLE_RATE,
    AlignmentRequest,
    Diarization,
    LanguageGuess,
    Pcm,
    SpanSegmentation,
    SpeakerBounds,
    SpeakerTurn,
    WindowRequest,
    WindowText,
    Word,
    WordTiming,
)

WORDS = [
    "alpha",
    "bravo",
    "charlie",
    "delta",
    "echo",
    "foxtrot",
    "golf",
    "hotel",
    "india",
    "juliett",
    "kilo",
    "lima",
    "mike",
]
LANGUAGES = frozenset({"en", "de", "es", "fr", "zh"})
CHUNK_SECONDS = 10.0
STEP_SECONDS = 1.0
FRAMES = 100
AUDIBLE = 50
"""Mean absolute sample above which a stretch counts as speech."""
PACE = "RAYSCRIBE_FAKE_SECONDS"
"""Environment: seconds that the transcriber takes for a window, so that tests can disturb it."""
JOURNAL = "RAYSCRIBE_FAKE_JOURNAL"
"""Environment: a file that gets a line for each window transcribed, so that tests can count."""


def _digest(audio: Pcm) -> bytes:
    return hashlib.sha256(np.ascontiguousarray(audio).tobytes()).digest()


class FakeTranscriber:
    """About two words a second, chosen by the audio's hash."""

    languages = LANGUAGES

    def __init__(self) -> None:
        self._seconds = float(os.environ.get(PACE, "0"))
        self._journal = os.environ.get(JOURNAL)

    def load(self) -> None:
        """Nothing to load."""

    def detect_language(self, windows: Sequence[Pcm]) -> list[LanguageGuess]:
        """Always English."""
        return [LanguageGuess("en", 0.99, {"en": 0.99}) for _ in windows]

    def transcribe(self, requests: Sequence[WindowRequest]) -> list[WindowText | SpeechError]:
        """The text of each window."""
        time.sleep(self._seconds * len(requests))
        if self._journal:
            with Path(self._journal).open("a") as journal:
                journal.writelines(f"{_digest(request.audio).hex()}\n" for request in requests)
        return [self._one(request) for request in requests]

    @staticmethod
    def _one(request: WindowRequest) -> WindowText | SpeechError:
        if request.language not in LANGUAGES:
            return LanguageUnsupported(f"The fake engine does not know {request.language!r}.")
        seconds = len(request.audio) / SAMPLE_RATE
        digest = _digest(request.audio)
        count = max(1, int(seconds * 2))
        text = " ".join(WORDS[digest[i % len(digest)] % len(WORDS)] for i in range(count)) + "."
        words = spread(text, seconds) if request.word_times else None
        return WindowText(text.capitalize(), -0.1, 0.01, 1.2, 0.0, None, words)


def spread(text: str, seconds: float) -> tuple[Word, ...]:
    """Words at equal distances over the window."""
    words = text.split()
    step = seconds / max(1, len(words))
    return tuple(Word(i * step, (i + 1) * step, word, 0.5) for i, word in enumerate(words))


class FakeAligner:
    """Equal distances, for English only."""

    def load(self) -> None:
        """Nothing to load."""

    def timing(self, language: str) -> WordTiming | None:
        """English only, as the CPU default."""
        return WordTiming.ctc_phoneme if language == "en" else None

    def align(self, requests: Sequence[AlignmentRequest]) -> list[tuple[Word, ...] | SpeechError]:
        """Word times of each request."""
        return [spread(item.text, len(item.audio) / SAMPLE_RATE) for item in requests]


class FakeSpeakerSegmenter:
    """One local speaker, active where the audio is not silent."""

    def load(self) -> None:
        """Nothing to load."""

    def segment(self, spans: Sequence[Pcm]) -> list[SpanSegmentation]:
        """Local activity of each span."""
        return [self._one(span) for span in spans]

    @staticmethod
    def _one(span: Pcm) -> SpanSegmentation:
        chunk, step = int(CHUNK_SECONDS * SAMPLE_RATE), int(STEP_SECONDS * SAMPLE_RATE)
        count = 1 + max(0, -(-(len(span) - chunk) // step))
        padded = np.zeros((count - 1) * step + chunk, dtype=np.int16)
        padded[: len(span)] = span[: len(padded)]
        chunks = np.lib.stride_tricks.sliding_window_view(padded, chunk)[::step]
        frames = np.abs(chunks.reshape(count, FRAMES, -1).astype(np.int32)).mean(axis=2)
        activity = (frames > AUDIBLE).astype(np.uint8)[:, :, None]
        frame = CHUNK_SECONDS / FRAMES
        return SpanSegmentation(activity, CHUNK_SECONDS, STEP_SECONDS, frame, frame)


class FakeSpeakerEmbedder:
    """Two voices: loud chunks are one, quiet chunks the other."""

    def load(self) -> None:
        """Nothing to load."""

    def embed(self, spans: Sequence[tuple[Pcm, SpanSegmentation]]) -> list[npt.NDArray[np.float32]]:
        """One vector per chunk."""
        return [self._one(audio, segmentation) for audio, segmentation in spans]

    @staticmethod
    def _one(audio: Pcm, segmentation: SpanSegmentation) -> npt.NDArray[np.float32]:
        step = int(segmentation.step_seconds * SAMPLE_RATE)
        loud = 10 * AUDIBLE
        vectors = np.zeros((len(segmentation.activity), 1, 2), dtype=np.float32)
        for index in range(len(vectors)):
            piece = audio[index * step : (index + 1) * step]
            voice = int(len(piece) > 0 and np.abs(piece.astype(np.int32)).mean() > loud)
            vectors[index, 0, voice] = 1.0
        return vectors


class FakeSpeakerClusterer:
    """Joins the chunks of one voice into turns."""

    def load(self) -> None:
        """Nothing to load."""

    def cluster(
        self,
        segmentations: Sequence[SpanSegmentation],
        embeddings: Sequence[npt.NDArray[np.float32]],
        bounds: SpeakerBounds,
    ) -> Diarization:
        """Turns from each chunk's first second, at most `bounds` voices."""
        activity = np.concatenate([item.activity for item in segmentations])
        voices = np.concatenate(list(embeddings))[:, 0].argmax(axis=1)
        limit = bounds.exact or bounds.maximum
        turns: list[SpeakerTurn] = []
        first = max(1, int(FRAMES * STEP_SECONDS / CHUNK_SECONDS))
        for index, voice in enumerate(voices):
            if not activity[index, :first].any():
                continue
            label = f"SPEAKER_{min(int(voice), limit - 1):02d}"
            start, end = index * STEP_SECONDS, (index + 1) * STEP_SECONDS
            if turns and turns[-1].speaker == label and turns[-1].end == start:
                turns[-1] = SpeakerTurn(turns[-1].start, end, label)
            else:
                turns.append(SpeakerTurn(start, end, label))
        labels = sorted({turn.speaker for turn in turns})
        vectors = {label: tuple(np.eye(2)[int(label[-2:]) % 2].tolist()) for label in labels}
        return Diarization(tuple(turns), tuple(turns), vectors, "fake")
