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
from serving.voiceprints import clean_seconds, mean_voiceprint

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
DIRECTION = 16
"""Numbers of a voiceprint beside the two that say which voice it is."""
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

    def prepare(self, request: WindowRequest) -> WindowRequest:
        """Nothing to prepare."""
        return request

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
    """Two voices: loud seconds are one, quiet ones the other. A direction for each second.

    The first two numbers say which voice, the rest is the direction: the same sound, to the sample
    and on whole seconds, has the same in every recording, and another sound has another.
    """

    def load(self) -> None:
        """Nothing to load."""

    def embed(self, spans: Sequence[tuple[Pcm, SpanSegmentation]]) -> list[npt.NDArray[np.float32]]:
        """One vector per chunk and local speaker; of the seconds up to the next chunk."""
        return [self._one(audio, segmentation) for audio, segmentation in spans]

    @staticmethod
    def _one(audio: Pcm, segmentation: SpanSegmentation) -> npt.NDArray[np.float32]:
        chunks, frames, speakers = segmentation.activity.shape
        vectors = np.full((chunks, speakers, 2 + DIRECTION), np.nan, dtype=np.float32)
        step, per_second = int(segmentation.step_seconds), int(frames / segmentation.chunk_seconds)
        seconds = segmentation.activity[:, : step * per_second].reshape(
            chunks, step, per_second, speakers
        )
        for chunk, speaker in np.argwhere(seconds.any(axis=(1, 2))).tolist():
            heard = np.flatnonzero(seconds[chunk, :, :, speaker].any(axis=1))
            voices = [_voice_of(audio, chunk * step + second) for second in heard.tolist()]
            vectors[chunk, speaker] = np.mean(voices, axis=0)
        return vectors


def _voice_of(audio: Pcm, second: int) -> npt.NDArray[np.float32]:
    piece = audio[second * SAMPLE_RATE : (second + 1) * SAMPLE_RATE]
    loud = len(piece) > 0 and np.abs(piece.astype(np.int32)).mean() > 10 * AUDIBLE
    direction = np.frombuffer(_digest(piece), dtype=np.uint8)[:DIRECTION] - np.float32(127.5)
    return np.concatenate([np.eye(2, dtype=np.float32)[int(loud)], direction])


class FakeSpeakerClusterer:
    """Joins the chunks of one voice into turns."""

    def __init__(self, embedding_model: str = "fake") -> None:
        self._embedding_model = embedding_model

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
        vectors = np.concatenate(list(embeddings))[:, 0]
        limit = bounds.exact or bounds.maximum
        voices = np.minimum(vectors[:, :2].argmax(axis=1), limit - 1)
        turns: list[SpeakerTurn] = []
        first = max(1, int(FRAMES * STEP_SECONDS / CHUNK_SECONDS))
        audible = activity[:, :first].any(axis=(1, 2))
        for index in np.flatnonzero(audible).tolist():
            label = f"SPEAKER_{voices[index]:02d}"
            start, end = index * STEP_SECONDS, (index + 1) * STEP_SECONDS
            if turns and turns[-1].speaker == label and turns[-1].end == start:
                turns[-1] = SpeakerTurn(turns[-1].start, end, label)
            else:
                turns.append(SpeakerTurn(start, end, label))
        means = {
            f"SPEAKER_{voice:02d}": mean_voiceprint(vectors[own], np.ones(own.sum()))
            for voice in range(2)
            if (own := audible & (voices == voice)).any()
        }
        found = {label: mean for label, mean in means.items() if mean is not None}
        return Diarization(
            tuple(turns), tuple(turns), found, self._embedding_model, clean_seconds(turns)
        )
