"""What 1 to 32 replicas of the Transcriber get done, and what everything else costs per window.

`python -m tests.bench scaling [--replicas 1,2,4,8,16,32] [--seconds 4] [--rounds 15]`: a whole
service whose Transcribers sleep, over recordings that are decoded already: many files of two
minutes, and one long file (of ten hours with 32 replicas). Windows are of real size: each is read
from the object store, goes to its replica through Ray's, and its text becomes a row. Writes
docs/bench/scaling.json and scaling.png.
"""

import argparse
import asyncio
import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cluster.embedded.installation import Installation
from db.models import TaskState
from serving.speech import WINDOW_SECONDS
from tests.bench.memory import Watch
from tests.bench.pictures import figure
from tests.bench.processes import PARTS, cpu_seconds
from tests.bench.tables import table
from tests.fixtures.decoded import Decoded, Ended, decoded
from tests.fixtures.stack import ROOT, Stack

OUT = ROOT / "docs" / "bench"
REPLICAS = (1, 2, 4, 8, 16, 32)
LONG_WINDOWS, LONG_REPLICAS = 1200, 32
"""Ten hours, for so many replicas: the last of the 37.5 rounds decides little."""
FILE_WINDOWS = 4
OPTIONS = {"language": "de", "diarize": False}
"""Fake engines align English only: what is measured is the Transcriber's way and no other."""
GPU_SPEEDS = {"40x": 40.0, "226x": 226.0}
"""Seconds of audio per second of one GPU: one file after another, and batched (peers.md B)."""
SPLIT = {
    "runner": "one process and core: more of them (RAYSCRIBE_RUNNER_REPLICAS); a file has one",
    "database": "a process per connection: a server of its own, with more cores",
    "object store": "a server of its own, then more of them behind one S3 address",
    "Ray": "a raylet on each node takes its own share; the head has none of the windows' bytes",
}
RUNNER = {"ServeReplica:pipelines:Runner": "Runner"}
IDLE_SECONDS = 10.0
DEPLOY_SECONDS = 900.0
TRANSCRIBER = "Transcriber"


@dataclass(frozen=True, slots=True)
class Point:
    """One measurement."""

    kind: str
    replicas: int
    files: int
    windows: int
    seconds: float
    """From the moment when runners may claim to the end of the last task."""
    efficiency: float
    """Of the time of all replicas, how much they worked."""
    stage_efficiency: float | None
    """The same of the stage alone, where there is one file."""
    cpu_ms_per_window: Mapping[str, float]
    runner_mib: float
    """Its largest resident set meanwhile."""


