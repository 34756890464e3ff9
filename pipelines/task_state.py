"""The states of a task, and every decision about its next one, as pure functions.

A decision reads a row and says a Step; `pipelines.queue` writes it where fence and state are still
what was read, else it writes nothing. tests/simulation runs the same decisions on a store of its
own, in thousands of interleavings.
"""

from dataclasses import dataclass
from typing import Protocol

from db.models import FileStatus, TaskState
from pipelines.errors import IllegalTransition

TRANSITIONS: dict[TaskState, frozenset[TaskState]] = {
    # queued → failed: a dead letter
    TaskState.queued: frozenset({TaskState.running, TaskState.cancelled, TaskState.failed}),
    # running → queued: given back (drain, retry); running → running: its lease ran out
    TaskState.running: frozenset(
        {
            TaskState.completed,
            TaskState.failed,
            TaskState.queued,
            TaskState.cancelling,
            TaskState.running,
        }
    ),
    # Whoever was told that it is being cancelled does not find it completed.
    TaskState.cancelling: frozenset({TaskState.cancelled}),
    TaskState.completed: frozenset(),
    TaskState.failed: frozenset(),
    TaskState.cancelled: frozenset(),
}

TERMINAL = frozenset(state for state, following in TRANSITIONS.items() if not following)

FILE_STATUS = {
    TaskState.queued: FileStatus.queued,
    TaskState.running: FileStatus.processing,
    TaskState.cancelling: FileStatus.processing,
    TaskState.completed: FileStatus.completed,
    TaskState.failed: FileStatus.failed,
    TaskState.cancelled: FileStatus.cancelled,
}

EXHAUSTED = "attempts_exhausted"


def file_status(latest: TaskState | None, *, has_transcript: bool) -> FileStatus:
    """A file's status, from the state of its latest task and from whether it has a transcript."""
    if latest is not None and latest not in TERMINAL:
        return FILE_STATUS[latest]
    if has_transcript:
        # What was there before a failed or cancelled task is still good.
        return FileStatus.completed
    if latest is None or latest is TaskState.completed:
        return FileStatus.failed
    return FILE_STATUS[latest]


class TaskRow(Protocol):
    """What a decision reads of a task."""

    @property
    def state(self) -> TaskState:
        """Where it stands."""
        ...

    @property
    def attempt(self) -> int:
        """How many attempts were begun."""
        ...

    @property
    def fence(self) -> int:
        """The number of its latest claim."""
        ...

    @property
    def error_message(self) -> str | None:
        """Why the attempt before failed."""
        ...


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an attempt failed, in words for the user."""

    error_type: str
    message: str
    retryable: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """A change of a task: written only where fence and state are still what was read."""

    state: TaskState
    attempt: int
    fence: int
    leased: bool = False
    """Whether a lease begins now; otherwise there is none from now on, except while cancelling."""
    delay_seconds: float = 0.0
    """How long it waits before it may be claimed."""
    failure: Failure | None = None


def checked(before: TaskState, step: Step) -> Step:
    """The step, if the table allows it.

    Raises:
        IllegalTransition: it does not.
    """
    if step.state not in TRANSITIONS[before]:
        raise IllegalTransition(before, step.state)
    return step


def _to(row: TaskRow, state: TaskState, **changes: object) -> Step:
    step = Step(state, row.attempt, row.fence, **changes)  # type: ignore[arg-type]
    return checked(row.state, step)


def is_suspect(row: TaskRow, max_attempts: int) -> bool:
    """Whether a task whose lease ran out may be what its runners died of: one attempt is left.

    A runner has one suspect at a time, so that a file which kills runners does not use up the
    attempts of those that are worked on beside it.
    """
    return row.state is TaskState.running and row.attempt == max_attempts - 1


def on_claim(row: TaskRow, max_attempts: int) -> Step:
    """A task that is due, or whose lease ran out, is taken: attempt and fence grow.

    One that has used up its attempts is failed instead, so that a file which kills its runner stops
    after `max_attempts` whatever the runner could or could not write.
    """
    if row.state is TaskState.cancelling:
        return checked(row.state, Step(TaskState.cancelled, row.attempt, row.fence + 1))
    if row.attempt >= max_attempts:
        failure = Failure(EXHAUSTED, _exhausted(row))
        # A fence of its own: its old runner may live.
        return checked(
            row.state, Step(TaskState.failed, row.attempt, row.fence + 1, failure=failure)
        )
    return checked(row.state, Step(TaskState.running, row.attempt + 1, row.fence + 1, leased=True))


def _exhausted(row: TaskRow) -> str:
    last = f"; the last error was: {row.error_message}" if row.error_message else ""
    return (
        f"Processing was started {row.attempt} times and did not come to an end{last}. "
        "The file may be one that the decoder or a model cannot survive; ask an operator for "
        "the log of this task before you try again."
    )


def on_success(row: TaskRow) -> Step:
    """The result is stored in the same transaction."""
    return _to(row, TaskState.completed)


def on_failure(row: TaskRow, failure: Failure, max_attempts: int, pause_seconds: float) -> Step:
    """A failed attempt: again later where that may help and attempts remain, else failed."""
    if row.state is TaskState.cancelling:
        return _to(row, TaskState.cancelled)
    if failure.retryable and row.attempt < max_attempts:
        return _to(row, TaskState.queued, delay_seconds=pause_seconds, failure=failure)
    return _to(row, TaskState.failed, failure=failure)


def on_drain(row: TaskRow) -> Step:
    """Given back unfinished: that does not count as an attempt."""
    if row.state is TaskState.cancelling:
        return _to(row, TaskState.cancelled)
    return checked(row.state, Step(TaskState.queued, row.attempt - 1, row.fence))


def on_cancel(row: TaskRow) -> Step:
    """Cancel: at once while it waits, within one window while it runs."""
    if row.state is TaskState.queued:
        return _to(row, TaskState.cancelled)
    return _to(row, TaskState.cancelling)


def on_stopped(row: TaskRow) -> Step:
    """The runner has stopped the work of a task that was being cancelled."""
    return _to(row, TaskState.cancelled)


def on_overdue(row: TaskRow) -> Step:
    """A task whose lease ran out is queued anew without waiting for the claim that would take it.

    Its owner may ask for that, so it costs the attempt, as that claim would have it.
    """
    if row.state is TaskState.cancelling:
        return checked(row.state, Step(TaskState.cancelled, row.attempt, row.fence + 1))
    return checked(row.state, Step(TaskState.queued, row.attempt, row.fence + 1))


def on_recover(row: TaskRow) -> Step:
    """An operator takes a running task from its runner, whose fence is then an old one.

    Like a drain it costs no attempt: nothing says that the attempt was bad.
    """
    if row.state is TaskState.cancelling:
        return checked(row.state, Step(TaskState.cancelled, row.attempt, row.fence + 1))
    return checked(row.state, Step(TaskState.queued, row.attempt - 1, row.fence + 1))
