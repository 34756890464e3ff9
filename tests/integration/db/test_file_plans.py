"""Lists of files begin at an index, whatever is asked: the plans of their own statements."""

import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import asyncpg
import pytest
from sqlalchemy import event

from db.engine import Sessions, session_scope
from db.models import FileStatus, User
from db.queries import file_labels, file_lists
from db.queries.file_filters import FileFilters
from db.queries.file_lists import FileSort, Order

FILES = 8_000
BIG = {"media_file", "transcript", "speaker", "file_tag", "collection_member"}

ARCHIVE = (
    """
    INSERT INTO media_file (id, user_id, filename, title, content_type, size_bytes, sha256,
        object_key, status, duration, language, probe, metadata, created_at, completed_at)
    SELECT gen_random_uuid(), CASE WHEN n % 2 = 0 THEN $1::uuid ELSE $2::uuid END,
        'meeting ' || n || '.mp4', 'Meeting of team ' || n % 500,
        CASE WHEN n % 3 = 0 THEN 'audio/mpeg' ELSE 'video/mp4' END, 1000 + n,
        md5(n::text) || md5((-n)::text), 'media/' || n,
        CASE WHEN n % 50 = 0 THEN 'failed' ELSE 'completed' END, 60 + n % 7200,
        CASE WHEN n % 4 = 0 THEN 'de' ELSE 'en' END, '{}',
        jsonb_build_object('Software', repeat(md5(n::text), 20)), now() - n * interval '5 minutes',
        now()
    FROM generate_series(1, $3::int) AS n
    """,
    """
    INSERT INTO transcript (id, media_file_id, task, diarization, notes, models, turns,
        exclusive_turns, vocabulary)
    SELECT gen_random_uuid(), id, 'transcribe', 'done', '[]', '{}',
        jsonb_build_array(repeat(md5(id::text), 20)), '[]',
        array_to_tsvector(ARRAY['the', 'w' || abs(hashtext(id::text)) % 1000])
    FROM media_file
    """,
    """
    INSERT INTO speaker (id, user_id, media_file_id, label, display_name, speech_seconds)
    SELECT gen_random_uuid(), user_id, id, 'SPEAKER_00',
        'Person ' || abs(hashtext(id::text)) % 300, 1
    FROM media_file
    """,
    """
    INSERT INTO tag (id, user_id, name)
    SELECT gen_random_uuid(), $1::uuid, 'tag ' || n FROM generate_series(0, 99) AS n
    """,
    """
    INSERT INTO file_tag (media_file_id, tag_id)
    SELECT media_file.id, tag.id FROM media_file, tag
    WHERE media_file.user_id = $1 AND tag.name = 'tag ' || abs(hashtext(filename)) % 100
    """,
    "INSERT INTO collection (id, user_id, name) VALUES ($1::uuid, $1::uuid, 'few')",
    """
    INSERT INTO collection_member (collection_id, media_file_id)
    SELECT $1::uuid, id FROM media_file WHERE user_id = $1 LIMIT 500
    """,
)


@pytest.fixture
async def owner(sessions: Sessions, database_url: str) -> uuid.UUID:
    """Somebody with half of all files."""
    async with session_scope(sessions) as session:
        users = [User(email=f"{name}@example.org") for name in ("owner", "other")]
        session.add_all(users)
        await session.flush()
        first, second = (user.id for user in users)
    connection = await asyncpg.connect(database_url)
    for statement in ARCHIVE:
        values = (first, second, FILES)[: len(set(re.findall(r"\$\d", statement)))]
        await connection.execute(statement, *values)
    await connection.execute("VACUUM ANALYZE")
    await connection.close()
    return first


@contextmanager
def statements(sessions: Sessions) -> Iterator[list[tuple[str, tuple[object, ...]]]]:
    """What is sent to the database in the block."""
    sent: list[tuple[str, tuple[object, ...]]] = []

    def note(*arguments) -> None:
        sent.append(arguments[2:4])

    engine = sessions.kw["bind"].sync_engine
    event.listen(engine, "before_cursor_execute", note)
    yield sent
    event.remove(engine, "before_cursor_execute", note)


