"""The transition table and the decisions: every path ends, and the ends stay."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.models import TaskState
from pipelines.errors import IllegalTransition
from pipelines.task_state import (
    EXHAUSTED,
    FILE_STATUS,
    TERMINAL,
    TRANSITIONS,
    Failure,
    Step,
    on_cancel,
    on_claim,
    on_drain,
    on_failure,
    on_overdue,
    on_recover,
    on_stopped,
    on_success,
)


def test_every_state_is_in_the_table_and_gives_the_file_a_status():
    assert set(TRANSITIONS) == set(TaskState) == set(FILE_STATUS)


def test_the_ends_are_completed_failed_and_cancelled():
    assert {TaskState.completed, TaskState.failed, TaskState.cancelled} == TERMINAL


def reachable(state: TaskState) -> set[TaskState]:
    found, frontier = {state}, [state]
    while frontier:
        for following in TRANSITIONS[frontier.pop()]:
            if following not in found:
                found.add(following)
                frontier.append(following)
    return found


@given(st.sampled_from(TaskState))
def test_from_every_state_an_end_can_be_reached(state):
    assert reachable(state) & TERMINAL


def test_a_cancelling_task_never_runs_again():
    assert TaskState.running not in reachable(TaskState.cancelling)
    assert TaskState.queued not in reachable(TaskState.cancelling)


@dataclass
class Row:
    """What a decision reads."""

    state: TaskState
    attempt: int
    fence: int
    error_message: str | None = None

    def after(self, step: Step) -> "Row":
        message = step.failure.message if step.failure else self.error_message
        return Row(step.state, step.attempt, step.fence, message)


MAX_ATTEMPTS = 3
HELD = (TaskState.running, TaskState.cancelling)
PASSING = Failure("store_unavailable", "A store did not answer.", retryable=True)
LASTING = Failure("unreadable", "The file is no audio.")
DECISIONS: dict[str, Callable[[Row], Step]] = {
    "claim": lambda row: on_claim(row, MAX_ATTEMPTS),
    "success": on_success,
    "fails for now": lambda row: on_failure(row, PASSING, MAX_ATTEMPTS, 5.0),
    "fails for good": lambda row: on_failure(row, LASTING, MAX_ATTEMPTS, 5.0),
    "drain": on_drain,
    "cancel": on_cancel,
    "stopped": on_stopped,
    "recover": on_recover,
    "overdue": on_overdue,
}
HISTORIES = st.lists(st.sampled_from(sorted(DECISIONS)), max_size=40)


def history_of(names: list[str]) -> list[tuple[str, Row, Row]]:
    """The steps that the table allows, from a new task on."""
    row, steps = Row(TaskState.queued, 0, 0), []
    for name in names:
        try:
            step = DECISIONS[name](row)
        except IllegalTransition:
            continue
        steps.append((name, row, row.after(step)))
        row = steps[-1][2]
    return steps


@given(HISTORIES)
def test_attempts_are_bounded_and_fences_grow(names):
    for name, before, after in history_of(names):
        assert 0 <= after.attempt <= MAX_ATTEMPTS
        assert after.fence >= before.fence
        assert after.fence > before.fence or name not in {"claim", "recover", "overdue"}
        # Whoever works does so in an attempt that counts already.
        assert after.attempt >= 1 or after.state not in HELD


@given(HISTORIES)
def test_an_end_is_the_end(names):
    steps = history_of(names)
    assert all(before.state not in TERMINAL for _, before, _ in steps)


@given(HISTORIES)
def test_who_was_told_that_it_is_cancelled_finds_it_cancelled(names):
    steps = history_of(names)
    cancels = [index for index, (name, _, _) in enumerate(steps) if name == "cancel"]
    for index in cancels:
        for _, _, after in steps[index:]:
            assert after.state in {TaskState.cancelling, TaskState.cancelled}


@given(HISTORIES)
def test_a_lease_begins_at_a_claim_and_nowhere_else(names):
    for name, before, after in history_of(names):
        step = DECISIONS[name](before)
        assert step.leased == (name == "claim" and after.state is TaskState.running)


@given(HISTORIES)
def test_only_who_fails_for_now_waits(names):
    for name, before, after in history_of(names):
        step = DECISIONS[name](before)
        waits = name == "fails for now" and after.state is TaskState.queued
        assert bool(step.delay_seconds) == waits
        assert (after.state is not TaskState.failed) or step.failure


def test_what_an_owner_takes_from_a_silent_runner_costs_the_attempt():
    row = Row(TaskState.queued, 0, 0)
    for _ in range(MAX_ATTEMPTS):
        row = row.after(on_claim(row, MAX_ATTEMPTS))
        row = row.after(on_overdue(row))
    assert row.attempt == MAX_ATTEMPTS
    assert on_claim(row, MAX_ATTEMPTS).state is TaskState.failed


@given(st.sampled_from(["drain", "recover"]), st.integers(0, 20))
def test_what_is_given_back_costs_no_attempt(how, times):
    row = Row(TaskState.queued, 0, 0)
    for _ in range(times):
        row = row.after(on_claim(row, MAX_ATTEMPTS))
        row = row.after(DECISIONS[how](row))
    assert (row.state, row.attempt) == (TaskState.queued, 0)
    assert row.fence >= times


def test_a_file_that_kills_its_runner_stops_and_says_what_was_last_known():
    row = Row(TaskState.queued, 0, 0, "the decoder ran out of memory")
    for attempt in range(1, MAX_ATTEMPTS + 1):
        row = row.after(on_claim(row, MAX_ATTEMPTS))
        assert (row.state, row.attempt) == (TaskState.running, attempt)
    last = on_claim(row, MAX_ATTEMPTS)
    assert last.state is TaskState.failed
    assert last.attempt == MAX_ATTEMPTS
    assert last.fence > row.fence
    assert last.failure.error_type == EXHAUSTED
    assert "ran out of memory" in last.failure.message


@pytest.mark.parametrize(
    ("failure", "attempt", "expected"),
    [
        (PASSING, MAX_ATTEMPTS - 1, TaskState.queued),
        (PASSING, MAX_ATTEMPTS, TaskState.failed),
        (LASTING, 1, TaskState.failed),
    ],
)
def test_a_failure_is_tried_again_where_that_may_help_and_attempts_remain(
    failure, attempt, expected
):
    step = on_failure(Row(TaskState.running, attempt, 7), failure, MAX_ATTEMPTS, 5.0)
    assert step == Step(expected, attempt, 7, delay_seconds=step.delay_seconds, failure=failure)
