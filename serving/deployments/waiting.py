"""Requests that wait for a model, by lane: which of them are the next batch. No clock, no loop."""

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from serving.speech import LANES, LIVE


@dataclass(frozen=True, slots=True)
class Traits:
    """What a batch is formed by."""

    lane: str = LIVE
    """One of LANES."""
    group: Hashable = None
    """Only requests of one group share a batch."""
    seconds: float = 0.0
    """Audio, of which a batch may hold so much."""
    length: int = 0
    """How long it is expected to take among others of its group, in coarse steps."""


@dataclass(slots=True, eq=False)
class Waiting:
    """One request that waits."""

    item: Any
    traits: Traits
    arrived: float = 0.0
    answer: Any = None
    """Where its caller waits for the result."""
    ready: Any = None
    """What is being made of the item ahead of its batch, if anything."""
    caller: Any = None
    """Whose it is: for metrics and traces."""
    busy_seconds: float = 0.0
    """Its share of the time that its batch took."""


@dataclass(frozen=True, slots=True)
class BatchRules:
    """The operator's choices."""

    size: int
    """Most requests in a batch."""
    max_seconds: float | None = None
    """Most audio in a batch of more than one request; None: no matter."""
    shared: int | None = None
    """Up to how many requests a batch is filled from other lanes than its leader's; None: all."""
    patience: int = 4
    """How many batches in a row may pass over a lane in which somebody waits."""


@dataclass(slots=True)
class WaitingRoom:
    """Who waits, and whose turn it is.

    The better lane goes first; one that was passed over too often is next. The oldest request of
    that lane leads the batch; of its lane those join that are nearest to it in length, since a
    batch takes as long as its longest (docs/benchmarks.md); of other lanes, none that is longer.
    Requests of one lane, group and length keep their order.
    """

    rules: BatchRules
    _lanes: dict[str, list[Waiting]] = field(
        default_factory=lambda: {lane: [] for lane in LANES}, init=False
    )
    _passed: dict[str, int] = field(default_factory=lambda: dict.fromkeys(LANES, 0), init=False)

    def __len__(self) -> int:
        return sum(map(len, self._lanes.values()))

    def __iter__(self) -> Iterator[Waiting]:
        """Better lanes first, older requests first."""
        for waiting in self._lanes.values():
            yield from waiting

    def lengths(self) -> dict[str, int]:
        """How many wait in each lane."""
        return {lane: len(waiting) for lane, waiting in self._lanes.items()}

    def add(self, one: Waiting) -> None:
        """Let one more wait; raise ValueError where there is no such lane."""
        if one.traits.lane not in self._lanes:
            raise ValueError(f"no lane {one.traits.lane!r}: one of {', '.join(LANES)}")
        self._lanes[one.traits.lane].append(one)

    def discard(self, one: Waiting) -> None:
        """Do not let it wait any more; it may have left before."""
        lane = self._lanes[one.traits.lane]
        if one in lane:
            lane.remove(one)

    def next_batch(self) -> list[Waiting]:
        """The next batch, its leader first; all stay."""
        if not len(self):
            return []
        leader = self._lanes[self._lane_in_turn()][0]
        batch = [leader]
        for one in self._companions(leader):
            if self.is_full(batch) or not self._fits(one, batch):
                break
            if one.traits.lane == leader.traits.lane or len(batch) < self._shared:
                batch.append(one)
        return batch

    def is_full(self, batch: Sequence[Waiting]) -> bool:
        """Whether nobody else could join."""
        most = self.rules.max_seconds
        return len(batch) >= self.rules.size or (most is not None and _seconds(batch) >= most)

    def take(self) -> list[Waiting]:
        """The next batch; it leaves."""
        batch = self.next_batch()
        if not batch:
            return []
        oldest = {lane: waiting[0] for lane, waiting in self._lanes.items() if waiting}
        for one in batch:
            self.discard(one)
        led = LANES.index(batch[0].traits.lane)
        for lane in LANES:
            if lane not in oldest or oldest[lane] in batch:
                self._passed[lane] = 0
            elif LANES.index(lane) > led:
                self._passed[lane] += 1
        return batch

    @property
    def _shared(self) -> int:
        return self.rules.size if self.rules.shared is None else self.rules.shared

    def _lane_in_turn(self) -> str:
        waiting = [lane for lane in LANES if self._lanes[lane]]
        impatient = [lane for lane in waiting if self._passed[lane] >= self.rules.patience]
        return (impatient or waiting)[0]

    def _companions(self, leader: Waiting) -> Iterator[Waiting]:
        """Who may join, in the order in which they do: lane by lane, the nearest in length."""
        own = leader.traits

        def distance(one: Waiting) -> tuple[int, bool]:
            return abs(one.traits.length - own.length), one.traits.length > own.length

        for lane in LANES:
            joining = (
                one
                for one in self._lanes[lane]
                if one is not leader
                and one.traits.group == own.group
                and (lane == own.lane or one.traits.length <= own.length)
            )
            yield from sorted(joining, key=distance)

    def _fits(self, one: Waiting, batch: Sequence[Waiting]) -> bool:
        most = self.rules.max_seconds
        return most is None or _seconds(batch) + one.traits.seconds <= most


def _seconds(batch: Sequence[Waiting]) -> float:
    return sum(one.traits.seconds for one in batch)
