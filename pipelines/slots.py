"""Places among the parts (windows, spans) that may be outstanding, handed out fairly.

Serve's routers are first in, first out, so what stands in front of them must not be: of those who
wait for a place, the better lane goes first (a lower one is passed over a bounded number of times
in a row), then the user who holds fewest places, then that user's work that holds fewest. So one
long recording may fill all places while it is alone, and whoever comes has the next that is free.
"""

import asyncio
from collections import Counter, deque
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
    work: Hashable
    number: int
    granted: asyncio.Future[None] = field(default_factory=asyncio.Future)
    holds: bool = False


class FairSlots:
    """So many places, shared fairly among those who ask: users, or addresses."""

    def __init__(self, places: int, lane_patience: int) -> None:
        self._places = places
        self._patience = lane_patience
        self._passed: Mapping[Lane, int] = {}
        self._held: Counter[Hashable] = Counter()
        self._held_by_work: Counter[Hashable] = Counter()
        # By lane, user and work; nothing is kept that is empty.
        self._waiting: dict[Lane, dict[Hashable, dict[Hashable, deque[_Waiter]]]] = {}
        self._numbers = count()

    @property
    def places(self) -> int:
        """How many there are."""
        return self._places

    @property
    def waiting(self) -> int:
        """How many wait for a place."""
        lines = (
            line
            for users in self._waiting.values()
            for works in users.values()
            for line in works.values()
        )
        return sum(map(len, lines))

    def resize(self, places: int) -> None:
        """From now on there are so many; what is held beyond that is not taken away."""
        self._places = places
        self._grant()

    @asynccontextmanager
    async def take(self, who: Hashable, lane: Lane, work: Hashable = None) -> AsyncIterator[None]:
        """Hold a place while the block runs; `work`: which of the user's."""
        waiter = _Waiter(who, lane, work, next(self._numbers))
        self._enter(waiter)
        self._grant()
        try:
            await waiter.granted
            yield
        finally:
            # Granted and cancelled may come in the same turn of the loop: the place is given back.
            if waiter.holds:
                _less(self._held, who)
                _less(self._held_by_work, (who, work))
            else:
                self._leave(waiter)
            self._grant()

    def _enter(self, waiter: _Waiter) -> None:
        works = self._waiting.setdefault(waiter.lane, {}).setdefault(waiter.who, {})
        works.setdefault(waiter.work, deque()).append(waiter)

    def _leave(self, waiter: _Waiter) -> None:
        users = self._waiting[waiter.lane]
        works = users[waiter.who]
        works[waiter.work].remove(waiter)
        if not works[waiter.work]:
            del works[waiter.work]
        if not works:
            del users[waiter.who]
        if not users:
            del self._waiting[waiter.lane]

    def _grant(self) -> None:
        while self._waiting and self._held.total() < self._places:
            lane, self._passed = lane_in_turn(self._waiting, self._passed, self._patience)
            waiter = self._next(lane)
            self._leave(waiter)
            waiter.holds = True
            self._held[waiter.who] += 1
            self._held_by_work[waiter.who, waiter.work] += 1
            if not waiter.granted.done():
                waiter.granted.set_result(None)

    def _next(self, lane: Lane) -> _Waiter:
        users = self._waiting[lane]
        works = min(
            users.items(),
            key=lambda user: (
                self._held[user[0]],
                min(line[0].number for line in user[1].values()),
            ),
        )[1]
        return min(
            (line[0] for line in works.values()),
            key=lambda first: (self._held_by_work[first.who, first.work], first.number),
        )


def _less(counter: Counter[Hashable], key: Hashable) -> None:
    """One fewer; who has none is forgotten."""
    counter[key] -= 1
    if not counter[key]:
        del counter[key]
