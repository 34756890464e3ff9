"""Audio a second, end to end: the whole service beside WhisperX and a worker of single files.

`python -m tests.bench throughput [--minutes 20] [--files 40] [--rounds 1] [--workers 2]`: a mixed
set of recordings, then a single long one (WhisperX alone beside it); the same weights, beam and
aligner on all sides. Each side works alone on the machine, its models loaded and warm. Writes
`docs/bench/throughput.json` and a picture beside it. Where the machine has a GPU, all sides use it
(`--cpu`: none does).
"""

import argparse
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import jiwer
import psutil

from rayscribe.api_client import ApiClient
from rayscribe.bootstrap import load_credential
from tests.bench import pictures
from tests.bench.corpus import Strung, mixed, string
from tests.bench.tables import percent, table
from tests.fixtures.stack import ROOT, Stack
from tests.models.test_whisper import normal

OURS = "rayscribe"
MIXED, LONG = "mixed set", "one long file"
WARM_UP_SECONDS = 12.0
STAGES = ("prepare", "transcribe", "align", "diarize", "attribute")
BATCHED = {"transcriber": "transcribe", "aligner": "align"}
COUNTERS = """
import asyncio, json, ray
from serving.client import find_handles
async def ask():
    handles = find_handles()
    return {role: await handles[role].stats.remote() for role in %s}
ray.init(address="auto", namespace="serve", logging_level="ERROR", log_to_driver=False)
print(json.dumps(asyncio.run(ask())))
"""


@dataclass
class Found:
    """What a side made of one recording."""

    text: str
    turns: list[tuple[float, float, str]]
    seconds: dict[str, float]


@dataclass
class Result:
    """One side's work on one set."""

    side: str
    set: str
    audio_seconds: float
    seconds: float
    cpu_seconds: float
    stage_seconds: dict[str, float]
    """Sums over files; ours wait for each other in them, since they run beside each other."""
    wer: float
    der: float
    der_with_collar: float
    more: dict[str, Any] = field(default_factory=dict)

    @property
    def rtfx(self) -> float:
        return self.audio_seconds / self.seconds


@dataclass(frozen=True)
class Sets:
    """The recordings, and where they lie as files."""

    recordings: Mapping[str, Sequence[Strung]]
    paths: Mapping[str, Sequence[Path]]
    warm_up: Path


def sets(folder: Path, minutes: float, files: int, seed: int) -> Sets:
    """A mixed set and a long file, each of so many minutes."""
    chosen = random.Random(seed)
    recordings = {
        MIXED: mixed(60 * minutes, files, seed),
        LONG: [string("long", 60 * minutes, chosen)],
    }
    paths = {name: [one.write(folder) for one in some] for name, some in recordings.items()}
    warm_up = string("warm-up", WARM_UP_SECONDS, random.Random(seed + 1)).write(folder)
    return Sets(recordings, paths, warm_up)


def main(arguments: list[str]) -> None:
    """Measure, print the tables, write the JSON and the picture."""
    asked = _options().parse_args(arguments)
    if asked.cpu:
        os.environ |= {"CUDA_VISIBLE_DEVICES": "", "RAYSCRIBE_PROFILE": "cpu"}
    results: list[Result] = []
    with tempfile.TemporaryDirectory() as name:
        made = sets(Path(name), asked.minutes, asked.files, asked.seed)
        for number in range(asked.rounds):
            # One side after the other, each told of when it is done.
            for result in chain(
                ours(Path(name) / f"stack-{number}", made, asked.only),
                peer("WhisperX + pyannote", ["whisperx", "1"], made, asked),
                # On a single file it would be the same as WhisperX: there is nothing to share out.
                peer("file by file", ["worker", str(asked.workers)], made, asked, MIXED),
            ):
                results.append(result)
                print(_line(result), flush=True)
    report(results, asked)


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="throughput", description=__doc__)
    parser.add_argument("--minutes", type=float, default=20, help="of audio in each set")
    parser.add_argument("--files", type=int, default=40, help="of the mixed set")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--workers", type=int, default=2, help="threads of the per-file worker")
    parser.add_argument("--only", choices=[MIXED, LONG], help="one of the sets")
    parser.add_argument("--cpu", action="store_true", help="also where there is a GPU")
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "bench")
    return parser


