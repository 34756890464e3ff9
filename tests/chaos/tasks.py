"""Recordings that are submitted to be disturbed, and what became of them."""

import time
import uuid
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import asyncpg

from cluster.settings import RunnerSettings
from rayscribe.api_client import ApiClient, ApiFailure, Submitted
from rayscribe.bootstrap import load_credential
from tests.chaos.report import Report
from tests.fixtures.media import ffmpeg
from tests.fixtures.speech import sample
from tests.fixtures.stack import Stack

LOOPS = 10
"""Of the sample's 30 s."""
END_SECONDS = 300
BATCH_SIZE = 4
"""Windows in a batch: the default of a CPU."""
IN_FLIGHT = RunnerSettings().batches_per_replica * BATCH_SIZE
"""Windows of a task that may have to be done again."""
GOES_ON = {"queued", "running"}
"""States of a task that is not over."""
TASK = """
select task.*, (select count(*) from stage_result as done
                where done.media_file_id = task.media_file_id and done.stage = 'transcribe') as done
from task where id = $1
"""
EVENTS = """
select payload ->> 'task_state' as state, payload ->> 'error_type' as reason
from task_event where task_id = $1 order by sequence
"""


@dataclass(frozen=True, slots=True)
class Quiet:
    """A run in which nothing dies: what is exported, and how many windows that took."""

    transcript: str
    windows: int


def client(stack: Stack) -> closing[ApiClient]:
    """Signed in as the administrator."""
    return closing(ApiClient(stack.url, None, load_credential(stack.data_dir)))


def submit(stack: Stack, folder: Path, loops: int = LOOPS) -> Submitted:
    """Upload the recording: the same audio, and other bytes each time.

    It has a picture, so that there is an object to be stored before the result is.
    """
    source = ("-stream_loop", str(loops - 1), "-i", str(sample()))
    picture = ("-f", "lavfi", "-i", "color=size=64x64:rate=1", "-shortest", "-c:a", "flac")
    told = ("-metadata", f"comment={uuid.uuid4()}")
    path = ffmpeg(folder / "recording.mkv", *source, *picture, *told)
    with client(stack) as api:
        return api.submit(path, {}, lambda *_: None)


def exported(stack: Stack, file_id: str) -> str:
    """The transcript, asked again where the service was only about to go down."""
    deadline = time.monotonic() + END_SECONDS
    while True:
        stack.await_health()
        try:
            with client(stack) as api:
                return api.export(file_id, "json")
        except ApiFailure:
            if time.monotonic() > deadline:
                raise
            time.sleep(1)


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


def await_end(stack: Stack, task_id: str, seconds: float = END_SECONDS) -> asyncpg.Record:
    """The task when it is over, asked through whatever outage there is."""
    deadline = time.monotonic() + seconds
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
    raise AssertionError(f"not over after {seconds} s: {seen!r}")


def transcripts(stack: Stack, task: asyncpg.Record) -> int:
    """How many transcripts the task's file has."""
    count = "select count(*) from transcript where media_file_id = $1"
    [row] = stack.query(count, task["media_file_id"])
    return int(row["count"])


@dataclass(slots=True)
class Watch:
    """A fault under observation, from before its recording is sent until the task is over."""

    stack: Stack
    quiet: Quiet
    report: Report
    fault: str
    struck_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    windows_before: int = field(init=False)

    def __post_init__(self) -> None:
        self.windows_before = windows_transcribed(self.stack)

    def struck(self) -> None:
        """The fault happens now."""
        self.struck_at = datetime.now(UTC)

    def survived(self, task: asyncpg.Record, most_repeated: int) -> None:
        """Note what it cost; it must have completed, once, with a quiet run's transcript."""
        made = transcripts(self.stack, task)
        repeated = windows_transcribed(self.stack) - self.windows_before - self.quiet.windows
        self.report.note(
            self.fault,
            completed=task["state"] == "completed",
            transcripts=made,
            repeated=repeated,
            seconds=max(0.0, (task["finished_at"] - self.struck_at).total_seconds()),
        )
        assert (task["state"], task["error_message"], made) == ("completed", None, 1)
        states = [event["state"] for event in self.stack.query(EVENTS, task["id"])]
        assert [state for state in states if state not in GOES_ON] == ["completed"]
        assert repeated <= most_repeated
        assert exported(self.stack, str(task["media_file_id"])) == self.quiet.transcript


def windows_transcribed(stack: Stack) -> int:
    """Windows that the fake transcriber has done so far."""
    journal = Path(stack.environment["RAYSCRIBE_FAKE_JOURNAL"])
    return len(journal.read_text().splitlines()) if journal.exists() else 0
