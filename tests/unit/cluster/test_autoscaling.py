"""The number of replicas: as many as the goals ask for, and steady under noise."""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.autoscaling import (
    CoolDown,
    Goal,
    Steady,
    clamp,
    rate_needed,
    replicas_for,
    still_busy,
)

GOALS = (Goal("live", 60), Goal("interactive", 600), Goal("bulk", 14400))
COOL_DOWN = CoolDown(up=30, down=300, zero=900)

seconds = st.integers(0, 10**10).map(lambda milliseconds: milliseconds / 1000)
backlogs = st.fixed_dictionaries({goal.lane: seconds for goal in GOALS})
speeds = st.floats(0.1, 1000)
counts = st.integers(0, 64)


# How many are needed


@given(backlogs, backlogs, speeds)
def test_more_work_never_needs_fewer(some, more, rtfx):
    both = {lane: some[lane] + more[lane] for lane in some}
    needed = replicas_for(rate_needed(some, GOALS), rtfx)
    assert replicas_for(rate_needed(both, GOALS), rtfx) >= needed


@given(backlogs, speeds, st.floats(1, 10))
def test_faster_replicas_are_never_more(waiting, rtfx, faster):
    rate = rate_needed(waiting, GOALS)
    assert replicas_for(rate, rtfx * faster) <= replicas_for(rate, rtfx)


@given(backlogs, speeds)
def test_so_many_meet_every_goal_and_no_more_than_that(waiting, rtfx):
    exact = rate_needed(waiting, GOALS) / rtfx
    needed = replicas_for(rate_needed(waiting, GOALS), rtfx)

    def meets(replicas: int) -> bool:
        before = 0.0
        for goal in GOALS:
            before += waiting[goal.lane]
            if before > replicas * rtfx * goal.seconds * (1 + 1e-6):
                return False
        return True

    assert meets(needed)
    assert needed < exact + 1


@given(backlogs)
def test_a_better_lane_is_not_kept_waiting_by_the_goal_of_a_worse(waiting):
    alone = {**dict.fromkeys(waiting, 0.0), "live": waiting["live"]}
    assert rate_needed(waiting, GOALS) >= rate_needed(alone, GOALS)


def test_nothing_to_do_needs_nobody():
    assert replicas_for(rate_needed({}, GOALS), 40) == 0


def test_an_hour_in_bulk_at_forty_times_real_time_needs_one():
    assert replicas_for(rate_needed({"bulk": 3600}, GOALS), 40) == 1


def test_a_hundred_hours_in_ten_minutes_need_fifteen():
    assert replicas_for(rate_needed({"interactive": 360_000}, GOALS), 40) == 15


@given(st.floats(0, 64), counts, st.floats(0.1, 1))
def test_being_busy_starts_nobody(busy, current, share):
    assert 0 <= still_busy(busy, current, share) <= current


@given(st.integers(1, 64), st.floats(0.5, 1))
def test_who_stays_is_not_busier_than_the_share(current, share):
    busy = current * 0.8
    kept = still_busy(busy, current, share)
    assert kept == current or busy <= kept * share + 1e-6


@given(counts, st.integers(0, 10), st.integers(0, 10))
def test_bounds_hold(wanted, low, more):
    assert low <= clamp(wanted, low, low + more) <= low + more


# How it is followed


def always(wanted: int) -> Callable[[float], int]:
    return lambda _: wanted


@dataclass
class World:
    """Time, a wish, and what became of it."""

    steady: Steady = field(default_factory=lambda: Steady(COOL_DOWN))
    current: int = 1
    now: float = 0.0
    seen: list[int] = field(default_factory=list)

    def want(self, wanted: Callable[[float], int], seconds: float, step: float = 1.0) -> None:
        end = self.now + seconds
        while self.now < end:
            self.current = self.steady.follow(self.now, wanted(self.now), self.current)
            self.seen.append(self.current)
            self.now += step

    @property
    def turns(self) -> int:
        """How often the number changed its direction."""
        ways = [after > before for before, after in pairwise(self.seen) if after != before]
        return sum(one != other for one, other in pairwise(ways))


