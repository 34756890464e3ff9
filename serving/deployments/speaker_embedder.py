"""SpeakerEmbedder: vectors of local speakers, one span per call, batched over files."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from serving.arguments import SpeechArguments
from serving.audio import CHUNK_SECONDS, SPAN_SECONDS
from serving.busy import served
from serving.deployments.base import EngineReplica, Laned
from serving.deployments.batching import Batcher
from serving.deployments.speaker_segmenter import SPANS, noise
from serving.ports import Embeddings
from serving.speech import LIVE, SAMPLE_RATE, Pcm, SpanSegmentation

Span = tuple[Pcm, SpanSegmentation]


class SpeakerEmbedder(EngineReplica):
    """What a voice sounds like."""

    role = "speaker_embedder"

    def __init__(self, arguments: SpeechArguments) -> None:
        super().__init__(arguments)
        self._embed: Batcher[Laned[Span], Embeddings] = self.batcher(
            "embed", self._embed_all, Laned.traits, size=SPANS, max_seconds=SPAN_SECONDS
        )
        self._embedding_model = arguments.embedding_model

    def warm_up(self) -> None:
        """Embed noise: on a GPU a full batch, whose size its library plans for."""
        full = self.arguments.device == "cuda"
        chunks = self.arguments.embedding_batch_size if full else 1
        activity = np.ones((chunks, 100, 1), dtype=np.uint8)
        spoken = SpanSegmentation(activity, CHUNK_SECONDS, 1.0, CHUNK_SECONDS / 100, 0.1)
        self.engine.embed([(noise(CHUNK_SECONDS + chunks - 1), spoken)])

    async def stats(self) -> dict[str, Any]:
        """What every replica tells, and the identity of its voiceprints."""
        return {**await super().stats(), "embedding_model": self._embedding_model}

    def _embed_all(self, spans: Sequence[Laned[Span]]) -> list[Embeddings]:
        found: list[Embeddings] = self.engine.embed([one.item for one in spans])
        return found

    @served
    async def embed(self, span: Span, lane: str = LIVE) -> Embeddings:
        """One vector per chunk and local speaker."""
        return await self._embed(Laned(span, lane, len(span[0]) / SAMPLE_RATE))
