"""A backfill whose driver and actors are killed: each recording is in the result once."""

import time
from pathlib import Path

import pytest

from rayscribe.backfill import BACKFILLS
from tests.chaos.tasks import client
from tests.fixtures.archive import fill
from tests.fixtures.stack import Stack

pytestmark = [pytest.mark.stack, pytest.mark.chaos_matrix, pytest.mark.timeout(900)]

FILES = 60
SECONDS = 4.0
PREFIX = "import/archive/"
END_SECONDS = 600
ACTOR, DRIVER = "BulkActor", "ray::Conductor"
KILLS = ((10, ACTOR), (20, DRIVER), (30, ACTOR), (40, ACTOR))
"""After so many recordings, one of these."""
ITEMS = "select state, count(*) from backfill_item where backfill_id = $1 group by state"
OF_ITS_FILES = """
select count(distinct item.media_file_id) as files, count(distinct transcript.id) as transcripts,
       count(distinct task.id) as tasks
from backfill_item as item
left join transcript on transcript.media_file_id = item.media_file_id
left join task on task.media_file_id = item.media_file_id and task.kind = 'transcription'
where item.backfill_id = $1
"""
ENDED_TWICE = """
select task_event.task_id from task_event
join backfill_item as item on item.task_id = task_event.task_id
where item.backfill_id = $1 and payload ->> 'task_state' = 'completed'
group by task_event.task_id having count(*) <> 1
"""
LEFT = "select count(*) from task where backfill_id = $1 and state in ('queued', 'running')"


def done(stack: Stack, backfill_id: str) -> int:
    """Recordings that are over."""
    counts = {row["state"]: row["count"] for row in stack.query(ITEMS, backfill_id)}
    return sum(number for state, number in counts.items() if state != "waiting")


def await_done(stack: Stack, backfill_id: str, number: int) -> None:
    deadline = time.monotonic() + END_SECONDS
    while done(stack, backfill_id) < number:
        assert time.monotonic() < deadline, f"{done(stack, backfill_id)} of {number} recordings"
        time.sleep(0.2)


def kill_one(stack: Stack, word: str) -> None:
    """SIGKILL; one that is being replaced is waited for."""
    deadline = time.monotonic() + 120
    while not (victims := stack.processes(word)):
        assert time.monotonic() < deadline, f"no {word}"
        time.sleep(0.2)
    victims[0].kill()


def test_each_recording_is_done_once_whoever_is_killed(stack: Stack, tmp_path: Path):
    stack.await_health()
    fill(stack.data_dir, tmp_path, PREFIX, FILES, SECONDS)
    with client(stack) as api:
        wanted = {"stage": "import", "selection": {"prefix": PREFIX}}
        backfill_id = api.send(BACKFILLS, wanted)["id"]
    for number, victim in KILLS:
        await_done(stack, backfill_id, number)
        kill_one(stack, victim)
    await_done(stack, backfill_id, FILES)
    deadline = time.monotonic() + END_SECONDS
    with client(stack) as api:
        while (found := api.read(f"{BACKFILLS}/{backfill_id}"))["state"] in {"queued", "running"}:
            assert time.monotonic() < deadline, found
            time.sleep(0.5)
        report = api.read(f"{BACKFILLS}/{backfill_id}/report")
        listed = tmp_path / "report.parquet"
        api.fetch(f"{BACKFILLS}/{backfill_id}/report.parquet", listed)
    assert (found["state"], found["stopped"], found["error_message"]) == ("completed", None, None)
    assert found["items"] == {"waiting": 0, "done": FILES, "failed": 0, "skipped": 0}
    [once] = stack.query(OF_ITS_FILES, backfill_id)
    assert dict(once) == {"files": FILES, "transcripts": FILES, "tasks": FILES}
    assert stack.query(ENDED_TWICE, backfill_id) == []
    assert stack.query(LEFT, backfill_id)[0]["count"] == 0
    assert report["rtfx"] > 0
    assert rows_of(listed) == FILES


def rows_of(path: Path) -> int:
    """Rows of a Parquet file, each of a recording of its own."""
    import pyarrow.parquet as pq

    found = pq.read_table(path)["file_id"].to_pylist()
    assert len(found) == len(set(found))
    return len(found)
