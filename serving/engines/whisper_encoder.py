"""Whisper's encoder: the sound of windows to what its decoder attends to."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from serving.engines.kept_encodings import Encoded, KeptEncodings, Mel
from serving.speech import SAMPLE_RATE, WINDOW_SECONDS, Pcm, WindowRequest

FRAMES_PER_SECOND = 100


@dataclass(frozen=True, slots=True)
class AxisOptions:
    """How much of the 30 s that Whisper was trained with is heard of a window, on a CPU.

    What is behind a window is silence, and to encode 30 s of anything is more than half of the
    work. Too short an axis makes the decoder go on: with 1 to 6 s behind windows of 5 s it said
    sentences again. Measured over 58 windows of 2 to 29 s (ADR 32).
    """

    shortest_seconds: float = 20.0
    margin_seconds: float = 3.0
    """At least so much silence behind a window."""
    step_seconds: float = 2.5
    """Axes are rounded up to these, so that windows of a batch have one in common."""

    def frames(self, audio: Pcm) -> int:
        """Frames of features for a window."""
        heard = max(self.shortest_seconds, len(audio) / SAMPLE_RATE + self.margin_seconds)
        rounded = math.ceil(heard / self.step_seconds) * self.step_seconds
        return round(min(rounded, WINDOW_SECONDS) * FRAMES_PER_SECOND)


WHOLE_AXIS = AxisOptions(shortest_seconds=WINDOW_SECONDS)


@dataclass(frozen=True, slots=True, eq=False)
class HeardWindow:
    """A request whose features are made already."""

    request: WindowRequest
    features: Mel | None = None
    """None: they are not needed, or cannot be made of this."""


class WindowEncoder:
    """Encodes windows, for batches of one time axis.

    Args:
        model: faster-whisper's.
        on_cpu: where its output is at hand and worth keeping; on a GPU encoding costs little, and
            what it makes stays there.
        kept: of how many windows it is kept.
        axis: how much is heard of a window.
    """

    def __init__(self, model: Any, *, on_cpu: bool, kept: int, axis: AxisOptions) -> None:
        from ctranslate2 import StorageView

        self._model, self._storage = model, StorageView
        self._on_cpu = on_cpu
        self._kept = KeptEncodings(kept if on_cpu else 0)
        self._axis = axis if on_cpu else WHOLE_AXIS

    def frames(self, audio: Pcm) -> int:
        """The time axis of a window: those of a batch have the same."""
        return self._axis.frames(audio)

    def is_whole(self, audio: Pcm) -> bool:
        """Whether a window is heard with all the silence that the model was trained with."""
        return self.frames(audio) == WHOLE_AXIS.frames(audio)

    def holds(self, audio: Pcm) -> bool:
        """Whether this window is encoded already, and kept."""
        return self._kept.holds(audio)

    def keep(self, windows: Sequence[Pcm], encoded: Any) -> None:
        """Keep what was made of these for the next time that they are asked for."""
        if self._on_cpu:
            for window, row in zip(windows, np.asarray(encoded), strict=True):
                self._kept.keep(window, row)

    def features(self, audio: Pcm) -> Mel:
        """Of a window with silence behind it."""
        return self._features(audio, self.frames(audio))

    def encode(self, windows: Sequence[HeardWindow]) -> Any:
        """Encoder output of windows, as the decoder takes it."""
        if not self._on_cpu:
            return self._run(windows)
        return self._view([self._kept_or_new(window) for window in windows])

    def whole(self, encoded: Any, index: int, window: HeardWindow) -> Any:
        """Encoder output of one window of a batch, with the whole axis."""
        audio = window.request.audio
        if not self.is_whole(audio):
            return self._model.encode(self._features(audio, WHOLE_AXIS.frames(audio))[None])
        if self._on_cpu:
            return self._view([np.asarray(encoded)[index]])
        return self._run([window])

    def _kept_or_new(self, window: HeardWindow) -> Encoded:
        """Encoder output of one window, on a CPU: alone, since there a batch is no help.

        Of eight together, each costs a quarter more: what they are made of no longer fits a core's
        caches (`python -m tests.bench measures`).
        """
        kept = self._kept.take(window.request.audio)
        if kept is not None:
            return kept
        encoded: Encoded = np.asarray(self._run([window]))[0]
        return encoded

    def _run(self, windows: Sequence[HeardWindow]) -> Any:
        features = [
            self.features(window.request.audio) if window.features is None else window.features
            for window in windows
        ]
        return self._model.encode(np.stack(features))

    def _features(self, audio: Pcm, frames: int) -> Mel:
        samples = frames * SAMPLE_RATE // FRAMES_PER_SECOND
        padded = np.pad(audio.astype(np.float32) / 32768, (0, samples - len(audio)))
        features: Mel = self._model.feature_extractor(padded, padding=0)
        return features

    def _view(self, rows: Sequence[Encoded]) -> Any:
        """Encoder output as CTranslate2 takes it; CPUs only."""
        return self._storage.from_array(np.stack(rows))
