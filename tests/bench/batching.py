"""What lanes, lengths and shared places bring: a modelled engine in virtual time, and real Whisper.

`python -m tests.bench batching [--windows 4000] [--model-only]`. The model: Whisper large on a GPU
takes 60 ms per window to encode, and as many steps of 25 ms as its longest text has tokens (a
batch of 16 full windows comes to 70 times real time, peers.md B1); on two cores, two windows at a
time take their own time. A backlog of bulk windows is always there, live ones come at random. The
real part asks `base` for language and text of short recordings, with and without keeping what was
encoded. Writes docs/bench/batching.json.
"""

import argparse
import json
import math
import random
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace

from cluster.settings import Settings
from serving.arguments import speech_arguments
from serving.assembly import transcriber
from serving.deployments.transcriber import LENGTH_STEP_SECONDS
from serving.deployments.waiting import BatchRules, Traits, Waiting, WaitingRoom
from serving.engines.whisper import WhisperEngine, batch_group
from serving.speech import BULK, LIVE, SAMPLE_RATE, WindowRequest
from tests.bench.tables import percent, table
from tests.fixtures.stack import ROOT
from tests.models.recordings import librivox

OUT = ROOT / "docs" / "bench"
TOKENS_PER_SECOND, TOKENS_OF_ALL, MOST_TOKENS = 3.3, 5, 225
PATIENCE = 4


@dataclass(frozen=True, slots=True)
class Machine:
    """How long a batch takes."""

    name: str
    size: int
    outstanding: int
    """Bulk windows under way: one batch runs, others wait."""
    live_every_seconds: float
    encode_seconds: float
    step_seconds: float
    workers: int | None = None
    """Threads among which the windows of a group are shared out; each decodes one after the other.
    None: a group is decoded at once."""

    def seconds(self, batch: Sequence[Waiting]) -> float:
        """Of a batch, by its groups."""
        groups: dict[object, list[float]] = {}
        for one in batch:
            audio, speech = one.item
            tokens = min(TOKENS_OF_ALL + TOKENS_PER_SECOND * speech, MOST_TOKENS)
            groups.setdefault(math.ceil(audio / 10), []).append(tokens)
        if self.workers is None:
            steps = sum(map(max, groups.values()))
            return len(batch) * self.encode_seconds + steps * self.step_seconds
        busy = [0.0] * self.workers
        for tokens in groups.values():
            for part in (tokens[worker :: self.workers] for worker in range(self.workers)):
                work = len(part) * self.encode_seconds + sum(part) * self.step_seconds
                busy[busy.index(min(busy))] += work
        return max(busy)


GPU = Machine("GPU, large, batches of 16", 16, 32, 5.0, 0.06, 0.025)
CPU = Machine("2 cores, base, batches of 4", 4, 8, 10.0, 0.44, 0.005, workers=2)


@dataclass(frozen=True, slots=True)
class Way:
    """How batches are formed."""

    name: str
    groups: bool = True
    lanes: bool = True
    lengths: bool = True
    shared: int | None = None
    """Places of a batch that other lanes may fill."""


WAYS = (
    Way("first come, first served", groups=False, lanes=False, lengths=False),
    Way("of one token limit", lanes=False, lengths=False),
    Way("and nearest in length", lanes=False),
    Way("and live first, bulk fills"),
    Way("and live first, two places shared", shared=2),
    Way("and live first, none shared", shared=1),
)


@dataclass(frozen=True, slots=True)
class Told:
    """What came of a way on a machine."""

    machine: str
    way: str
    rtfx: float
    fill: float
    live_median_seconds: float
    live_p95_seconds: float
    """From a live window's arrival to its text."""
    bulk_longest_wait_seconds: float


