"""Who decides about somebody's voices: however many there are, whoever else wants them."""

import asyncio
import uuid
from datetime import timedelta

import pytest
from sqlalchemy import func, select

from db.engine import session_scope
from db.errors import NotFound, StoreBusy
from db.queries import (
    media_files,
    speaker_points,
    speakers,
    suggestions,
    voice_matches,
    voiceprints,
)
from pipelines.speakers import notes, people
from tests.fixtures.voiceprints import (
    add_file,
    add_profile,
    add_user,
    assign,
    axis,
    bring,
    speaker,
    waiting,
)
from tests.integration.api.test_editing import until_someone_waits

MANY = 33_000
"""More than a statement of PostgreSQL's protocol has parameters."""
MOMENT = timedelta(milliseconds=50)


@pytest.fixture
async def user_id(sessions) -> uuid.UUID:
    return await add_user(sessions)


class TestMany:
    @pytest.fixture
    async def ids(self, sessions, user_id) -> set[uuid.UUID]:
        _, known = await add_file(sessions, user_id, axis(0), axis(1))
        return {*known, *(uuid.uuid4() for _ in range(MANY))}

    async def test_are_held(self, sessions, user_id, ids):
        with pytest.raises(NotFound):
            async with session_scope(sessions) as session:
                await speakers.hold(session, user_id, ids)

    @pytest.mark.parametrize(
        ("find", "count"),
        [
            (speakers.existing, 2),
            (speaker_points.rows_of, 2),
            (suggestions.ruled_out, 0),
            (lambda session, user, ids: voiceprints.of_speakers(session, user, ids, 0), 2),
            (voiceprints.of_profiles, 0),
        ],
    )
    async def test_are_found(self, sessions, user_id, ids, find, count):
        async with session_scope(sessions) as session:
            assert len(await find(session, user_id, ids)) == count

    @pytest.mark.parametrize(
        "find",
        [
            speakers.transcripts_of,
            voiceprints.known_by,
            voiceprints.with_voices,
            voice_matches.of_voices,
            voice_matches.profiles_of,
            voice_matches.ruled_out,
            voice_matches.present,
        ],
    )
    async def test_have_what_hangs_on_them(self, sessions, ids, find):
        async with session_scope(sessions) as session:
            assert len(await find(session, ids)) == 0


class TestPatience:
    async def test_ends(self, sessions, user_id):
        async with session_scope(sessions) as holder:
            await speakers.serialise(holder, user_id)
            with pytest.raises(StoreBusy):
                async with session_scope(sessions) as session:
                    await speakers.serialise(session, user_id, MOMENT)
        async with session_scope(sessions) as session:
            await speakers.serialise(session, user_id, MOMENT)

    @pytest.mark.parametrize("patience", [timedelta(minutes=1), None])
    async def test_is_rewarded_and_not_kept_for_other_locks(self, sessions, user_id, patience):
        timeout = select(func.current_setting("lock_timeout"))

        async def wait() -> tuple[str, str]:
            async with session_scope(sessions) as session:
                before = await session.scalar(timeout)
                await speakers.serialise(session, user_id, patience)
                return before, await session.scalar(timeout)

        async with session_scope(sessions) as holder:
            await speakers.serialise(holder, user_id)
            waits = asyncio.create_task(wait())
            await until_someone_waits(sessions)
        before, after = await waits
        assert before == after

    async def test_of_the_outbox_ends_and_the_work_is_done_later(self, sessions, vectors, user_id):
        _, [ada] = await add_file(sessions, user_id, axis(0))
        async with session_scope(sessions) as holder:
            await speakers.serialise(holder, user_id)
            await bring(sessions, vectors)
            [entry] = await waiting(sessions)
            assert (entry.failures, str(user_id) in (entry.last_error or "")) == (1, True)
        assert ada


@pytest.mark.parametrize("what", ["delete", "merge"])
async def test_a_person_goes_while_a_file_is_being_deleted(sessions, user_id, what):
    file_id, [ada] = await add_file(sessions, user_id, axis(0))
    _, [other] = await add_file(sessions, user_id, axis(0))
    person = await add_profile(sessions, user_id, "Ada")
    target = await add_profile(sessions, user_id, "Countess")
    await assign(sessions, user_id, [ada, other], person)

    async def go() -> None:
        async with session_scope(sessions) as session:
            if what == "delete":
                await people.delete(session, user_id, person)
            else:
                await people.merge(session, user_id, person, target)

    async with session_scope(sessions) as session:
        # As `pipelines.removal.remove` begins and ends.
        await media_files.lock(session, [file_id])
        await notes.note_going(session, user_id, [file_id])
        going = asyncio.create_task(go())
        await until_someone_waits(sessions)
        await media_files.remove(session, file_id)
    await going
    assert (await speaker(sessions, other)).profile_id == (target if what == "merge" else None)