class Scaling:
    """A running service, and the recordings for it."""

    def __init__(self, stack: Stack, recordings: Decoded, service_seconds: float) -> None:
        self._stack = stack
        self._recordings = recordings
        self._service_seconds = service_seconds

    def scale(self, replicas: int) -> None:
        """Have so many Transcribers, as an operator's change would."""
        installation = Installation(self._stack.data_dir)
        dashboard, config = installation.dashboard(), installation.serve()
        assert dashboard is not None
        for application in config["applications"]:
            if application["name"] == "pipelines":
                told = {part["name"]: part for part in application.get("deployments", [])}
                ours = {"name": TRANSCRIBER, "num_replicas": replicas}
                told[TRANSCRIBER] = {**told.get(TRANSCRIBER, {}), **ours}
                application["deployments"] = list(told.values())
        dashboard.put(config)
        deadline = time.monotonic() + DEPLOY_SECONDS
        while time.monotonic() < deadline:
            deployments = [part for one in dashboard.applications() for part in one.deployments]
            if all(
                part.running == (replicas if part.name == TRANSCRIBER else part.target)
                for part in deployments
            ):
                return
            time.sleep(1)
        raise AssertionError(f"no {replicas} replicas after {DEPLOY_SECONDS:.0f} s")

    async def measure(self, kind: str, replicas: int, sizes: Sequence[int]) -> Point:
        """Release recordings of these sizes, in windows, and wait until all are done."""
        user = await self._recordings.user()
        tasks = [await self._recordings.plant(user, size, OPTIONS) for size in sizes]
        before = await asyncio.to_thread(cpu_seconds, self._stack)
        watch = Watch(self._stack, RUNNER)
        with watch.phase(kind):
            released = await self._recordings.release(tasks)
            ended = await self._recordings.ended(tasks, released)
        after = await asyncio.to_thread(cpu_seconds, self._stack)
        failed = [one.error for one in ended if one.state is not TaskState.completed]
        assert not failed, failed[:3]
        windows, seconds = sum(sizes), max(one.seconds for one in ended)
        return Point(
            kind=kind,
            replicas=replicas,
            files=len(sizes),
            windows=windows,
            seconds=round(seconds, 2),
            efficiency=self._efficiency(windows, replicas, seconds),
            stage_efficiency=self._of_stage(ended, windows, replicas),
            cpu_ms_per_window={
                part: round(1000 * (after[part] - before[part]) / windows, 2) for part in PARTS
            },
            runner_mib=round(watch.peaks[kind]["Runner"] / 2**20, 1),
        )

    def _efficiency(self, windows: int, replicas: int, seconds: float) -> float:
        return round(windows * self._service_seconds / (replicas * seconds), 3)

    def _of_stage(self, ended: Sequence[Ended], windows: int, replicas: int) -> float | None:
        if len(ended) > 1:
            return None
        return self._efficiency(windows, replicas, ended[0].timings["transcribe"])

    async def idle(self) -> Mapping[str, float]:
        """CPU seconds per second of each part while nothing is to be done."""
        before = await asyncio.to_thread(cpu_seconds, self._stack)
        started = time.monotonic()
        await asyncio.sleep(IDLE_SECONDS)
        after = await asyncio.to_thread(cpu_seconds, self._stack)
        passed = time.monotonic() - started
        return {part: (after[part] - before[part]) / passed for part in PARTS}


