"""Which replica a request goes to: the one that has least to do, of all of them.

Serve's own choice is the better of two at random. With 32 replicas and two batches for each of them
under way, that leaves 7 % of their time unused (some have three, some one); this leaves 1 %, and
whoever comes next waits behind the shortest queue that there is. Looking at all costs little where
a request is seconds of work.
"""

import asyncio
import random
from collections import Counter
from typing import Any

from ray.serve._private.common import ReplicaID
from ray.serve.request_router import FIFOMixin, PendingRequest, RequestRouter, RunningReplica


class LeastBusy(FIFOMixin, RequestRouter):
    """Requests in the order in which they come, each to the replica with the shortest queue.

    Serve forgets a queue's length after 10 s without news, and asks the replica: one that does not
    answer within 0.1 s is passed over. Where windows take longer than that, and all of a busy
    machine's replicas are asked for each of many windows that come at once, few answer in time, and
    these get all of them: of 32 replicas, one had fifty windows in its queue while the others were
    idle. So what is forgotten is taken to be what this router has sent there and has not got back;
    what a replica tells of itself with the next request corrects it.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[no-untyped-call]
        self._sent: Counter[ReplicaID] = Counter()
        self._silent: set[ReplicaID] = set()
        """Could not be reached: to be asked before anything is sent there."""

    @property
    def max_num_routing_tasks(self) -> int:
        """One: each choice has to know of the one before it."""
        return 1

    async def choose_replicas(
        self,
        candidate_replicas: list[RunningReplica],
        pending_request: PendingRequest | None = None,
    ) -> list[list[RunningReplica]]:
        """All replicas as one rank: Serve takes the one of a rank with the shortest queue.

        In any order, so that several runners do not all begin with the same one.
        """
        if pending_request is not None:
            # There is no second choice to try at once: while all are full, Serve pauses.
            pending_request.routing_context.should_backoff = True
        # The request before this one is sent, and counted, meanwhile.
        await asyncio.sleep(0)
        for replica in candidate_replicas:
            self._recall(replica.replica_id)
        return [random.sample(candidate_replicas, len(candidate_replicas))]

    def _recall(self, replica_id: ReplicaID) -> None:
        """Have a length for this replica's queue, if it can be reached."""
        if self.replica_queue_len_cache.get(replica_id) is not None:
            self._silent.discard(replica_id)
        elif replica_id not in self._silent:
            self.on_new_queue_len_info(replica_id, self._sent[replica_id])

    def on_send_request(self, replica_id: ReplicaID) -> None:
        """One more is there."""
        super().on_send_request(replica_id)
        self._sent[replica_id] += 1

    def on_request_completed(self, replica_id: ReplicaID, internal_request_id: str) -> None:
        """One less is there, however it ended."""
        super().on_request_completed(replica_id, internal_request_id)
        self._sent[replica_id] -= 1
        if self._sent[replica_id] <= 0:
            # What could not be sent was never counted.
            del self._sent[replica_id]

    def on_replica_actor_unavailable(self, replica_id: ReplicaID) -> None:
        """It is asked before anything is sent there."""
        super().on_replica_actor_unavailable(replica_id)
        self._silent.add(replica_id)

    def update_replicas(self, replicas: list[RunningReplica]) -> None:
        """Forget those that are gone."""
        super().update_replicas(replicas)
        known = {replica.replica_id for replica in replicas}
        self._silent &= known
        for gone in set(self._sent) - known:
            del self._sent[gone]
