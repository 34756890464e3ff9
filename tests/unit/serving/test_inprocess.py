"""The bridge from blocking decoders to async stages."""

import asyncio
import time
from typing import Any

import pytest

from serving.inprocess import drain


class Decoder:
    """A generator that takes its time, and knows when it was closed."""

    def __init__(self) -> None:
        self.closed = False

    def blocks(self):
        try:
            for number in range(1, 100):
                time.sleep(0.05)
                yield number
        finally:
            self.closed = True


async def test_it_is_closed_when_the_reader_leaves():
    decoder = Decoder()
    stream: Any = drain(decoder.blocks())
    assert await anext(stream) == 1
    await stream.aclose()
    assert decoder.closed


async def test_it_is_closed_when_the_reader_is_cancelled_in_mid_step():
    decoder = Decoder()

    async def read() -> None:
        async for _ in drain(decoder.blocks()):
            pass

    task = asyncio.create_task(read())
    await asyncio.sleep(0.12)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with asyncio.timeout(2):
        while not decoder.closed:
            await asyncio.sleep(0.01)
