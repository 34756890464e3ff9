"""SIGKILL to every part while it works on a recording: the task completes, once, with the result.

`make test` tries one moment per part, `make chaos` the matrix of parts and moments.
"""

from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest

from tests.chaos.report import Report
from tests.chaos.tasks import EVENTS, IN_FLIGHT, Quiet, Watch, await_end, await_moment, submit
from tests.fixtures.stack import Stack

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]


@dataclass(frozen=True, slots=True)
class Part:
    """A part and what its death may cost.

    Args:
        words: Found in the command lines of its processes, and of no others.
        attempts: 2 where the attempt may not go on without it, else 1.
        reasons: Why the attempt is then said to have failed. Empty: its runner died with the part,
            so nobody says so, and the lease ran out.
        moment: When `make test` kills it; None: only `make chaos` does.
    """

    words: str
    attempts: int
    reasons: frozenset[str | None] = frozenset()
    moment: str | None = "transcribe"


STORE, SPEECH = "store_unavailable", "speech_unavailable"
PARTS = {
    # The runner asks again for the windows that were lost with it.
    "transcriber": Part("ServeReplica:pipelines:Transcriber", 1),
    # A decoding cannot be taken up in its middle.
    "preparer": Part("ServeReplica:pipelines:Preparer", 2, frozenset({SPEECH}), moment=None),
    # The attempt was its own; its successor begins another.
    "runner": Part("ServeReplica:pipelines:Runner", 2),
    # What was accepted does not need it.
    "api": Part("ServeReplica:api:Api", 1),
    # Checkpoints wait for it, the reads between stages do not.
    "postgres": Part("postgres -D", 2, frozenset({STORE})),
    # The client asks four times within a second or two; the decoder reads the file from there.
    "objects": Part("weed", 2, frozenset({STORE, SPEECH})),
    # Ray's head goes down with either, and the runner with it.
    "gcs": Part("gcs_server", 2),
    "raylet": Part("raylet/raylet", 2, moment=None),
    # The other parts live on until the next `up` ends them, the runner too.
    "supervisor": Part("rayscribe up", 2),
}
CASES = [
    pytest.param(
        name,
        moment,
        id=f"{name}-{moment}",
        marks=[] if moment == part.moment else [pytest.mark.chaos_matrix],
    )
    for name, part in PARTS.items()
    for moment in ("prepare", "transcribe")
]


@pytest.mark.parametrize(("name", "moment"), CASES)
def test_a_recording_survives_the_death_of(
    stack: Stack, quiet: Quiet, report: Report, tmp_path: Path, name: str, moment: str
):
    # What the test before has killed is back.
    stack.await_health()
    part = PARTS[name]
    watch = Watch(stack, quiet, report, f"kill -9 {name}, {moment}")
    submitted = submit(stack, tmp_path)
    await_moment(stack, submitted.task_id, moment)
    watch.struck()
    assert stack.kill(part.words) > 0
    if name == "supervisor":
        assert "password" not in stack.up()
    task = await_end(stack, submitted.task_id)
    assert task["finished_at"] > watch.struck_at
    watch.survived(task, IN_FLIGHT)
    assert task["attempt"] <= part.attempts
    assert_reasons(stack, task, part)


def assert_reasons(stack: Stack, task: asyncpg.Record, part: Part) -> None:
    """Every attempt that failed says why, unless its runner died with it."""
    if part.reasons:
        events = stack.query(EVENTS, task["id"])
        reasons = [event["reason"] for event in events[1:] if event["state"] == "queued"]
        assert len(reasons) == task["attempt"] - 1, events
        assert part.reasons.issuperset(reasons)
