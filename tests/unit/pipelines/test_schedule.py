"""Whose turn it is: fair by audio seconds within a lane, bounded between lanes, never idle."""

import uuid
from collections import Counter, defaultdict, deque
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import permutations

from hypothesis import given
from hypothesis import strategies as st

from db.models import Lane
from pipelines.schedule import (
    LANES,
    MIN_SECONDS,
    Choice,
    Clock,
    Head,
    Limits,
    Share,
    ahead,
    choose,
)

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
USERS = [uuid.UUID(int=number) for number in range(6)]
NO_LIMITS = Limits(max_tasks_per_user=1000, lane_patience=1000)

SECONDS = st.integers(1, 7200).map(float)
WEIGHTS = st.sampled_from([0.5, 1.0, 2.0, 3.0])


@dataclass
class Queue:
    """What pipelines.queue keeps in tables."""

    limits: Limits = NO_LIMITS
    clock: Clock = field(default_factory=Clock)
    waiting: defaultdict[tuple[uuid.UUID, Lane], deque[Head]] = field(
        default_factory=lambda: defaultdict(deque)
    )
    served: defaultdict[uuid.UUID, dict[Lane, float]] = field(
        default_factory=lambda: defaultdict(dict)
    )
    weights: dict[uuid.UUID, float] = field(default_factory=dict)
    running: Counter[uuid.UUID] = field(default_factory=Counter)
    submitted: int = 0

    def submit(self, user: uuid.UUID, seconds: float, lane: Lane = Lane.interactive) -> Head:
        self.submitted += 1
        at = EPOCH + timedelta(seconds=self.submitted)
        head = Head(uuid.UUID(int=self.submitted), user, lane, seconds, at)
        self.waiting[user, lane].append(head)
        return head

    def heads(self) -> list[Head]:
        return [tasks[0] for tasks in self.waiting.values() if tasks]

    def peek(self) -> Choice | None:
        shares = {
            head.user_id: Share(
                self.served[head.user_id],
                self.weights.get(head.user_id, 1.0),
                self.running[head.user_id],
            )
            for head in self.heads()
        }
        return choose(self.heads(), shares, self.clock, self.limits)

    def take(self) -> Head | None:
        choice = self.peek()
        if choice is None:
            return None
        head = choice.head
        assert self.waiting[head.user_id, head.lane].popleft() is head
        self.served[head.user_id] = dict(choice.served)
        self.clock = choice.clock
        return head


def cost(head: Head) -> float:
    return max(head.audio_seconds, MIN_SECONDS)


@given(
    tasks=st.lists(st.lists(SECONDS, min_size=2, max_size=12), min_size=2, max_size=4),
    weights=st.lists(WEIGHTS, min_size=4, max_size=4),
    before=st.lists(st.tuples(st.integers(0, 3), SECONDS), max_size=8),
)
def test_who_always_has_something_waiting_gets_the_same_audio(tasks, weights, before):
    """The bound of start-time fair queueing: one largest task of each, over its weight."""
    queue = Queue(weights=dict(zip(USERS, weights, strict=False)))
    for user, seconds in before:
        queue.submit(USERS[user], seconds)
        queue.take()
    for user, lengths in zip(USERS, tasks, strict=False):
        for seconds in lengths:
            queue.submit(user, seconds)
    users = USERS[: len(tasks)]
    largest = dict.fromkeys(users, MIN_SECONDS)
    for user, seconds in [*before, *((n, it) for n, row in enumerate(tasks) for it in row)]:
        largest[USERS[user]] = max(largest.get(USERS[user], 0.0), seconds)
    had: defaultdict[uuid.UUID, float] = defaultdict(float)
    while all(queue.waiting[user, Lane.interactive] for user in users):
        head = queue.take()
        had[head.user_id] += cost(head) / queue.weights[head.user_id]
        for one, other in permutations(users, 2):
            bound = sum(largest[user] / queue.weights[user] for user in (one, other))
            assert had[one] - had[other] <= bound + 1e-6


