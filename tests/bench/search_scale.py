"""Search in ten thousand to a million passages: how long it takes, how large it is, how it grows.

`python -m tests.bench search_scale [SIZE ...] [--folder FOLDER] [--minutes MINUTES]`: the embedded
PostgreSQL with both adapters of its own; it is filled on all cores and asked on one, in which the
client has a part. In a FOLDER the archive stays, and the next run goes on where this one was
stopped, by itself after MINUTES. Vectors are synthetic: what it takes to embed a query is not in
the figures (`text_embedding` says that).
"""

import argparse
import asyncio
import math
import os
import tempfile
import time
import zlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from uuid import UUID

import numpy as np
import psutil
from pydantic import SecretStr

from cluster.settings import DatabaseSettings, SearchSettings
from db.engine import Sessions, create_engine, create_sessions
from db.keywords.create import create_keyword_store
from db.vectors.create import create_vector_store
from db.vectors.pgvector import PgVectorStore
from pipelines.search.finding import find
from pipelines.search.found import Asked, Asking, Mode, SearchStores
from pipelines.search.found import Source as Half
from serving.ports import TextEmbeddings
from tests.bench import judged, library, passage_archive
from tests.bench.passage_archive import (
    DIMENSION,
    MODEL,
    OWNER,
    SPACE,
    Clock,
    Source,
    Throughput,
    Vectored,
    connected,
    other,
)
from tests.bench.tables import percent, table

SIZES = (10_000, 100_000)
"""A million is asked for by hand: it takes hours."""
CORE = 0
NAMES, ASKED, WARM_UP = 40, 100, 20
"""Queries of one made-up name each, beside the judged ones; of all these so many are asked, and
some before them that are not measured."""
NEAREST, COMPARED = 10, 20
"""Of so many queries it is looked at whether the walk through the index finds the nearest."""
PATIENCE = 60.0
"""Seconds that a store may take: here a slow answer is a figure."""
SIZED = """
    SELECT sum(pg_table_size(c.oid)), sum(pg_indexes_size(c.oid))
    FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
    WHERE nspname = $1 AND relkind = 'r'
"""
MIB = 1 << 20


class Synthetic:
    """Meanings of queries: near some topic, the same for the same text."""

    def __init__(self, source: Source) -> None:
        self._source = source

    async def embed(self, texts: Sequence[str]) -> TextEmbeddings:
        rows = [self.vector(text) for text in texts]
        return TextEmbeddings(MODEL, np.array(rows, np.float32).reshape(-1, DIMENSION))

    def vector(self, text: str) -> np.ndarray:
        rng = np.random.default_rng(zlib.crc32(text.encode()))
        return self._source.vectors(rng, 1)[0]


@dataclass(frozen=True)
class Asks:
    """Answers to the same queries in one mode."""

    milliseconds: Sequence[float]
    stores: Mapping[Half, Sequence[float]]
    """Milliseconds that each store took, and the embedding of the query with it."""
    found: float
    """Files, on an average."""
    late: int
    """Answers that a store was missing in."""


def pin(cores: Sequence[int]) -> None:
    """This process, and the server that it started with all its children, on these cores."""
    this = psutil.Process()
    for process in (this, *this.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):
            process.cpu_affinity(list(cores))


def questions(source: Source) -> list[str]:
    """What is asked, in no order."""
    asked = [one.query for one in judged.judged_queries()]
    asked += [source.name(number * 5) for number in range(NAMES)]
    order = np.random.default_rng(passage_archive.SEED).permutation(len(asked))
    return [asked[at] for at in order[:ASKED]]


async def ask(stores: SearchStores, owner: UUID, mode: Mode, texts: Sequence[str]) -> Asks:
    """Ask for the first page of each."""
    taken, files, late = [], 0, 0
    stores_taken: dict[Half, list[float]] = {half: [] for half in Half}
    for number, text in enumerate([*texts[:WARM_UP], *texts]):
        started = time.perf_counter()
        found = await find(Asked(user_id=owner, text=text, mode=mode), stores)
        if number >= WARM_UP:
            taken.append(1000 * (time.perf_counter() - started))
            files += found.total
            late += any(one.asking is Asking.timed_out for one in found.answers)
            for answer in found.answers:
                if answer.asking is Asking.answered:
                    stores_taken[answer.source].append(1000 * answer.seconds)
    return Asks(taken, stores_taken, files / len(texts), late)


async def nearest_found(sessions: Sessions, embedder: Synthetic, texts: Sequence[str]) -> float:
    """Of the nearest points of the owner of most, the share that the walk finds."""
    wanted = [embedder.vector(text).tolist() for text in texts[:COMPARED]]
    walked = await PgVectorStore(sessions, 0).search(SPACE.name, OWNER, wanted, limit=NEAREST)
    exact = await PgVectorStore(sessions, 10**9).search(SPACE.name, OWNER, wanted, limit=NEAREST)
    pairs = zip(walked, exact, strict=True)
    same = sum(len({hit.id for hit in a} & {hit.id for hit in b}) for a, b in pairs)
    return same / (NEAREST * len(wanted))


