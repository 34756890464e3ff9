"""Places among the parts (windows, spans) that may be outstanding, handed out fairly.

Serve's routers are first in, first out, so what stands in front of them must not be: of those who
wait for a place, the better lane goes first (a lower one is passed over a bounded number of times
in a row), then the user who holds fewest places.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Hashable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count

from db.models import Lane
from pipelines.schedule import lane_in_turn


@dataclass(slots=True, eq=False)
class _Waiter:
    """Somebody who waits for a place."""

    who: Hashable
    lane: Lane
    number: int
    granted: asyncio.Future[None] = field(default_factory=asyncio.Future)


class FairSlots:
    """So many places, shared fairly among those who ask: users, or addresses."""

    def __init__(self, places: int, lane_patience: int) -> None:
        self._free = places
        self._patience = lane_patience
        self._passed: Mapping[Lane, int] = {}
        self._held: Counter[Hashable] = Counter()
        self._waiting: list[_Waiter] = []
        self._numbers = count()

    @asynccontextmanager
    async def take(self, who: Hashable, lane: Lane) -> AsyncIterator[None]:
        """Hold a place while the block runs."""
        waiter = _Waiter(who, lane, next(self._numbers))
        self._waiting.append(waiter)
        self._grant()
        try:
            await waiter.granted
            yield
        finally:
            # Granted and cancelled may come in the same turn of the loop: the place is given back.
            if waiter in self._waiting:
                self._waiting.remove(waiter)
            else:
                self._held[who] -= 1
                self._free += 1
            self._grant()

    def _grant(self) -> None:
        while self._free and self._waiting:
            waiting = {waiter.lane for waiter in self._waiting}
            lane, self._passed = lane_in_turn(waiting, self._passed, self._patience)
            waiter = min(
                (one for one in self._waiting if one.lane is lane),
                key=lambda one: (self._held[one.who], one.number),
            )
            self._waiting.remove(waiter)
            self._free -= 1
            self._held[waiter.who] += 1
            if not waiter.granted.done():
                waiter.granted.set_result(None)
