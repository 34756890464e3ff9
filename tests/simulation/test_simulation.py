"""Ten thousand worlds keep every invariant, and each planted mistake breaks one."""

from collections import Counter

import pytest

from db.models import TaskState
from tests.simulation.bugs import Bug
from tests.simulation.world import World, command, run

SEEDS = 10_000
CHUNKS = 10
SEEDS_FOR_A_BUG = 300


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_the_invariants_hold_in_every_world(chunk):
    for seed in range(chunk * SEEDS // CHUNKS, (chunk + 1) * SEEDS // CHUNKS):
        violation = run(seed).violation
        assert violation is None, f"seed {seed}: {violation}\nsee it again: {command(seed)}"


# What has to notice: a mistake that trips over something else instead may be planted wrongly.
NOTICED_BY = {
    Bug.no_fence: {
        "a zombie changes nothing",
        "the fence grows at a claim",
        "a fence never falls",
        "attempts count at claim",
    },
    Bug.attempt_at_finish: {"attempts count at claim"},
    Bug.cancel_blindly: {
        "a fence never falls",
        "an end stays",
        "a lease is held while somebody works",
        "attempts count at claim",
    },
    Bug.claim_blindly: {
        "the fence grows at a claim",
        "a fence never falls",
        "a cancelled task never completes",
    },
    Bug.lease_not_renewed: {"who beats keeps the task"},
    Bug.drain_keeps_lease: {"a drain gives tasks back"},
    Bug.checkpoint_without_fence: {"a zombie changes nothing"},
    Bug.publish_apart: {"one transcript at most", "the transcript is by whoever completed"},
    Bug.events_outside: {"events have no gaps"},
    Bug.cap_ignored: {"a user has no more running than allowed"},
    Bug.strict_lanes: {"no lane starves"},
    Bug.success_of_cancelled: {"a cancelled task never completes"},
}


@pytest.mark.parametrize("bug", Bug)
def test_a_planted_mistake_is_noticed(bug):
    found: Counter[str] = Counter()
    for seed in range(SEEDS_FOR_A_BUG):
        violation = run(seed, bug).violation
        if violation is not None:
            found[violation.partition(":")[0]] += 1
    assert found, f"{SEEDS_FOR_A_BUG} seeds did not show {bug}"
    assert set(found) <= NOTICED_BY[bug]


def test_attempts_that_count_when_they_end_let_a_file_kill_forever():
    """The same mistake seen by what it does, without looking at the column."""
    unbounded = 0
    for seed in range(SEEDS_FOR_A_BUG):
        world = World(seed, Bug.attempt_at_finish)
        world.checker.trusts_attempts = False
        violation = world.run().violation
        unbounded += violation is not None and violation.startswith("attempts are bounded")
    assert unbounded


@pytest.mark.parametrize("bug", [None, Bug.no_fence])
def test_a_seed_is_the_same_world_again(bug):
    for seed in range(20):
        first, second = run(seed, bug, tracing=True), run(seed, bug, tracing=True)
        assert first == second
        assert first.trace
        # Looking changes nothing.
        unseen = run(seed, bug)
        assert (unseen.steps, unseen.violation) == (first.steps, first.violation)


def test_a_file_that_kills_runners_takes_no_neighbour_along():
    poisoned = 0
    for seed in range(3000):
        world = World(seed, calm=True)
        assert world.run().violation is None, f"seed {seed}"
        deadly = [row for row in world.store.rows if row.poison]
        poisoned += len(deadly) == 1
        if len(deadly) == 1:
            taken = [row for row in world.store.rows if row.state is TaskState.failed]
            assert set(map(id, taken)) <= {id(deadly[0])}, f"seed {seed}"
    assert poisoned > 200


def test_what_is_simulated_does_happen():
    told: Counter[str] = Counter()
    ends: Counter[TaskState] = Counter()
    for seed in range(400):
        world = World(seed, tracing=True)
        trace = "\n".join(world.run().trace)
        ends.update(row.state for row in world.store.rows)
        told.update(what for what in HAPPENINGS if what in trace)
    assert {what: told[what] for what in HAPPENINGS if told[what] < 5} == {}
    assert set(ends) == {TaskState.completed, TaskState.failed, TaskState.cancelled}
    assert min(ends.values()) > 50


HAPPENINGS = (
    "is gone",
    "stands still",
    "is told to go",
    "taken by somebody else",
    "an operator recovers",
    "recovery of",
    "cancel of",
    "is acknowledged",
    "submits: error before",
    "submits: error after",
    "beats: error before",
    "beats: error after",
    "error before the commit",
    "error after the commit",
    "FenceLost",
    "IllegalTransition",
    ": lost",
    ": drain",
    ": cancelled",
    "fails task",
    "publishes task",
    "(failed, attempt 3",
)
