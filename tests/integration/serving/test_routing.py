"""A request goes to the replica with the shortest queue, as Serve's own router is told."""

import asyncio
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
from ray.serve.request_router import PendingRequest

from serving.routing import LeastBusy

DEPLOYMENT = DeploymentID("Transcriber", "pipelines")
MOST = 20


@dataclass
class Replica:
    """What Serve's router asks of a replica."""

    replica_id: ReplicaID
    queue: int
    max_ongoing_requests: int = MOST

    async def get_queue_len(self, *, deadline_s: float) -> int:
        return self.queue


def request() -> PendingRequest:
    return PendingRequest(
        args=[], kwargs={}, metadata=RequestMetadata(request_id="r", internal_request_id="i")
    )


async def chosen(queues: list[int]) -> Any:
    """The queue of the replica that is chosen."""
    router = LeastBusy(DEPLOYMENT, DeploymentHandleSource.REPLICA, use_replica_queue_len_cache=True)
    replicas: list[Any] = [
        Replica(ReplicaID(str(number), DEPLOYMENT), queue) for number, queue in enumerate(queues)
    ]
    router.update_replicas(replicas)
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
