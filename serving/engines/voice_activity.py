"""Voice activity: where a recording holds speech (Silero v6 in ONNX, streamed block by block)."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from serving.errors import ModelUnavailable
from serving.speech import SAMPLE_RATE, WINDOW_SECONDS, Pcm, SpeechRegion

FRAME_SAMPLES = 512
"""Samples per probability: what Silero v6 takes at 16 kHz (32 ms)."""

FRAME_SECONDS = FRAME_SAMPLES / SAMPLE_RATE

CONTEXT_SAMPLES = 64
"""Samples of the frame before that Silero sees with each frame."""

BLOCK_FRAMES = 128
"""Frames per model run (4.1 s). Always the same, so that results do not depend on block sizes."""

STATE_SHAPE = (1, 1, 128)

Probabilities = npt.NDArray[np.float32]
"""Speech probability per frame, shape (frames,)."""

Span = tuple[int, int]
"""Frames [first, last)."""


@dataclass(frozen=True, slots=True)
class VoiceActivityOptions:
    """Thresholds in probability, durations in seconds; the thresholds are WhisperX's.

    Measured with Whisper base on 245 s of English: onset 0.35 to 0.5, offset 0.2 to 0.363 and
    padding of 0 to 0.4 s all give 2.9 to 3.2 % WER clean and 11.9 to 14.0 % in noise at 5 dB, with
    no order in it.
    """

    model_path: str | None = None
    """An ONNX file; None: the one inside faster-whisper's wheel."""
    onset: float = 0.5
    """Speech starts where the probability reaches this."""
    offset: float = 0.363
    """Speech ends where the probability falls below this."""
    min_speech_seconds: float = 0.1
    """Shorter speech is dropped (a click)."""
    min_silence_seconds: float = 0.1
    """Shorter silence is filled (a stop consonant)."""
    pad_seconds: float = 0.1
    """Each region is widened by this on both sides, at most to the middle of the silence: word
    times need the beginning of the first word."""
    max_region_seconds: float = WINDOW_SECONDS


class VoiceActivityDetector:
    """Silero v6 on one CPU thread; torch-free. Streams of one detector are independent."""

    def __init__(self, options: VoiceActivityOptions | None = None) -> None:
        self.options = options or VoiceActivityOptions()
        self._session: Any = None

    def load(self) -> None:
        """Load the model; raise ModelUnavailable where its file is missing."""
        import onnxruntime
        from faster_whisper.utils import get_assets_path

        path = self.options.model_path or str(Path(get_assets_path()) / "silero_vad_v6.onnx")
        if not Path(path).is_file():
            raise ModelUnavailable(f"no voice activity model at {path}")
        settings = onnxruntime.SessionOptions()
        # The model is a small recurrent one: more threads only wait for each other.
        settings.inter_op_num_threads = settings.intra_op_num_threads = 1
        settings.enable_cpu_mem_arena = False
        settings.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(
            path, settings, providers=["CPUExecutionProvider"]
        )

    def stream(self) -> "VoiceActivityStream":
        """Begin a recording."""
        if self._session is None:
            raise ModelUnavailable("voice activity model not loaded")
        return VoiceActivityStream(self._session, self.options)

    def detect(self, audio: Pcm) -> tuple[SpeechRegion, ...]:
        """Speech regions of a whole recording that is in memory."""
        stream = self.stream()
        stream.push(audio)
        return stream.finish()


