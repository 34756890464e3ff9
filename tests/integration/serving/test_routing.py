"""A request goes to the replica with the shortest queue, as Serve's own router is told."""

import asyncio
import uuid
from collections import Counter
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ray.serve._private.common import (
    DeploymentHandleSource,
    DeploymentID,
    ReplicaID,
    RequestMetadata,
)
from ray.serve._private.constants import RAY_SERVE_QUEUE_LENGTH_CACHE_TIMEOUT_S
from ray.serve.request_router import PendingRequest

from serving.routing import LeastBusy

DEPLOYMENT = DeploymentID("Transcriber", "pipelines")
MOST = 20


@dataclass
class Replica:
    """What Serve's router asks of a replica."""

    replica_id: ReplicaID
    queue: int | None
    """None: it is too busy to tell."""
    max_ongoing_requests: int = MOST
    asked: int = 0

    async def get_queue_len(self, *, deadline_s: float) -> int:
        self.asked += 1
        if self.queue is None:
            await asyncio.Event().wait()
        return self.queue


class Busy:
    """A router whose replicas do not say how much they have to do, and Serve's use of it."""

    def __init__(self, count: int) -> None:
        self.now = 0.0
        self.router = LeastBusy(
            DEPLOYMENT,
            DeploymentHandleSource.REPLICA,
            use_replica_queue_len_cache=True,
            get_curr_time_s=lambda: self.now,
        )
        self.replicas: list[Any] = [
            Replica(ReplicaID(str(number), DEPLOYMENT), None, max_ongoing_requests=1000)
            for number in range(count)
        ]
        self.router.update_replicas(self.replicas)
        self.under_way: Counter[ReplicaID] = Counter()

    async def send(self) -> ReplicaID:
        """A request, as Serve sends it."""
        replica = await self.router._choose_replica_for_request(request())
        self.router.on_send_request(replica.replica_id)
        self.under_way[replica.replica_id] += 1
        return replica.replica_id

    async def send_together(self, count: int) -> None:
        await asyncio.gather(*(self.send() for _ in range(count)))

    def complete(self, replica_id: ReplicaID) -> None:
        """Its answer came, as Serve tells the router."""
        self.router.on_request_completed(replica_id, "i")
        self.router.decrement_queue_len_cache(replica_id)
        self.under_way[replica_id] -= 1

    def pass_time(self) -> None:
        """So much that Serve has forgotten every queue's length."""
        self.now += RAY_SERVE_QUEUE_LENGTH_CACHE_TIMEOUT_S + 1

    @property
    def lengths(self) -> list[int]:
        return [self.under_way[replica.replica_id] for replica in self.replicas]


def request() -> PendingRequest:
    metadata = RequestMetadata(request_id="r", internal_request_id=uuid.uuid4().hex)
    return PendingRequest(args=[], kwargs={}, metadata=metadata)


def even(lengths: list[int]) -> bool:
    return max(lengths) - min(lengths) <= 1


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 32), st.lists(st.integers(1, 64), min_size=1, max_size=4))
def test_what_comes_at_once_is_shared_evenly_by_replicas_too_busy_to_tell(count, bursts):
    async def share() -> None:
        busy = Busy(count)
        for burst in bursts:
            await busy.send_together(burst)
            assert even(busy.lengths)
            busy.pass_time()

    asyncio.run(share())


def test_what_is_done_makes_room_also_where_it_took_longer_than_serve_remembers():
    async def share() -> None:
        busy = Busy(4)
        await busy.send_together(8)
        busy.pass_time()
        done = busy.replicas[2].replica_id
        for _ in range(2):
            busy.complete(done)
        assert [await busy.send(), await busy.send()] == [done, done]
        assert busy.lengths == [2, 2, 2, 2]
        # Each was asked when it came, and never again.
        assert [replica.asked for replica in busy.replicas] == [1, 1, 1, 1]

    asyncio.run(share())


def test_nothing_is_sent_where_nobody_was_reached_until_it_answers():
    async def share() -> None:
        busy = Busy(3)
        away = busy.replicas[0]
        busy.router.on_replica_actor_unavailable(away.replica_id)
        await busy.send_together(4)
        assert busy.lengths == [0, 2, 2]
        away.queue = 0
        # The next request has it asked in the background, and its own answer comes too late.
        await busy.send()
        await asyncio.sleep(0.01)
        await busy.send_together(2)
        assert busy.lengths[0] == 2

    asyncio.run(share())


def test_one_that_hangs_gets_no_more_than_its_share():
    async def share() -> None:
        busy = Busy(3)
        await busy.send_together(6)
        hung, *others = [replica.replica_id for replica in busy.replicas]
        for number in range(20):
            busy.complete(others[number % 2])
            busy.pass_time()
            assert await busy.send() != hung
        assert busy.lengths == [2, 2, 2]

    asyncio.run(share())


def test_who_is_gone_is_forgotten():
    async def share() -> None:
        busy = Busy(2)
        await busy.send_together(4)
        busy.router.update_replicas(busy.replicas[:1])
        await busy.send()
        assert busy.lengths == [3, 2]
        busy.router.update_replicas(busy.replicas)
        assert await busy.send() == busy.replicas[1].replica_id

    asyncio.run(share())


async def chosen(queues: list[int]) -> Any:
    """The queue of the replica that is chosen."""
    router = LeastBusy(DEPLOYMENT, DeploymentHandleSource.REPLICA, use_replica_queue_len_cache=True)
    replicas: list[Any] = [
        Replica(ReplicaID(str(number), DEPLOYMENT), queue) for number, queue in enumerate(queues)
    ]
    router.update_replicas(replicas)
    # They answer at once.
    await asyncio.sleep(0.01)
    found: Any = await router._choose_replica_for_request(request())
    return found.queue


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, MOST - 1), min_size=1, max_size=40))
def test_the_shortest_queue_is_chosen(queues):
    assert asyncio.run(chosen(queues)) == min(queues)


def test_one_that_is_full_is_passed_over():
    assert asyncio.run(chosen([MOST, MOST - 1, MOST])) == MOST - 1


def test_while_all_are_full_serve_waits_with_pauses():
    async def ask() -> PendingRequest:
        waiting = request()
        await LeastBusy(DEPLOYMENT, DeploymentHandleSource.REPLICA).choose_replicas([], waiting)
        return waiting

    assert asyncio.run(ask()).routing_context.should_backoff


@pytest.mark.parametrize("count", [1, 2, 32])
def test_equal_queues_are_chosen_in_any_order(count):
    async def firsts() -> set[ReplicaID]:
        router = LeastBusy(DEPLOYMENT, DeploymentHandleSource.REPLICA)
        replicas: list[Any] = [
            Replica(ReplicaID(str(number), DEPLOYMENT), 0) for number in range(count)
        ]
        found = set()
        for _ in range(200):
            [rank] = await router.choose_replicas(replicas, request())
            assert {replica.replica_id for replica in rank} == {r.replica_id for r in replicas}
            found.add(rank[0].replica_id)
        return found

    assert len(asyncio.run(firsts())) > count / 2
