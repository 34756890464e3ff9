"""The words of speech: frozen values that cross every floor and every process. No heavy import.

Times are float seconds from the start of the recording unless a field says otherwise. Field names
of words and segments are faster-whisper's.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from serving.muxing import VideoFormat

SAMPLE_RATE = 16_000
"""Samples per second of every recording after decoding."""

WINDOW_SECONDS = 30.0
"""The longest window: what Whisper's encoder takes at once."""

Pcm = npt.NDArray[np.int16]
"""Mono audio at SAMPLE_RATE, shape (samples,)."""

Task = str
"""`transcribe` (same language out) or `translate` (English out)."""


LIVE, BULK = "live", "bulk"
LANES = (LIVE, "interactive", BULK)
"""Who goes first where requests wait for a model (the names of db.models.Lane)."""


class Doubt(StrEnum):
    """Why a text may not be what was said. Doubtful text is kept and marked."""

    repetition = "repetition"
    low_confidence = "low_confidence"
    no_speech = "no_speech"
    unreadable = "unreadable"
    """The model failed on this window alone; its text is empty."""


class WordTiming(StrEnum):
    """Which method gave the word times."""

    wav2vec2 = "wav2vec2"
    ctc_phoneme = "ctc_phoneme"
    whisper = "whisper"


@dataclass(frozen=True, slots=True)
class Word:
    """One word as spoken; `word` carries no surrounding spaces."""

    start: float
    end: float
    word: str
    probability: float
    speaker: str | None = None


@dataclass(frozen=True, slots=True)
class Segment:
    """A line of the transcript: consecutive words of one speaker, at most about a sentence."""

    start: float
    end: float
    text: str
    words: tuple[Word, ...] = ()
    avg_logprob: float = 0.0
    no_speech_prob: float = 0.0
    compression_ratio: float = 0.0
    temperature: float = 0.0
    speaker: str | None = None
    doubt: Doubt | None = None


@dataclass(frozen=True, slots=True)
class SpeechRegion:
    """An interval in which voice activity detection hears speech; at most WINDOW_SECONDS long."""

    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Window:
    """At most 30 s of audio cut at region boundaries: what is dispatched, stored and retried."""

    index: int
    start: float
    end: float
    regions: tuple[SpeechRegion, ...] = ()

    @property
    def speech_seconds(self) -> float:
        """How much of the window is speech."""
        return sum(region.end - region.start for region in self.regions)


@dataclass(frozen=True, slots=True)
class LanguageGuess:
    """The language heard in a window, with its probability and the runners-up."""

    language: str
    probability: float
    probabilities: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class WindowRequest:
    """One window to transcribe. `audio` starts at the window's start."""

    audio: Pcm
    language: str
    task: Task = "transcribe"
    word_times: bool = False
    """Ask Whisper for word times (cross-attention): only where no aligner knows the language."""
    speech_seconds: float | None = None
    """Speech in the window by voice activity detection; None: not known."""
    lane: str = LIVE
    """One of LANES."""


@dataclass(frozen=True, slots=True)
class WindowText:
    """What was said in one window. Word times are relative to the window's start."""

    text: str
    avg_logprob: float
    no_speech_prob: float
    compression_ratio: float
    temperature: float
    doubt: Doubt | None = None
    words: tuple[Word, ...] | None = None


@dataclass(frozen=True, slots=True)
class AlignmentRequest:
    """One window's audio and its text, to be given word times relative to the window's start."""

    audio: Pcm
    text: str
    language: str
    lane: str = LIVE
    """One of LANES."""


@dataclass(frozen=True, slots=True)
class SpeakerTurn:
    """An interval in which one speaker speaks. Turns of different speakers may overlap."""

    start: float
    end: float
    speaker: str


@dataclass(frozen=True, slots=True)
class SpanSegmentation:
    """Local speaker activity in one span (about 5 minutes) of audio.

    `activity` is uint8 0/1 of shape (chunks, frames, local speakers): chunk `c` starts
    `c * step_seconds` after the span's start and lasts `chunk_seconds`. Spans are cut on the
    recording's chunk grid, so the chunks of all spans in order are the recording's chunks.
    """

    activity: npt.NDArray[np.uint8]
    chunk_seconds: float
    step_seconds: float
    frame_seconds: float
    frame_step_seconds: float


@dataclass(frozen=True, slots=True)
class Diarization:
    """Who spoke when. `exclusive_turns` never overlap."""

    turns: tuple[SpeakerTurn, ...]
    exclusive_turns: tuple[SpeakerTurn, ...]
    embeddings: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """A unit vector per speaker; none of one who is never heard alone for long enough."""
    embedding_model: str = ""
    """Identity of the weights that made them: vectors of different ones cannot be compared."""
    clean_seconds: Mapping[str, float] = field(default_factory=dict)
    """Seconds in which only this speaker speaks."""

    @property
    def speakers(self) -> tuple[str, ...]:
        """Speaker labels, in order."""
        return tuple(sorted({turn.speaker for turn in self.turns}))


@dataclass(frozen=True, slots=True)
class SpeakerBounds:
    """How many speakers to look for; `exact` wins over the other two."""

    minimum: int = 1
    maximum: int = 20
    exact: int | None = None


@dataclass(frozen=True, slots=True)
class MediaSource:
    """Where a decoder reads a media file: a short-lived URL of our own object store."""

    url: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class MuxRequest:
    """A video that is to get subtitles, and where the result is put (a short-lived URL)."""

    source: MediaSource
    target_url: str
    subtitles: str
    """SubRip."""
    language: str | None
    """Of the subtitles, by Whisper's code; None: not known."""
    format: VideoFormat


@dataclass(frozen=True, slots=True)
class MediaProbe:
    """What the header says: container, streams, duration in seconds."""

    container: str
    duration: float | None
    has_video: bool
    audio_codec: str
    sample_rate: int
    channels: int
    codecs: tuple[str, ...] = ()
    """Of all picture and sound, by ffmpeg's names, cover art left out."""
    raw: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DecodedBlock:
    """A block of decoded audio (MediaSettings.block_seconds long, the last one shorter)."""

    index: int
    audio: Pcm


@dataclass(frozen=True, slots=True)
class Preparation:
    """What the Preparer knows when the last block is decoded."""

    duration: float
    regions: tuple[SpeechRegion, ...]
    peaks: tuple[float, ...]
    """Waveform peaks in 0..1, at most 2000, equally spaced."""
    probe: MediaProbe
    metadata: Mapping[str, Any]
    """ExifTool's tags."""
    thumbnail: bytes | None
    """JPEG of a video's frame."""
