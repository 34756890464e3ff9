"""What must be true of the queue whatever happens, checked at every write and at the end."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING

from db.models import Lane, TaskState
from pipelines.schedule import LANES, Head, Limits

if TYPE_CHECKING:
    from tests.simulation.store import Row, Seen

MAX_ATTEMPTS = 3
IN_FLIGHT = 2
"""Windows of a task under way at a time."""
ENDS = (TaskState.completed, TaskState.failed, TaskState.cancelled)
HELD = (TaskState.running, TaskState.cancelling)


class Violation(AssertionError):
    """An invariant does not hold."""


class Reason(StrEnum):
    """Why a row is written."""

    claim = "claim"
    success = "success"
    failure = "failure"
    drain = "drain"
    cancel = "cancel"
    stopped = "stopped"
    recover = "recover"


class Checker:
    """Sees every change as it is committed, and knows nothing of how it came about."""

    def __init__(self, limits: Limits, lease: int) -> None:
        self._limits = limits
        self._lease = lease
        self.trusts_attempts = True
        """Whether the column is compared with what really happened."""
        self.rows: list[Row] = []
        self.open = 0
        """Accepted tasks that have not ended."""
        self._holder: dict[Row, int] = {}
        """Under which fence somebody may write; not what the column says, but what happened."""
        self._claims: Counter[Row] = Counter()
        self._given_back: Counter[Row] = Counter()
        self._cancelled: set[Row] = set()
        self._completed_by: dict[Row, int] = {}
        self._transcripts: defaultdict[Row, list[int]] = defaultdict(list)
        self._computed: Counter[tuple[Row, int, int]] = Counter()
        self._useless: Counter[tuple[Row, int]] = Counter()
        self._beats: dict[tuple[Row, int], int] = {}
        self._passed: Counter[Lane] = Counter()

    @property
    def claims(self) -> int:
        """How many attempts were begun."""
        return sum(self._claims.values())

    # What the store tells.

    def accepted(self, row: "Row") -> None:
        """A task is there: from now on it must come to an end."""
        self.rows.append(row)
        self.open += 1

    def wrote(self, row: "Row", before: "Seen", why: Reason, fence: int | None, now: int) -> None:
        """A step was made; `fence` is that of the runner that made it."""
        _demand(before.state not in ENDS, "an end stays", row, f"was {before.state}, {why}")
        self._not_from_a_zombie(fence, row, why)
        held = row.state in HELD
        _demand(
            held == (row.lease_until is not None), "a lease is held while somebody works", row, why
        )
        _demand(row.fence >= before.fence, "a fence never falls", row, why)
        if why is Reason.claim:
            self._claimed(row, before, now)
        if why is Reason.cancel:
            self._cancelled.add(row)
        if why in {Reason.drain, Reason.recover} and row.state is TaskState.queued:
            self._given_back[row] += 1
        begun = self._claims[row] - self._given_back[row]
        _demand(begun <= MAX_ATTEMPTS, "attempts are bounded", row, f"{begun} were begun")
        if self.trusts_attempts:
            _demand(row.attempt == begun, "attempts count at claim", row, f"{begun} were begun")
        if row.state not in HELD:
            self._holder.pop(row, None)
        if row.state in ENDS:
            self.open -= 1
        if row.state is TaskState.completed:
            _demand(row not in self._cancelled, "a cancelled task never completes", row, why)
            self._completed_by[row] = row.fence
        if row.state is TaskState.failed:
            _demand(bool(row.error_message), "who failed says why", row, why)

    def _claimed(self, row: "Row", before: "Seen", now: int) -> None:
        _demand(row.fence > before.fence, "the fence grows at a claim", row, f"was {before.fence}")
        if before.state in HELD:
            beaten = self._beats.get((row, before.fence), 0)
            _demand(
                now > beaten + self._lease,
                "who beats keeps the task",
                row,
                f"its runner was heard {now - beaten} s ago",
            )
        if row.state is TaskState.running:
            self._claims[row] += 1
            self._holder[row] = row.fence
            self._beats[row, row.fence] = now

    def beaten(self, row: "Row", fence: int, now: int) -> None:
        """A runner was told that its lease goes on."""
        self._beats[row, fence] = now

    def capped(self, row: "Row", running: int) -> None:
        """After a claim."""
        cap = self._limits.max_tasks_per_user
        _demand(running <= cap, "a user has no more running than allowed", row, str(running))

    def chosen(self, head: Head, free: Sequence[Head]) -> None:
        """A waiting task was claimed, of those that could have been."""
        waiting = {other.lane for other in free}
        better = LANES.index(head.lane)
        for lane in LANES:
            if lane is head.lane or lane not in waiting:
                self._passed[lane] = 0
            elif LANES.index(lane) > better:
                self._passed[lane] += 1
                # Two other lanes may have lost patience as well; they go first, once each.
                bound = self._limits.lane_patience + len(LANES) - 1
                if self._passed[lane] > bound:
                    raise Violation(f"no lane starves: {lane} was passed over {bound + 1} times")

    def published(self, row: "Row", fence: int) -> None:
        """A transcript was stored."""
        self._transcripts[row].append(fence)
        _demand(len(self._transcripts[row]) == 1, "one transcript at most", row, "a second one")

    def saved(self, row: "Row", fence: int) -> None:
        """A checkpoint was stored."""
        self._not_from_a_zombie(fence, row, "saved a checkpoint")

    def reported(self, row: "Row", fence: int, before: float) -> None:
        """Progress was written."""
        self._not_from_a_zombie(fence, row, "reported progress")
        _demand(row.progress >= before, "progress never goes back", row, f"{before} before")

    def told(self, numbers: Sequence[int]) -> None:
        """An event was added to these of its user."""
        if numbers[-1] != len(numbers):
            raise Violation(f"events have no gaps: number {numbers[-1]} comes {len(numbers)}th")

    # What runners tell.

    def computing(self, row: "Row", fence: int, window: int, stored: bool) -> None:
        """An attempt begins to compute a window."""
        self._computed[row, fence, window] += 1
        _demand(
            self._computed[row, fence, window] == 1, "once per attempt", row, f"window {window}"
        )
        if self._holder.get(row) == fence:
            _demand(not stored, "what is stored is not computed again", row, f"window {window}")
        else:
            self._useless[row, fence] += 1
            _demand(
                self._useless[row, fence] <= IN_FLIGHT, "a zombie soon stops", row, f"was {fence}"
            )

    def drained(self, row: "Row", fence: int) -> None:
        """A runner has given a task back, and was told that this is done."""
        _demand(self._holder.get(row) != fence, "a drain gives tasks back", row, "held")

    # At the end.

    def over(self) -> None:
        """Faults have stopped and time has passed."""
        for row in self.rows:
            _demand(row.state in ENDS, "every task ends", row, "no end")
            if row in self._cancelled:
                _demand(row.state is TaskState.cancelled, "who cancels finds it cancelled", row, "")
            expected = [self._completed_by[row]] if row.state is TaskState.completed else []
            _demand(
                self._transcripts[row] == expected,
                "the transcript is by whoever completed",
                row,
                f"stored under fences {self._transcripts[row]}",
            )
        computed: Counter[Row] = Counter()
        distinct: defaultdict[Row, set[int]] = defaultdict(set)
        for (row, _, window), times in self._computed.items():
            computed[row] += times
            distinct[row].add(window)
        for row, times in computed.items():
            repeats = times - len(distinct[row])
            lost = self._claims[row] - (row.state is TaskState.completed)
            _demand(
                repeats <= IN_FLIGHT * lost,
                "only windows in flight are repeated",
                row,
                f"{repeats} repeats in {lost} lost attempts",
            )

    def _not_from_a_zombie(self, fence: int | None, row: "Row", what: str) -> None:
        holder = self._holder.get(row)
        _demand(
            fence is None or fence == holder,
            "a zombie changes nothing",
            row,
            f"{what} under fence {fence}, it is with {holder}",
        )


def _demand(true: bool, invariant: str, row: "Row", detail: str) -> None:
    if not true:
        raise Violation(f"{invariant}: {row}: {detail}")
