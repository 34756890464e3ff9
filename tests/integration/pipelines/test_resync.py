"""The vector store is compared with the rows, and filled from them again."""

import os
import subprocess
import sys
import uuid

import pytest
from sqlalchemy import text, update

from cluster.settings import VoiceSettings
from db.engine import Sessions, session_scope
from db.models import ProfileVoiceprint, Speaker
from db.vectors.pgvector import PgVectorStore
from db.vectors.port import Point, Space
from pipelines.spaces import voice_space
from pipelines.speakers import resync
from pipelines.speakers.resync import Comparison
from tests.fixtures.voiceprints import (
    MODEL,
    add_file,
    add_profile,
    add_user,
    assign,
    axis,
    bring,
    near,
    people,
    waiting,
)

DIMENSION = len(axis(0))
SPACE = voice_space(MODEL, DIMENSION)
SETTINGS = VoiceSettings()


@pytest.fixture
async def filled(sessions: Sessions, vectors: PgVectorStore) -> PgVectorStore:
    """Two people's voices in three files and one profile, all in the store."""
    ann, bob = await add_user(sessions), await add_user(sessions)
    _, [first, _] = await add_file(sessions, ann, axis(0), axis(1))
    await add_file(sessions, ann, near(axis(0), 0.8, 2))
    await add_file(sessions, bob, axis(0))
    # Too short to be compared with others.
    await add_file(sessions, bob, axis(3), clean_seconds=0.5)
    await assign(sessions, ann, [first], await add_profile(sessions, ann, "Ada"))
    await bring(sessions, vectors)
    assert await waiting(sessions) == []
    return vectors


async def points(store: PgVectorStore) -> set[uuid.UUID]:
    return {one async for one in store.ids(SPACE.name)}


async def compared(sessions: Sessions, store: PgVectorStore) -> dict[str, Comparison]:
    return dict(await resync.compare(sessions, store, SETTINGS))


async def test_a_store_that_follows_the_rows_is_equal(sessions, filled):
    assert await compared(sessions, filled) == {SPACE.name: Comparison(5, 5, 0, 0)}


async def test_a_dropped_space_is_filled_again_with_its_matches(sessions, filled):
    before, matches = await points(filled), await people(sessions)
    await filled.drop(SPACE.name)
    assert await compared(sessions, filled) == {SPACE.name: Comparison(5, 0, 5, 0)}
    # Four files (one has nothing that is compared) and a profile.
    assert await resync.note_all(sessions) == 5
    await bring(sessions, filled)
    assert await points(filled) == before
    assert await people(sessions) == matches != {}
    assert await compared(sessions, filled) == {SPACE.name: Comparison(5, 5, 0, 0)}


async def test_another_store_is_filled_from_nothing(sessions, filled):
    """As after QDRANT_URL was set: what the old one held is in the new one."""
    await filled.drop(SPACE.name)
    async with session_scope(sessions) as session:
        await session.execute(text("DROP SCHEMA vectors"))
    other = PgVectorStore(sessions)
    await resync.note_all(sessions)
    await bring(sessions, other)
    assert (await compared(sessions, other))[SPACE.name].equal


async def test_what_no_row_stands_for_is_removed(sessions, filled):
    before = await points(filled)
    someone = uuid.uuid4()
    lost = [Point(uuid.uuid4(), someone, axis(4), {"kind": "speaker"}) for _ in range(3)]
    await filled.upsert(SPACE.name, lost)
    assert await compared(sessions, filled) == {SPACE.name: Comparison(5, 8, 0, 3)}
    assert await resync.remove_orphans(sessions, filled, SETTINGS) == 3
    assert await points(filled) == before


async def test_points_of_another_model_are_not_those_of_this_one(sessions, filled):
    async with session_scope(sessions) as session:
        await session.execute(update(Speaker).values(embedding_model="newer"))
        await session.execute(update(ProfileVoiceprint).values(embedding_model="newer"))
    newer = voice_space("newer", DIMENSION)
    assert await compared(sessions, filled) == {
        SPACE.name: Comparison(0, 5, 0, 5),
        newer.name: Comparison(5, 0, 5, 0),
    }
    assert await resync.remove_orphans(sessions, filled, SETTINGS) == 5
    assert await filled.spaces() == []
    await resync.note_all(sessions)
    await bring(sessions, filled)
    assert await compared(sessions, filled) == {newer.name: Comparison(5, 5, 0, 0)}


async def test_spaces_of_others_are_left_alone(sessions, filled):
    theirs = Space("texts-of-files", 4)
    await filled.ensure(theirs)
    await filled.upsert(theirs.name, [Point(uuid.uuid4(), uuid.uuid4(), (1, 0, 0, 0))])
    assert theirs.name not in await compared(sessions, filled)
    await resync.remove_orphans(sessions, filled, SETTINGS)
    assert await filled.count(theirs.name) == 1


async def test_more_points_than_are_looked_up_at_a_time(sessions, filled, monkeypatch):
    monkeypatch.setattr(resync, "BATCH", 2)
    assert await compared(sessions, filled) == {SPACE.name: Comparison(5, 5, 0, 0)}


async def test_noted_twice_is_once_and_nothing_at_all_is_nothing(sessions, filled):
    assert await resync.note_all(sessions) == await resync.note_all(sessions) == 5
    assert len(await waiting(sessions)) == 5
    for entry in await waiting(sessions):
        assert set(entry.payload) == {"user_id"}


async def test_an_empty_database_has_nothing_to_note(sessions, vectors):
    assert await resync.note_all(sessions) == 0
    assert await compared(sessions, vectors) == {}
    assert await resync.remove_orphans(sessions, vectors, SETTINGS) == 0


class TestCommand:
    def run(self, database_url: str, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "rayscribe", "vectors", *words],
            env={**os.environ, "DATABASE_URL": database_url, "COLUMNS": "200", **more},
            capture_output=True,
            text=True,
            check=False,
        )

    async def test_check_resync_and_check_again(self, sessions, filled, database_url):
        done = self.run(database_url, "check")
        assert (done.returncode, done.stderr) == (0, "")
        assert SPACE.name in done.stdout
        await filled.drop(SPACE.name)
        done = self.run(database_url, "check")
        assert done.returncode == 1
        assert "`rayscribe vectors resync` mends it" in done.stderr
        done = self.run(database_url, "resync")
        assert done.returncode == 0, done.stderr
        assert "0 points removed, 5 files and profiles noted" in done.stdout
        await bring(sessions, PgVectorStore(sessions))
        assert self.run(database_url, "check").returncode == 0

    @pytest.mark.parametrize(
        ("url", "said"),
        [("http://127.0.0.1:1", "ConnectError"), ("nonsense", "QDRANT_URL must be http")],
    )
    def test_a_store_that_is_away_is_said_in_one_line(self, database_url, url, said):
        done = self.run(database_url, "check", QDRANT_URL=url, RAYSCRIBE_VECTOR_RETRIES="0")
        assert done.returncode == 1
        assert said in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
