"""SpeakerEmbedder: vectors of local speakers, one span per call, batched over files."""

from typing import Any

from serving.arguments import SpeechArguments
from serving.deployments.base import EngineReplica
from serving.deployments.batching import Batcher
from serving.deployments.speaker_segmenter import SPANS
from serving.ports import Embeddings
from serving.speech import Pcm, SpanSegmentation


class SpeakerEmbedder(EngineReplica):
    """What a voice sounds like."""

    role = "speaker_embedder"

    def __init__(self, arguments: SpeechArguments) -> None:
        super().__init__(arguments)
        self._embed: Batcher[tuple[Pcm, SpanSegmentation], Embeddings] = Batcher(
            self.engine.embed,
            pool=self.pool,
            size=SPANS,
            wait_seconds=arguments.batch_wait_seconds,
            concurrent=1,
            stuck_seconds=arguments.stuck_batch_seconds,
        )
        self.batchers = {"embed": self._embed}
        self._embedding_model = arguments.embedding_model

    async def stats(self) -> dict[str, Any]:
        """What every replica tells, and the identity of its voiceprints."""
        return {**await super().stats(), "embedding_model": self._embedding_model}

    async def embed(self, span: tuple[Pcm, SpanSegmentation]) -> Embeddings:
        """One vector per chunk and local speaker."""
        return await self._embed(span)