def ours(directory: Path, made: Sets, only: str | None) -> Iterator[Result]:
    """The whole service, through its API."""
    stack = Stack(directory, engines="real")
    try:
        stack.up()
        client = ApiClient(stack.url, None, load_credential(stack.data_dir))
        _through(client, [made.warm_up])
        for name in _chosen(made, only):
            before, counted, started = _cpu(stack), _counters(stack), time.perf_counter()
            ids = _through(client, made.paths[name])
            seconds = time.perf_counter() - started
            used, after = _cpu(stack) - before, _counters(stack)
            found = [_ours(client, stack, file_id, task_id) for file_id, task_id in ids]
            result = judged(OURS, name, made.recordings[name], found, seconds, used)
            result.more = {role: _between(counted[role], after[role]) for role in counted}
            yield result
    finally:
        stack.down()


def _chosen(made: Sets, only: str | None) -> list[str]:
    return [name for name in made.recordings if only in {None, name}]


def _through(client: ApiClient, paths: Sequence[Path]) -> list[tuple[str, str]]:
    """File and task ids, when the last task has ended."""
    jobs = [client.submit(path, {"language": "auto"}, lambda *_: None) for path in paths]
    for job in jobs:
        assert job.task_id
        [*_, last] = client.follow(job.task_id)
        assert last["state"] == "completed", last
    return [(job.file_id, job.task_id or "") for job in jobs]


def _ours(client: ApiClient, stack: Stack, file_id: str, task_id: str) -> Found:
    """What the service made of a file, as its API and exports tell."""
    told = client.export(file_id, "rttm").splitlines()
    turns = [
        (float(start), float(start) + float(seconds), who)
        for _, _, _, start, seconds, _, _, who, *_ in (line.split() for line in told)
    ]
    segments = json.loads(client.export(file_id, "json"))["segments"]
    text = " ".join(segment["text"] for segment in segments)
    (row,) = stack.query("SELECT timings FROM task WHERE id = $1::uuid", task_id)
    return Found(text, turns, json.loads(row["timings"]))


def _cpu(stack: Stack) -> float:
    """CPU seconds of all that belongs to the service, programs that have ended included."""
    total = 0.0
    for process in stack.processes(""):
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system + times.children_user + times.children_system
    return total


def _counters(stack: Stack) -> dict[str, Any]:
    """What the replicas have counted, asked by a process of its own that joins the cluster."""
    kept = json.loads((stack.data_dir / "environment.json").read_text())
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", COUNTERS % list(BATCHED)],
        env={**os.environ, **kept},
        capture_output=True,
        text=True,
        check=True,
    )
    told = json.loads(done.stdout.splitlines()[-1])
    return {role: told[role][method] for role, method in BATCHED.items()}


def _between(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, float]:
    """Batches of this set alone."""
    batches, items = (after[key] - before[key] for key in ("batches", "items"))
    busy = after["busy_seconds"] - before["busy_seconds"]
    return {"batches": batches, "items": items, "mean": items / max(1, batches), "busy": busy}


def peer(
    side: str,
    kind: list[str],
    made: Sets,
    asked: argparse.Namespace,
    one: str | None = None,
) -> Iterator[Result]:
    """Another side, in a process of its own; on one set, or all that were asked for."""
    names = [name for name in _chosen(made, asked.only) if one in {None, name}]
    if not names:
        return
    with _process(kind) as ask:
        ask([made.warm_up])
        for name in names:
            answer = ask(made.paths[name])
            found = [Found(r["text"], r["turns"], r["seconds"]) for r in answer["readings"]]
            yield judged(
                side, name, made.recordings[name], found, answer["seconds"], answer["cpu_seconds"]
            )


@contextmanager
def _process(arguments: Sequence[str]) -> Iterator[Any]:
    """`tests.bench.peer_process`: a function from paths to its answer."""
    # Its own default threads: not what `make` sets for ours.
    environment = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}
    command = [sys.executable, "-W", "ignore", "-m", "tests.bench.peer_process", *arguments]
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdin
        assert process.stdout

        def ask(paths: Sequence[Path]) -> Any:
            print(json.dumps([str(path) for path in paths]), file=process.stdin, flush=True)
            line = process.stdout.readline()
            assert line, f"{arguments} ended with {process.wait()}"
            return json.loads(line)

        yield ask
        process.stdin.close()


