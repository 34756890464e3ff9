"""Replicas of the Transcriber over time while much more comes at once, and then nothing.

`python -m tests.bench autoscaling [--arms scaled,most,one] [--seconds 1] [--files 16]`: a whole
service whose Transcribers sleep, over recordings that are decoded already. A little comes all the
time; then many recordings at once. Each arm is a service of its own: scaled between one and the
most replicas, or with a fixed number. Cool-downs are shortened, and goals with them, so that an arm
takes three to five minutes. Writes docs/bench/autoscaling.json and autoscaling.png.
"""

import argparse
import asyncio
import json
import math
import tempfile
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from cluster.embedded.installation import Installation
from serving.speech import WINDOW_SECONDS
from tests.bench.pictures import figure
from tests.bench.tables import table
from tests.fixtures.decoded import Decoded, decoded
from tests.fixtures.stack import ROOT, Stack

OUT = ROOT / "docs" / "bench"
MOST = 8
ARMS = {"scaled": (1, MOST), "most": (MOST, MOST), "one": (1, 1)}
USERS = 4
"""Whose recordings come at once: one alone may not have all places."""
FILE_WINDOWS, SHORT_WINDOWS = 20, 2
SHORT_EVERY_SECONDS, BEFORE_SECONDS = 10.0, 40.0
GOAL_SECONDS, UP_SECONDS, DOWN_SECONDS = 60.0, 5.0, 40.0
LOOK_SECONDS = 1.0
QUIET_SECONDS, END_SECONDS = 30.0, 900.0
OPTIONS = {"language": "de", "diarize": False}
"""Fake engines align English only: nothing but the Transcriber works."""
ENVIRONMENT = {
    "BATCH_SIZE": "1",
    "RAYSCRIBE_RAY_NUM_CPUS": "16",
    "RAYSCRIBE_SCALING_INTERACTIVE_GOAL_SECONDS": str(GOAL_SECONDS),
    "RAYSCRIBE_SCALING_UP_SECONDS": str(UP_SECONDS),
    "RAYSCRIBE_SCALING_DOWN_SECONDS": str(DOWN_SECONDS),
    "RAYSCRIBE_SCALING_REPORT_SECONDS": "12",
    # Replicas speak of themselves five times as often as by default, as time is shortened too.
    "RAY_SERVE_REPLICA_AUTOSCALING_METRIC_PUSH_INTERVAL_S": "2",
}
WAITING = """
select coalesce(sum(audio_seconds * (1 - progress)), 0) as seconds,
       coalesce(max(extract(epoch from now() - run_after)) filter (where state = 'queued'), 0)
         as age
from task where state in ('queued', 'running') and run_after <= now()
"""
TASKS = """
select state, audio_seconds,
       extract(epoch from started_at - run_after) as waited,
       extract(epoch from finished_at - run_after) as took
from task where id = any($1::uuid[])
"""


@dataclass(frozen=True, slots=True)
class Look:
    """How things stood at a moment, in seconds from the start."""

    at: float
    running: int
    target: int
    waiting_seconds: float
    oldest_seconds: float


@dataclass
class Trace:
    """One arm."""

    arm: str
    step_at: float = 0.0
    done_at: float = 0.0
    """When the last recording was transcribed."""
    looks: list[Look] = field(default_factory=list)
    waited: list[float] = field(default_factory=list)
    """Seconds from a recording's arrival until it was begun."""
    took: list[float] = field(default_factory=list)
    """And until it was done."""
    audio_seconds: float = 0.0

    def settled(self, now: float, fewest: int) -> bool:
        """Whether for a while there were no replicas but those that must be."""
        latest = [look for look in self.looks if look.at > now - QUIET_SECONDS]
        return bool(latest) and all(look.target == look.running == fewest for look in latest)

    def figures(self, rtfx: float, until: float) -> dict[str, float]:
        """What came of it. Replicas count `until` the last arm ended, as they stood at the end."""
        used = sum(a.running * (b.at - a.at) for a, b in pairwise(self.looks))
        used += self.looks[-1].running * (until - self.looks[-1].at)
        needed = self.audio_seconds / rtfx
        targets = [look.target for look in self.looks]
        changes = [b - a for a, b in pairwise(targets) if b != a]
        turns = sum((a > 0) != (b > 0) for a, b in pairwise(changes))
        return {
            "most_replicas": max(look.running for look in self.looks),
            "turns": turns,
            "drained_seconds": round(self.done_at - self.step_at, 1),
            "queue_age_p95_seconds": round(percentile(self.waited, 95), 1),
            "done_p95_seconds": round(percentile(self.took, 95), 1),
            "replica_seconds": round(used, 1),
            "needed_replica_seconds": round(needed, 1),
            "over_provisioned": round(used / needed, 2),
        }


