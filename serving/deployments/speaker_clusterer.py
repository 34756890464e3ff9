"""SpeakerClusterer: the speakers of a recording, the persons of a library. CPU only."""

import asyncio
from collections.abc import Sequence

from serving import assembly, busy
from serving.arguments import SpeechArguments
from serving.busy import served
from serving.deployments.base import EngineReplica
from serving.ports import Embeddings, Numbers, Voiceprints
from serving.speech import Diarization, SpanSegmentation, SpeakerBounds


class SpeakerClusterer(EngineReplica):
    """Who is who."""

    role = "speaker_clusterer"

    def __init__(self, arguments: SpeechArguments) -> None:
        super().__init__(arguments)
        self.grouping = assembly.voice_grouping(arguments)

    @served
    async def cluster(
        self,
        segmentations: Sequence[SpanSegmentation],
        embeddings: Sequence[Embeddings],
        bounds: SpeakerBounds,
    ) -> Diarization:
        """Turns and one vector per speaker."""
        with busy.timed():
            diarization: Diarization = await asyncio.to_thread(
                self.engine.cluster, segmentations, embeddings, bounds
            )
        return diarization

    async def group(
        self, voices: Voiceprints, recordings: Numbers, apart: Numbers, threshold: float
    ) -> Numbers:
        """Which voices of a library are one person's."""
        # A thread of its own: recordings are clustered meanwhile.
        return await asyncio.to_thread(self.grouping.group, voices, recordings, apart, threshold)
