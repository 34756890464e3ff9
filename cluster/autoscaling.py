"""How many replicas a role should have: arithmetic over what waits, how fast one is, and time.

What waits, in audio seconds, over what a replica does in a second, over the time in which it should
be done. The number that comes of it jumps about; `Steady` follows it up and down without haste.
"""

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

ROUNDING = 1e-9
"""What arithmetic on floats adds must not start a replica."""
NOTES_PER_COOL_DOWN = 10
"""So finely wishes are remembered: finer would follow no sooner."""


@dataclass(frozen=True, slots=True)
class Goal:
    """Within how many seconds what waits in a lane should be done."""

    lane: str
    seconds: float


def rate_needed(waiting: Mapping[str, float], goals: Sequence[Goal]) -> float:
    """Audio seconds per second with which every lane meets its goal; `goals`: better lanes first.

    A lane's work begins when that of all better ones is done.
    """
    rate = before = 0.0
    for goal in goals:
        before += max(0.0, waiting.get(goal.lane, 0.0))
        rate = max(rate, before / goal.seconds)
    return rate


def replicas_for(rate: float, rtfx: float) -> int:
    """As many as do so much audio per second together; `rtfx`: what one does."""
    return max(1, math.ceil(rate / rtfx - ROUNDING)) if rate > 0 else 0


def still_busy(busy: float, current: int, busy_share: float) -> int:
    """How many of `current` replicas must stay so that none is busier than `busy_share`.

    `busy`: how many of them work, on average. Never more than there are: that much work is being
    done says nothing about how much waits.
    """
    return min(current, math.ceil(busy / busy_share - ROUNDING))


def clamp(replicas: int, minimum: int, maximum: int) -> int:
    """The number within its bounds."""
    return max(minimum, min(maximum, replicas))


@dataclass(frozen=True, slots=True)
class CoolDown:
    """How long a wish must last before it is followed, in seconds."""

    up: float
    down: float
    zero: float

    @property
    def longest(self) -> float:
        """Wishes older than this decide nothing."""
        return max(self.up, self.down, self.zero)

    @property
    def step(self) -> float:
        """Wishes that are no further apart are noted as one."""
        waits = [wait for wait in (self.up, self.down, self.zero) if wait > 0]
        return min(waits, default=0.0) / NOTES_PER_COOL_DOWN


@dataclass(slots=True)
class Wish:
    """What was wanted from a moment on, until the next one begins."""

    since: float
    lowest: int
    highest: int


@dataclass(slots=True)
class Steady:
    """Follows a number that jumps: up to what was wanted all the while, down to what sufficed.

    A wish that lasts for less than a cool-down changes nothing, so noise never starts a replica
    that it stops again.
    """

    cool_down: CoolDown
    _wishes: deque[Wish] = field(default_factory=deque)

    def follow(self, now: float, wanted: int, current: int) -> int:
        """How many there should be now, of `current`, where `wanted` would do at this moment."""
        self._note(now, wanted)
        if current == 0 and wanted > 0:
            # Somebody waits, and nothing is there that could be disturbed.
            return wanted
        lately = self._during(now, self.cool_down.up)
        lowest = min((wish.lowest for wish in lately), default=current)
        if lowest > current:
            return lowest
        highest = self._highest(now, self.cool_down.down, current)
        if highest > 0 or current == 0:
            return min(current, highest)
        return 0 if self._highest(now, self.cool_down.zero, 1) == 0 else 1

    def _highest(self, now: float, seconds: float, unknown: int) -> int:
        return max((wish.highest for wish in self._during(now, seconds)), default=unknown)

    def _note(self, now: float, wanted: int) -> None:
        wishes = self._wishes
        if wishes and now - wishes[-1].since < self.cool_down.step:
            latest = wishes[-1]
            latest.lowest, latest.highest = min(latest.lowest, wanted), max(latest.highest, wanted)
            return
        wishes.append(Wish(now, wanted, wanted))
        # The one in which the window begins is needed still.
        while len(wishes) > 1 and wishes[1].since <= now - self.cool_down.longest:
            wishes.popleft()

    def _during(self, now: float, seconds: float) -> Sequence[Wish]:
        """What was wanted in the last `seconds`; empty: it is not known for as long as that."""
        begins = now - seconds
        if self._wishes[0].since > begins + ROUNDING:
            return ()
        latest_before = 0
        for index, wish in enumerate(self._wishes):
            if wish.since <= begins + ROUNDING:
                latest_before = index
        return list(self._wishes)[latest_before:]
