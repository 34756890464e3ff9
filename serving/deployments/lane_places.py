"""Places in a replica for work that is not batched: the better lane goes first."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from serving.deployments.waiting import BatchRules, Traits, Waiting, WaitingRoom


class LanePlaces:
    """So many at a time; a lane is passed over at most `patience` times in a row."""

    def __init__(self, places: int, patience: int) -> None:
        self._free = places
        self._room = WaitingRoom(BatchRules(1, patience=patience))

    @asynccontextmanager
    async def take(self, lane: str) -> AsyncIterator[None]:
        """Hold a place while the block runs."""
        granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        one = Waiting(None, Traits(lane), answer=granted)
        self._room.add(one)
        self._grant()
        try:
            await granted
            yield
        finally:
            # Granted and cancelled may come in the same turn of the loop: the place is given back.
            if one.ready:
                self._free += 1
            else:
                self._room.discard(one)
            self._grant()

    def _grant(self) -> None:
        while self._free and len(self._room):
            [one] = self._room.take()
            one.ready = True
            self._free -= 1
            if not one.answer.done():
                one.answer.set_result(None)
