"""Grouping a library of planted voices: seconds, memory, quality, and how they grow.

`python -m tests.bench voice_library` prints the table of docs/benchmarks.md; numbers after it
replace the sizes. Each size has a process of its own, so that its peak is its own.
"""

import math
import multiprocessing
import resource
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from cluster.settings import VoiceSettings
from pipelines.speakers.calibration import calibration
from serving.engines.voice_grouping import VoiceGroupingEngine, VoiceGroupingOptions
from tests.bench.tables import table

SIZES = (10_000, 30_000, 100_000)
DIMENSION = 192
SPREAD = 64
"""Directions that voices really differ in: two persons' cosines are then as wide as measured
(`python -m tests.bench voices`: 0.05 ± 0.12)."""
LIKENESS = 0.74
"""Mean cosine of one person's voices in different recordings, as measured."""
UNEVEN = 0.5
"""How much clearer one voice is than another."""
COMMON = 0.05
"""Cosine that any two voices have."""
MOST = 2000
"""Voices of the most frequent person."""
PER_RECORDING = 3
ONE_PERSON = 20_000
VOICEPRINTS = "campplus-zh-en-common@92f29b94"
THRESHOLD = calibration(VOICEPRINTS, VoiceSettings()).clustering
MIB = 1 << 20


@dataclass(frozen=True)
class Library:
    """Voices, and whose they are."""

    voices: npt.NDArray[np.float32]
    persons: npt.NDArray[np.int64]
    recordings: npt.NDArray[np.int32]


def crowd(count: int) -> Library:
    """One person in so many recordings: the largest component that a graph can have."""
    persons = np.zeros(count, dtype=np.int64)
    return Library(
        _voices(np.random.default_rng(0), persons), persons, np.arange(count, dtype=np.int32)
    )


def planted(count: int, seed: int = 0) -> Library:
    """Few persons are often there, most once or twice (Pareto); three voices a recording."""
    rng = np.random.default_rng(seed)
    sizes = np.minimum(MOST, 1 + rng.pareto(1.2, count).astype(np.int64))
    persons = rng.permutation(np.repeat(np.arange(count), sizes)[:count])
    voices = _voices(rng, persons)
    recordings = np.arange(count, dtype=np.int32) // PER_RECORDING
    # Nobody is twice in a recording; the second gets one of its own.
    keys = recordings * np.int64(count) + persons
    again = np.ones(count, dtype=np.bool_)
    again[np.unique(keys, return_index=True)[1]] = False
    recordings[again] = count + np.arange(again.sum())
    return Library(voices, persons, recordings)


def _voices(rng: np.random.Generator, persons: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """A person's direction, one that all share, and noise, in a subspace."""

    def directions(count: int) -> npt.NDArray[np.float32]:
        drawn = rng.standard_normal((count, SPREAD), dtype=np.float32)
        return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)

    noise = math.sqrt(1 - LIKENESS) * rng.uniform(1 - UNEVEN, 1 + UNEVEN, (len(persons), 1))
    voices = math.sqrt(LIKENESS - COMMON) * directions(persons.max() + 1)[persons]
    voices += math.sqrt(COMMON) * directions(1)
    voices += noise.astype(np.float32) * directions(len(persons))
    voices /= np.linalg.norm(voices, axis=1, keepdims=True)
    turned = np.linalg.qr(rng.standard_normal((DIMENSION, SPREAD)))[0].astype(np.float32)
    return np.ascontiguousarray(voices @ turned.T)


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(count: int, one: bool, answer: Any) -> None:
    """Group one library, in a process of its own."""
    library = crowd(count) if one else planted(count)
    engine = VoiceGroupingEngine(VoiceGroupingOptions())
    none = np.zeros((0, 2), dtype=np.int32)
    small = slice(0, 100)
    engine.group(library.voices[small], library.recordings[small], none, THRESHOLD)
    before, started, cpu = peak_mib(), time.perf_counter(), time.process_time()
    found = engine.group(library.voices, library.recordings, none, THRESHOLD)
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    memory = peak_mib() - before
    answer.put((count, seconds, cpu, library.voices.nbytes / MIB, memory, *quality(library, found)))


def quality(library: Library, found: npt.NDArray[np.int32]) -> tuple[float, ...]:
    """Groups, persons of several voices; adjusted Rand index; precision and recall of pairs."""
    from sklearn.metrics import adjusted_rand_score
    from sklearn.metrics.cluster import pair_confusion_matrix

    alone = found == -1
    named = np.where(alone, len(found) + np.arange(len(found)), found)
    (_, wrong), (missed, right) = pair_confusion_matrix(library.persons, named)
    several = int((np.bincount(library.persons) > 1).sum())
    return (
        int(found.max()) + 1,
        several,
        adjusted_rand_score(library.persons, named),
        right / (right + wrong),
        right / (right + missed),
    )


def alone(count: int, one: bool = False) -> tuple[float, ...]:
    context = multiprocessing.get_context("spawn")
    answer = context.Queue()
    process = context.Process(target=measure, args=(count, one, answer))
    process.start()
    found: tuple[float, ...] = answer.get()
    process.join()
    return found


def main(arguments: Sequence[str]) -> None:
    """Print the table."""
    sizes = [int(argument) for argument in arguments] or list(SIZES)
    sample = planted(sizes[0])
    print(f"planted: {cosines(sample)}; joined from a mean cosine of {THRESHOLD}")
    rows = [alone(size) for size in sizes]
    header = "voices|seconds|CPU s|vectors, MiB|more memory at the peak, MiB|groups|persons heard"
    header += " more than once|adjusted Rand|precision of pairs|recall of pairs"
    lone = (f"{ONE_PERSON:,}, one person's", *shown(alone(ONE_PERSON, one=True))[1:])
    print(table(header.split("|"), [*(shown(row) for row in rows), lone]))
    for low, high in pairwise(rows):
        grown = math.log(high[0] / low[0])
        exponents = [math.log(high[at] / low[at]) / grown for at in (2, 4)]
        print(
            f"{low[0]} to {high[0]}: CPU seconds grow with n^{exponents[0]:.2f},"
            f" memory with n^{exponents[1]:.2f}"
        )


def cosines(library: Library) -> str:
    """How alike the planted voices are."""
    voices, persons = library.voices, library.persons
    order = np.argsort(persons, kind="stable")
    beside = np.einsum("nd,nd->n", voices[order[:-1]], voices[order[1:]])
    same = beside[persons[order[:-1]] == persons[order[1:]]]
    apart = np.einsum("nd,nd->n", voices[:-1], voices[1:])[persons[:-1] != persons[1:]]
    return (
        f"one person {same.mean():.2f} ± {same.std():.2f},"
        f" two persons {apart.mean():.2f} ± {apart.std():.2f}"
    )


def shown(row: Sequence[float]) -> tuple[str, ...]:
    return (
        f"{row[0]:,}",
        *(f"{value:.1f}" for value in row[1:3]),
        *(f"{value:.0f}" for value in row[3:5]),
        *(f"{value:,}" for value in row[5:7]),
        *(f"{value:.4f}" for value in row[7:]),
    )
