"""Places for work that is not batched: never more than there are, the better lane first."""

import asyncio
import random

from hypothesis import given, settings
from hypothesis import strategies as st

from serving.deployments.lane_places import LanePlaces
from serving.speech import BULK, LANES, LIVE


async def test_who_waits_in_a_better_lane_is_next():
    places, order = LanePlaces(1, patience=2), []
    first_may_go = asyncio.Event()

    async def work(name: str, lane: str, until: asyncio.Event | None = None) -> None:
        async with places.take(lane):
            order.append(name)
            if until is not None:
                await until.wait()

    tasks = [asyncio.create_task(work("first", BULK, first_may_go))]
    await asyncio.sleep(0)
    for name, lane in [("bulk", BULK), ("a", LIVE), ("b", LIVE), ("c", LIVE)]:
        tasks.append(asyncio.create_task(work(name, lane)))
        await asyncio.sleep(0)
    first_may_go.set()
    await asyncio.gather(*tasks)
    assert order == ["first", "a", "b", "bulk", "c"]


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), count=st.integers(1, 3))
def test_in_a_storm_of_cancellations_no_place_is_lost_or_made(seed, count):
    rng = random.Random(seed)
    held, most = 0, 0

    async def work(places: LanePlaces) -> None:
        nonlocal held, most
        async with places.take(rng.choice(LANES)):
            held += 1
            most = max(most, held)
            try:
                for _ in range(rng.randrange(4)):
                    await asyncio.sleep(0)
            finally:
                held -= 1

    async def play() -> None:
        places = LanePlaces(count, patience=2)
        tasks = []
        for _ in range(30):
            tasks.append(asyncio.create_task(work(places)))
            for _ in range(rng.randrange(3)):
                await asyncio.sleep(0)
            if rng.random() < 0.4:
                rng.choice(tasks).cancel()
        async with asyncio.timeout(10):
            await asyncio.gather(*tasks, return_exceptions=True)
        assert held == 0
        assert most <= count
        # All places are there again: so many more have them at once.
        async with asyncio.timeout(10):
            await asyncio.gather(*(_hold(places, barrier) for _ in range(count)))

    async def _hold(places: LanePlaces, all_there: asyncio.Barrier) -> None:
        async with places.take(LIVE):
            await all_there.wait()

    barrier = asyncio.Barrier(count)
    asyncio.run(play())