def judged(
    side: str,
    name: str,
    recordings: Sequence[Strung],
    found: Sequence[Found],
    seconds: float,
    cpu_seconds: float,
) -> Result:
    """The result with its error rates over all recordings of the set."""
    words = jiwer.process_words(
        [normal(recording.text) for recording in recordings],
        [normal(one.text) for one in found],
    )
    return Result(
        side,
        name,
        sum(recording.seconds for recording in recordings),
        seconds,
        cpu_seconds,
        {stage: sum(one.seconds.get(stage, 0.0) for one in found) for stage in STAGES},
        float(words.wer),
        der(recordings, found, 0.0),
        der(recordings, found, 0.25),
    )


def der(recordings: Sequence[Strung], found: Sequence[Found], collar: float) -> float:
    """Diarization error rate over recordings, overlap included; collar on each side."""
    from pyannote.core import Annotation, Segment, Timeline
    from pyannote.metrics.diarization import DiarizationErrorRate

    def annotation(turns: Sequence[tuple[float, float, str]]) -> Any:
        made = Annotation()
        for number, (start, end, speaker) in enumerate(turns):
            made[Segment(start, end), number] = speaker
        return made

    metric = DiarizationErrorRate(collar=2 * collar)
    for recording, one in zip(recordings, found, strict=True):
        truth = annotation([(t.start, t.end, t.speaker) for t in recording.turns])
        whole = Timeline([Segment(0, recording.seconds)])
        metric(truth, annotation(one.turns), uem=whole)
    return float(abs(metric))


def report(results: Sequence[Result], asked: argparse.Namespace) -> None:
    """Tables, JSON and picture."""
    rows = [row for name in (MIXED, LONG) for row in _rows(results, name)]
    header = "set|side|audio s|wall s|RTFx|ours, times as fast|CPU s|WER|DER|DER, 0.25 s each side"
    print(table(header.split("|"), rows))
    print(table(["set", "side", *STAGES, "batches"], [_stages(result) for result in results]))
    asked.output.mkdir(parents=True, exist_ok=True)
    told = {
        "machine": f"{os.cpu_count()} CPUs, {platform.machine()}",
        "options": {k: str(v) for k, v in vars(asked).items() if k != "output"},
        "results": [{**asdict(result), "rtfx": result.rtfx} for result in results],
    }
    target = asked.output / "throughput.json"
    target.write_text(json.dumps(told, indent=2) + "\n")
    pictures.throughput(told, asked.output / "throughput.png")
    print(f"written to {target}")


def _rows(results: Sequence[Result], name: str) -> Iterator[tuple[object, ...]]:
    """A line per side: medians over rounds, ratios paired within rounds."""
    mine = [result for result in results if (result.side, result.set) == (OURS, name)]
    for side in dict.fromkeys(result.side for result in results):
        some = [result for result in results if (result.side, result.set) == (side, name)]
        if not some:
            continue
        seconds = statistics.median(result.seconds for result in some)
        ratio = statistics.median(a.seconds / b.seconds for a, b in zip(some, mine, strict=True))
        first = some[0]
        yield (
            name,
            side,
            f"{first.audio_seconds:.0f}",
            f"{seconds:.1f}",
            f"{first.audio_seconds / seconds:.1f}",
            f"{ratio:.2f}",
            f"{statistics.median(result.cpu_seconds for result in some):.0f}",
            percent(first.wer),
            percent(first.der),
            percent(first.der_with_collar),
        )


def _stages(result: Result) -> tuple[object, ...]:
    """RTFx of each stage, and how full the batches were."""
    speeds = [
        f"{result.audio_seconds / seconds:.1f}" if seconds else "-"
        for seconds in (result.stage_seconds[stage] for stage in STAGES)
    ]
    fill = ", ".join(f"{role} {told['mean']:.1f}" for role, told in result.more.items())
    return (result.set, result.side, *speeds, fill or "-")


def _line(result: Result) -> str:
    return (
        f"{result.set}, {result.side}: {result.seconds:.1f} s, {result.rtfx:.1f} x real time, "
        f"{result.cpu_seconds:.0f} CPU s, WER {percent(result.wer)}, DER {percent(result.der)}"
    )