async def plans(sessions: Sessions, owner: uuid.UUID, filters: FileFilters, order: Order):
    """The plans of a page's statements, in their order, with the settings that they set."""
    async with session_scope(sessions) as session:
        with statements(sessions) as sent:
            files, total = await file_lists.page(session, owner, filters, order, limit=20)
            ids = [file.id for file in files]
            await file_labels.tags(session, ids)
            await file_labels.collections(session, ids)
    explained = []
    async with session_scope(sessions) as session:
        connection = await session.connection()
        for statement, values in sent:
            if "set_config" in statement:
                await connection.exec_driver_sql(statement, values)
                continue
            rows = await connection.exec_driver_sql(f"EXPLAIN {statement}", values)
            explained.append("\n".join(row[0] for row in rows))
    return explained, total


SEARCHES = {
    "part of a name": (FileFilters(search="team 124"), 16),
    "a tag": (FileFilters(tags=["TAG 7"]), None),
    "two tags": (FileFilters(tags=["tag 7", "tag 8"]), 0),
    "a speaker": (FileFilters(speakers=["person 17"]), None),
    "everybody's label": (FileFilters(speakers=["SPEAKER_00"]), FILES // 2),
    "a rare word": (FileFilters(transcript_search="w17"), None),
    "a word of all": (FileFilters(transcript_search="the"), FILES // 2),
    "no word of any": (FileFilters(transcript_search="nowhere"), 0),
    "much at once": (
        FileFilters(tags=["tag 7"], speakers=["SPEAKER_00"], search="meeting", language="de"),
        None,
    ),
}

NARROWED = {
    "nothing": FileFilters(),
    "type": FileFilters(file_types=["audio"]),
    "numbers": FileFilters(min_duration=600, max_duration=700, min_file_size=2000),
    "the rest": FileFilters(
        statuses=[FileStatus.failed], language="de", from_date=datetime(2020, 1, 1, tzinfo=UTC)
    ),
}

COVERED = {"nothing", "type"}


@pytest.mark.timeout(600)
async def test_no_list_reads_a_big_table_from_end_to_end(sessions, owner):
    for name, (filters, expected) in SEARCHES.items():
        explained, total = await plans(sessions, owner, filters, Order())
        for plan in explained:
            assert not set(re.findall(r"Seq Scan on (\w+)", plan)) & BIG, f"{name}\n{plan}"
        assert total == expected or expected is None, name
    for name, filters in NARROWED.items():
        (page, count, *labels), total = await plans(sessions, owner, filters, Order())
        assert total > 0, name
        assert "using ix_media_file_user_" in page, page
        # No row is read to count what an index holds, unless another one has fewer to look at.
        only = r"Index Only Scan( Backward)? using ix_media_file_user_\w+ on media_file"
        assert re.search(only, count) or name not in COVERED, f"{name}\n{count}"
        for plan in (page, count, *labels):
            assert not set(re.findall(r"Seq Scan on (\w+)", plan)) & BIG, f"{name}\n{plan}"
    for sort in FileSort:
        for descending in (True, False):
            order = Order(sort, descending)
            (page, *_), _ = await plans(sessions, owner, FileFilters(), order)
            index = sort.removesuffix("_at").removesuffix("_bytes")
            assert f"using ix_media_file_user_{index} on" in page, page
            assert "Sort" not in page, page


async def test_a_search_leaves_the_planner_as_it_was(sessions, owner):
    async with session_scope(sessions) as session:
        connection = await session.connection()
        filters = FileFilters(transcript_search="the")
        await file_lists.page(session, owner, filters, Order(), limit=1)
        for setting, value in (("enable_seqscan", "on"), ("plan_cache_mode", "auto")):
            shown = await connection.exec_driver_sql(f"SHOW {setting}")
            assert shown.scalar_one() == value
