"""A backfill of many files beside users' recordings, its driver and actors killed on the way.

`python -m tests.bench backfill [FILES] [--json PATH]`: a whole service with fake models. Says how
long a user's short recording takes with and without the backfill beside it, how much memory the
backfill's processes take at its beginning and at its end, and whether each file is there once.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from threading import Event, Thread

import psutil

from rayscribe.api_client import ApiClient
from rayscribe.backfill import BACKFILLS
from rayscribe.bootstrap import load_credential
from tests.bench.tables import table
from tests.fixtures.archive import fill
from tests.fixtures.media import ffmpeg
from tests.fixtures.speech import sample
from tests.fixtures.stack import Stack

FILES = 2000
FILE_SECONDS = 3.0
USER_SECONDS = 5.0
USERS = 30
"""Recordings of users that are measured, at least, with the backfill beside them and without."""
PREFIX = "import/archive/"
ACTOR, DRIVER = "BulkActor", "ray::Conductor"
KILLS = ((0.2, ACTOR), (0.4, DRIVER), (0.6, ACTOR), (0.8, ACTOR))
"""At these parts of the files."""
ENVIRONMENT = {"RAYSCRIBE_FAKE_SECONDS": "0.2", "RAYSCRIBE_RUNNER_LEASE_SECONDS": "15"}
ONCE = """
select count(*) as items, count(distinct item.media_file_id) as files,
       count(distinct transcript.id) as transcripts,
       count(*) filter (where item.state = 'done') as done
from backfill_item as item
left join transcript on transcript.media_file_id = item.media_file_id
where item.backfill_id = $1
"""
OVER = "select count(*) from backfill_item where backfill_id = $1 and state <> 'waiting'"


@dataclass
class Result:
    """What was measured."""

    files: int
    seconds: float = 0.0
    rtfx: float | None = None
    once: dict[str, int] = field(default_factory=dict)
    killed: list[str] = field(default_factory=list)
    alone: list[float] = field(default_factory=list)
    """Seconds of users' recordings before the backfill."""
    beside: list[float] = field(default_factory=list)
    memory: list[tuple[float, float]] = field(default_factory=list)
    """Part of the files that is done, MiB of the backfill's processes."""


def users_recording(client: ApiClient, folder: Path, number: int) -> float:
    """Seconds from a short recording's acceptance to its transcript."""
    told = ("-metadata", f"comment={number}-{time.time_ns()}")
    path = ffmpeg(folder / "user.flac", "-t", str(USER_SECONDS), "-i", str(sample()), *told)
    job = client.submit(path, {}, lambda *_: None)
    started = time.perf_counter()
    assert job.task_id
    [*_, last] = client.follow(job.task_id)
    assert last["state"] == "completed", last
    return time.perf_counter() - started


def memory_mib(stack: Stack) -> float:
    """What the backfill's processes have, shared memory apart."""
    total = 0
    for process in (*stack.processes(ACTOR), *stack.processes(DRIVER)):
        try:
            total += process.memory_full_info().uss
        except psutil.NoSuchProcess:
            continue
    return total / 2**20


def watch(stack: Stack, backfill_id: str, result: Result, stop: Event) -> None:
    """Kill, and measure memory, until told to stop."""
    kills = list(KILLS)
    while not stop.wait(2):
        [row] = stack.query(OVER, backfill_id)
        part = row["count"] / result.files
        result.memory.append((round(part, 3), round(memory_mib(stack), 1)))
        if kills and part >= kills[0][0] and (victims := stack.processes(kills[0][1])):
            victims[0].kill()
            result.killed.append(kills.pop(0)[1])


def percentile(seconds: Sequence[float], part: float) -> float:
    """Of sorted values."""
    ordered = sorted(seconds)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


def measure(stack: Stack, folder: Path, files: int) -> Result:
    """All of it."""
    result = Result(files)
    client = ApiClient(stack.url, None, load_credential(stack.data_dir))
    fill(stack.data_dir, folder, PREFIX, files, FILE_SECONDS)
    users_recording(client, folder, 0)
    result.alone = [users_recording(client, folder, number) for number in range(USERS)]
    wanted = {"stage": "import", "selection": {"prefix": PREFIX}}
    started = time.perf_counter()
    backfill_id = client.send(BACKFILLS, wanted)["id"]
    stop = Event()
    watcher = Thread(target=watch, args=(stack, backfill_id, result, stop))
    watcher.start()
    try:
        number = USERS
        while client.read(f"{BACKFILLS}/{backfill_id}")["state"] in {"queued", "running"}:
            result.beside.append(users_recording(client, folder, number))
            number += 1
            # Users come and go: what is between them is the backfill's.
            time.sleep(3 * statistics.median(result.alone))
    finally:
        stop.set()
        watcher.join()
    result.seconds = time.perf_counter() - started
    result.rtfx = client.read(f"{BACKFILLS}/{backfill_id}/report")["rtfx"]
    [once] = stack.query(ONCE, backfill_id)
    result.once = dict(once)
    return result


def show(result: Result) -> None:
    """Print the tables."""
    rows = [
        (
            label,
            len(seconds),
            f"{statistics.median(seconds):.2f}",
            f"{percentile(seconds, 0.95):.2f}",
            f"{max(seconds):.2f}",
        )
        for label, seconds in (("alone", result.alone), ("beside it", result.beside))
    ]
    print(table(["a user's 5 s recording", "n", "median s", "p95 s", "max s"], rows))
    print(f"{result.files} files in {result.seconds:.0f} s, killed on the way: {result.killed}")
    print(f"in the result: {result.once}")
    quarters = [
        [mib for part, mib in result.memory if low <= part < low + 0.25 and mib]
        for low in (0.0, 0.25, 0.5, 0.75)
    ]
    shown = [f"{max(quarter):.0f}" if quarter else "-" for quarter in quarters]
    print(f"most MiB of its processes, by quarters of the files: {', '.join(shown)}")


def main(arguments: list[str]) -> None:
    """Print the figures, and keep them."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench backfill")
    parser.add_argument("files", type=int, nargs="?", default=FILES)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        stack = Stack(folder / "stack", environment=ENVIRONMENT)
        stack.up()
        try:
            result = measure(stack, folder, chosen.files)
        finally:
            stack.down()
    show(result)
    if chosen.json:
        chosen.json.write_text(json.dumps(asdict(result), indent=1))
