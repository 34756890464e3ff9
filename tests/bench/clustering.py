"""Ten hours of voices in bounded memory: a bounded number of points instead of all.

`python -m tests.bench clustering [HOURS]`: what the models hear in real voices
(tests/bench/diarization.py), strung together to hours, each vector moved a little so that no two
are the same; one dialogue comes only once: its people are guests. Compared with all points, and
with a sample of as many, where all can be.
"""

import resource
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context

import numpy as np

from serving.engines.speaker_clustering import SpeakerClusteringEngine, SpeakerClusteringOptions
from serving.speech import SpanSegmentation, SpeakerBounds, SpeakerTurn
from tests.bench.corpus import Strung
from tests.bench.diarization import Described, describe, dialogues
from tests.bench.tables import percent, table
from tests.bench.throughput import Found, der
from tests.models.test_diarization import MODEL

HOURS = 10.0
COMPARED_HOURS = 1.5
DIALOGUES = 8
STEPS = (1.0, 2.5)
BOUNDED = 5000
EVERYTHING = 10**9
ENDS = ("start", "end")
MOVED = 0.3
"""How far a vector is moved, in its own length: cosines of one voice fall to 0.92."""


@dataclass(frozen=True)
class Hours:
    """The chunks of a long recording, and who speaks when."""

    segmentation: SpanSegmentation
    vectors: np.ndarray
    turns: tuple[SpeakerTurn, ...]
    guests: frozenset[str]


@dataclass(frozen=True)
class Clustered:
    """What one way made of it, and what it took."""

    found: Found
    seconds: float
    more_mib: float
    """Resident memory at the peak, above what was held before."""


def hours_of(described: Sequence[Described], hours: float) -> Hours:
    """The recordings again and again, the last of them once."""
    random = np.random.default_rng(5)
    *usual, visit = described
    at, activity, vectors, turns = 0.0, [], [], []
    for one in _endless(usual, visit):
        activity.append(one.segmentation.activity)
        vectors.append(_moved(one.vectors, random))
        turns += [
            replace(turn, start=turn.start + at, end=turn.end + at) for turn in one.recording.turns
        ]
        at += len(one.segmentation.activity) * one.segmentation.step_seconds
        if at >= hours * 3600:
            break
    segmentation = replace(described[0].segmentation, activity=np.concatenate(activity))
    known = {turn.speaker for one in usual for turn in one.recording.turns}
    guests = frozenset({turn.speaker for turn in visit.recording.turns} - known)
    return Hours(segmentation, np.concatenate(vectors), tuple(turns), guests)


def _endless(usual: Sequence[Described], visit: Described) -> Iterator[Described]:
    yield usual[0]
    yield visit
    while True:
        yield from usual


def _moved(vectors: np.ndarray, random: np.random.Generator) -> np.ndarray:
    noise = random.normal(size=vectors.shape).astype(np.float32)
    length = np.linalg.norm(vectors, axis=2, keepdims=True)
    moved: np.ndarray = vectors + noise * (MOVED / np.sqrt(vectors.shape[2])) * length
    return moved


def apart(recording: Strung, seconds: float = 10.0) -> Strung:
    """With silence around it, as long as a chunk: then no chunk hears two recordings."""
    silence = np.zeros(round(seconds * 16_000), np.int16)
    turns = tuple(
        replace(turn, start=turn.start + seconds, end=turn.end + seconds)
        for turn in recording.turns
    )
    audio = np.concatenate([silence, recording.audio, silence])
    return replace(recording, audio=audio, turns=turns)


def cluster(hours: Hours, most: int) -> Clustered:
    """In a process of its own, so that the peak of its memory is its own."""
    engine = SpeakerClusteringEngine(
        SpeakerClusteringOptions(
            MODEL.threshold, MODEL.min_cluster_size, MODEL.method, max_clustered_embeddings=most
        )
    )
    engine.load()
    # What comes with the first call: imports, caches.
    few = replace(hours.segmentation, activity=hours.segmentation.activity[:100])
    engine.cluster([few], [hours.vectors[:100]], SpeakerBounds())
    before, started = _peak_mib(), time.perf_counter()
    found = engine.cluster([hours.segmentation], [hours.vectors], SpeakerBounds())
    turns = [(turn.start, turn.end, turn.speaker) for turn in found.turns]
    return Clustered(
        Found("", turns, {}), time.perf_counter() - started, max(0.0, _peak_mib() - before)
    )


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main(arguments: list[str]) -> None:
    """Print the table."""
    longest = float(arguments[0]) if arguments else HOURS
    recordings = [apart(one) for one in dialogues(DIALOGUES)]
    rows = []
    for step in STEPS:
        described, _ = describe(recordings, step)
        for hours, most in ((COMPARED_HOURS, EVERYTHING), (COMPARED_HOURS, BOUNDED // 10)):
            rows.append(row(hours_of(described, hours), step, hours, most))
        rows.append(row(hours_of(described, longest), step, longest, BOUNDED))
    header = "step, s|hours|embeddings|compared at most|DER|speakers found, of|guests found, of"
    header += "|s|more MiB"
    print(table(header.split("|"), rows))


def row(made: Hours, step: float, hours: float, most: int) -> tuple[object, ...]:
    """A line of the table."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        clustered = pool.submit(cluster, made, most).result()
    seconds = len(made.segmentation.activity) * step
    # Only its length counts.
    recording = Strung("hours", np.zeros(round(seconds) * 16_000, np.int8), "", made.turns)
    heard = len({turn[2] for turn in clustered.found.turns})
    guests = guests_found(made, clustered.found)
    return (
        step,
        hours,
        made.vectors.shape[0] * made.vectors.shape[1],
        "all" if most == EVERYTHING else most,
        percent(der([recording], [clustered.found], 0.0)),
        f"{heard} of {len({turn.speaker for turn in made.turns})}",
        f"{guests} of {len(made.guests)}",
        f"{clustered.seconds:.1f}",
        f"{clustered.more_mib:.0f}",
    )


def guests_found(made: Hours, found: Found) -> int:
    """How many of the guests have a label of their own: one that is mostly theirs."""
    starts, ends = (np.array([getattr(turn, key) for turn in made.turns]) for key in ENDS)
    spoken: dict[str, Counter[str]] = {}
    for start, end, label in found.turns:
        # Nobody speaks over anybody here: both ends are in order.
        first, last = np.searchsorted(ends, start), np.searchsorted(starts, end)
        for turn in made.turns[first:last]:
            both = min(end, turn.end) - max(start, turn.start)
            spoken.setdefault(label, Counter())[turn.speaker] += round(1000 * both)
    owners = {mine.most_common(1)[0][0] for mine in spoken.values()}
    return len(owners & made.guests)
