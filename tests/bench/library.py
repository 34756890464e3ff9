"""A database with a big archive in it: 100,000 files and 10 million segments, made by SQL."""

import json
import random
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg

from cluster.embedded.postgres import EmbeddedPostgres
from db.migrations.run import upgrade

FILES, SEGMENTS_PER_FILE, OTHERS = 100_000, 100, 1000
"""The archive's owner has nine files of ten; a thousand others share the rest."""
TEMPLATES, WORDS_PER_SEGMENT, VOCABULARY = 2000, 12, 20_000
SEED = 10

WITHOUT_INDEXES = """
    ALTER TABLE segment DROP CONSTRAINT uq_segment_transcript_index;
    DROP INDEX ix_segment_speaker_id
"""
WITH_INDEXES = """
    ALTER TABLE segment ADD CONSTRAINT uq_segment_transcript_index
        UNIQUE (transcript_id, index) DEFERRABLE;
    CREATE INDEX ix_segment_speaker_id ON segment (speaker_id)
"""
"""Made again after the rows are there, which is quicker."""


def words(choice: random.Random) -> list[str]:
    """Words of one segment: few are frequent, most are rare, as in speech (Zipf)."""
    return [f"w{min(VOCABULARY, int(choice.paretovariate(0.6)))}" for _ in range(WORDS_PER_SEGMENT)]


def template(number: int, choice: random.Random) -> tuple[int, str, str]:
    """A segment to be copied: its text, and its words as they are stored."""
    said = words(choice)
    timed = [[n * 0.4, n * 0.4 + 0.35, word, 0.9, "SPEAKER_00"] for n, word in enumerate(said)]
    return number, " ".join(said), json.dumps(timed)


FILE_ROWS = """
    INSERT INTO media_file (id, user_id, filename, title, content_type, size_bytes, sha256,
        object_key, status, duration, language, probe, metadata, created_at)
    SELECT gen_random_uuid(),
        CASE WHEN n % 10 > 0 THEN $1 ELSE others.ids[1 + n / 10 % $3] END,
        'meeting ' || n || '.mp4', 'Meeting of team ' || n % 500,
        CASE WHEN n % 3 = 0 THEN 'audio/mpeg' ELSE 'video/mp4' END,
        1000000 + (n::bigint * 7919) % 900000000, md5(n::text) || md5((-n)::text), 'media/' || n,
        CASE WHEN n % 50 = 0 THEN 'failed' ELSE 'completed' END,
        60 + (n::bigint * 104729) % 7200, CASE WHEN n % 4 = 0 THEN 'de' ELSE 'en' END,
        '{"container": "mp4", "audio_codec": "aac"}', '{}', now() - n * interval '5 minutes'
    FROM generate_series(1, $2::int) AS n, (SELECT $4::uuid[] AS ids) AS others
"""

TRANSCRIPT_ROWS = """
    INSERT INTO transcript (id, media_file_id, language, language_probability, task, diarization,
        notes, models, turns, exclusive_turns)
    SELECT gen_random_uuid(), id, language, 0.98, 'transcribe', 'done', '[]', '{}', '[]', '[]'
    FROM media_file
"""

SPEAKER_ROWS = """
    INSERT INTO speaker (id, user_id, media_file_id, label, display_name, speech_seconds)
    SELECT gen_random_uuid(), user_id, id, 'SPEAKER_0' || voice,
        'Person ' || (abs(hashtext(id::text)) + voice * 7) % 300, duration / 2
    FROM media_file, generate_series(0, 1) AS voice
"""

TASK_ROWS = """
    INSERT INTO task (id, user_id, media_file_id, kind, state, lane, options, audio_seconds,
        attempt, fence, progress, created_at, finished_at)
    SELECT gen_random_uuid(), user_id, id, 'transcription', status, 'interactive', '{}', duration,
        1, 1, 1, created_at, created_at + interval '1 minute'
    FROM media_file
"""