@given(st.integers(1, 20), st.integers(1, 4), SECONDS)
def test_equal_users_with_equal_tasks_take_turns(rounds, count, seconds):
    queue = Queue()
    for user in USERS[:count]:
        for _ in range(rounds):
            queue.submit(user, seconds)
    order = [queue.take().user_id for _ in range(rounds * count)]
    assert order == USERS[:count] * rounds


@given(st.sampled_from([1.0, 2.0, 3.0, 4.0]))
def test_weight_is_a_share(weight):
    queue = Queue(weights={USERS[0]: weight})
    for _ in range(100):
        for user in USERS[:2]:
            queue.submit(user, 60.0)
    got = Counter(queue.take().user_id for _ in range(60))
    assert abs(got[USERS[0]] - weight * got[USERS[1]]) <= weight + 1


@given(st.lists(SECONDS, min_size=1, max_size=30), SECONDS)
def test_who_was_away_saved_nothing_up(earlier, seconds):
    """However much somebody else had meanwhile, the newcomer only takes turns with them."""
    queue = Queue()
    for length in earlier:
        queue.submit(USERS[0], length)
        queue.take()
    for _ in range(6):
        queue.submit(USERS[0], seconds)
        queue.submit(USERS[1], seconds)
    order = [queue.take().user_id for _ in range(12)]
    # The other's last task is in front of them; nothing that was served before it counts.
    head_start = max(earlier[-1], MIN_SECONDS) / max(seconds, MIN_SECONDS)
    assert order[0] == USERS[1]
    first = order.index(USERS[0])
    assert first <= head_start + 1
    rest = order[first:]
    turns = min(rest.count(USERS[0]), rest.count(USERS[1]))
    assert rest[: 2 * turns] == USERS[:2] * turns


@given(st.lists(SECONDS, min_size=1, max_size=30), SECONDS)
def test_who_was_served_while_alone_owes_at_most_a_task(earlier, seconds):
    queue = Queue()
    for length in earlier:
        queue.submit(USERS[0], length)
        head = queue.take()
        lane = head.lane
        assert queue.served[USERS[0]][lane] - queue.clock.virtual_time[lane] <= cost(head)


SUBMISSIONS = st.lists(
    st.tuples(st.integers(0, 5), SECONDS, st.sampled_from(LANES)), min_size=1, max_size=40
)


@given(SUBMISSIONS, st.integers(1, 5))
def test_work_goes_on_while_somebody_waits(submissions, patience):
    queue = Queue(Limits(1000, patience))
    for user, seconds, lane in submissions:
        queue.submit(USERS[user], seconds, lane)
    taken = {queue.take().task_id for _ in submissions}
    assert len(taken) == len(submissions)
    assert queue.take() is None


@given(SUBMISSIONS)
def test_the_virtual_time_never_goes_back(submissions):
    queue = Queue(Limits(1000, 2))
    for user, seconds, lane in submissions:
        queue.submit(USERS[user], seconds, lane)
    for _ in submissions:
        before = queue.clock.virtual_time
        lane = queue.take().lane
        now = queue.clock.virtual_time
        assert now[lane] >= before.get(lane, 0.0)
        assert {**now, lane: 0.0} == {**before, lane: 0.0}


@given(SUBMISSIONS)
def test_with_endless_patience_the_better_lane_goes_first(submissions):
    queue = Queue()
    for user, seconds, lane in submissions:
        queue.submit(USERS[user], seconds, lane)
    order = [LANES.index(queue.take().lane) for _ in submissions]
    assert order == sorted(order)


@given(
    patience=st.integers(1, 6),
    arrivals=st.lists(st.lists(st.sampled_from(LANES), max_size=3), min_size=20, max_size=80),
    limit=st.integers(1, 3),
    data=st.data(),
)
def test_a_lane_is_passed_over_a_bounded_number_of_times(patience, arrivals, limit, data):
    """`lane_patience` times, and once for each other lane that has lost its patience as well."""
    queue = Queue(Limits(limit, patience))
    passed: Counter[Lane] = Counter()
    hands: list[Head] = []
    for lanes in arrivals:
        for lane in lanes:
            queue.submit(data.draw(st.sampled_from(USERS)), 60.0, lane)
        free = {head.lane for head in queue.heads() if queue.running[head.user_id] < limit}
        head = queue.take()
        if head is None:
            assert not free
        else:
            queue.running[head.user_id] += 1
            hands.append(head)
            for lane in LANES:
                better = LANES.index(lane) < LANES.index(head.lane)
                if lane is head.lane or lane not in free:
                    passed[lane] = 0
                elif not better:
                    passed[lane] += 1
                assert passed[lane] <= patience + len(LANES) - 2
        if hands and data.draw(st.booleans()):
            queue.running[hands.pop(0).user_id] -= 1


