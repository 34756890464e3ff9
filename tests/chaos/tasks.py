"""Recordings that are submitted to be disturbed, and what became of them."""

import time
import uuid
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from cluster.settings import RunnerSettings
from rayscribe.api_client import ApiClient, ApiFailure, Submitted
from rayscribe.bootstrap import load_credential
from tests.fixtures.media import ffmpeg
from tests.fixtures.speech import sample
from tests.fixtures.stack import Stack

LOOPS = 10
"""Of the sample's 30 s."""
END_SECONDS = 300
IN_FLIGHT = RunnerSettings().max_outstanding_windows_per_task
"""Windows of a task that may have to be done again."""
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
    """Upload the recording: the same audio, and other bytes each time."""
    source = ("-stream_loop", str(loops - 1), "-i", str(sample()))
    path = ffmpeg(folder / "recording.flac", *source, "-metadata", f"comment={uuid.uuid4()}")
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


def windows_transcribed(stack: Stack) -> int:
    """Windows that the fake transcriber has done so far."""
    journal = Path(stack.environment["RAYSCRIBE_FAKE_JOURNAL"])
    return len(journal.read_text().splitlines()) if journal.exists() else 0