SEGMENT_ROWS = """
    INSERT INTO segment (id, transcript_id, index, start, "end", text, speaker_id, words,
        avg_logprob, no_speech_prob, compression_ratio, temperature)
    SELECT gen_random_uuid(), numbered.id, n, n * 5.0, n * 5.0 + 4.8, template.text,
        numbered.voices[1 + n % 2], template.words, -0.2, 0.01, 1.1, 0
    FROM numbered, generate_series(0, $3::int - 1) AS n,
        LATERAL (SELECT text, words FROM template
                 WHERE number = (numbered.number * 31 + n * 17) % $4::int) AS template
    WHERE numbered.number > $1 AND numbered.number <= $2
"""

NUMBERED = """
    CREATE TEMP TABLE numbered AS
    SELECT t.id, row_number() OVER () AS number,
        (SELECT array_agg(s.id) FROM speaker s WHERE s.media_file_id = t.media_file_id) AS voices
    FROM transcript t
"""

VOCABULARIES = """
    UPDATE transcript SET vocabulary = (
        SELECT array_to_tsvector(array_agg(DISTINCT word)) FROM segment,
            regexp_split_to_table(text, ' ') AS word
        WHERE segment.transcript_id = transcript.id)
    FROM numbered WHERE numbered.id = transcript.id AND number > $1 AND number <= $2
"""

LABELS = """
    WITH tag AS (
        INSERT INTO tag (id, user_id, name)
        SELECT gen_random_uuid(), $1, 'tag ' || n FROM generate_series(0, 99) AS n
        RETURNING id, name
    )
    INSERT INTO file_tag (media_file_id, tag_id)
    SELECT DISTINCT media_file.id, tag.id FROM media_file, tag
    WHERE user_id = $1 AND tag.name IN (
        'tag ' || abs(hashtext(media_file.id::text)) % 100,
        'tag ' || abs(hashtext(filename)) % 10)
"""


async def fill(url: str, owner: uuid.UUID, files: int, echo: bool = True) -> None:
    """Write the archive for an account that exists already."""
    connection = await asyncpg.connect(url)
    choice = random.Random(SEED)

    async def step(name: str, sql: str, *values: object) -> None:
        started = time.perf_counter()
        await connection.execute(sql, *values, timeout=3600)
        if echo:
            print(f"{name}: {time.perf_counter() - started:.0f} s", flush=True)

    others = [uuid.UUID(int=choice.getrandbits(128), version=4) for _ in range(OTHERS)]
    await connection.executemany(
        """
        INSERT INTO "user" (id, email, full_name, role, is_active)
        VALUES ($1, $2, '', 'user', true)
        """,
        [(one, f"{one}@example.org") for one in others],
    )
    await connection.execute("CREATE TEMP TABLE template (number int, text text, words jsonb)")
    await connection.executemany(
        "INSERT INTO template VALUES ($1, $2, $3)",
        [template(number, choice) for number in range(TEMPLATES)],
    )
    await connection.execute("CREATE INDEX ON template (number)")
    await step("files", FILE_ROWS, owner, files, OTHERS, others)
    await step("transcripts", TRANSCRIPT_ROWS)
    await step("speakers", SPEAKER_ROWS)
    await step("tasks", TASK_ROWS)
    await step("numbers", NUMBERED)
    await connection.execute(WITHOUT_INDEXES)
    batch = max(1, files // 10)
    for first in range(0, files, batch):
        await step(
            f"segments of {batch} files",
            SEGMENT_ROWS,
            first,
            first + batch,
            SEGMENTS_PER_FILE,
            TEMPLATES,
        )
    await step("indexes of segments", WITH_INDEXES)
    for first in range(0, files, batch):
        await step(f"vocabularies of {batch} files", VOCABULARIES, first, first + batch)
    await step("labels", LABELS, owner)
    await step("analyze", "VACUUM ANALYZE")
    await connection.close()


@contextmanager
def server(folder: Path) -> Iterator[str]:
    """The embedded PostgreSQL as `rayscribe up` starts it, with the schema."""
    with EmbeddedPostgres(folder) as running:
        upgrade(running.url)
        yield running.url
