"""Batches in a replica: every call is answered once, whatever others do at the same time."""

import asyncio
import random
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.deployments.batching import Batcher, BatchNote, EngineThreads
from serving.deployments.waiting import BatchRules, Traits
from serving.speech import BULK, LANES, LIVE

POISON = 13


class Engine:
    """Doubles numbers; breaks on 13; writes down its batches; can be held back."""

    def __init__(self, *, held: bool = False, seconds: float = 0.0) -> None:
        self.batches: list[list[int]] = []
        self.begun, self.may_go = threading.Event(), threading.Event()
        self._seconds = seconds
        if not held:
            self.may_go.set()

    def __call__(self, items: Sequence[int]) -> list[int]:
        self.batches.append(list(items))
        self.begun.set()
        assert self.may_go.wait(10)
        time.sleep(self._seconds)
        if POISON in items:
            raise ValueError("the engine breaks on 13")
        return [2 * item for item in items]


def batcher(
    engine: Callable[[Sequence[Any]], Sequence[Any]],
    lane: Callable[[Any], str] = lambda _: LIVE,
    *,
    size: int = 4,
    wait_seconds: float = 0.0,
    threads: EngineThreads | None = None,
    **more: Any,
) -> Batcher[Any, Any]:
    return Batcher(
        engine,
        threads=threads or EngineThreads("test", 1, 120),
        rules=BatchRules(size),
        wait_seconds=wait_seconds,
        traits=lambda item: Traits(lane(item), seconds=1.0),
        **more,
    )


def bulk_from_100(item: int) -> str:
    return BULK if item >= 100 else LIVE


async def begun(engine: Engine) -> None:
    assert await asyncio.to_thread(engine.begun.wait, 10)


async def all_quiet(batches: Batcher[Any, Any]) -> None:
    """Until nothing of it runs or waits."""
    async with asyncio.timeout(10):
        while batches._feeders or batches._running:
            await asyncio.sleep(0.001)


STORM = st.lists(
    st.tuples(
        st.sampled_from(LANES),
        st.sampled_from(["stay", "leave at once", "leave later"]),
        st.integers(0, 3),
    ),
    min_size=1,
    max_size=40,
)
"""Callers: their lanes, whether and when they go away, and how long after the one before."""


@settings(max_examples=40, deadline=None)
@given(storm=STORM, size=st.integers(1, 5), wait=st.sampled_from([0.0, 0.002]))
def test_in_a_storm_of_cancellations_who_stays_is_answered(storm, size, wait):
    engine = Engine(seconds=0.0005)

    async def play() -> tuple[list[Any], Batcher[Any, Any]]:
        lanes = {number: lane for number, (lane, _, _) in enumerate(storm)}
        batches = batcher(engine, lanes.__getitem__, size=size, wait_seconds=wait)
        calls = []
        for number, (_, conduct, pause) in enumerate(storm):
            calls.append(asyncio.create_task(batches(number)))
            for _ in range(pause):
                await asyncio.sleep(0)
            if conduct == "leave at once":
                calls[-1].cancel()
        await asyncio.sleep(0.001)
        for call, (_, conduct, _) in zip(calls, storm, strict=True):
            if conduct == "leave later":
                call.cancel()
        async with asyncio.timeout(20):
            results = await asyncio.gather(*calls, return_exceptions=True)
            await all_quiet(batches)
        return results, batches

    results, batches = asyncio.run(play())
    for number, (result, (_, conduct, _)) in enumerate(zip(results, storm, strict=True)):
        if conduct == "stay" and number == POISON:
            assert isinstance(result, ValueError)
        elif conduct == "stay":
            assert result == 2 * number
        else:
            assert isinstance(result, ValueError | asyncio.CancelledError) or result == 2 * number
    assert all(len(batch) <= size for batch in engine.batches)
    worked = [item for batch in engine.batches for item in batch if POISON not in batch]
    # Those of a batch that broke are tried once more, alone.
    assert len(worked) == len(set(worked))
    assert sum(batches.waiting().values()) == 0


async def test_one_that_breaks_the_engine_fails_alone():
    engine = Engine()
    batches = batcher(engine)
    results = await asyncio.gather(*map(batches, [1, POISON, 3]), return_exceptions=True)
    assert (results[0], results[2]) == (2, 6)
    assert isinstance(results[1], ValueError)
    assert engine.batches == [[1, POISON, 3], [1], [POISON], [3]]


async def test_an_engine_that_forgets_an_answer_is_broken_for_that_batch_alone():
    batches = batcher(lambda items: [item for item in items if item != POISON])
    results = await asyncio.gather(*map(batches, [1, POISON, 3]), return_exceptions=True)
    assert (results[0], results[2]) == (1, 3)
    assert isinstance(results[1], RuntimeError)


async def test_even_an_odd_exception_is_an_answer():
    def odd(items):
        raise StopIteration

    with pytest.raises(RuntimeError):
        await asyncio.wait_for(batcher(odd)(1), 10)


async def test_a_batch_is_formed_when_the_engine_is_free_and_not_before():
    engine = Engine(held=True)
    batches = batcher(engine, bulk_from_100, size=2)
    calls = [asyncio.create_task(batches(number)) for number in (100, 101, 102, 103)]
    await begun(engine)
    # Who comes now, in a better lane, is in the next batch, although others wait for long.
    calls.append(asyncio.create_task(batches(1)))
    await asyncio.sleep(0)
    assert batches.waiting() == {LIVE: 1, "interactive": 0, BULK: 2}
    engine.may_go.set()
    await asyncio.gather(*calls)
    assert engine.batches == [[100, 101], [1, 102], [103]]


