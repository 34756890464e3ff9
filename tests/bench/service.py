"""The cost of being a service: through the API, over the same engines called in one process.

`python -m tests.bench service [ROUNDS]`. Paired: each round does both, one after the other.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rayscribe.api_client import ApiClient
from rayscribe.bootstrap import load_credential
from tests.bench.local import load, transcribe
from tests.bench.peer import Peer
from tests.bench.tables import table
from tests.fixtures.media import serve
from tests.fixtures.speech import sample
from tests.fixtures.stack import Stack
from tests.models.recordings import librivox

LONG_SECONDS = 600
SHORT_FILES = 8
ROUNDS = 3


def long_recording(folder: Path, number: int) -> Path:
    """The sample and the LibriVox clips again and again, to over ten minutes; each file differs."""
    clips = [sample(), *(clip.path for clip in librivox())]
    listing = folder / f"list-{number}.txt"
    once = "".join(f"file '{clip}'\n" for clip in clips)
    listing.write_text(once * (LONG_SECONDS // 50 + 1))
    target = folder / f"long-{number}.wav"
    command = ["ffmpeg", "-v", "error", "-f", "concat", "-safe", "0", "-i", str(listing)]
    command += ["-t", str(LONG_SECONDS + number), "-ar", "16000", "-ac", "1", str(target)]
    subprocess.run(command, check=True)
    return target


def short_recordings(folder: Path, number: int) -> list[Path]:
    """Eight recordings of a few seconds, different from round to round."""
    clips = [clip.path for clip in librivox()]
    paths = []
    for index in range(SHORT_FILES):
        target = folder / f"short-{number}-{index}.wav"
        command = ["ffmpeg", "-v", "error", "-i", str(clips[index % len(clips)])]
        command += ["-metadata", f"title={target.stem}", "-ar", "16000", str(target)]
        subprocess.run(command, check=True)
        paths.append(target)
    return paths


def through_api(client: ApiClient, paths: list[Path]) -> float:
    """Seconds from the first byte sent to the last task ended."""
    started = time.perf_counter()
    jobs = [client.submit(path, {"language": "auto"}, lambda *_: None) for path in paths]
    for job in jobs:
        assert job.task_id
        [*_, last] = client.follow(job.task_id)
        assert last["state"] == "completed", last
    return time.perf_counter() - started


COUNTERS = """
import asyncio, json, ray
from serving.client import find_handles
async def ask():
    return await find_handles()["transcriber"].stats.remote()
ray.init(address="auto", namespace="serve", logging_level="ERROR", log_to_driver=False)
print(json.dumps(asyncio.run(ask())["transcribe"]))
"""


def batches(stack: Stack) -> dict[str, float]:
    """The Transcriber's counters, asked by a process of its own that joins the cluster."""
    kept = json.loads((stack.data_dir / "environment.json").read_text())
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", COUNTERS],
        env={**os.environ, **kept},
        capture_output=True,
        text=True,
        check=True,
    )
    counters: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return counters


def measure(label: str, seconds: list[float]) -> tuple[object, ...]:
    """Median and spread."""
    return (label, f"{statistics.median(seconds):.1f}", f"{min(seconds):.1f}-{max(seconds):.1f}")


def main(arguments: list[str]) -> None:
    """Print the table."""
    rounds = int(arguments[0]) if arguments else ROUNDS
    seconds: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as name, serve() as server:
        folder = Path(name)
        engines, ports = load()
        peer = Peer(engines)
        stack = Stack(folder / "stack", engines="real")
        stack.up()
        client = ApiClient(stack.url, None, load_credential(stack.data_dir))
        through_api(client, short_recordings(folder, 99)[:2])
        for number in range(rounds):
            path, shorts = long_recording(folder, number), short_recordings(folder, number)
            for label, work in {
                "600 s recording: API": lambda path=path: through_api(client, [path]),
                "600 s recording: engines in one process": lambda path=path: transcribe(
                    engines, ports, server, path
                ),
                "8 short recordings at once: API": lambda shorts=shorts: through_api(
                    client, shorts
                ),
                "8 short recordings in turn: WhisperX + pyannote": lambda shorts=shorts: [
                    (peer.transcribe(short), peer.diarize(short)) for short in shorts
                ],
            }.items():
                started = time.perf_counter()
                work()
                seconds.setdefault(label, []).append(time.perf_counter() - started)
                print(label, f"{seconds[label][-1]:.1f} s", flush=True)
        told = batches(stack)
        fill = told["items"] / told["batches"]
        print(f"transcriber: {told}, mean batch fill {fill:.2f} of {engines.batch_size}")
        stack.down()
    print(table(["what", "median s", "spread"], [measure(*item) for item in seconds.items()]))
    pairs = zip(*list(seconds.values())[:2], strict=True)
    ratios = [api / direct for api, direct in pairs]
    print(f"wall ratio API / engines: median {statistics.median(ratios):.2f}, {ratios}")
    pairs = zip(*list(seconds.values())[2:], strict=True)
    ratios = [theirs / ours for ours, theirs in pairs]
    print(f"throughput ratio, 8 at once / WhisperX: median {statistics.median(ratios):.2f}")
