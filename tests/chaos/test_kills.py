"""SIGKILL to every part while it works on a recording: the task completes, once, with the result.

`make test` tries one moment per part, `make chaos` the matrix of parts and moments.
"""

import time
import uuid
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import pytest

from rayscribe.api_client import ApiClient, Submitted
from rayscribe.bootstrap import load_credential
from tests.fixtures.media import ffmpeg
from tests.fixtures.speech import sample
from tests.fixtures.stack import Stack

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]

LOOPS = 10
"""Of the sample's 30 s."""
END_SECONDS = 300
EVENTS = """
select type, payload ->> 'error_type' as reason from task_event where task_id = $1 order by id
"""
BEFORE = {"task.queued", "task.running"}
"""Events of a task that goes on."""
TASK = """
select task.*, (select count(*) from stage_result as done
                where done.media_file_id = task.media_file_id and done.stage = 'transcribe') as done
from task where id = $1
"""


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


def submit(stack: Stack, folder: Path) -> Submitted:
    """Upload the recording: the same audio, and other bytes each time."""
    source = ("-stream_loop", str(LOOPS - 1), "-i", str(sample()))
    path = ffmpeg(folder / "recording.flac", *source, "-metadata", f"comment={uuid.uuid4()}")
    with client(stack) as api:
        return api.submit(path, {}, lambda *_: None)


def client(stack: Stack) -> closing[ApiClient]:
    return closing(ApiClient(stack.url, None, load_credential(stack.data_dir)))


def exported(stack: Stack, file_id: str) -> str:
    with client(stack) as api:
        return api.export(file_id, "json")


def await_moment(stack: Stack, task_id: str, moment: str) -> None:
    """Wait until the task is in the middle of decoding, or of its windows."""
    while True:
        [task] = stack.query(TASK, task_id)
        assert task["state"] in {"queued", "running"}, f"it was over before: {task}"
        if moment == "prepare":
            assert task["progress"] < 0.1, f"decoded before it was seen: {task}"
        if task["progress"] > 0 and (moment == "prepare" or task["done"] >= 2):
            assert task["progress"] < 0.9
            return
        time.sleep(0.05)


def await_end(stack: Stack, task_id: str) -> asyncpg.Record:
    """The task when it is over, asked through whatever outage there is."""
    deadline = time.monotonic() + END_SECONDS
    seen: object = "no answer"
    while time.monotonic() < deadline:
        try:
            [task] = stack.query(TASK, task_id)
        except (OSError, asyncpg.PostgresError) as error:
            seen = error
        else:
            if task["finished_at"]:
                return task
            seen = task
        time.sleep(0.2)
    raise AssertionError(f"not over after {END_SECONDS} s: {seen!r}")


@pytest.fixture(scope="session")
def undisturbed(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> str:
    """What is exported of the recording when nothing dies."""
    submitted = submit(stack, tmp_path_factory.mktemp("undisturbed"))
    task = await_end(stack, submitted.task_id)
    assert (task["state"], task["attempt"]) == ("completed", 1)
    return exported(stack, submitted.file_id)


@pytest.mark.parametrize(("name", "moment"), CASES)
def test_a_recording_survives_the_death_of(
    stack: Stack, undisturbed: str, tmp_path: Path, name: str, moment: str
):
    # What the test before has killed is back.
    stack.await_health()
    part = PARTS[name]
    submitted = submit(stack, tmp_path)
    await_moment(stack, submitted.task_id, moment)
    killed_at = datetime.now(UTC)
    assert stack.kill(part.words) > 0
    if name == "supervisor":
        assert "password" not in stack.up()
    task = await_end(stack, submitted.task_id)
    assert task["finished_at"] > killed_at
    assert_completed_once(stack, task, part)
    stack.await_health()
    assert exported(stack, submitted.file_id) == undisturbed


def assert_completed_once(stack: Stack, task: asyncpg.Record, part: Part) -> None:
    assert (task["state"], task["error_message"]) == ("completed", None)
    events = stack.query(EVENTS, task["id"])
    assert [event["type"] for event in events if event["type"] not in BEFORE] == ["task.completed"]
    assert task["attempt"] <= part.attempts
    if part.reasons:
        reasons = [event["reason"] for event in events[1:] if event["type"] == "task.queued"]
        assert len(reasons) == task["attempt"] - 1, events
        assert part.reasons.issuperset(reasons)
    count = "select count(*) from transcript where media_file_id = $1"
    [transcripts] = stack.query(count, task["media_file_id"])
    assert transcripts["count"] == 1