async def test_a_free_engine_waits_for_companions_only_so_long():
    engine = Engine()
    batches = batcher(engine, size=3, wait_seconds=0.05)
    first = asyncio.create_task(batches(1))
    await asyncio.sleep(0.005)
    await asyncio.gather(first, batches(2))
    assert engine.batches == [[1, 2]]
    # A full batch does not wait.
    batches = batcher(engine, size=3, wait_seconds=60)
    await asyncio.wait_for(asyncio.gather(*map(batches, [1, 2, 3])), 10)


async def test_methods_of_a_replica_take_turns_in_its_engine():
    busy = threading.Lock()

    def work(items: Sequence[int]) -> Sequence[int]:
        assert busy.acquire(blocking=False), "two batches at a time in one engine"
        time.sleep(0.001)
        busy.release()
        return items

    threads = EngineThreads("test", 1, 120)
    one, other = (batcher(work, size=2, threads=threads) for _ in range(2))
    numbers = list(range(30))
    results = await asyncio.gather(*map(one, numbers), *map(other, numbers))
    assert results == numbers * 2


async def test_items_are_prepared_while_another_batch_runs():
    engine = Engine(held=True)
    prepared: list[int] = []
    made = threading.Event()

    def prepare(item: int) -> int:
        prepared.append(item)
        if len(prepared) == 2:
            made.set()
        return item + 1000

    batches = batcher(engine, size=1, prepare=prepare)
    calls = [asyncio.create_task(batches(number)) for number in (1, 2, 3)]
    await begun(engine)
    assert await asyncio.to_thread(made.wait, 10)
    engine.may_go.set()
    # The first found a free engine, which does without.
    assert await asyncio.gather(*calls) == [2, 2 * 1002, 2 * 1003]
    assert prepared == [2, 3]


async def test_what_cannot_be_prepared_fails_in_the_engine_and_alone():
    engine = Engine()

    def prepare(item: int) -> int:
        if item == POISON:
            raise KeyError(item)
        return item

    batches = batcher(engine, size=3, wait_seconds=0.05, prepare=prepare)
    results = await asyncio.gather(*map(batches, [1, POISON]), return_exceptions=True)
    assert results[0] == 2
    assert isinstance(results[1], ValueError)


async def test_an_item_that_cannot_be_described_fails_alone():
    def lane(item: Any) -> str:
        return {1: LIVE, 2: "slow"}[item]

    batches = batcher(Engine(), lane)
    results = await asyncio.gather(*map(batches, [1, 2, 3]), return_exceptions=True)
    assert results[0] == 2
    assert [type(error) for error in results[1:]] == [ValueError, KeyError]


async def test_it_is_counted_what_batches_were():
    notes: list[BatchNote] = []
    engine = Engine(held=True)
    batches = Batcher(
        engine,
        threads=EngineThreads("test", 1, 120),
        rules=BatchRules(4),
        wait_seconds=0.0,
        traits=lambda item: Traits(bulk_from_100(item), seconds=10.0 * item),
        on_batch=notes.append,
    )
    calls = [asyncio.create_task(batches(number)) for number in (1, 2, 3)]
    await begun(engine)
    calls += [asyncio.create_task(batches(number)) for number in (1, 100)]
    await asyncio.sleep(0.01)
    engine.may_go.set()
    await asyncio.gather(*calls)
    await all_quiet(batches)
    assert [(note.items, note.size, note.audio_seconds) for note in notes] == [
        (3, 4, 60.0),
        (2, 4, 1010.0),
    ]
    assert [note.padded_seconds for note in notes] == [90.0, 2000.0]
    stats = batches.counter.stats()
    assert (stats["batches"], stats["items"], stats["fill"]) == (2, 5, 5 / 8)
    assert stats["padding_waste"] == pytest.approx(1 - 1070 / 2090)
    assert {lane: waits["items"] for lane, waits in stats["waits"].items()} == {LIVE: 4, BULK: 1}
    assert stats["waits"][BULK]["longest_seconds"] >= 0.01


def test_it_may_be_used_from_one_loop_after_another():
    batches = batcher(Engine(), size=2, wait_seconds=0.001)

    async def use() -> list[int]:
        return await asyncio.gather(*map(batches, range(12)))

    wanted = [2 * number for number in range(12)]
    assert asyncio.run(use()) == wanted
    assert asyncio.run(use()) == wanted


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), threads=st.integers(1, 3))
def test_many_callers_with_several_threads(seed, threads):
    rng = random.Random(seed)
    engine = Engine(seconds=0.0002)

    async def caller(batches: Batcher[Any, Any], number: int) -> None:
        for _ in range(5):
            await asyncio.sleep(rng.random() * 0.003)
            item = rng.choice([n for n in range(200) if n != POISON])
            assert await batches(item) == 2 * item, number

    async def play() -> None:
        batches = batcher(
            engine,
            bulk_from_100,
            size=3,
            wait_seconds=0.001,
            threads=EngineThreads("test", threads, 120),
        )
        async with asyncio.timeout(30):
            await asyncio.gather(*(caller(batches, number) for number in range(8)))
            await all_quiet(batches)
        assert batches.counter.items == 40

    asyncio.run(play())
