"""The transition table: every path ends, and the ends stay."""

from hypothesis import given
from hypothesis import strategies as st

from db.models import TaskState
from pipelines.task_state import FILE_STATUS, TERMINAL, TRANSITIONS


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
