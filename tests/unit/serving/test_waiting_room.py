"""Which requests are the next batch: lanes, lengths, and nobody waits without bound."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.models import Lane
from serving.deployments.waiting import BatchRules, Traits, Waiting, WaitingRoom
from serving.speech import BULK, LANES, LIVE

RULES = st.builds(
    BatchRules,
    size=st.integers(1, 6),
    max_seconds=st.none() | st.sampled_from([10.0, 30.0]),
    shared=st.none() | st.integers(1, 3),
    patience=st.integers(1, 4),
)
TRAITS = st.builds(
    Traits,
    lane=st.sampled_from(LANES),
    group=st.sampled_from(["a", "b"]),
    seconds=st.sampled_from([1.0, 5.0, 12.0]),
    length=st.integers(0, 2),
)
ARRIVALS = st.lists(st.lists(TRAITS, max_size=5), min_size=1, max_size=25)
"""What comes before each batch."""


def room(rules: BatchRules, *waiting: Traits) -> WaitingRoom:
    made = WaitingRoom(rules)
    for number, traits in enumerate(waiting):
        made.add(Waiting(number, traits))
    return made


def taken(made: WaitingRoom) -> list[int]:
    return [one.item for one in made.take()]


def worked_off(rules: BatchRules, arrivals: list[list[Traits]]) -> list[list[Waiting]]:
    """All batches, until nobody waits; those who come are numbered in order."""
    made, batches, number = WaitingRoom(rules), [], 0
    for coming in arrivals:
        for traits in coming:
            made.add(Waiting(number, traits))
            number += 1
        batches.append(made.take())
    while len(made):
        batches.append(made.take())
    return batches


def test_lanes_are_those_of_tasks():
    assert tuple(Lane) == LANES


def test_a_lane_that_is_none_is_refused():
    with pytest.raises(ValueError, match="no lane 'slow'"):
        room(BatchRules(1)).add(Waiting(0, Traits("slow")))


@given(RULES, ARRIVALS)
def test_everybody_is_served_once(rules, arrivals):
    numbers = [one.item for batch in worked_off(rules, arrivals) for one in batch]
    assert sorted(numbers) == list(range(sum(map(len, arrivals))))


@given(RULES, ARRIVALS)
def test_batches_keep_the_rules(rules, arrivals):
    for batch in worked_off(rules, arrivals):
        assert len(batch) <= rules.size
        if not batch:
            continue
        first = batch[0].traits
        assert {one.traits.group for one in batch} == {first.group}
        others = [one for one in batch if one.traits.lane != first.lane]
        assert all(one.traits.length <= first.length for one in others)
        if rules.max_seconds is not None and len(batch) > 1:
            assert sum(one.traits.seconds for one in batch) <= rules.max_seconds
        if others:
            # Where they joined there was room; those of its own lane may have come after.
            assert batch.index(others[-1]) < (rules.shared or rules.size)


@given(RULES, ARRIVALS)
def test_equals_keep_their_order(rules, arrivals):
    order: dict[tuple, list[int]] = {}
    for batch in worked_off(rules, arrivals):
        for one in batch:
            traits = one.traits
            order.setdefault((traits.lane, traits.group, traits.length), []).append(one.item)
    # Where a batch holds only so many seconds, too, nobody passes his equals.
    for numbers in order.values():
        assert numbers == sorted(numbers)


@given(RULES, ARRIVALS)
def test_nobody_waits_without_bound(rules, arrivals):
    """Who comes has at most so many batches before: those before it in its lane, and each of them,
    and itself, may be passed over as often as patience allows, by either lane."""
    made, number = WaitingRoom(rules), 0
    bounds: dict[int, int] = {}
    pending = list(arrivals)
    step = 0
    while pending or len(made):
        for traits in pending.pop(0) if pending else []:
            before = made.lengths()[traits.lane]
            bounds[number] = step + (before + 1) * (rules.patience + len(LANES))
            made.add(Waiting(number, traits))
            number += 1
        for one in made.take():
            assert step <= bounds.pop(one.item)
        step += 1
    assert not bounds


def test_live_goes_before_bulk_which_fills_what_it_leaves():
    bulk, live = Traits(BULK), Traits(LIVE)
    made = room(BatchRules(3), bulk, bulk, bulk, live)
    assert taken(made) == [3, 0, 1]
    assert taken(made) == [2]


def test_where_not_all_places_are_shared_no_more_join():
    bulk, live = Traits(BULK), Traits(LIVE)
    made = room(BatchRules(3, shared=1), bulk, bulk, live)
    assert taken(made) == [2]
    assert taken(made) == [0, 1]
    made = room(BatchRules(3, shared=2), bulk, bulk, live, live, bulk)
    assert taken(made) == [2, 3]
    assert taken(made) == [0, 1, 4]
    made = room(BatchRules(3, shared=2), bulk, bulk, live)
    assert taken(made) == [2, 0]


def test_bulk_is_passed_over_so_often_and_not_more():
    made = room(BatchRules(1, patience=2), Traits(BULK), *[Traits(LIVE)] * 5)
    assert [taken(made) for _ in range(6)] == [[1], [2], [0], [3], [4], [5]]


def test_a_batch_has_its_leaders_length_rather_than_others():
    long, short = Traits(length=6), Traits(length=1)
    made = room(BatchRules(2), long, short, long, short)
    assert taken(made) == [0, 2]
    assert taken(made) == [1, 3]


def test_where_there_is_room_others_join_too():
    made = room(BatchRules(4), *(Traits(length=length) for length in (3, 6, 2, 3, 1)))
    assert taken(made) == [0, 3, 2, 4]
    assert taken(made) == [1]


def test_nobody_waits_for_a_longer_one_of_another_lane():
    made = room(BatchRules(4), Traits(BULK, length=6), Traits(BULK, length=1), Traits(length=2))
    assert taken(made) == [2, 1]
    assert taken(made) == [0]


def test_a_batch_holds_so_many_seconds_or_one_item():
    whole, short = Traits(seconds=310), Traits(seconds=20)
    made = room(BatchRules(32, max_seconds=300), whole, *[short] * 20)
    assert taken(made) == [0]
    assert len(taken(made)) == 15
    assert made.lengths()[LIVE] == 5


def test_looking_at_the_next_batch_changes_nothing():
    made = room(BatchRules(2), Traits(BULK), Traits(BULK))
    assert [one.item for one in made.next_batch()] == [0, 1]
    assert len(made) == 2
    assert taken(made) == [0, 1]
    assert made.take() == []


def test_who_has_gone_is_not_served():
    made = room(BatchRules(2))
    gone, stays = Waiting(0, Traits()), Waiting(1, replace(Traits(), seconds=1.0))
    made.add(gone)
    made.add(stays)
    made.discard(gone)
    made.discard(gone)
    assert made.take() == [stays]
