"""Aligner: known text to word times, one window per call."""

from serving.arguments import SpeechArguments
from serving.deployments.base import EngineReplica
from serving.deployments.batching import Batcher
from serving.speech import AlignmentRequest, Word, WordTiming


class Aligner(EngineReplica):
    """Forced alignment."""

    role = "aligner"

    def __init__(self, arguments: SpeechArguments) -> None:
        super().__init__(arguments)
        self._align: Batcher[AlignmentRequest, tuple[Word, ...]] = Batcher(
            self.engine.align,
            pool=self.pool,
            size=arguments.batch_size,
            wait_seconds=0.0,
            concurrent=arguments.max_concurrent_batches,
            stuck_seconds=arguments.stuck_batch_seconds,
        )
        self.batchers = {"align": self._align}

    async def timing(self, language: str) -> WordTiming | None:
        """How words of this language are timed; None: not here."""
        timing: WordTiming | None = self.engine.timing(language)
        return timing

    async def align(self, request: AlignmentRequest) -> tuple[Word, ...]:
        """Word times of one window."""
        return await self._align(request)
