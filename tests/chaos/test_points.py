"""Faults at marked points of a task: after the claim, before the commit, after it; and zombies.

A point is held open by a lock on a table that the runner is about to write, so that the product
needs no hooks for its tests.
"""

import asyncio
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import psutil
import pytest

from cluster.embedded.installation import Installation
from tests.chaos.report import Report
from tests.chaos.tasks import IN_FLIGHT, TASK, Quiet, Watch, await_end, await_moment, submit
from tests.fixtures.stack import Stack

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]

WAITERS = "select count(*) from pg_locks where not granted and relation = $1::regclass"
RUNNER, HEAD = "ServeReplica:pipelines:Runner", "gcs_server"


@contextmanager
def locked(stack: Stack, table: str, mode: str = "share") -> Iterator[Callable[[], None]]:
    """Hold every writer of a table back; yields what waits until somebody stands there."""
    url = Installation(stack.data_dir).environment()["DATABASE_URL"]
    with asyncio.Runner() as loop:
        connection = loop.run(asyncpg.connect(url))
        loop.run(connection.execute(f"begin; lock table {table} in {mode} mode"))

        def await_somebody() -> None:
            deadline = time.monotonic() + 60
            while time.monotonic() < deadline:
                [row] = stack.query(WAITERS, table)
                if row["count"]:
                    return
                time.sleep(0.05)
            raise AssertionError(f"nobody came to {table}")

        try:
            yield await_somebody
        finally:
            connection.terminate()


def after_claim(stack: Stack, folder: Path, strike: Callable[[], None]) -> str:
    """Before the attempt has begun to work: it looks for checkpoints first."""
    with locked(stack, "stage_result", "access exclusive") as await_somebody:
        submitted = submit(stack, folder)
        await_state(stack, submitted.task_id, "running")
        await_somebody()
        strike()
    return submitted.task_id


def before_commit(stack: Stack, folder: Path, strike: Callable[[], None]) -> str:
    """Everything is computed and the thumbnail is in the object store; no row tells of it."""
    with locked(stack, "transcript") as await_somebody:
        submitted = submit(stack, folder)
        await_moment(stack, submitted.task_id, "transcribe")
        await_somebody()
        strike()
    return submitted.task_id


def after_commit(stack: Stack, folder: Path, strike: Callable[[], None]) -> str:
    """The transcript is stored, and what the attempt leaves behind is not cleaned up."""
    servers = stack.processes("weed")
    try:
        with locked(stack, "transcript") as await_somebody:
            submitted = submit(stack, folder)
            await_moment(stack, submitted.task_id, "transcribe")
            await_somebody()
            for server in servers:
                server.suspend()
        await_state(stack, submitted.task_id, "completed")
        strike()
    finally:
        for server in servers:
            if server.is_running():
                server.resume()
    return submitted.task_id


POINTS = {"after claim": after_claim, "before commit": before_commit, "after commit": after_commit}
CASES = [
    pytest.param(
        point,
        part,
        id=f"{point}-{part}".replace(" ", "-"),
        marks=[] if part == RUNNER else [pytest.mark.chaos_matrix],
    )
    for point in POINTS
    for part in (RUNNER, "postgres -D", HEAD)
]


def await_state(stack: Stack, task_id: str, state: str) -> None:
    """Wait until the task is in this state."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        [task] = stack.query("select state from task where id = $1", task_id)
        if task["state"] == state:
            return
        time.sleep(0.05)
    raise AssertionError(f"not {state}: {task}")


@pytest.mark.parametrize(("point", "part"), CASES)
def test_a_recording_survives_at(
    stack: Stack, quiet: Quiet, report: Report, tmp_path: Path, point: str, part: str
):
    stack.await_health()
    watch = Watch(stack, quiet, report, f"kill -9 {part}, {point}")

    def strike() -> None:
        watch.struck()
        assert stack.kill(part) > 0

    task_id = POINTS[point](stack, tmp_path, strike)
    # What is stored is not done again; after the commit, nothing is.
    watch.survived(await_end(stack, task_id), 0)


WATCHED = ("task", "stage_result", "transcript", "segment", "speaker", "task_event")
WATCH = """
create table chaos_write (application text, relation text);
create function chaos_note() returns trigger language plpgsql as $$
begin
    insert into chaos_write values (current_setting('application_name'), tg_relname);
    return null;
end $$;
"""


@contextmanager
def watched(stack: Stack) -> Iterator[Callable[[int], list[str]]]:
    """Note who writes rows; yields what says which tables a process wrote to."""
    for statement in WATCH.strip().split(";\n", 1):
        stack.query(statement)
    for table in WATCHED:
        stack.query(
            f"create trigger chaos after insert or update or delete on {table} "
            "for each row execute function chaos_note()"
        )

    def written_by(pid: int) -> list[str]:
        rows = stack.query(
            "select relation from chaos_write where application = $1", f"rayscribe {pid}"
        )
        return [row["relation"] for row in rows]

    try:
        yield written_by
    finally:
        # One table's lock at a time: runners go on writing meanwhile.
        for table in WATCHED:
            stack.query(f"drop trigger chaos on {table}")
        stack.query("drop function chaos_note()")
        stack.query("drop table chaos_write")


def test_a_zombie_changes_no_row(stack: Stack, quiet: Quiet, report: Report, tmp_path: Path):
    stack.await_health()
    watch = Watch(stack, quiet, report, "SIGSTOP runner past its lease, SIGCONT")
    submitted = submit(stack, tmp_path)
    await_moment(stack, submitted.task_id, "transcribe")
    [held] = stack.query(TASK, submitted.task_id)
    zombie = psutil.Process(int(held["lease_owner"].rpartition(":")[2]))
    watch.struck()
    with frozen(zombie):
        deadline = time.monotonic() + 60
        while stack.query(TASK, submitted.task_id)[0]["fence"] == held["fence"]:
            assert time.monotonic() < deadline, "nobody took the task over"
            time.sleep(0.05)
        with watched(stack) as written_by:
            zombie.send_signal(signal.SIGCONT)
            task = await_end(stack, submitted.task_id)
            assert zombie.is_running()
            assert written_by(zombie.pid) == []
    assert (task["fence"], task["attempt"]) == (held["fence"] + 1, 2)
    watch.survived(task, IN_FLIGHT)


def test_a_frozen_replica_is_given_up(stack: Stack, quiet: Quiet, report: Report, tmp_path: Path):
    """It is there, and answers nothing: its windows go to its successor, in the same attempt."""
    stack.await_health()
    watch = Watch(stack, quiet, report, "SIGSTOP transcriber")
    submitted = submit(stack, tmp_path)
    await_moment(stack, submitted.task_id, "transcribe")
    [replica] = stack.processes("ServeReplica:pipelines:Transcriber")
    watch.struck()
    with frozen(replica):
        task = await_end(stack, submitted.task_id)
    assert task["attempt"] == 1
    watch.survived(task, IN_FLIGHT)


@contextmanager
def frozen(process: psutil.Process) -> Iterator[None]:
    """A process that stands still; it goes on at the end, if somebody has not ended it."""
    process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        if process.is_running():
            process.send_signal(signal.SIGCONT)
