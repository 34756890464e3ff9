"""Decoded audio of a recording in the object store, from decoding until its task is done.

Blocks are raw int16 samples. A window is read by byte range, so memory does not grow with length,
and an attempt after a crash needs no second decoding.
"""

import asyncio

import numpy as np

from db.errors import NotFound
from db.objects.port import ObjectStore
from serving.speech import SAMPLE_RATE, Pcm

SAMPLE_BYTES = 2


class RecordingAudio:
    """Blocks under one prefix, each `block_seconds` long but the last."""

    def __init__(self, objects: ObjectStore, prefix: str, block_seconds: int) -> None:
        self._objects = objects
        self._prefix = prefix
        self._block_samples = block_seconds * SAMPLE_RATE

    @property
    def prefix(self) -> str:
        """Where all blocks lie."""
        return f"{self._prefix}/"

    def _key(self, index: int) -> str:
        return f"{self._prefix}/{index:05d}.s16"

    async def write(self, index: int, block: Pcm) -> None:
        """Keep a block."""
        await self._objects.put(self._key(index), block.tobytes())

    async def complete(self, seconds: float) -> bool:
        """Whether the last block of a recording this long is there: blocks are written in order."""
        samples = round(seconds * SAMPLE_RATE)
        last = max(0, (samples - 1) // self._block_samples)
        try:
            found = await self._objects.stat(self._key(last))
        except NotFound:
            return False
        return found.size_bytes == (samples - last * self._block_samples) * SAMPLE_BYTES

    async def read(self, start: float, end: float) -> Pcm:
        """The samples between two times."""
        first, last = round(start * SAMPLE_RATE), round(end * SAMPLE_RATE)
        pieces = []
        for index in range(first // self._block_samples, -(-last // self._block_samples)):
            base = index * self._block_samples
            begin = max(first - base, 0)
            length = min(last - base, self._block_samples) - begin
            pieces.append(
                self._objects.get(self._key(index), begin * SAMPLE_BYTES, length * SAMPLE_BYTES)
            )
        data = b"".join(await asyncio.gather(*pieces))
        return np.frombuffer(data, dtype=np.int16)

    async def delete(self) -> None:
        """Drop all blocks."""
        await self._objects.delete_prefix(self.prefix)
