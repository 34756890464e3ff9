"""Transcriber: one window per call, batched over all files and users."""

from typing import Any

from serving.arguments import SpeechArguments
from serving.deployments.base import EngineReplica
from serving.deployments.batching import Batcher
from serving.speech import LanguageGuess, Pcm, WindowRequest, WindowText


class Transcriber(EngineReplica):
    """Speech to text."""

    role = "transcriber"

    def __init__(self, arguments: SpeechArguments) -> None:
        super().__init__(arguments)
        self._transcribe: Batcher[WindowRequest, WindowText] = self._batcher(
            self.engine.transcribe, arguments
        )
        self._detect: Batcher[Pcm, LanguageGuess] = self._batcher(
            self.engine.detect_language, arguments
        )
        self.batchers = {"transcribe": self._transcribe, "detect_language": self._detect}

    def _batcher(self, work: Any, arguments: SpeechArguments) -> Batcher[Any, Any]:
        return Batcher(
            work,
            pool=self.pool,
            size=arguments.batch_size,
            wait_seconds=arguments.batch_wait_seconds,
            concurrent=arguments.max_concurrent_batches,
            stuck_seconds=arguments.stuck_batch_seconds,
        )

    async def transcribe(self, request: WindowRequest) -> WindowText:
        """The text of one window."""
        return await self._transcribe(request)

    async def detect_language(self, window: Pcm) -> LanguageGuess:
        """The language of one window."""
        return await self._detect(window)
