"""An archive of up to a million passages: made of sentences of real calls, with vectors at random.

Everything follows from a passage's number, so that a database that was left half full can be
filled further. The nearest vectors are of one topic, as those of real texts are; words that the
calls do not have are made of halves of words that they have, ever new ones the more there is, as
names are.
"""

import json
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import asyncpg
import numpy as np
import numpy.typing as npt
from pgvector.asyncpg import register_vector

from db.keywords.port import FileFacts, KeywordStore, PassageDocument
from db.vectors.pgvector_schema import SCHEMA, qualified
from db.vectors.port import Point, VectorStore
from pipelines.search.places import LIVE
from pipelines.spaces import passage_space
from tests.bench import judged

SEED, CHUNK = 7, 1_000
"""Passages are made so many at a time; sizes are multiples of it."""
PER_FILE, WORDS, SECONDS = 50, 180, 72.0
"""Of a recording of an hour, so many passages of so many words."""
OTHERS = 1_000
"""Nine files of ten are one owner's, who is the worst case; so many others share the rest."""
DIMENSION, SPREAD, TOPICS, LIKENESS = 384, 48, 5_000, 0.55
"""Directions that texts really differ in; the mean cosine of two passages on one topic."""
RARE = 0.5
"""Of the passages, the share with a word of their own kind."""
THROUGH_PORT = 1_000
"""The last vectors of each size come one by one into a whole index, as those of new files do."""
MODEL = "synthetic"
SPACE = passage_space(MODEL, DIMENSION)
BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)
OWNER = uuid.UUID(int=1, version=4)
QUALIFIED = qualified(SPACE.name)
HNSW = """
    FROM pg_index WHERE indrelid = $1::text::regclass
        AND pg_get_indexdef(indexrelid) LIKE '%hnsw%'
"""
INDEX_MEMORY = "4GB"
"""While an index is made at once: a graph that does not fit is made far more slowly."""
TOLD_EVERY = 10_000

Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Made:
    """A passage, and how its vector is found again."""

    document: PassageDocument
    vector: Vectors
    speaker: int


