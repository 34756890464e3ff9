"""Preparer: decodes media in a sandbox, hears where speech is. CPU only."""

import asyncio
from collections.abc import AsyncIterator

from serving.deployments.base import EngineReplica
from serving.inprocess import drain
from serving.speech import DecodedBlock, MediaProbe, MediaSource, Preparation


class Preparer(EngineReplica):
    """Streams a recording block by block; the last item says what was found."""

    role = "preparer"

    async def probe(self, source: MediaSource) -> MediaProbe:
        """Read the header."""
        probe: MediaProbe = await asyncio.to_thread(self.engine.probe, source)
        return probe

    async def prepare(self, source: MediaSource) -> AsyncIterator[DecodedBlock | Preparation]:
        """Decode; ends ffmpeg when the caller goes away."""
        async for item in drain(self.engine.prepare(source)):
            yield item
