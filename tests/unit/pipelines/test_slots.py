"""Places are never lost or handed out twice, and go to the better lane, then to who holds least."""

import asyncio
import uuid
from collections import Counter
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.models import Lane
from pipelines.schedule import LANES
from pipelines.slots import FairSlots

PATIENCE = 1000
USERS = [uuid.UUID(int=number) for number in range(4)]


@dataclass(eq=False)
class Part:
    """Somebody who wants a place, and holds it until told to let go."""

    user: uuid.UUID
    lane: Lane
    work: int = 0
    let_go: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] = field(init=False)


@dataclass
class Scene:
    """Who waits and who holds, kept apart from what FairSlots believes."""

    slots: FairSlots
    places: int
    waiting: list[Part] = field(default_factory=list)
    holding: list[Part] = field(default_factory=list)
    granted: list[Part] = field(default_factory=list)

    async def run(self, part: Part) -> None:
        self.waiting.append(part)
        try:
            async with self.slots.take(part.user, part.lane, part.work):
                self.waiting.remove(part)
                self.holding.append(part)
                self.granted.append(part)
                assert len(self.holding) <= self.places
                try:
                    await part.let_go.wait()
                finally:
                    self.holding.remove(part)
        finally:
            if part in self.waiting:
                self.waiting.remove(part)

    def enter(self, user: int, lane: Lane, work: int = 0) -> Part:
        part = Part(USERS[user], lane, work)
        part.task = asyncio.get_running_loop().create_task(self.run(part))
        return part


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def all_places_are_free(scene: Scene) -> None:
    """As many as there were, and no more, can be had at once."""
    parts = [scene.enter(0, Lane.bulk) for _ in range(scene.places + 1)]
    await settle()
    assert len(scene.holding) == scene.places
    for part in parts:
        part.let_go.set()
    await asyncio.gather(*(part.task for part in parts))
    assert not scene.holding
    assert not scene.waiting


# What happens, to whom, in which lane, and whether the loop turns afterwards.
MOVES = st.lists(
    st.tuples(
        st.sampled_from(["enter", "enter", "let go", "cancel"]),
        st.integers(0, 3),
        st.sampled_from(LANES),
        st.booleans(),
    ),
    min_size=6,
    max_size=30,
)


@given(MOVES, st.integers(1, 3))
def test_places_are_neither_lost_nor_doubled_whatever_is_cancelled_when(moves, places):
    """Turns of the loop come anywhere between: also between a grant and a cancellation."""

    async def play() -> None:
        scene, parts = Scene(FairSlots(places, PATIENCE), places), []
        for move, number, lane, turns in moves:
            if move == "enter":
                parts.append(scene.enter(number, lane))
            elif parts:
                # One of the latest: they may still wait.
                part = parts[-1 - number % len(parts)]
                part.let_go.set() if move == "let go" else part.task.cancel()
            if turns:
                await asyncio.sleep(0)
        await settle()
        # Nobody waits while a place is free.
        assert not scene.waiting or len(scene.holding) == places
        for part in parts:
            part.let_go.set()
        for _ in parts:
            await settle()
        assert all(part.task.done() for part in parts), "somebody waits for a place for ever"
        ended = await asyncio.gather(*(part.task for part in parts), return_exceptions=True)
        assert not [it for it in ended if it and not isinstance(it, asyncio.CancelledError)]
        for part, end in zip(parts, ended, strict=True):
            assert end is not None or part in scene.granted
        await all_places_are_free(scene)

    asyncio.run(play())


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.sampled_from(LANES), st.integers(0, 2)),
        min_size=1,
        max_size=30,
    ),
    st.integers(1, 4),
    st.randoms(use_true_random=False),
)
def test_the_better_lane_goes_first_then_who_holds_least_then_their_work_that_holds_least(
    comers, places, random
):
    async def play() -> None:
        scene = Scene(FairSlots(places, PATIENCE), places)
        parts = [scene.enter(*comer) for comer in comers]
        await settle()
        while scene.waiting:
            leaving = random.choice(scene.holding)
            left = [part for part in scene.holding if part is not leaving]
            expected = next_of(scene.waiting, left, parts)
            leaving.let_go.set()
            await settle()
            assert scene.granted[-1] is expected
        for part in parts:
            part.let_go.set()
        await asyncio.gather(*(part.task for part in parts))
        # Everybody had a place.
        assert len(scene.granted) == len(comers)

    asyncio.run(play())