async def sizes(url: str) -> list[str]:
    """MiB of tables and indexes, of words and of vectors."""
    async with connected(url) as connection:
        found = [await connection.fetchrow(SIZED, schema) for schema in ("keywords", "vectors")]
    return [f"{(value or 0) / MIB:,.0f}" for row in found for value in row]


async def settle(url: str) -> None:
    """What autovacuum does within minutes."""
    async with connected(url) as connection:
        await connection.execute("VACUUM ANALYZE")
        await connection.execute("CHECKPOINT")


@asynccontextmanager
async def opened(url: str, source: Source) -> AsyncIterator[SearchStores]:
    """Both stores of a database; queries may take as long as they need."""
    settings = SearchSettings(qdrant_url=None, meili_url=None, query_seconds=PATIENCE)
    engine = create_engine(DatabaseSettings(url=SecretStr(url)))
    sessions = create_sessions(engine)
    yield SearchStores(
        sessions=sessions,
        keywords=create_keyword_store(settings, sessions),
        vectors=create_vector_store(settings, sessions),
        embedder=Synthetic(source),
        settings=settings,
    )
    await engine.dispose()


@dataclass(frozen=True)
class Size:
    """What was measured at one size: cells of the tables."""

    passages: int
    asked: list[list[str]]
    stored: list[str]
    medians: dict[str, float]


async def grow(
    url: str, stores: SearchStores, source: Source, passages: int, clock: Clock
) -> tuple[Throughput, Vectored] | None:
    """As many passages as that; None: the time is over."""
    await passage_archive.fill_rows(url, source, passages)
    batch = stores.settings.index_batch
    words = await passage_archive.fill_keywords(stores.keywords, source, passages, batch, clock)
    if words is None:
        return None
    vectors = await passage_archive.fill_vectors(url, stores.vectors, source, passages, clock)
    return None if vectors is None else (words, vectors)


async def measure(url: str, stores: SearchStores, source: Source, passages: int) -> Size:
    """Ask in every mode, for the owner of most and for one of those who have little."""
    texts = questions(source)
    asked, medians = [], {}
    for owner, has in ((OWNER, "nine of ten"), (other(0), "one of ten thousand")):
        for mode in Mode:
            done = await ask(stores, owner, mode, texts)
            p50, p95 = np.percentile(done.milliseconds, (50, 95))
            halves = [
                f"{np.median(values):.0f}" if values else "-" for values in done.stores.values()
            ]
            row = [f"{passages:,}", has, mode, f"{p50:.0f}", f"{p95:.0f}", *halves]
            asked.append([*row, f"{done.found:.0f}", str(done.late)])
            medians[f"{mode}, {has}"] = float(p50)
            print(" | ".join(map(str, asked[-1])), flush=True)
    recall = await nearest_found(stores.sessions, Synthetic(source), texts)
    return Size(passages, asked, [f"{passages:,}", *await sizes(url), percent(recall)], medians)


async def bench(url: str, passages: Sequence[int], clock: Clock) -> None:
    """Grow, ask, and print after each size."""
    source, measured = Source(), []
    cores = sorted(os.sched_getaffinity(0))
    async with opened(url, source) as stores:
        for size in passages:
            pin(cores)
            grown = await grow(url, stores, source, size, clock)
            if grown is None:
                print("the time is over; the same folder again goes on here", flush=True)
                break
            await settle(url)
            pin([CORE])
            measured.append((await measure(url, stores, source, size), *grown))
    pin(cores)
    show(measured)


def show(measured: Sequence[tuple[Size, Throughput, Vectored]]) -> None:
    """Print the tables."""
    header = "passages|the owner has|mode|p50 ms|p95 ms|of it words, p50 ms|meaning, p50 ms"
    header += "|files found|late"
    print(table(header.split("|"), [row for size, *_ in measured for row in size.asked]))
    header = "passages|words: table MiB|indexes MiB|vectors: table MiB|indexes MiB|recall@10 of the"
    header += " walk|words stored a second|vectors copied a second|index at once, s|vectors stored"
    header += " a second in a whole index"
    rows = [
        [
            *size.stored,
            f"{words.rate:.0f}",
            f"{vectors.bulk.rate:.0f}",
            f"{vectors.index_seconds:.0f}",
            f"{vectors.port.rate:.0f}",
        ]
        for size, words, vectors in measured
    ]
    print(f"\n{table(header.split('|'), rows)}\n")
    for (low, *_), (high, *_) in pairwise(measured):
        grown = math.log(high.passages / low.passages)
        for what, before in low.medians.items():
            exponent = math.log(high.medians[what] / before) / grown
            print(f"{what}: {low.passages:,} to {high.passages:,}: p50 grows with n^{exponent:.2f}")


def main(arguments: Sequence[str]) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser("search_scale")
    parser.add_argument("sizes", nargs="*", type=int, default=list(SIZES))
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--minutes", type=float, default=math.inf)
    asked = parser.parse_args(arguments)
    clock = Clock(time.monotonic() + 60 * asked.minutes)
    with tempfile.TemporaryDirectory() as unused:
        folder = asked.folder or Path(unused)
        with library.server(folder / "pg") as url:
            asyncio.run(bench(url, sorted(asked.sizes), clock))