class Source:
    """Makes passages by their numbers."""

    def __init__(self) -> None:
        said = [one for call in judged.calls().values() for one in call]
        self._sentences = [one.text for one in said if len(one.text.split()) > 3]
        self._words = sorted(
            {word for one in self._sentences for word in one.lower().split() if len(word) > 5}
        )
        rng = np.random.default_rng(SEED)
        self._topics = _unit(rng.standard_normal((TOPICS, SPREAD), dtype=np.float32))
        turned = np.linalg.qr(rng.standard_normal((DIMENSION, SPREAD)))[0]
        self._turned = turned.astype(np.float32)

    def chunk(self, number: int) -> list[Made]:
        """The passages from `number * CHUNK` on."""
        rng = np.random.default_rng((SEED, number))
        vectors = self.vectors(rng, CHUNK)
        first = number * CHUNK
        return [
            Made(self._document(first + at, rng), vectors[at], int(rng.integers(2)))
            for at in range(CHUNK)
        ]

    def vectors(self, rng: np.random.Generator, count: int) -> Vectors:
        """So many directions, each near that of a topic; some topics are frequent."""
        topics = np.minimum(rng.zipf(1.2, count) - 1, TOPICS - 1)
        noise = _unit(rng.standard_normal((count, SPREAD), dtype=np.float32))
        near = np.sqrt(LIKENESS) * self._topics[topics] + np.sqrt(1 - LIKENESS) * noise
        return np.ascontiguousarray(_unit(near) @ self._turned.T)

    def name(self, number: int) -> str:
        """A word that no call has; the same for the same number."""
        words = self._words
        left, right = words[number % len(words)], words[number * 7919 % len(words)]
        return left[: len(left) // 2] + right[len(right) // 2 :]

    def _document(self, number: int, rng: np.random.Generator) -> PassageDocument:
        file, place = divmod(number, PER_FILE)
        return PassageDocument(
            id=uuid.uuid5(uuid.NAMESPACE_OID, f"passage {number}"),
            owner_id=owner_of(file),
            media_file_id=file_id(file),
            number=place,
            start=place * SECONDS,
            end=(place + 1) * SECONDS,
            text=self._text(number, rng),
            speakers=(person(file, number % 2),),
            file=facts(file),
        )

    def _text(self, number: int, rng: np.random.Generator) -> str:
        said: list[str] = []
        words = 0
        while words < WORDS:
            said.append(self._sentences[int(rng.integers(len(self._sentences)))])
            words += len(said[-1].split())
        if rng.random() < RARE:
            said.append(f"{self.name(min(int(rng.pareto(0.6) * 10), 2 * number + 10))}.")
        return " ".join(said)


def _unit(rows: Vectors) -> Vectors:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def file_id(file: int) -> uuid.UUID:
    return uuid.uuid5(uuid.NAMESPACE_OID, f"file {file}")


def owner_of(file: int) -> uuid.UUID:
    return other(file // 10 % OTHERS) if file % 10 == 0 else OWNER


def other(number: int) -> uuid.UUID:
    """One of those who have little."""
    return uuid.UUID(int=number + 2, version=4)


def person(file: int, voice: int) -> str:
    return f"Person {(file * 31 + voice * 7) % 300}"


def facts(file: int) -> FileFacts:
    """What is known of a file; the same is in its row."""
    return FileFacts(
        title=f"Meeting {file} of team {file % 500}",
        created_at=BEGINNING - timedelta(minutes=5 * file),
        content_type="audio/mpeg" if file % 3 == 0 else "video/mp4",
        size_bytes=1_000_000 + file * 7919 % 900_000_000,
        duration=PER_FILE * SECONDS,
        language="en",
    )


@dataclass(frozen=True)
class Clock:
    """Says how far it has come, and when it is time to stop."""

    until: float

    def over(self) -> bool:
        return time.monotonic() > self.until


@dataclass(frozen=True)
class Throughput:
    """How many a store took in, and in how many seconds."""

    passages: int
    seconds: float

    @property
    def rate(self) -> float:
        return self.passages / self.seconds if self.seconds else float("nan")


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection that takes as long as it needs."""
    connection = await asyncpg.connect(url, command_timeout=4 * 3600)
    try:
        yield connection
    finally:
        await connection.close()


async def fill_rows(url: str, source: Source, passages: int) -> None:
    """Owners, files, transcripts and lines: what answers are made of besides the stores."""
    async with connected(url) as connection:
        there = await connection.fetchval("SELECT count(*) FROM media_file")
        await _add_owners(connection)
        for first in range(there // (CHUNK // PER_FILE), passages // CHUNK):
            async with connection.transaction():
                await _add_files(connection, first)
                await _add_lines(connection, source.chunk(first))
        await connection.execute("VACUUM ANALYZE media_file, transcript, speaker, segment")


async def _add_owners(connection: asyncpg.Connection) -> None:
    await connection.executemany(
        """
        INSERT INTO "user" (id, email, full_name, role, is_active)
        VALUES ($1, $2, '', 'user', true) ON CONFLICT DO NOTHING
        """,
        [(one, f"{one}@example.org") for one in (OWNER, *map(other, range(OTHERS)))],
    )


async def _add_files(connection: asyncpg.Connection, chunk: int) -> None:
    files = range(chunk * CHUNK // PER_FILE, (chunk + 1) * CHUNK // PER_FILE)
    known = [(file_id(file), owner_of(file), facts(file), file) for file in files]
    await connection.executemany(
        """
        INSERT INTO media_file (id, user_id, filename, title, content_type, size_bytes, sha256,
            object_key, status, duration, language, probe, metadata, created_at)
        VALUES ($1, $2, $3, $3, $4, $5, md5($6::text) || md5($6::text), 'media/' || $6::text,
            'completed', $7, 'en', '{"container": "mp4"}', '{}', $8)
        """,
        [
            (key, owner, of.title, of.content_type, of.size_bytes, str(file), of.duration,
             of.created_at)
            for key, owner, of, file in known
        ],
    )  # fmt: skip
    await connection.executemany(
        """
        INSERT INTO transcript (id, media_file_id, language, language_probability, task,
            diarization, notes, models, turns, exclusive_turns)
        VALUES ($1, $1, 'en', 0.98, 'transcribe', 'done', '[]', '{}', '[]', '[]')
        """,
        [(key,) for key, *_ in known],
    )
    await connection.executemany(
        """
        INSERT INTO speaker (id, user_id, media_file_id, label, display_name, speech_seconds)
        VALUES ($1, $2, $3, $4, $5, $6)
        """,
        [
            (_speaker_id(key, voice), owner, key, f"SPEAKER_0{voice}", person(file, voice), 1800.0)
            for key, owner, _, file in known
            for voice in (0, 1)
        ],
    )


def _speaker_id(file: uuid.UUID, voice: int) -> uuid.UUID:
    return uuid.uuid5(file, str(voice))


async def _add_lines(connection: asyncpg.Connection, chunk: Sequence[Made]) -> None:
    documents = [one.document for one in chunk]
    await connection.copy_records_to_table(
        "segment",
        columns=["id", "transcript_id", "index", "start", "end", "text", "speaker_id", "words",
                 "avg_logprob", "no_speech_prob", "compression_ratio", "temperature"],
        records=[
            (one.id, one.media_file_id, one.number, one.start, one.end, one.text,
             _speaker_id(one.media_file_id, one.number % 2), "[]", -0.2, 0.01, 1.1, 0.0)
            for one in documents
        ],
    )  # fmt: skip


async def fill_keywords(
    keywords: KeywordStore, source: Source, passages: int, batch: int, clock: Clock
) -> Throughput | None:
    """All through the port; None: the time is over."""
    await keywords.ensure(LIVE)
    # Of the last batch there may be a part.
    there = max(0, await keywords.count(LIVE) - batch) // CHUNK
    seconds = 0.0
    for number in range(there, passages // CHUNK):
        if clock.over():
            return None
        documents = [one.document for one in source.chunk(number)]
        started = time.perf_counter()
        for at in range(0, CHUNK, batch):
            await keywords.upsert(LIVE, documents[at : at + batch])
        seconds += time.perf_counter() - started
        done = (number + 1 - there) * CHUNK
        told(f"words of {(number + 1) * CHUNK:,}", Throughput(done, seconds))
    return Throughput(passages - there * CHUNK, seconds)


@dataclass(frozen=True)
class Vectored:
    """What it took to store the vectors of a size."""

    bulk: Throughput
    """Copied into the table, without its index."""
    index_seconds: float
    """The index of all of them made at once."""
    port: Throughput
    """The last ones, through the port into the whole index."""


async def fill_vectors(
    url: str, store: VectorStore, source: Source, passages: int, clock: Clock
) -> Vectored | None:
    """Most by COPY and one index, which takes a tenth of the time; None: the time is over."""
    await store.ensure(SPACE)
    there = await store.count(SPACE.name) // CHUNK
    last = (passages - THROUGH_PORT) // CHUNK
    async with connected(url) as connection:
        if there < last:
            await _drop_index(connection)
        bulk = await _copy(connection, source, range(there, last), clock)
        if bulk is None:
            return None
        index_seconds = await _make_index(connection)
    seconds = 0.0
    for number in range(max(there, last), passages // CHUNK):
        points = [_point(one) for one in source.chunk(number)]
        started = time.perf_counter()
        await store.upsert(SPACE.name, points)
        seconds += time.perf_counter() - started
    return Vectored(bulk, index_seconds, Throughput(THROUGH_PORT if seconds else 0, seconds))


def _point(one: Made) -> Point:
    document = one.document
    payload = {
        "kind": "passage",
        "media_file_id": str(document.media_file_id),
        "speaker_ids": [str(_speaker_id(document.media_file_id, document.number % 2))],
        "start": str(document.start),
        "end": str(document.end),
        "number": str(document.number),
    }
    return Point(document.id, document.owner_id, one.vector.tolist(), payload)


async def _copy(
    connection: asyncpg.Connection, source: Source, chunks: range, clock: Clock
) -> Throughput | None:
    await register_vector(connection)
    seconds = 0.0
    for number in chunks:
        if clock.over():
            return None
        made = source.chunk(number)
        points = [_point(one) for one in made]
        started = time.perf_counter()
        await connection.copy_records_to_table(
            SPACE.name,
            schema_name=SCHEMA,
            columns=["id", "owner_id", "embedding", "payload"],
            records=[
                (point.id, point.owner_id, one.vector, json.dumps(dict(point.payload)))
                for point, one in zip(points, made, strict=True)
            ],
        )
        seconds += time.perf_counter() - started
        done = (number + 1 - chunks.start) * CHUNK
        told(f"vectors of {(number + 1) * CHUNK:,}", Throughput(done, seconds))
    return Throughput(len(chunks) * CHUNK, seconds)


async def _drop_index(connection: asyncpg.Connection) -> None:
    for name in await connection.fetch(f"SELECT indexrelid::regclass::text {HNSW}", QUALIFIED):
        await connection.execute(f"DROP INDEX {name[0]}")


async def _make_index(connection: asyncpg.Connection) -> float:
    """Seconds; 0: it is there already."""
    if await connection.fetchval(f"SELECT count(*) {HNSW}", QUALIFIED):
        return 0.0
    await connection.execute(f"SET maintenance_work_mem = '{INDEX_MEMORY}'")
    started = time.perf_counter()
    await connection.execute(
        f"CREATE INDEX ON {QUALIFIED} USING hnsw (embedding vector_cosine_ops)"
    )
    return time.perf_counter() - started


def told(what: str, so_far: Throughput) -> None:
    """Say how far it has come, now and then."""
    if so_far.passages % TOLD_EVERY == 0:
        print(f"{what}: {so_far.rate:.0f} a second", flush=True)