def percentile(values: Sequence[float], percent: float) -> float:
    """Of those that are there, the one below which so many lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, math.ceil(percent / 100 * len(ordered)) - 1)]


class Arm:
    """A running service under the load."""

    def __init__(self, stack: Stack, recordings: Decoded, name: str) -> None:
        self._stack = stack
        self._recordings = recordings
        self._trace = Trace(name)
        self._started = time.monotonic()
        self._tasks: list[uuid.UUID] = []

    async def run(self, files: int) -> Trace:
        """Little, much, nothing; until the replicas are as few as may be."""
        users = [await self._recordings.user() for _ in range(USERS)]
        shorts = math.ceil(BEFORE_SECONDS / SHORT_EVERY_SECONDS)
        little = [await self._plant(users[0], SHORT_WINDOWS) for _ in range(shorts)]
        much = [await self._plant(users[n % USERS], FILE_WINDOWS) for n in range(files)]
        self._started = time.monotonic()
        async with asyncio.TaskGroup() as group:
            watch = group.create_task(self._watch())
            for task in little:
                await self._recordings.release([task])
                await asyncio.sleep(SHORT_EVERY_SECONDS)
            self._trace.step_at = self._now
            await self._recordings.release(much)
            await self._done()
            self._trace.done_at = self._now
            await self._settled()
            watch.cancel()
        return self._trace

    async def _plant(self, user: uuid.UUID, windows: int) -> uuid.UUID:
        self._tasks.append(await self._recordings.plant(user, windows, OPTIONS))
        return self._tasks[-1]

    @property
    def _now(self) -> float:
        return round(time.monotonic() - self._started, 1)

    async def _done(self) -> None:
        """Wait for all recordings, and write down how long each took."""
        deadline = time.monotonic() + END_SECONDS
        while time.monotonic() < deadline:
            rows = await asyncio.to_thread(self._stack.query, TASKS, self._tasks)
            if all(row["took"] is not None for row in rows):
                assert {row["state"] for row in rows} == {"completed"}
                self._trace.waited = [float(row["waited"]) for row in rows]
                self._trace.took = [float(row["took"]) for row in rows]
                self._trace.audio_seconds = sum(row["audio_seconds"] for row in rows)
                return
            await asyncio.sleep(LOOK_SECONDS)
        raise AssertionError(f"not done after {END_SECONDS:.0f} s")

    async def _settled(self) -> None:
        """Wait until nothing has changed for a while and no replica is more than must be."""
        deadline = time.monotonic() + QUIET_SECONDS + 3 * DOWN_SECONDS
        fewest = ARMS[self._trace.arm][0]
        while time.monotonic() < deadline:
            await asyncio.sleep(LOOK_SECONDS)
            if self._trace.settled(self._now, fewest):
                return
        raise AssertionError(f"not {fewest} replicas again: {self._trace.looks[-1]}")

    async def _watch(self) -> None:
        dashboard = Installation(self._stack.data_dir).dashboard()
        assert dashboard is not None
        while True:
            started = time.monotonic()
            applications = await asyncio.to_thread(dashboard.applications)
            [part] = [
                part
                for one in applications
                for part in one.deployments
                if part.name == "Transcriber"
            ]
            [row] = await asyncio.to_thread(self._stack.query, WAITING)
            seconds, age = float(row["seconds"]), float(row["age"])
            look = Look(self._now, part.running, part.target, round(seconds), round(age, 1))
            self._trace.looks.append(look)
            await asyncio.sleep(max(0.0, started + LOOK_SECONDS - time.monotonic()))


async def measure(stack: Stack, arm: str, files: int) -> Trace:
    """One arm, on a service that runs."""
    async with decoded(stack) as recordings:
        return await Arm(stack, recordings, arm).run(files)


def run_arm(arm: str, files: int, service_seconds: float) -> Trace:
    """One arm, from the start of its service to its end."""
    fewest, most = ARMS[arm]
    rtfx = WINDOW_SECONDS / service_seconds
    environment = {
        **ENVIRONMENT,
        "RAYSCRIBE_FAKE_SECONDS": str(service_seconds),
        "RAYSCRIBE_SCALING_TRANSCRIBER_RTFX": str(rtfx),
        "RAYSCRIBE_REPLICAS_TRANSCRIBER_MIN": str(fewest),
        "RAYSCRIBE_REPLICAS_TRANSCRIBER_MAX": str(most),
    }
    with tempfile.TemporaryDirectory() as name:
        stack = Stack(Path(name) / "stack", environment=environment)
        stack.up()
        try:
            return asyncio.run(measure(stack, arm, files))
        finally:
            stack.down()


def draw(told: Mapping[str, Any], target: Path) -> None:
    """Replicas and what waits, over time."""
    made, (replicas, waiting) = figure(11, 4.2, 2)
    for number, trace in enumerate(told["traces"]):
        at = [look["at"] for look in trace["looks"]]
        colour = ("#1f77b4", "#9aa0a6", "#c9b458")[number]
        running = [look["running"] for look in trace["looks"]]
        replicas.step(at, running, where="post", label=trace["arm"], color=colour)
        seconds = [look["waiting_seconds"] / 60 for look in trace["looks"]]
        waiting.plot(at, seconds, label=trace["arm"], color=colour)
        if trace["arm"] == "scaled":
            wanted = [look["target"] for look in trace["looks"]]
            replicas.step(at, wanted, where="post", linestyle=":", label="wanted", color="#d62728")
        replicas.axvline(trace["step_at"], color="#dddddd", zorder=0)
    replicas.set_xlabel("seconds")
    replicas.set_ylabel("replicas of the Transcriber")
    replicas.legend()
    waiting.set_xlabel("seconds")
    waiting.set_ylabel("minutes of audio that are to be done")
    waiting.legend()
    made.tight_layout()
    made.savefig(target, dpi=110)


def main(arguments: list[str]) -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(prog="autoscaling")
    parser.add_argument("--arms", default="scaled,most")
    parser.add_argument("--seconds", type=float, default=1.0, help="service time of a window")
    parser.add_argument("--files", type=int, default=16, help="of ten minutes, that come at once")
    parser.add_argument("--out", type=Path, default=OUT)
    chosen = parser.parse_args(arguments)
    rtfx = WINDOW_SECONDS / chosen.seconds
    traces = [run_arm(arm, chosen.files, chosen.seconds) for arm in chosen.arms.split(",")]
    until = max(trace.looks[-1].at for trace in traces)
    told = {
        "service_seconds": chosen.seconds,
        "goal_seconds": GOAL_SECONDS,
        "up_seconds": UP_SECONDS,
        "down_seconds": DOWN_SECONDS,
        "traces": [{**asdict(trace), "figures": trace.figures(rtfx, until)} for trace in traces],
    }
    chosen.out.mkdir(parents=True, exist_ok=True)
    (chosen.out / "autoscaling.json").write_text(json.dumps(told, indent=1) + "\n")
    draw(told, chosen.out / "autoscaling.png")
    names = list(told["traces"][0]["figures"])
    rows = [(one["arm"], *one["figures"].values()) for one in told["traces"]]
    print(table(["arm", *names], rows))
