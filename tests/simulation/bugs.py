"""Mistakes that can be planted in the simulated product, to see that the checker finds them."""

from enum import StrEnum


class Bug(StrEnum):
    """What the simulated product does wrong."""

    no_fence = "no_fence"
    """Writes do not name the fence."""
    attempt_at_finish = "attempt_at_finish"
    """An attempt counts when it ends, not when it begins."""
    cancel_blindly = "cancel_blindly"
    """Cancelling writes whatever the row has become since it was read."""
    claim_blindly = "claim_blindly"
    """So does claiming: what is delivered twice is worked on twice."""
    lease_not_renewed = "lease_not_renewed"
    """A heartbeat says how things stand, and extends nothing."""
    drain_keeps_lease = "drain_keeps_lease"
    """A runner that is told to go just goes."""
    checkpoint_without_fence = "checkpoint_without_fence"
    """Whoever computed a window stores it."""
    publish_apart = "publish_apart"
    """The transcript is stored in one transaction, the task completed in another."""
    events_outside = "events_outside"
    """Event numbers come from a sequence, which a rolled-back transaction leaves a gap in."""
    cap_ignored = "cap_ignored"
    """Nobody counts what a user has running."""
    strict_lanes = "strict_lanes"
    """The better lane always goes first."""
    success_of_cancelled = "success_of_cancelled"
    """A task may complete after its user was told that it is being cancelled."""
