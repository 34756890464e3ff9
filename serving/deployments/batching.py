"""Batches of many callers' requests: formed when the engine is free, run in threads.

Not `@serve.batch`: that one binds a batch before the engine is free, knows neither lanes nor
lengths, fails all items with one, and has hung after cancellations (ADR 25).
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import Context
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import structlog

from serving import busy
from serving.deployments.waiting import BatchRules, Traits, Waiting, WaitingRoom
from serving.speech import LANES

log = structlog.get_logger(__name__)

Item = TypeVar("Item")
Result = TypeVar("Result")

SLOWER_THAN_SLOWEST = 20
"""A batch is stuck only when it takes so many times what the slowest one has taken here."""


@dataclass(frozen=True, slots=True)
class BatchNote:
    """What there is to say of a batch that has ended."""

    items: int
    size: int
    """Places that it had."""
    seconds: float
    """How long the engine took."""
    audio_seconds: float
    """Audio in it."""
    padded_seconds: float
    """Audio in it if all items were as long as the longest."""
    waits: tuple[tuple[str, float], ...]
    """Of each item its lane, and the seconds from its call to the start of its batch."""
    callers: tuple[Any, ...] = ()
    """Of each item whose it is, as `caller` said."""


@dataclass(slots=True)
class LaneWaits:
    """How long items of a lane have waited for their batches."""

    items: int = 0
    seconds: float = 0.0
    longest_seconds: float = 0.0

    def note(self, seconds: float) -> None:
        """One more has waited."""
        self.items += 1
        self.seconds += seconds
        self.longest_seconds = max(self.longest_seconds, seconds)


@dataclass(slots=True)
class BatchCounter:
    """What a replica has done since it started."""

    batches: int = 0
    items: int = 0
    places: int = 0
    busy_seconds: float = 0.0
    slowest_seconds: float = 0.0
    audio_seconds: float = 0.0
    padded_seconds: float = 0.0
    waits: dict[str, LaneWaits] = field(
        default_factory=lambda: {lane: LaneWaits() for lane in LANES}
    )

    def note(self, batch: BatchNote) -> None:
        """A batch has ended."""
        self.batches += 1
        self.items += batch.items
        self.places += batch.size
        self.busy_seconds += batch.seconds
        self.slowest_seconds = max(self.slowest_seconds, batch.seconds)
        self.audio_seconds += batch.audio_seconds
        self.padded_seconds += batch.padded_seconds
        for lane, seconds in batch.waits:
            self.waits[lane].note(seconds)

    def stats(self) -> dict[str, Any]:
        """The same for people and metrics: `fill` and `padding_waste` are shares, 0 to 1."""
        return {
            "batches": self.batches,
            "items": self.items,
            "busy_seconds": self.busy_seconds,
            "slowest_seconds": self.slowest_seconds,
            "audio_seconds": self.audio_seconds,
            "fill": self.items / self.places if self.places else 0.0,
            "padding_waste": 1 - self.audio_seconds / self.padded_seconds
            if self.padded_seconds
            else 0.0,
            "waits": {
                lane: {
                    "items": waits.items,
                    "mean_seconds": waits.seconds / waits.items,
                    "longest_seconds": waits.longest_seconds,
                }
                for lane, waits in self.waits.items()
                if waits.items
            },
        }


def separately(
    work: Callable[[Sequence[Item]], Sequence[Result]], items: Sequence[Item]
) -> list[Result | Exception]:
    """The results of a batch; where it fails as a whole, each item is tried alone.

    The items are different users': one on which the engine breaks must not take the others along.
    """
    try:
        return _all(work, items)
    except Exception as error:
        if len(items) == 1:
            log.exception("engine failed")
            return [error]
    log.warning("batch failed, trying its items alone", items=len(items))
    return [result for item in items for result in separately(work, [item])]


def _all(
    work: Callable[[Sequence[Item]], Sequence[Result]], items: Sequence[Item]
) -> list[Result | Exception]:
    results = work(items)
    if len(results) != len(items):
        raise RuntimeError(f"{len(results)} results of {len(items)} items")
    return [*results]


class EngineThreads:
    """Where the batches of a replica run: all its methods share threads and take turns."""

    def __init__(self, role: str, threads: int, stuck_seconds: float) -> None:
        self.pool = ThreadPoolExecutor(threads, thread_name_prefix=role)
        # Prepares items of the next batch while one runs.
        self.desk = ThreadPoolExecutor(1, thread_name_prefix=f"{role}-desk")
        self.threads = threads
        self.stuck_seconds = stuck_seconds
        self._turns = asyncio.Semaphore(threads)
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def turns(self) -> asyncio.Semaphore:
        """A batch is formed when a thread is free, not before: until then others may join or pass.

        Of the running loop: in-process ports may be used from one after another.
        """
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._loop, self._turns = loop, asyncio.Semaphore(self.threads)
        return self._turns


class Batcher(Generic[Item, Result]):
    """One blocking function over lists, called with single items from many coroutines."""

    def __init__(
        self,
        work: Callable[[Sequence[Item]], Sequence[Result]],
        *,
        threads: EngineThreads,
        rules: BatchRules,
        wait_seconds: float,
        traits: Callable[[Item], Traits] = lambda _: Traits(),
        prepare: Callable[[Item], Item] | None = None,
        on_batch: Callable[[BatchNote], None] | None = None,
        caller: Callable[[], Any] = lambda: None,
    ) -> None:
        self._work = work
        self._threads = threads
        self._rules = rules
        self._wait_seconds = wait_seconds
        self._traits = traits
        self._prepare = prepare
        self._on_batch = on_batch
        self._caller = caller
        self._room = WaitingRoom(rules)
        self._arrived = asyncio.Event()
        self._feeders: set[asyncio.Task[None]] = set()
        self._preparer: asyncio.Task[None] | None = None
        self._running: dict[int, float] = {}
        self.counter = BatchCounter()

    async def __call__(self, item: Item) -> Result:
        """The result of one item; an item that failed alone raises its own error."""
        loop = asyncio.get_running_loop()
        one = Waiting(item, self._traits(item), time.monotonic(), loop.create_future())
        one.caller = self._caller()
        self._room.add(one)
        self._arrived.set()
        if len(self._feeders) < self._threads.threads:
            # In a context of its own: it works for all callers, not for the one that woke it.
            self._feeders.add(loop.create_task(self._feed(), context=Context()))
        if self._prepare is not None and self._preparer is None:
            ahead = self._prepare_ahead(self._prepare)
            self._preparer = loop.create_task(ahead, context=Context())
        try:
            result: Result | Exception = await one.answer
        finally:
            # Whoever goes away leaves the place to others.
            self._room.discard(one)
        busy.note(one.busy_seconds)
        if isinstance(result, Exception):
            raise result
        return result

    async def _feed(self) -> None:
        """Take batches to the engine while anybody waits."""
        try:
            while len(self._room):
                await self._fill()
                async with self._threads.turns:
                    await self._serve(self._room.take())
        finally:
            self._feeders.discard(asyncio.current_task())

    async def _fill(self) -> None:
        """Wait until the next batch is full, or its first item has waited long enough."""
        while (pause := self._pause()) > 0:
            if self._arrived.is_set():
                self._arrived = asyncio.Event()
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._arrived.wait()

    def _pause(self) -> float:
        batch = self._room.next_batch()
        if not batch or self._room.is_full(batch):
            return 0.0
        return batch[0].arrived + self._wait_seconds - time.monotonic()

    async def _prepare_ahead(self, prepare: Callable[[Item], Item]) -> None:
        """Prepare those who wait, one at a time, in the order in which their turn may come."""
        loop = asyncio.get_running_loop()
        try:
            while (one := next((one for one in self._room if one.ready is None), None)) is not None:
                one.ready = loop.run_in_executor(self._threads.desk, _ready, prepare, one.item)
                await asyncio.wait([one.ready])
        finally:
            self._preparer = None

    async def _serve(self, batch: list[Waiting]) -> None:
        """Run a batch and tell its callers."""
        if not batch:
            return
        now = time.monotonic()
        waits = tuple((one.traits.lane, now - one.arrived) for one in batch)
        items = [one.item if one.ready is None else await one.ready for one in batch]
        loop = asyncio.get_running_loop()
        results: Sequence[Result | Exception]
        try:
            results, seconds = await loop.run_in_executor(self._threads.pool, self._measured, items)
        except Exception as error:
            log.exception("batch not run")
            results, seconds = [error] * len(batch), 0.0
        for one, result, share in zip(batch, results, _shares(batch), strict=True):
            one.busy_seconds = share * seconds
            if not one.answer.done():
                one.answer.set_result(result)
        self._note(batch, waits, seconds)

    def _measured(self, items: Sequence[Item]) -> tuple[list[Result | Exception], float]:
        key, started = id(items), time.monotonic()
        self._running[key] = started
        try:
            results = separately(self._work, items)
        finally:
            del self._running[key]
        return results, time.monotonic() - started

    def _note(
        self, batch: Sequence[Waiting], waits: tuple[tuple[str, float], ...], seconds: float
    ) -> None:
        audio = [one.traits.seconds for one in batch]
        full = self._room.is_full(batch)
        places = len(batch) if full else self._rules.size
        note = BatchNote(
            len(batch),
            places,
            seconds,
            sum(audio),
            len(audio) * max(audio),
            waits,
            tuple(one.caller for one in batch),
        )
        self.counter.note(note)
        if self._on_batch is None:
            return
        try:
            self._on_batch(note)
        except Exception:
            # Whoever waits for the next batch must not wait for whoever counts them.
            log.exception("batch not noted")

    def waiting(self) -> dict[str, int]:
        """How many items wait in each lane."""
        return self._room.lengths()

    def check(self) -> None:
        """Raise when a batch is stuck: Serve then replaces the replica, whose calls fail."""
        # Measured: what is stuck for one model on one machine is an ordinary batch elsewhere.
        slowest = self.counter.slowest_seconds
        limit = max(self._threads.stuck_seconds, SLOWER_THAN_SLOWEST * slowest)
        now = time.monotonic()
        if any(now - started > limit for started in list(self._running.values())):
            raise RuntimeError(
                f"a batch has been running for over {limit:.1f} s; the slowest took {slowest:.1f} s"
            )


def _shares(batch: Sequence[Waiting]) -> list[float]:
    """What part of a batch's time each item took: by audio, where there is any."""
    audio = sum(one.traits.seconds for one in batch)
    return [one.traits.seconds / audio if audio else 1 / len(batch) for one in batch]


def _ready(prepare: Callable[[Item], Item], item: Item) -> Item:
    """The item as it was prepared, or as it is: then the engine fails on it, and says why."""
    try:
        return prepare(item)
    except Exception:
        log.exception("not prepared")
        return item
