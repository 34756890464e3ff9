"""Preparer: decodes media in a sandbox, hears where speech is. CPU only."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from serving.arguments import SpeechArguments
from serving.deployments.base import EngineReplica
from serving.deployments.lane_places import LanePlaces
from serving.inprocess import drain
from serving.speech import LIVE, DecodedBlock, MediaProbe, MediaSource, MuxRequest, Preparation

DECODERS = 2
"""Recordings that one replica decodes at a time."""


class Preparer(EngineReplica):
    """Streams a recording block by block; the last item says what was found."""

    role = "preparer"

    def __init__(self, arguments: SpeechArguments) -> None:
        super().__init__(arguments)
        # Each may take the sandbox's whole memory; probes are small and do not wait for them.
        self._decoders = LanePlaces(DECODERS, arguments.lane_patience)
        self._muxer = asyncio.Semaphore(1)

    async def probe(self, source: MediaSource) -> MediaProbe:
        """Read the header."""
        probe: MediaProbe = await asyncio.to_thread(self.engine.probe, source)
        return probe

    async def mux(self, request: MuxRequest) -> int:
        """Put subtitles into a video, one at a time: each takes its double on the disk."""
        async with self._muxer:
            work: asyncio.Future[int] = asyncio.ensure_future(
                asyncio.to_thread(self.engine.mux, request)
            )
            try:
                return await asyncio.shield(work)
            finally:
                # A thread cannot be cancelled: the next one waits for its end.
                if not work.done():
                    await asyncio.wait([work])

    async def prepare(
        self, source: MediaSource, lane: str = LIVE
    ) -> AsyncGenerator[DecodedBlock | Preparation]:
        """Decode; ends ffmpeg when the caller goes away."""
        place = self._decoders.take(lane)
        async with place, aclosing(drain(self.engine.prepare(source))) as items:
            async for item in items:
                yield item
