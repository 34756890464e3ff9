"""Match queries among 100,000 voiceprints: how long they take, and what they miss.

`python -m tests.bench voiceprints [POINTS]`: the embedded PostgreSQL and its client together on one
core; a Qdrant server too where QDRANT_URL is set. Synthetic voices: people are directions at
random, two voiceprints of one have a cosine of about 0.7.
"""

import asyncio
import os
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import numpy as np
import numpy.typing as npt
from pydantic import SecretStr
from qdrant_client.http.models import CollectionStatus

from cluster.settings import DatabaseSettings, SearchSettings
from db.engine import create_engine, create_sessions
from db.vectors.create import create_vector_store
from db.vectors.pgvector import PgVectorStore
from db.vectors.pgvector_schema import qualified
from db.vectors.port import Point, Space, VectorStore
from db.vectors.qdrant_requests import create_client
from tests.bench import library
from tests.bench.tables import percent, table

CORE, SEED = 0, 7
POINTS, OWNERS, DIMENSION = 100_000, 1_000, 192
VOICEPRINTS_PER_PERSON, SPREAD = 20, 0.65
"""How far a voiceprint is from its person: 1 / (1 + 0.65²) = 0.7 is the cosine of two of them."""
LIMIT, QUERIES, WARM_UP, BATCH = 20, 500, 50, 1_000
TOGETHER = 5
"""Voices of one recording that are asked for in one query."""

Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Archive:
    """Voiceprints, row by row, and whose they are."""

    name: str
    vectors: Vectors
    owners: Sequence[uuid.UUID]

    def rows_of(self, owner: uuid.UUID) -> npt.NDArray[np.int64]:
        """Where this owner's are."""
        return np.array([row for row, one in enumerate(self.owners) if one == owner])


@dataclass(frozen=True)
class Measured:
    """Milliseconds of each query, and which share of the exact answer was found."""

    milliseconds: Sequence[float]
    recall: float


def _unit(rows: npt.NDArray[np.float64]) -> Vectors:
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit.astype(np.float32)


def voices(choice: np.random.Generator, people: npt.NDArray[np.float64]) -> Vectors:
    """A voiceprint of each of these people."""
    noise = _unit(choice.normal(size=people.shape))
    return _unit(people + SPREAD * noise)