async def measure_all(
    stack: Stack, replicas: Sequence[int], service_seconds: float, rounds: float, longest: int
) -> dict[str, Any]:
    """All points, and what an installation with that many replicas costs while it is idle."""
    points: list[Point] = []
    async with decoded(stack) as recordings:
        scaling = Scaling(stack, recordings, service_seconds)
        for count in replicas:
            await asyncio.to_thread(scaling.scale, count)
            windows = windows_for(count, rounds, longest)
            files = max(1, windows // FILE_WINDOWS)
            for kind, sizes in {
                "many files": [FILE_WINDOWS] * files,
                "one file": [windows],
            }.items():
                points.append(await scaling.measure(kind, count, sizes))
                print(points[-1], flush=True)
        idle = await scaling.idle()
        # How memory goes with length: an hour, beside the last one.
        hour = await scaling.measure("one hour", replicas[-1], [round(3600 / WINDOW_SECONDS)])
    return {
        "service_seconds": service_seconds,
        "window_seconds": WINDOW_SECONDS,
        "points": [asdict(point) for point in points],
        "idle_cores": {part: round(cores, 4) for part, cores in idle.items()},
        "one_hour": asdict(hour),
    }


def windows_for(replicas: int, rounds: float, longest: int) -> int:
    """So many for each replica; 32 get the longest recording."""
    if replicas >= LONG_REPLICAS:
        return longest * replicas // LONG_REPLICAS
    return max(FILE_WINDOWS, round(rounds * replicas))


def net(told: Mapping[str, Any], point: Mapping[str, Any]) -> dict[str, float]:
    """CPU-milliseconds per window of each part, without what it takes while nothing is done."""
    per_window = 1000 * point["seconds"] / point["windows"]
    return {
        part: max(0.0, taken - per_window * told["idle_cores"][part])
        for part, taken in point["cpu_ms_per_window"].items()
    }


def show(told: Mapping[str, Any]) -> None:
    """Print the tables."""
    rows = [
        (
            point["kind"],
            point["replicas"],
            point["files"],
            point["windows"],
            f"{point['seconds']:.1f}",
            f"{point['windows'] * told['window_seconds'] / point['seconds']:.0f}",
            f"{point['efficiency']:.3f}",
            "-" if point["stage_efficiency"] is None else f"{point['stage_efficiency']:.3f}",
            f"{point['runner_mib']:.0f}",
        )
        for point in [*told["points"], told["one_hour"]]
    ]
    header = ["what", "replicas", "files", "windows", "seconds", "RTFx", "efficiency"]
    print(table([*header, "of the stage", "runner MiB"], rows))
    most = {kind: last(told, kind) for kind in ("many files", "one file")}
    costs = {kind: net(told, point) for kind, point in most.items()}
    print()
    print(
        table(
            ["part", "CPU-ms a window: many files", "one file", "idle, % of a core"]
            + [f"GPUs of {name} for each core" for name in GPU_SPEEDS]
            + ["then"],
            [
                (
                    part,
                    f"{costs['many files'][part]:.2f}",
                    f"{costs['one file'][part]:.2f}",
                    f"{100 * told['idle_cores'][part]:.1f}",
                    *(gpus(costs["one file"][part], speed, told) for speed in GPU_SPEEDS.values()),
                    SPLIT.get(part, "-"),
                )
                for part in PARTS
            ],
        )
    )


def last(told: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    """The point of this kind with most replicas."""
    return [point for point in told["points"] if point["kind"] == kind][-1]


def gpus(cpu_ms: float, speed: float, told: Mapping[str, Any]) -> str:
    """How many GPUs of this speed one core of a part can serve."""
    if cpu_ms < 0.01:
        return "-"
    return f"{1000 / cpu_ms * told['window_seconds'] / speed:.0f}"


def draw(told: Mapping[str, Any], target: Path) -> None:
    """Throughput over replicas, and what a window costs."""
    made, (speed, cost) = figure(11, 4.2, 2)
    counts = sorted({point["replicas"] for point in told["points"]})
    ideal = [told["window_seconds"] / told["service_seconds"] * count for count in counts]
    speed.plot(counts, ideal, color="#9aa0a6", linestyle="--", label="ideal")
    for kind, mark in (("many files", "o-"), ("one file", "s-")):
        points = [point for point in told["points"] if point["kind"] == kind]
        speed.plot(
            [point["replicas"] for point in points],
            [point["windows"] * told["window_seconds"] / point["seconds"] for point in points],
            mark,
            label=kind,
        )
    speed.set_xscale("log", base=2)
    speed.set_yscale("log", base=2)
    speed.set_xticks(counts, [str(count) for count in counts])
    speed.set_xlabel("replicas")
    speed.set_ylabel("seconds of audio per second")
    speed.legend()
    costs = net(told, last(told, "one file"))
    bars = cost.barh(list(costs), list(costs.values()), color="#1f77b4")
    cost.bar_label(bars, fmt="%.1f")
    cost.margins(x=0.12)
    cost.invert_yaxis()
    cost.set_xlabel(f"CPU-milliseconds per window, {counts[-1]} replicas, one file")
    made.tight_layout()
    made.savefig(target, dpi=110)


def main(arguments: list[str]) -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(prog="scaling")
    parser.add_argument("--replicas", default=",".join(map(str, REPLICAS)))
    parser.add_argument("--seconds", type=float, default=4.0, help="service time of a window")
    parser.add_argument("--rounds", type=float, default=15.0, help="windows for each replica")
    parser.add_argument("--longest", type=int, default=LONG_WINDOWS, help="windows for 32 replicas")
    parser.add_argument("--out", type=Path, default=OUT)
    chosen = parser.parse_args(arguments)
    replicas = [int(count) for count in chosen.replicas.split(",")]
    environment = {
        "RAYSCRIBE_FAKE_SECONDS": str(chosen.seconds),
        "BATCH_SIZE": "1",
        "RAYSCRIBE_RAY_NUM_CPUS": "16",
    }
    with tempfile.TemporaryDirectory() as name:
        stack = Stack(Path(name) / "stack", environment=environment)
        stack.up()
        try:
            told = asyncio.run(
                measure_all(stack, replicas, chosen.seconds, chosen.rounds, chosen.longest)
            )
        finally:
            stack.down()
    chosen.out.mkdir(parents=True, exist_ok=True)
    (chosen.out / "scaling.json").write_text(json.dumps(told, indent=1) + "\n")
    draw(told, chosen.out / "scaling.png")
    show(told)
