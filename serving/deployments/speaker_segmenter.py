"""SpeakerSegmenter: local speaker activity of one span per call, batched over files."""

from collections.abc import Sequence

import numpy as np

from serving.arguments import SpeechArguments
from serving.audio import CHUNK_SECONDS, SPAN_SECONDS
from serving.busy import served
from serving.deployments.base import EngineReplica, Laned
from serving.deployments.batching import Batcher
from serving.speech import LIVE, SAMPLE_RATE, Pcm, SpanSegmentation

SPANS = 32
"""Spans per batch: whole ones fill it alone, since the engine batches a span's chunks by itself;
those of short recordings share it."""


class SpeakerSegmenter(EngineReplica):
    """Who speaks when within ten seconds."""

    role = "speaker_segmenter"

    def __init__(self, arguments: SpeechArguments) -> None:
        super().__init__(arguments)
        self._segment: Batcher[Laned[Pcm], SpanSegmentation] = self.batcher(
            "segment", self._segment_all, Laned.traits, size=SPANS, max_seconds=SPAN_SECONDS
        )

    def warm_up(self) -> None:
        """Segment noise: on a GPU a whole span, whose batches are full."""
        seconds = SPAN_SECONDS if self.arguments.device == "cuda" else CHUNK_SECONDS
        self.engine.segment([noise(seconds)])

    def _segment_all(self, spans: Sequence[Laned[Pcm]]) -> list[SpanSegmentation]:
        found: list[SpanSegmentation] = self.engine.segment([one.item for one in spans])
        return found

    @served
    async def segment(self, span: Pcm, lane: str = LIVE) -> SpanSegmentation:
        """Local speakers of one span."""
        return await self._segment(Laned(span, lane, len(span) / SAMPLE_RATE))


def noise(seconds: float) -> Pcm:
    """Quiet noise, the same each time."""
    samples = round(seconds * SAMPLE_RATE)
    return np.random.default_rng(0).normal(0, 100, samples).astype(np.int16)