class Simulation:
    """One way on one machine."""

    def __init__(self, machine: Machine, way: Way, seed: int) -> None:
        self._machine, self._way = machine, way
        self._rng = random.Random(seed)
        self._room = WaitingRoom(BatchRules(machine.size, None, way.shared, PATIENCE))
        self._coming = self._gap()
        self._live: list[float] = []
        self._bulk: list[float] = []

    def run(self, windows: int) -> Told:
        """Until so many windows are done."""
        now = audio = 0.0
        batches = done = 0
        for _ in range(self._machine.outstanding):
            self._add(BULK, now)
        while done < windows:
            batch = self._room.take()
            end = now + self._machine.seconds(batch)
            while self._coming < end:
                self._add(LIVE, self._coming)
                self._coming += self._gap()
            self._note(batch, now, end)
            now, batches, done = end, batches + 1, done + len(batch)
            audio += sum(one.item[0] for one in batch)
        return Told(
            self._machine.name,
            self._way.name,
            round(audio / now, 1),
            round(done / batches / self._machine.size, 3),
            round(statistics.median(self._live), 2),
            round(statistics.quantiles(self._live, n=20)[-1], 2),
            round(max(self._bulk), 1),
        )

    def _note(self, batch: Sequence[Waiting], start: float, end: float) -> None:
        for one in batch:
            if one.answer == LIVE:
                self._live.append(end - one.arrived)
            else:
                self._bulk.append(start - one.arrived)
                self._add(BULK, end)

    def _gap(self) -> float:
        return self._rng.expovariate(1 / self._machine.live_every_seconds)

    def _add(self, lane: str, now: float) -> None:
        full = self._rng.random() < 0.75
        audio = self._rng.uniform(20, 30) if full else self._rng.uniform(1, 20)
        speech = audio * self._rng.uniform(0.35, 1)
        way = self._way
        traits = Traits(
            lane if way.lanes else LIVE,
            math.ceil(audio / 10) if way.groups else None,
            audio,
            math.ceil(speech / LENGTH_STEP_SECONDS) if way.lengths else 0,
        )
        self._room.add(Waiting((audio, speech), traits, now, answer=lane))


def modelled(windows: int) -> list[Told]:
    """Every way on every machine, and the table."""
    told = [Simulation(machine, way, 0).run(windows) for machine in (GPU, CPU) for way in WAYS]
    rows = [
        [
            *(one.machine, one.way, one.rtfx, percent(one.fill)),
            *(one.live_median_seconds, one.live_p95_seconds, one.bulk_longest_wait_seconds),
        ]
        for one in told
    ]
    header = ["machine", "batches", "RTFx", "fill", "live p50 s", "p95 s", "bulk waits at most s"]
    print(table(header, rows))
    return told


def cpu_of(work: Callable[[], object]) -> float:
    """CPU seconds of this process meanwhile."""
    started = time.process_time()
    work()
    return round(time.process_time() - started, 2)


def asked_for_language(engine: WhisperEngine, windows: Sequence[WindowRequest]) -> list[object]:
    """What the service does with short recordings whose language nobody told."""
    engine.detect_language([window.audio for window in windows])
    return [*engine.transcribe(windows)]


def real() -> dict[str, float]:
    """CPU seconds of the CPU default on eight short recordings."""
    arguments = speech_arguments(Settings(), 0)
    engine: WhisperEngine = transcriber(arguments)
    forgetful = WhisperEngine(replace(engine.options, kept_encodings=0))
    windows = [WindowRequest(clip.audio[: 30 * SAMPLE_RATE], "en") for clip in librivox()[:8]]
    for one in (engine, forgetful):
        one.load()
        one.warm_up()
    texts = [asked_for_language(one, windows) for one in (engine, forgetful)]
    assert texts[0] == texts[1], "what is kept must change no text"
    told = {
        "audio_seconds": round(sum(len(window.audio) for window in windows) / SAMPLE_RATE, 1),
        "windows": len(windows),
        "groups": len({batch_group(window) for window in windows}),
        "cpu_seconds_kept": cpu_of(lambda: asked_for_language(engine, windows)),
        "cpu_seconds_encoded_twice": cpu_of(lambda: asked_for_language(forgetful, windows)),
        "cpu_seconds_of_features": cpu_of(lambda: [*map(engine.prepare, windows)]),
    }
    print(table(list(told), [list(told.values())]))
    return told


def main(argv: Sequence[str]) -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench batching")
    parser.add_argument("--windows", type=int, default=4000)
    parser.add_argument("--model-only", action="store_true", help="without real Whisper")
    wanted = parser.parse_args(argv)
    told = {
        "modelled": [asdict(one) for one in modelled(wanted.windows)],
        "real": None if wanted.model_only else real(),
    }
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / "batching.json").write_text(json.dumps(told, indent=1) + "\n")
