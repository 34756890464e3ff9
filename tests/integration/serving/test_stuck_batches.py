"""A batch is stuck when it takes far longer than any before: measured, not guessed."""

import asyncio
import threading
import time
from collections.abc import Iterator, Sequence

import pytest

from serving.deployments.batching import SLOWER_THAN_SLOWEST, Batcher, EngineThreads
from serving.deployments.waiting import BatchRules

ENDLESS = -1.0


class Engine:
    """Takes the seconds it is given, or until it is told to stop."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.may_end = threading.Event()

    def __call__(self, items: Sequence[float]) -> Sequence[float]:
        for seconds in items:
            if seconds == ENDLESS:
                self.begun.set()
                self.may_end.wait(10)
            else:
                time.sleep(seconds)
        return items


@pytest.fixture
def engine() -> Iterator[Engine]:
    made = Engine()
    yield made
    made.may_end.set()


def batcher(engine: Engine, stuck_seconds: float) -> Batcher[float, float]:
    return Batcher(
        engine,
        threads=EngineThreads("test", 1, stuck_seconds),
        rules=BatchRules(1),
        wait_seconds=0.0,
    )


async def begin(batches: Batcher[float, float], engine: Engine) -> asyncio.Task:
    """A batch that does not end by itself."""
    endless = asyncio.create_task(batches(ENDLESS))
    assert await asyncio.to_thread(engine.begun.wait, 10)
    return endless


async def test_a_batch_that_does_not_end_is_stuck_after_the_setting(engine):
    batches = batcher(engine, stuck_seconds=0.05)
    endless = await begin(batches, engine)
    await asyncio.sleep(0.06)
    with pytest.raises(RuntimeError, match=r"running for over 0\.1 s; the slowest took 0\.0 s"):
        batches.check()
    engine.may_end.set()
    await endless
    batches.check()


async def test_one_that_is_only_somewhat_slower_than_others_is_not(engine):
    batches = batcher(engine, stuck_seconds=0.001)
    await batches(0.05)
    assert batches.counter.slowest_seconds >= 0.05
    endless = await begin(batches, engine)
    await asyncio.sleep(0.1)
    assert SLOWER_THAN_SLOWEST * batches.counter.slowest_seconds >= 1.0
    batches.check()
    engine.may_end.set()
    await endless


async def test_one_that_takes_far_longer_than_the_slowest_is(engine):
    batches = batcher(engine, stuck_seconds=0.001)
    await batches(0.001)
    endless = await begin(batches, engine)
    await asyncio.sleep(SLOWER_THAN_SLOWEST * batches.counter.slowest_seconds + 0.01)
    with pytest.raises(RuntimeError, match="running for over"):
        batches.check()
    engine.may_end.set()
    await endless


async def test_the_first_batch_has_the_setting_as_its_time(engine):
    batches = batcher(engine, stuck_seconds=120)
    endless = await begin(batches, engine)
    batches.check()
    engine.may_end.set()
    await endless


def test_serve_gives_a_replica_up_after_three_failures():
    from ray.serve._private.constants import REPLICA_HEALTH_CHECK_UNHEALTHY_THRESHOLD

    assert REPLICA_HEALTH_CHECK_UNHEALTHY_THRESHOLD == 3, "adapt HEALTH_CHECK in cluster.resources"
