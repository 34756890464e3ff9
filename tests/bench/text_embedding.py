"""Text embeddings of real passages: passages a second on one core and on two, by batch size.

`python -m tests.bench text_embedding` prints the tables of docs/benchmarks.md; numbers after it
replace the batch sizes. Each row has a process of its own, on as many cores as it has threads.
"""

import multiprocessing
import os
import resource
import statistics
import time
from collections.abc import Iterator, Sequence
from typing import Any

from cluster.settings import PathSettings, SearchSettings
from pipelines.search.passages import Line, cut
from serving import catalogue
from serving.engines.text_embedding import TextEmbeddingEngine, TextEmbeddingOptions
from serving.model_kinds import Role
from tests.bench.tables import table
from tests.fixtures.calls import call_files, read_call

BATCHES = (1, 8, 16, 32, 64)
CORES = (1, 2)
PASSAGES = 256
WARM = 16
QUERIES = (
    "capacity utilisation of the new plant",
    "who asked about the dividend",
    "how much did gross margin fall because of freight",
    "guidance for next year",
)
ROUNDS = 25


def passages(count: int) -> list[str]:
    """The first ones of each call in turn, cut as the default settings say."""
    settings = SearchSettings()
    calls = [_passages_of(path, settings) for path in call_files()]
    found: list[str] = []
    while len(found) < count:
        found += [text for call in calls if (text := next(call, None)) is not None]
    return found[:count]


def _passages_of(path: Any, settings: SearchSettings) -> Iterator[str]:
    said = read_call(path)
    lines = [Line(one.start, one.end, one.text, one.speaker, None) for one in said]
    cut_up = cut(lines, settings.passage_words, settings.passage_overlap_words)
    return iter([passage.text for passage in cut_up])


def measure(cores: int, batch: int, texts: Sequence[str], answer: Any) -> None:
    """One row, in a process of its own."""
    os.sched_setaffinity(0, set(sorted(os.sched_getaffinity(0))[:cores]))
    name = catalogue.CPU_DEFAULTS.text_embedding
    folder = catalogue.resolve(name, Role.text_embedding, PathSettings().model_dir)
    engine = TextEmbeddingEngine(TextEmbeddingOptions(folder, threads=cores, batch_size=batch))
    started = time.perf_counter()
    engine.load()
    loaded = time.perf_counter() - started
    engine.embed(texts[:WARM])
    started, cpu = time.perf_counter(), time.process_time()
    engine.embed(texts)
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    asked = sorted(_seconds_of(engine, query) for query in QUERIES * ROUNDS)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    p95 = asked[int(0.95 * len(asked))]
    answer.put((loaded, seconds, cpu, statistics.median(asked), p95, peak))


def _seconds_of(engine: TextEmbeddingEngine, query: str) -> float:
    started = time.perf_counter()
    engine.embed([query])
    return time.perf_counter() - started


def alone(cores: int, batch: int, texts: Sequence[str]) -> tuple[float, ...]:
    context = multiprocessing.get_context("spawn")
    answer = context.Queue()
    process = context.Process(target=measure, args=(cores, batch, texts, answer))
    process.start()
    found: tuple[float, ...] = answer.get()
    process.join()
    return found


def main(arguments: Sequence[str]) -> None:
    """Print the table."""
    texts = passages(PASSAGES)
    words = statistics.mean(len(text.split()) for text in texts)
    print(f"{len(texts)} passages of the calls, {words:.0f} words on average\n")
    rows = []
    for cores in CORES:
        for batch in [int(argument) for argument in arguments] or BATCHES:
            loaded, seconds, cpu, median, p95, peak = alone(cores, batch, texts)
            speed, cost = len(texts) / seconds, 1000 * cpu / len(texts)
            asked = f"{1000 * median:.1f} / {1000 * p95:.1f}"
            line = [cores, batch, f"{speed:.1f}", f"{cost:.0f}", asked]
            rows.append([*line, f"{loaded:.1f}", f"{peak:.0f}"])
            print(f"{cores} cores, batches of {batch}: {speed:.1f}/s", flush=True)
    header = ["cores", "batch", "passages/s", "CPU ms each", "query p50 / p95 ms"]
    print("\n" + table([*header, "load s", "peak MiB"], rows))
