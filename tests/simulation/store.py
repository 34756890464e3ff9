"""Task rows, checkpoints, transcripts and events in memory, written as pipelines.queue writes them.

Nothing is locked between a read and the write that follows from it, except what a claim takes, for
heartbeats and other claims: the compare-and-set of `pipelines.queue.write` has to be enough.
"""

import random
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, TypeVar

from db.errors import FenceLost, StoreUnavailable
from db.models import Lane, TaskState
from pipelines import schedule
from pipelines.schedule import Choice, Clock, Head, Limits, Share
from pipelines.task_state import TERMINAL, Step, is_suspect
from tests.simulation.bugs import Bug
from tests.simulation.invariants import MAX_ATTEMPTS, Checker, Reason

T = TypeVar("T")
HELD = (TaskState.running, TaskState.cancelling)
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
LEASE = 10
ERROR_RATE = 0.015
"""Of each kind: how many commits fail before, and how many after, they are made."""


@dataclass(slots=True, eq=False)
class User:
    """Whose tasks, and what they have had."""

    user_id: uuid.UUID
    weight: float
    served: Mapping[Lane, float] = field(default_factory=dict)
    sequence: int = 0
    events: list[int] = field(default_factory=list)
    """Numbers in commit order."""


@dataclass(slots=True, eq=False)
class Row:
    """A row of the task table."""

    number: int
    task_id: uuid.UUID
    user: User
    file: int
    lane: Lane
    audio_seconds: float
    created_at: datetime
    windows: int
    run_after: int
    poison: bool = False
    state: TaskState = TaskState.queued
    attempt: int = 0
    fence: int = 0
    lease_until: int | None = None
    progress: float = 0.0
    error_message: str | None = None

    def __str__(self) -> str:
        """As a trace shows it."""
        return f"task {self.number} ({self.state}, attempt {self.attempt}, fence {self.fence})"


class Seen(NamedTuple):
    """A row as a transaction read it."""

    row: Row
    state: TaskState
    attempt: int
    fence: int
    error_message: str | None


@dataclass(slots=True, eq=False)
class Found:
    """What a claim has read and not yet written."""

    seen: Seen
    heads: Sequence[Head]
    choice: Choice | None
    """None: its lease had run out."""
    rolled_back: bool = False