@settings(max_examples=25)
@given(st.lists(st.integers(2, 9), min_size=1, max_size=29), st.integers(1, 9))
def test_noise_that_is_shorter_than_the_cool_downs_changes_nothing_twice(noise, current):
    world = World(current=current)
    world.want(lambda now: noise[int(now) % len(noise)], 1500)
    assert world.turns == 0
    # Between what was wanted all the while and what always sufficed.
    assert min(noise) <= world.current <= max(*noise, current)


@settings(max_examples=25)
@given(st.lists(counts, min_size=1, max_size=30), counts)
def test_it_never_leaves_what_was_wanted(wishes, current):
    world = World(current=current)
    for wish in wishes:
        world.want(always(wish), 40)
        assert min([*wishes, current]) <= world.current <= max([*wishes, current])


def test_a_lasting_wish_is_followed_up_after_its_cool_down():
    world = World()
    world.want(lambda _: 4, 29)
    assert world.current == 1
    world.want(lambda _: 4, 5)
    assert world.current == 4


def test_down_is_slower_than_up():
    world = World(current=4)
    world.want(lambda _: 4, 60)
    world.want(lambda _: 1, 290)
    assert world.current == 4
    world.want(lambda _: 1, 60)
    assert world.current == 1


def test_a_peak_within_the_cool_down_keeps_what_is_there():
    world = World(current=4)
    world.want(lambda now: 4 if now % 250 == 0 else 1, 2000)
    assert world.current == 4


def test_the_last_one_goes_late():
    world = World(current=3)
    world.want(lambda _: 3, 60)
    world.want(lambda _: 0, 400)
    assert world.current == 1
    world.want(lambda _: 0, 600)
    assert world.current == 0


def test_from_nothing_it_comes_at_once():
    world = World(current=0)
    world.want(lambda _: 0, 2000)
    world.want(lambda _: 2, 1)
    assert world.current == 2


def test_what_was_forgotten_decides_nothing():
    # A controller that was started anew knows no wishes: it lets things be for a while.
    world = World(current=5)
    world.want(lambda _: 1, 250)
    assert world.current == 5


# Both together, with work that arrives


@dataclass
class Plant:
    """Replicas that take a while to start and then work off what arrives."""

    rtfx: float = 40.0
    start_seconds: float = 20.0
    backlog: float = 0.0
    ready: list[float] = field(default_factory=lambda: [0.0])
    world: World = field(default_factory=World)

    def run(self, arrives: Callable[[float], float], seconds: float) -> None:
        for _ in range(int(seconds)):
            now = self.world.now
            working = sum(at <= now for at in self.ready)
            done = min(self.backlog, working * self.rtfx)
            self.backlog += arrives(now) - done
            rate = rate_needed({"interactive": self.backlog}, GOALS)
            busy = still_busy(done / self.rtfx, self.world.current, 0.9)
            wanted = clamp(max(replicas_for(rate, self.rtfx), busy), 1, 16)
            self.world.want(always(wanted), 1)
            self.ready = self.ready[: self.world.current]
            missing = self.world.current - len(self.ready)
            self.ready += [now + self.start_seconds] * missing


def test_a_steady_stream_between_two_numbers_does_not_flap():
    plant = Plant()
    plant.run(lambda _: 3.5 * plant.rtfx, 6 * 3600)
    late = plant.world.seen[2 * 3600 :]
    assert set(late) == {4}
    assert plant.backlog <= 4 * plant.rtfx * 600


def test_a_step_up_is_met_in_time_and_a_step_down_is_followed():
    plant = Plant()
    plant.run(lambda _: 0.5 * plant.rtfx, 3600)
    assert plant.world.current == 1
    plant.backlog += 8 * plant.rtfx * 600
    plant.run(lambda _: 0.5 * plant.rtfx, 60)
    assert plant.world.current == 8
    plant.run(lambda _: 0.5 * plant.rtfx, 700)
    assert plant.backlog < 600
    plant.run(lambda _: 0.5 * plant.rtfx, 700)
    assert plant.world.current == 1
    assert plant.world.turns == 1