class VoiceActivityStream:
    """One recording, pushed block by block.

    The recurrent state, the 64 samples of context and the unfinished block are carried from push
    to push, and the model always runs on whole blocks: however a recording is split, the model
    sees the same input. Memory: one block and 4 bytes per 32 ms (450 kB per hour).
    """

    def __init__(self, session: Any, options: VoiceActivityOptions) -> None:
        self._session = session
        self._options = options
        self._pending = np.zeros(0, dtype=np.int16)
        self._context = np.zeros(CONTEXT_SAMPLES, dtype=np.float32)
        self._state = (np.zeros(STATE_SHAPE, np.float32), np.zeros(STATE_SHAPE, np.float32))
        self._probabilities: list[Probabilities] = []
        self._samples = 0

    def push(self, audio: Pcm) -> None:
        """Take the next samples, of any length."""
        self._samples += len(audio)
        block = BLOCK_FRAMES * FRAME_SAMPLES
        pending = np.concatenate([self._pending, audio])
        whole = len(pending) - len(pending) % block
        for start in range(0, whole, block):
            self._run(pending[start : start + block])
        self._pending = pending[whole:].copy()

    def finish(self) -> tuple[SpeechRegion, ...]:
        """End the recording; regions are disjoint, in order, inside it, each at most 30 s."""
        probabilities = self.probabilities()
        spans = find_spans(probabilities, self._options)
        duration = self._samples / SAMPLE_RATE
        return tuple(
            SpeechRegion(first * FRAME_SECONDS, min(last * FRAME_SECONDS, duration))
            for first, last in spans
        )

    def probabilities(self) -> Probabilities:
        """Speech probability per frame of all that was pushed; flushes the unfinished block."""
        frames = -(-self._samples // FRAME_SAMPLES)
        if len(self._pending):
            missing = BLOCK_FRAMES * FRAME_SAMPLES - len(self._pending)
            self._run(np.pad(self._pending, (0, missing)))
            self._pending = self._pending[:0]
        return np.concatenate([*self._probabilities, np.zeros(0, np.float32)])[:frames]

    def _run(self, block: Pcm) -> None:
        """Append the probabilities of one whole block."""
        frames = (block.astype(np.float32) / 32768).reshape(BLOCK_FRAMES, FRAME_SAMPLES)
        tails = frames[:, -CONTEXT_SAMPLES:]
        contexts = np.concatenate([self._context[None], tails[:-1]])
        output, *state = self._session.run(
            None,
            {
                "input": np.concatenate([contexts, frames], axis=1),
                "h": self._state[0],
                "c": self._state[1],
            },
        )
        self._state = (state[0], state[1])
        self._context = tails[-1]
        self._probabilities.append(np.asarray(output, np.float32).reshape(-1))


def find_spans(probabilities: Probabilities, options: VoiceActivityOptions) -> list[Span]:
    """Frames that hold speech: hysteresis, gaps filled, clicks dropped, padded, cut to length."""
    spans = list(_hysteresis(probabilities, options.onset, options.offset))
    spans = _fill(spans, round(options.min_silence_seconds / FRAME_SECONDS))
    shortest = options.min_speech_seconds / FRAME_SECONDS
    spans = [(first, last) for first, last in spans if last - first >= shortest]
    spans = _pad(spans, round(options.pad_seconds / FRAME_SECONDS), len(probabilities))
    longest = int(options.max_region_seconds / FRAME_SECONDS)
    return [piece for span in spans for piece in _cut(span, probabilities, longest)]


def _hysteresis(probabilities: Probabilities, onset: float, offset: float) -> Iterator[Span]:
    """Speech from where the probability reaches `onset` to where it falls below `offset`."""
    first: int | None = None
    for frame, probability in enumerate(probabilities.tolist()):
        if first is None and probability >= onset:
            first = frame
        elif first is not None and probability < offset:
            yield first, frame
            first = None
    if first is not None:
        yield first, len(probabilities)


def _fill(spans: list[Span], shortest: int) -> list[Span]:
    """Join spans that are less than `shortest` frames apart."""
    joined: list[Span] = []
    for first, last in spans:
        if joined and first - joined[-1][1] < shortest:
            joined[-1] = (joined[-1][0], last)
        else:
            joined.append((first, last))
    return joined


def _pad(spans: list[Span], frames: int, total: int) -> list[Span]:
    """Widen every span on both sides, at most to the middle of the silence beside it."""
    if not spans:
        return []
    edges = [0, *((a[1] + b[0]) // 2 for a, b in pairwise(spans)), total]
    return [
        (max(first - frames, low), min(last + frames, high))
        for (first, last), (low, high) in zip(spans, pairwise(edges), strict=True)
    ]


def _cut(span: Span, probabilities: Probabilities, longest: int) -> Iterator[Span]:
    """Cut a span that is too long where speech is least probable in the second half allowed.

    WhisperX's min-cut (Bain et al. 2023): a cut early in the piece would waste the window, a cut
    at a fixed place would go through a word.
    """
    first, last = span
    while last - first > longest:
        middle = first + longest // 2
        cut = middle + 1 + int(np.argmin(probabilities[middle + 1 : first + longest]))
        yield first, cut
        first = cut
    yield first, last