class Store:
    """The tables and their clock."""

    def __init__(
        self, rng: random.Random, checker: Checker, limits: Limits, bug: Bug | None
    ) -> None:
        self.now = 0
        self.faulty = True
        self.rows: list[Row] = []
        self.checkpoints: dict[int, set[int]] = {}
        """Windows that are stored, by file: a new task for the same file finds them."""
        self.clock = Clock()
        self.claiming: Found | None = None
        """The claim that holds the clock's row."""
        self._rng = rng
        self._checker = checker
        self._limits = limits
        self._bug = bug

    # Reading.

    def see(self, row: Row) -> Seen:
        """The row as it is now."""
        return Seen(row, row.state, row.attempt, row.fence, row.error_message)

    def held(self, row: Row, fence: int) -> Seen:
        """The row, if it is still under this fence."""
        if row.fence != fence and self._bug is not Bug.no_fence:
            raise FenceLost(row.number)
        return self.see(row)

    def find(self, *, has_suspect: bool = False) -> Found | None:
        """What a claim would take."""
        expired = [
            row
            for row in self.rows
            if row.lease_until is not None
            and row.lease_until < self.now
            and not (has_suspect and is_suspect(row, MAX_ATTEMPTS))
        ]
        if expired:
            row = min(expired, key=lambda row: row.lease_until)
            return Found(self.see(row), (), None)
        due: dict[tuple[uuid.UUID, Lane], Row] = {}
        for row in self.rows:  # oldest first
            if row.state is TaskState.queued and row.run_after <= self.now:
                due.setdefault((row.user.user_id, row.lane), row)
        if not due:
            return None
        heads = [self._head(row) for row in due.values()]
        users = {row.user.user_id: row.user for row in due.values()}
        shares = {
            key: Share(user.served, user.weight, self.running(user)) for key, user in users.items()
        }
        limits = self._limits
        if self._bug is Bug.cap_ignored:
            shares = {key: replace(share, running=0) for key, share in shares.items()}
        if self._bug is Bug.strict_lanes:
            limits = replace(limits, lane_patience=1000)
        choice = schedule.choose(heads, shares, self.clock, limits)
        if choice is None:
            return None
        chosen = due[choice.head.user_id, choice.head.lane]
        cap = self._limits.max_tasks_per_user
        free = [head for head in heads if self.running(users[head.user_id]) < cap]
        return Found(self.see(chosen), free, choice)

    def running(self, user: User) -> int:
        """How many tasks of a user are in runners' hands."""
        return sum(row.user is user and row.state in HELD for row in self.rows)

    def locked(self, row: Row) -> bool:
        """Whether a claim holds the row: a heartbeat that comes then waits for it."""
        return self.claiming is not None and self.claiming.seen.row is row

    @staticmethod
    def _head(row: Row) -> Head:
        seconds = 0.0 if row.fence else row.audio_seconds
        return Head(row.task_id, row.user.user_id, row.lane, seconds, row.created_at)

    # Writing: each of these is one transaction.

    def submit(self, row: Row) -> None:
        """Add a task."""

        def change() -> None:
            row.created_at = EPOCH + timedelta(seconds=self.now)
            row.run_after = self.now
            self.rows.append(row)
            self._checker.accepted(row)
            self._tell(row)

        self._commit(row, change)

    def write(self, seen: Seen, step: Step, why: Reason, fence: int | None = None) -> None:
        """Make a step, as pipelines.queue.write does; `fence` is that of a runner that writes."""
        self._commit(seen.row, lambda: self._write(seen, step, why, fence))

    def claim(self, found: Found, step: Step) -> None:
        """Take what was found."""

        def change() -> None:
            self._write(found.seen, step, Reason.claim, None)
            if found.choice is not None:
                found.seen.row.user.served = found.choice.served
                self.clock = found.choice.clock
                self._checker.chosen(found.choice.head, found.heads)

        self._commit(found.seen.row, change)

    def publish(self, seen: Seen, step: Step, fence: int) -> None:
        """Store the transcript and complete the task."""

        def change() -> None:
            self._write(seen, step, Reason.success, fence)
            seen.row.progress = 1.0
            self._checker.published(seen.row, fence)

        if self._bug is Bug.publish_apart:
            self._commit(seen.row, lambda: self._checker.published(seen.row, fence))
            self._commit(seen.row, lambda: self._write(seen, step, Reason.success, fence))
        else:
            self._commit(seen.row, change)

    def save(self, row: Row, fence: int, window: int) -> None:
        """Keep the result of a window."""

        def change() -> None:
            if self._bug is not Bug.checkpoint_without_fence:
                self.held(row, fence)
            self._checker.saved(row, fence)
            self.checkpoints.setdefault(row.file, set()).add(window)

        self._commit(row, change)

    def report(self, row: Row, fence: int, progress: float) -> None:
        """Write how far a task is."""

        def change() -> None:
            self.held(row, fence)
            before, row.progress = row.progress, max(row.progress, progress)
            self._checker.reported(row, fence, before)

        self._commit(row, change)

    def heartbeat(self, claims: Sequence[tuple[Row, int]]) -> dict[tuple[Row, int], TaskState]:
        """Renew leases; one that is missing in the answer was taken by somebody else."""

        def change() -> dict[tuple[Row, int], TaskState]:
            states = {}
            for row, fence in claims:
                if row.state in HELD and (row.fence == fence or self._bug is Bug.no_fence):
                    states[row, fence] = row.state
                    if self._bug is not Bug.lease_not_renewed:
                        row.lease_until = self.now + LEASE
            return states

        states = self._commit(None, change)
        for row, fence in states:
            self._checker.beaten(row, fence, self.now)
        return states

    def _write(self, seen: Seen, step: Step, why: Reason, fence: int | None) -> None:
        row = seen.row
        if not self._as_read(seen, why):
            raise FenceLost(row.number)
        before = self.see(row)
        row.state, row.attempt, row.fence = step.state, step.attempt, step.fence
        if self._bug is Bug.attempt_at_finish:
            row.attempt = before.attempt + (why is Reason.failure)
        if step.leased:
            row.lease_until = self.now + LEASE
        elif step.state is not TaskState.cancelling:
            row.lease_until = None
        if step.delay_seconds:
            row.run_after = self.now + int(step.delay_seconds)
        if step.failure:
            row.error_message = step.failure.message
        self._checker.wrote(row, before, why, fence, self.now)
        self._tell(row)
        if why is Reason.claim and row.state is TaskState.running:
            self._checker.capped(row, self.running(row.user))

    def _as_read(self, seen: Seen, why: Reason) -> bool:
        """The WHERE of the update."""
        row = seen.row
        if self._bug is Bug.cancel_blindly and why is Reason.cancel:
            return True
        if self._bug is Bug.claim_blindly and why is Reason.claim:
            return row.state not in TERMINAL
        same_fence = row.fence == seen.fence or self._bug is Bug.no_fence
        return same_fence and row.state is seen.state

    def _tell(self, row: Row) -> None:
        row.user.sequence += 1
        row.user.events.append(row.user.sequence)
        self._checker.told(row.user.events)

    def _commit(self, row: Row | None, change: Callable[[], T]) -> T:
        """Make a change as a whole, or fail before it, or tell its maker so though it was made.

        A change raises before it has altered anything.
        """
        luck = self._rng.random() if self.faulty else 1.0
        if luck < ERROR_RATE:
            if self._bug is Bug.events_outside and row is not None:
                row.user.sequence += 1
            raise StoreUnavailable("before the commit")
        result = change()
        if luck < 2 * ERROR_RATE:
            raise StoreUnavailable("after the commit")
        return result
