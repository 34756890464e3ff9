"""SpeakerSegmenter: local speaker activity of one span per call, batched over files."""

from serving.arguments import SpeechArguments
from serving.deployments.base import EngineReplica
from serving.deployments.batching import Batcher
from serving.speech import Pcm, SpanSegmentation

SPANS = 2
"""Spans per batch: each holds about 300 chunks, which the engine batches by itself."""


class SpeakerSegmenter(EngineReplica):
    """Who speaks when within ten seconds."""

    role = "speaker_segmenter"

    def __init__(self, arguments: SpeechArguments) -> None:
        super().__init__(arguments)
        self._segment: Batcher[Pcm, SpanSegmentation] = Batcher(
            self.engine.segment,
            pool=self.pool,
            size=SPANS,
            wait_seconds=arguments.batch_wait_seconds,
            concurrent=1,
            stuck_seconds=arguments.stuck_batch_seconds,
        )
        self.batchers = {"segment": self._segment}

    async def segment(self, span: Pcm) -> SpanSegmentation:
        """Local speakers of one span."""
        return await self._segment(span)
