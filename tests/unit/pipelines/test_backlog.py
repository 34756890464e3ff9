"""The estimate of a waiting task's place agrees with the order in which tasks are taken."""

import uuid
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.models import Lane
from pipelines.backlog import Queue, Waiting, place
from pipelines.schedule import LANES, Clock, Head, Limits, Share, choose

SECONDS = 60.0
START = datetime(2030, 1, 1, tzinfo=UTC)
PATIENT = Limits(max_tasks_per_user=1000, lane_patience=1000)

lanes_and_lengths = st.lists(
    st.tuples(st.sampled_from(LANES), st.integers(1, 6)), min_size=1, max_size=5
)


def submitted(users: list[tuple[Lane, int]], order: list[int]) -> list[Head]:
    """Tasks of equal length, each user's in one lane, in this order of users."""
    ids = [uuid.UUID(int=number + 1) for number in range(len(users))]
    return [
        Head(uuid.uuid4(), ids[user], users[user][0], SECONDS, START + timedelta(seconds=moment))
        for moment, user in enumerate(order)
    ]


def taken(waiting: list[Head]) -> list[Head]:
    """The order in which the queue gives them out."""
    shares: dict[uuid.UUID, Share] = {head.user_id: Share() for head in waiting}
    clock, order, rest = Clock(), [], list(waiting)
    while rest:
        heads: dict[uuid.UUID, Head] = {}
        for head in rest:
            heads.setdefault(head.user_id, head)
        choice = choose(list(heads.values()), shares, clock, PATIENT)
        shares[choice.head.user_id] = Share(choice.served)
        clock = choice.clock
        order.append(choice.head)
        rest.remove(choice.head)
    return order


def queues_of(waiting: list[Head]) -> list[Queue]:
    counts = Counter((head.user_id, head.lane) for head in waiting)
    return [Queue(user, lane, n, n * SECONDS, 0.0) for (user, lane), n in counts.items()]


@given(lanes_and_lengths, st.randoms(use_true_random=False))
def test_the_estimate_is_off_by_at_most_one_turn_of_each_other_user(users, random):
    order = [user for user, (_, length) in enumerate(users) for _ in range(length)]
    random.shuffle(order)
    waiting = submitted(users, order)
    queues, sequence = queues_of(waiting), taken(waiting)
    numbers: Counter[uuid.UUID] = Counter()
    for head in waiting:
        numbers[head.user_id] += 1
        number = numbers[head.user_id]
        task = Waiting(head.user_id, head.lane, number, number * SECONDS)
        found = place(task, queues, audio_per_second=2.0)
        beside = [q for q in queues if q.lane is head.lane and q.user_id != head.user_id]
        others = sum(q.length >= number for q in beside)
        actual = sequence.index(head) + 1
        assert actual <= found.position <= actual + others
        # Of equal tasks each one before it, and itself, takes the same time.
        assert found.eta_seconds == pytest.approx(found.position * SECONDS / 2.0)


def test_what_is_being_worked_on_takes_its_time_too():
    me, other = uuid.uuid4(), uuid.uuid4()
    queues = [
        Queue(me, Lane.interactive, 1, 100.0, 0.0),
        Queue(other, Lane.interactive, 0, 0.0, 300.0),
        Queue(other, Lane.bulk, 9, 9000.0, 0.0),
    ]
    found = place(Waiting(me, Lane.interactive, 1, 100.0), queues, audio_per_second=4.0)
    assert (found.position, found.eta_seconds) == (1, 100.0)


def test_better_lanes_go_first_own_tasks_too():
    me, other = uuid.uuid4(), uuid.uuid4()
    queues = [
        Queue(me, Lane.live, 2, 20.0, 0.0),
        Queue(other, Lane.interactive, 3, 30.0, 0.0),
        Queue(me, Lane.bulk, 1, 10.0, 0.0),
    ]
    assert place(Waiting(me, Lane.bulk, 1, 10.0), queues, 1.0).position == 6
