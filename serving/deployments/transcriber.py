"""Transcriber: one window per call, batched over all files and users."""

import math
from collections.abc import Sequence

from serving.arguments import SpeechArguments
from serving.busy import served
from serving.deployments.base import EngineReplica, Laned
from serving.deployments.batching import Batcher
from serving.deployments.waiting import Traits
from serving.engines.whisper import batch_group
from serving.speech import LIVE, SAMPLE_RATE, LanguageGuess, Pcm, WindowRequest, WindowText

LENGTH_STEP_SECONDS = 5.0
"""Windows whose speech differs by less count as equally long: finer, and fewer would share a batch
than time is saved."""


class Transcriber(EngineReplica):
    """Speech to text."""

    role = "transcriber"

    def __init__(self, arguments: SpeechArguments) -> None:
        super().__init__(arguments)
        size = arguments.batch_size
        self._transcribe: Batcher[WindowRequest, WindowText] = self.batcher(
            "transcribe",
            self.engine.transcribe,
            window_traits,
            size=size,
            prepare=self.engine.prepare,
        )
        self._detect: Batcher[Laned[Pcm], LanguageGuess] = self.batcher(
            "detect_language", self._detect_all, Laned.traits, size=size
        )

    def warm_up(self) -> None:
        """Decode a batch of nothing."""
        self.engine.warm_up()

    def _detect_all(self, windows: Sequence[Laned[Pcm]]) -> list[LanguageGuess]:
        guesses: list[LanguageGuess] = self.engine.detect_language([one.item for one in windows])
        return guesses

    @served
    async def transcribe(self, request: WindowRequest) -> WindowText:
        """The text of one window."""
        return await self._transcribe(request)

    @served
    async def detect_language(self, window: Pcm, lane: str = LIVE) -> LanguageGuess:
        """The language of one window."""
        return await self._detect(Laned(window, lane, len(window) / SAMPLE_RATE))


def window_traits(request: WindowRequest) -> Traits:
    """What the engine can decode together, and how long that is expected to take."""
    seconds = len(request.audio) / SAMPLE_RATE
    speech = seconds if request.speech_seconds is None else request.speech_seconds
    length = math.ceil(speech / LENGTH_STEP_SECONDS)
    return Traits(request.lane, batch_group(request), seconds, length)