def archive(name: str, points: int, owners: int) -> Archive:
    """An archive whose owners have the same number of voiceprints."""
    choice = np.random.default_rng(SEED)
    each = points // owners
    count = max(1, points // VOICEPRINTS_PER_PERSON)
    people = _unit(choice.normal(size=(count, DIMENSION))).astype(np.float64)
    # An owner's people are the owner's own: rows of an owner follow each other.
    vectors = voices(choice, np.repeat(people, VOICEPRINTS_PER_PERSON, axis=0)[:points])
    ids = [uuid.UUID(int=int(n), version=4) for n in choice.integers(1, 2**62, size=owners)]
    return Archive(name, vectors, [ids[row // each] for row in range(points)])


async def fill(store: VectorStore, archive: Archive) -> float:
    """Store an archive as files do, in no order of owners; the seconds it took."""
    await store.ensure(Space(archive.name, DIMENSION))
    order = np.random.default_rng(SEED).permutation(len(archive.vectors))
    started = time.perf_counter()
    for start in range(0, len(order), BATCH):
        batch = [
            Point(
                uuid.UUID(int=int(row) + 1),
                archive.owners[row],
                archive.vectors[row].tolist(),
                {"kind": "speaker", "media_file_id": str(uuid.UUID(int=int(row) // 3))},
            )
            for row in order[start : start + BATCH]
        ]
        await store.upsert(archive.name, batch)
    return time.perf_counter() - started


def exact(archive: Archive, owner: uuid.UUID, asked: Vectors) -> list[set[uuid.UUID]]:
    """The nearest of the owner's, by comparing with each."""
    rows = archive.rows_of(owner)
    cosines = asked @ archive.vectors[rows].T
    best = np.argsort(-cosines, axis=1)[:, :LIMIT]
    return [{uuid.UUID(int=int(rows[n]) + 1) for n in line} for line in best]


async def measure(store: VectorStore, archive: Archive, together: int = 1) -> Measured:
    """Ask for new voiceprints of people that are there, as the match of a new file does."""
    choice = np.random.default_rng(SEED + 1)
    taken, found, wanted = [], 0, 0
    for number in range(WARM_UP + QUERIES // together):
        row = int(choice.integers(len(archive.vectors)))
        owner = archive.owners[row]
        rows = choice.choice(archive.rows_of(owner), size=together)
        asked = voices(choice, archive.vectors[rows].astype(np.float64))
        started = time.perf_counter()
        answers = await store.search(
            archive.name,
            owner,
            asked.tolist(),
            limit=LIMIT,
            matching={"kind": ["speaker"]},
            excluding={"media_file_id": [str(uuid.uuid4())]},
        )
        seconds = time.perf_counter() - started
        if number < WARM_UP:
            continue
        taken.append(1000 * seconds)
        for answer, best in zip(answers, exact(archive, owner, asked), strict=True):
            found += len({hit.id for hit in answer} & best)
            wanted += len(best)
    return Measured(taken, found / wanted)


def query_row(store: str, what: str, measured: Measured) -> list[str]:
    """A line of the table of queries."""
    p50, p95, p99 = np.percentile(measured.milliseconds, (50, 95, 99))
    return [store, what, f"{p50:.1f}", f"{p95:.1f}", f"{p99:.1f}", percent(measured.recall)]


@asynccontextmanager
async def pgvector(url: str) -> AsyncIterator[PgVectorStore]:
    """The store on this database."""
    engine = create_engine(DatabaseSettings(url=SecretStr(url)))
    yield PgVectorStore(create_sessions(engine))
    await engine.dispose()


async def settled(url: str, archive: Archive) -> list[str]:
    """What autovacuum does within minutes; then the index made at once, and sizes in MiB."""
    connection = await asyncpg.connect(url)
    try:
        name = qualified(archive.name)
        await connection.execute(f"VACUUM ANALYZE {name}", timeout=3600)
        index = await connection.fetchval(
            "SELECT indexrelid::regclass::text FROM pg_index WHERE indrelid = $1::text::regclass "
            "AND pg_get_indexdef(indexrelid) LIKE '%hnsw%'",
            name,
        )
        sizes = [
            await connection.fetchval("SELECT pg_relation_size($1::text::regclass)", one)
            for one in (name, index)
        ]
        await connection.execute("SET maintenance_work_mem = '512MB'")
        started = time.perf_counter()
        await connection.execute(f"REINDEX INDEX {index}", timeout=3600)
        seconds = time.perf_counter() - started
    finally:
        await connection.close()
    return [f"{seconds:.0f}", *(f"{size / 2**20:.0f}" for size in sizes)]


async def indexed(settings: SearchSettings, archive: Archive) -> None:
    """Wait until a Qdrant server has made its graphs."""
    client = create_client(settings)
    while (await client.get_collection(archive.name)).status is not CollectionStatus.GREEN:
        await asyncio.sleep(1)
    await client.close()


async def ask_all(store: VectorStore, one: Archive, what: str) -> list[list[str]]:
    """The lines of one archive."""
    lines = [query_row(store.adapter, what, await measure(store, one))]
    several = await measure(store, one, TOGETHER)
    return [*lines, query_row(store.adapter, f"{what}, {TOGETHER} voices in one query", several)]


async def bench(url: str, points: int) -> None:
    """Fill, ask, print."""
    archives = {
        f"{points // OWNERS} of {points}": archive("bench-many", points, OWNERS),
        f"all {points}": archive("bench-one", points, 1),
    }
    queries: list[list[str]] = []
    stored: list[list[str]] = []
    async with pgvector(url) as store:
        for what, one in archives.items():
            seconds = await fill(store, one)
            built = await settled(url, one)
            queries += await ask_all(store, one, what)
            stored.append(["pgvector", what, f"{points / seconds:.0f}", *built])
    settings = SearchSettings()
    if settings.qdrant_url is not None:
        async with pgvector(url) as unused:
            qdrant = create_vector_store(settings, unused._sessions)
        for what, one in archives.items():
            await qdrant.drop(one.name)
            seconds = await fill(qdrant, one)
            await indexed(settings, one)
            queries += await ask_all(qdrant, one, what)
            stored.append(["qdrant", what, f"{points / seconds:.0f}", "-", "-", "-"])
            await qdrant.drop(one.name)
        await qdrant.close()
    print(table(["store", "the owner has", "p50 ms", "p95 ms", "p99 ms", "recall@20"], queries))
    print()
    headings = ["store", "the owner has", "stored a second", "index anew, s", "table MiB"]
    print(table([*headings, "index MiB"], stored))
    if settings.qdrant_url is None:
        print("\nqdrant: left out, QDRANT_URL is not set")


def main(arguments: list[str]) -> None:
    """Print the tables."""
    points = int(arguments[0]) if arguments else POINTS
    os.sched_setaffinity(0, {CORE})
    with tempfile.TemporaryDirectory() as name, library.server(Path(name) / "pg") as url:
        asyncio.run(bench(url, points))