def next_of(waiting: list[Part], holding: list[Part], parts: list[Part]) -> Part:
    """Whose turn it is: of the best lane, of the user who holds least, of the work that does."""
    best = min(LANES.index(part.lane) for part in waiting)
    here = [part for part in waiting if LANES.index(part.lane) == best]
    held = Counter(part.user for part in holding)
    user = min(here, key=lambda part: (held[part.user], parts.index(part))).user
    works = Counter((part.user, part.work) for part in holding)
    return min(
        (part for part in here if part.user == user),
        key=lambda part: (works[part.user, part.work], parts.index(part)),
    )


def test_one_work_has_all_places_while_it_is_alone_and_another_has_the_next_that_is_free():
    async def play() -> None:
        scene = Scene(FairSlots(4, PATIENCE), 4)
        long = [scene.enter(0, Lane.interactive, work=0) for _ in range(20)]
        await settle()
        assert len(scene.holding) == 4
        others = [scene.enter(0, Lane.interactive, work=1), scene.enter(1, Lane.interactive)]
        for _ in range(2):
            scene.holding[0].let_go.set()
            await settle()
        assert set(scene.granted[4:]) == set(others)
        for part in [*long, *others]:
            part.let_go.set()
        await asyncio.gather(*(part.task for part in [*long, *others]))

    asyncio.run(play())


@given(st.lists(st.tuples(st.integers(1, 6), st.integers(0, 3)), min_size=1, max_size=20))
def test_places_that_are_added_are_had_at_once_and_none_is_taken_away(changes):
    async def play() -> None:
        scene = Scene(FairSlots(1, PATIENCE), 6)
        parts = [scene.enter(number % 4, Lane.live, number % 3) for number in range(60)]
        await settle()
        for places, leaving in changes:
            before = len(scene.holding)
            scene.slots.resize(places)
            await settle()
            assert len(scene.holding) == max(before, places)
            for part in scene.holding[:leaving]:
                part.let_go.set()
            await settle()
            assert len(scene.holding) == max(places, max(before, places) - leaving)
        for part in parts:
            part.let_go.set()
        await asyncio.gather(*(part.task for part in parts))

    asyncio.run(play())


def test_who_is_cancelled_in_the_turn_of_the_grant_gives_the_place_back():
    async def play() -> None:
        scene = Scene(FairSlots(1, PATIENCE), 1)
        first = scene.enter(0, Lane.live)
        second, third = scene.enter(1, Lane.live), scene.enter(2, Lane.live)
        await settle()
        first.let_go.set()
        # The place is granted to the second at the first's next step, before it can run.
        while second.task.done() or first in scene.holding:
            await asyncio.sleep(0)
        second.task.cancel()
        await settle()
        assert scene.holding == [third]
        assert second not in scene.granted
        third.let_go.set()
        await third.task
        await all_places_are_free(scene)

    asyncio.run(play())


@pytest.mark.parametrize("first_to_act", ["let go", "cancel"])
def test_who_is_cancelled_as_a_place_becomes_free_leaves_it_to_the_next(first_to_act):
    async def play() -> None:
        scene = Scene(FairSlots(1, PATIENCE), 1)
        first, second, third = (scene.enter(user, Lane.live) for user in range(3))
        await settle()
        if first_to_act == "let go":
            first.let_go.set()
            second.task.cancel()
        else:
            second.task.cancel()
            first.let_go.set()
        await settle()
        assert scene.holding == [third]
        third.let_go.set()
        await third.task
        await all_places_are_free(scene)

    asyncio.run(play())


def test_a_block_that_fails_gives_its_place_back():
    async def play() -> None:
        slots = FairSlots(1, PATIENCE)
        for _ in range(3):
            with pytest.raises(ZeroDivisionError):
                async with slots.take(USERS[0], Lane.live):
                    _ = 1 / 0
        async with asyncio.timeout(1), slots.take(USERS[1], Lane.bulk):
            pass

    asyncio.run(play())


@given(st.integers(1, 5), st.integers(1, 3))
def test_a_lower_lane_is_passed_over_a_bounded_number_of_times(patience, places):
    async def play() -> None:
        scene = Scene(FairSlots(places, patience), places)
        bulk = scene.enter(0, Lane.bulk)
        parts = [scene.enter(1, Lane.live) for _ in range(places + patience + 5)]
        await settle()
        # The first comers find free places, bulk among them.
        assert bulk in scene.holding
        late = scene.enter(0, Lane.bulk)
        await settle()
        for _ in range(patience):
            scene.holding[-1].let_go.set()
            await settle()
            assert late not in scene.holding
        scene.holding[-1].let_go.set()
        await settle()
        assert late in scene.holding
        for part in [bulk, late, *parts]:
            part.let_go.set()
        await asyncio.gather(*(part.task for part in [bulk, late, *parts]))

    asyncio.run(play())
