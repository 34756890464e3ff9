"""Which task is next: lane first, then the user with the least audio served. Pure functions.

Start-time fair queueing (Goyal, Vin, Cheng, SIGCOMM 1996): a task's start tag is the larger of its
user's finish tag and the virtual time; the smallest start tag goes first, its user's finish tag
moves by seconds / weight, and the virtual time becomes the start tag. Users who always have
something waiting get, by weight, the same audio seconds within one task each; who was away neither
saved up a claim nor owes one. Each lane keeps its own time and tags. A lower lane that waits is
passed over at most `lane_patience` times in a row, so that bulk work goes on under any load.

Language models' work has places of its own, so that neither it nor recordings wait for the other's:
of each user, the oldest task of either sort is looked at.
"""

import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from db.models import Lane

LANES = tuple(Lane)
MIN_SECONDS = 10.0
"""What a task costs at least: many tiny files, or unknown lengths, are work too."""


@dataclass(frozen=True, slots=True)
class Head:
    """The oldest waiting task of a user in a lane; of each sort, one."""

    task_id: uuid.UUID
    user_id: uuid.UUID
    lane: Lane
    audio_seconds: float
    created_at: datetime
    language: bool = False
    """Whether it is a language model's work."""


@dataclass(frozen=True, slots=True)
class Share:
    """What a user has had."""

    served: Mapping[Lane, float] = field(default_factory=dict)
    """Finish tag in each lane: audio seconds over weight."""
    weight: float = 1.0
    running: int = 0
    """Tasks of theirs that are in a runner's hands, without those of language models."""
    language: int = 0
    """Those of language models."""


@dataclass(frozen=True, slots=True)
class Clock:
    """What the order needs to remember."""

    virtual_time: Mapping[Lane, float] = field(default_factory=dict)
    """By lane, weighted audio seconds: where somebody starts who had nothing to do until now."""
    passed: Mapping[Lane, int] = field(default_factory=dict)
    """How often in a row a lane's waiting tasks were passed over."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The operator's choices."""

    max_tasks_per_user: int
    lane_patience: int
    max_language_tasks_per_user: int = 1

    def leave_room(self, head: Head, share: Share) -> bool:
        """Whether its user may have one more task of this sort."""
        if head.language:
            return share.language < self.max_language_tasks_per_user
        return share.running < self.max_tasks_per_user


@dataclass(frozen=True, slots=True)
class Choice:
    """The next task, and what is to be remembered of having taken it."""

    head: Head
    served: Mapping[Lane, float]
    clock: Clock


def choose(
    heads: Sequence[Head], shares: Mapping[uuid.UUID, Share], clock: Clock, limits: Limits
) -> Choice | None:
    """The next task; None where nothing waits, or everybody who waits has enough running."""
    free = [head for head in heads if limits.leave_room(head, shares[head.user_id])]
    if not free:
        return None
    lane, passed = lane_in_turn({head.lane for head in free}, clock.passed, limits.lane_patience)

    def had(head: Head) -> float:
        return shares[head.user_id].served.get(lane, 0.0)

    def start(head: Head) -> float:
        return max(had(head), clock.virtual_time.get(lane, 0.0))

    chosen = min(
        (head for head in free if head.lane is lane),
        # Of those who start now, whoever had least is first.
        key=lambda head: (start(head), had(head), head.created_at, head.task_id),
    )
    seconds = max(chosen.audio_seconds, MIN_SECONDS)
    share, begins = shares[chosen.user_id], start(chosen)
    return Choice(
        chosen,
        {**share.served, lane: begins + seconds / share.weight},
        Clock({**clock.virtual_time, lane: begins}, passed),
    )


def lane_in_turn(
    waiting: Collection[Lane], passed: Mapping[Lane, int], patience: int
) -> tuple[Lane, Mapping[Lane, int]]:
    """The first lane in which somebody waits, unless another was passed over too often.

    With it, how often in a row each lane has been passed over now.
    """
    in_order = [lane for lane in LANES if lane in waiting]
    impatient = [lane for lane in in_order if passed.get(lane, 0) >= patience]
    lane = (impatient or in_order)[0]
    lower = in_order[in_order.index(lane) + 1 :]
    return lane, {**passed, lane: 0, **{other: passed.get(other, 0) + 1 for other in lower}}


def ahead(own: int, others: Sequence[int]) -> int:
    """How many tasks will go before somebody's `own`-th waiting one (from 1), about.

    `others` are the lengths of the other users' queues in the same lane. Users take turns, so each
    of them sends as many ahead as stand before it in its own queue, or all they have.
    """
    return own - 1 + sum(min(own, length) for length in others)