@given(
    lengths=st.lists(st.integers(1, 6), min_size=1, max_size=4),
    seconds=SECONDS,
    load=st.lists(SECONDS, min_size=1, max_size=5),
)
def test_users_take_turns_in_a_lane_that_others_go_before(lengths, seconds, load):
    """Other lanes do not move the time of this one, and nobody in it starves."""
    queue = Queue(Limits(1000, 2))
    # One user after the other, so that age speaks for the first.
    for user, length in zip(USERS, lengths, strict=False):
        for _ in range(length):
            queue.submit(user, seconds, Lane.bulk)
    waits: Counter[uuid.UUID] = Counter()
    turn = 0
    while waiting := {head.user_id for head in queue.heads() if head.lane is Lane.bulk}:
        queue.submit(USERS[5], load[turn % len(load)], Lane.interactive)
        turn += 1
        head = queue.take()
        if head.lane is Lane.bulk:
            for user in waiting:
                waits[user] = 0 if user == head.user_id else waits[user] + 1
            assert max(waits.values()) < len(lengths)


@given(
    st.lists(st.tuples(st.integers(0, 3), st.booleans()), max_size=60),
    st.integers(1, 3),
)
def test_nobody_has_more_running_than_allowed(moves, limit):
    queue = Queue(Limits(limit, 3))
    for user, ends in moves:
        queue.submit(USERS[user], 60.0)
        if ends and queue.running[USERS[user]]:
            queue.running[USERS[user]] -= 1
        head = queue.take()
        waiting = {it.user_id for it in queue.heads()}
        if head is None:
            assert all(queue.running[it] == limit for it in waiting)
        else:
            queue.running[head.user_id] += 1
            assert queue.running[head.user_id] <= limit


@given(st.integers(1, 8), st.lists(st.integers(0, 8), max_size=4))
def test_ahead_is_how_many_go_first_among_equals(own, others):
    queue = Queue()
    # Whoever asks is the youngest, so that others of the same rank go first.
    for user, length in zip(USERS[1:], others, strict=False):
        for _ in range(length):
            queue.submit(user, 60.0)
    mine = [queue.submit(USERS[0], 60.0) for _ in range(own)]
    order = [queue.take() for _ in range(own + sum(others))]
    assert order.index(mine[-1]) == ahead(own, others)


def test_tiny_files_are_work_too():
    queue = Queue()
    for _ in range(5):
        queue.submit(USERS[0], 0.0)
    queue.take()
    assert queue.served[USERS[0]] == {Lane.interactive: MIN_SECONDS}


def test_nothing_waits_nothing_is_chosen():
    assert choose([], {}, Clock(), NO_LIMITS) is None


def test_language_models_work_and_recordings_have_limits_of_their_own() -> None:
    limits = Limits(max_tasks_per_user=1, lane_patience=10, max_language_tasks_per_user=2)
    user = USERS[0]
    summary = Head(uuid.UUID(int=1), user, Lane.interactive, 0.0, EPOCH, language=True)
    recording = Head(uuid.UUID(int=2), user, Lane.interactive, 60.0, EPOCH + timedelta(seconds=1))

    def chosen(running: int, language: int) -> Head | None:
        shares = {user: Share(running=running, language=language)}
        choice = choose([summary, recording], shares, Clock(), limits)
        return choice.head if choice else None

    # The older one, as long as there is room for its sort.
    assert chosen(0, 0) is summary
    assert chosen(1, 1) is summary
    assert chosen(0, 2) is recording
    assert chosen(1, 2) is None
