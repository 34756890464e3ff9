"""SpeakerClusterer: the speakers of a whole recording, one recording per call. CPU only."""

import asyncio
from collections.abc import Sequence

from serving.deployments.base import EngineReplica
from serving.ports import Embeddings
from serving.speech import Diarization, SpanSegmentation, SpeakerBounds


class SpeakerClusterer(EngineReplica):
    """Who is who."""

    role = "speaker_clusterer"

    async def cluster(
        self,
        segmentations: Sequence[SpanSegmentation],
        embeddings: Sequence[Embeddings],
        bounds: SpeakerBounds,
    ) -> Diarization:
        """Turns and one vector per speaker."""
        diarization: Diarization = await asyncio.to_thread(
            self.engine.cluster, segmentations, embeddings, bounds
        )
        return diarization
