"""The vector store, the matches and the profiles' voiceprints follow the rows, whatever happens."""

import asyncio
import uuid
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import delete, func, text, update

from cluster.settings import MaintenanceSettings, VoiceSettings
from db.engine import Sessions, session_scope
from db.errors import NotFound, StoreUnavailable
from db.models import MediaFile, ProfileRejection, Speaker, SpeakerProfile, User
from db.queries import speaker_rulings, speakers
from db.vectors.pgvector import PgVectorStore
from pipelines import removal, retention
from pipelines.speakers import notes
from pipelines.speakers.notes import About
from tests.fixtures.runner import running
from tests.fixtures.voiceprints import (
    add_file,
    add_profile,
    add_user,
    assign,
    axis,
    bring,
    due_now,
    near,
    pairs,
    people,
    points,
    speaker,
    voiceprints,
    waiting,
)

ACCEPTING = VoiceSettings(auto_accept=True, high=0.75, medium=0.5)
ADA, BOB = axis(0), axis(1)


@pytest.fixture
def store(sessions: Sessions) -> PgVectorStore:
    return PgVectorStore(sessions)


@pytest.fixture
async def user_id(sessions: Sessions) -> uuid.UUID:
    return await add_user(sessions)


async def note(sessions: Sessions, about: About, which: uuid.UUID, user_id: uuid.UUID) -> None:
    async with session_scope(sessions) as session:
        await notes.note(session, about, which, user_id)


async def known(sessions: Sessions, user_id: uuid.UUID, speaker_id: uuid.UUID, name: str):
    """The profile of a person with this voice."""
    profile_id = await add_profile(sessions, user_id, name)
    await assign(sessions, user_id, [speaker_id], profile_id)
    return profile_id


class Watched:
    """A store of which a test is told when it is about to be asked something, and may fail it."""

    def __init__(self, store: PgVectorStore) -> None:
        self._store = store
        self.before: dict[str, list] = {}

    def once(self, method: str, act) -> None:
        self.before.setdefault(method, []).append(act)

    def __getattr__(self, name: str):
        asked = getattr(self._store, name)
        if name not in self.before:
            return asked

        async def call(*arguments, **more):
            if self.before[name]:
                await self.before[name].pop(0)()
            return await asked(*arguments, **more)

        return call


async def test_voices_of_two_files_find_each_other_whichever_comes_first(sessions, store, user_id):
    _, [ada, bob] = await add_file(sessions, user_id, ADA, BOB)
    await bring(sessions, store)
    _, [again] = await add_file(sessions, user_id, near(ADA, 0.8, 5))
    await bring(sessions, store)
    assert await pairs(sessions) == {frozenset((ada, again)): pytest.approx(0.8)}
    assert await points(store) == {ada, bob, again}
    assert await waiting(sessions) == []


async def test_nobody_is_matched_with_another_users_voices(sessions, store, user_id):
    stranger = await add_user(sessions)
    _, [theirs] = await add_file(sessions, stranger, ADA)
    await known(sessions, stranger, theirs, "Ada")
    await bring(sessions, store)
    await add_file(sessions, user_id, ADA)
    await bring(sessions, store, ACCEPTING)
    assert await pairs(sessions) == {}
    assert [profile for _, profile in await people(sessions)] == []


async def test_voices_of_one_file_are_no_match(sessions, store, user_id):
    await add_file(sessions, user_id, ADA, near(ADA, 0.9, 5))
    await bring(sessions, store)
    assert await pairs(sessions) == {}


async def test_too_little_speech_is_not_compared(sessions, store, user_id):
    _, [ada] = await add_file(sessions, user_id, ADA)
    await add_file(sessions, user_id, ADA, clean_seconds=1.9)
    await bring(sessions, store)
    assert await points(store) == {ada}
    assert await pairs(sessions) == {}


async def test_a_vector_without_direction_is_left_out(sessions, store, user_id):
    file_id, [_, bob] = await add_file(sessions, user_id, (0.0,) * 8, BOB)
    nan = [float("nan")] * 8
    async with session_scope(sessions) as session:
        session.add(
            Speaker(
                user_id=user_id,
                media_file_id=file_id,
                label="x",
                clean_seconds=9,
                embedding=nan,
                embedding_model="test-voices",
            )
        )
    await bring(sessions, store)
    assert await points(store) == {bob}
    assert await waiting(sessions) == []


async def test_a_known_voice_is_found_in_a_new_file_and_a_new_person_in_old_ones(
    sessions, store, user_id
):
    _, [first] = await add_file(sessions, user_id, ADA)
    _, [old] = await add_file(sessions, user_id, near(ADA, 0.7, 5))
    await bring(sessions, store)
    ada = await known(sessions, user_id, first, "Ada")
    await bring(sessions, store)
    assert await people(sessions) == {(old, ada): pytest.approx(0.7)}
    _, [new] = await add_file(sessions, user_id, near(ADA, 0.6, 6))
    await bring(sessions, store)
    found = await people(sessions)
    assert found == {(old, ada): pytest.approx(0.7), (new, ada): pytest.approx(0.6)}
    assert await points(store) == {first, old, new, ada}


async def test_naming_a_voice_leaves_its_own_matches_as_they_are(sessions, store, user_id):
    _, [first] = await add_file(sessions, user_id, ADA)
    await add_file(sessions, user_id, near(ADA, 0.8, 5))
    await bring(sessions, store)
    before = await pairs(sessions)
    await known(sessions, user_id, first, "Ada")
    assert [entry.subject.split("/")[0] for entry in await waiting(sessions)] == ["profile"]
    assert await pairs(sessions) == before
    await bring(sessions, store)
    assert await pairs(sessions) == before


async def test_a_profile_that_changed_lets_go_of_voices_that_it_no_longer_sounds_like(
    sessions, store, user_id
):
    _, [ada, bob] = await add_file(sessions, user_id, ADA, BOB)
    _, [old] = await add_file(sessions, user_id, near(ADA, 0.9, 5))
    person = await known(sessions, user_id, ada, "Ada")
    await bring(sessions, store)
    assert await people(sessions) == {(old, person): pytest.approx(0.9)}
    await assign(sessions, user_id, [ada], None)
    await assign(sessions, user_id, [bob], person)
    await bring(sessions, store)
    assert await people(sessions) == {}


async def test_more_members_than_the_limit_hide_no_news(sessions, store, user_id):
    files = [await add_file(sessions, user_id, ADA) for _ in range(4)]
    _, [news] = await add_file(sessions, user_id, near(ADA, 0.8, 5))
    ada = await add_profile(sessions, user_id, "Ada")
    await assign(sessions, user_id, [voice for _, [voice] in files], ada)
    await bring(sessions, store, VoiceSettings(profile_neighbours=1, neighbours=1))
    assert (news, ada) in await people(sessions)


async def test_a_match_that_another_voice_found_is_kept_while_it_is_true(sessions, store, user_id):
    one = VoiceSettings(neighbours=1)
    _, [ada] = await add_file(sessions, user_id, ADA)
    _, [far] = await add_file(sessions, user_id, near(ADA, 0.7, 5))
    await bring(sessions, store, one)
    _, [close] = await add_file(sessions, user_id, near(ADA, 0.95, 6))
    await bring(sessions, store, one)
    file_id = (await speaker(sessions, ada)).media_file_id
    await note(sessions, About.file, file_id, user_id)
    await bring(sessions, store, one)
    both = {frozenset((ada, far)), frozenset((ada, close))}
    assert both <= (await pairs(sessions)).keys()
    async with session_scope(sessions) as session:
        other = update(Speaker).where(Speaker.id == ada).values(embedding=list(axis(6)))
        await session.execute(other)
        await notes.note(session, About.file, file_id, user_id)
    await bring(sessions, store, one)
    assert frozenset((ada, far)) not in await pairs(sessions)


async def test_models_never_mix(sessions, store, user_id):
    file_id, [ada] = await add_file(sessions, user_id, ADA)
    _, [other] = await add_file(sessions, user_id, ADA, model="test voices")
    person = await known(sessions, user_id, ada, "Ada")
    await bring(sessions, store)
    assert await pairs(sessions) == {}
    assert await people(sessions) == {}
    async with session_scope(sessions) as session:
        await session.execute(
            update(Speaker).where(Speaker.id == ada).values(embedding_model="test voices")
        )
        await notes.note(session, About.file, file_id, user_id)
        await notes.note(session, About.profile, person, user_id)
    await bring(sessions, store)
    assert (await pairs(sessions)).keys() == {frozenset((ada, other))}
    assert (await people(sessions)).keys() == {(other, person)}
    assert (await voiceprints(sessions)).keys() == {(person, "test voices")}
    counts = [await store.count(space) for space in await store.spaces()]
    assert sorted(counts) == [0, 3]


async def test_the_store_is_away_and_nothing_is_lost(sessions, store, user_id):
    away = Watched(store)

    async def fail() -> None:
        raise StoreUnavailable("vectors: no answer")

    away.once("upsert", fail)
    _, [ada] = await add_file(sessions, user_id, ADA)
    _, [bob] = await add_file(sessions, user_id, BOB)
    await bring(sessions, away)
    [entry] = await waiting(sessions)
    assert entry.last_error == "vectors: no answer"
    assert len(await points(store)) == 1
    await due_now(sessions)
    await bring(sessions, away)
    assert await points(store) == {ada, bob}
    assert await waiting(sessions) == []


async def test_an_entry_that_nobody_can_do_stops_no_other(sessions, store, user_id):
    async with session_scope(sessions) as session:
        await session.execute(
            text(
                "INSERT INTO outbox (destination, subject, payload, attempts) "
                "VALUES ('vectors', 'nonsense/1', '{}', 0)"
            )
        )
    _, [ada] = await add_file(sessions, user_id, ADA)
    await bring(sessions, store)
    assert await points(store) == {ada}
    [entry] = await waiting(sessions)
    assert (entry.subject, entry.attempts) == ("nonsense/1", 1)
    assert entry.last_error


async def remove_file(sessions: Sessions, file_id: uuid.UUID) -> None:
    async with session_scope(sessions) as session:
        await removal.remove(session, await session.get_one(MediaFile, file_id))


async def test_a_deleted_file_leaves_no_point_and_no_trace_in_a_profile(sessions, store, user_id):
    file_id, [ada] = await add_file(sessions, user_id, ADA)
    _, [other] = await add_file(sessions, user_id, near(ADA, 0.8, 5))
    person = await known(sessions, user_id, ada, "Ada")
    await bring(sessions, store)
    await remove_file(sessions, file_id)
    await bring(sessions, store)
    assert await points(store) == {other}
    assert await voiceprints(sessions) == {}
    assert await people(sessions) == {}
    await assign(sessions, user_id, [other], person)
    await bring(sessions, store)
    assert await points(store) == {other, person}


async def test_a_deleted_profile_leaves_no_point(sessions, store, user_id):
    _, [ada] = await add_file(sessions, user_id, ADA)
    person = await known(sessions, user_id, ada, "Ada")
    await bring(sessions, store)
    async with session_scope(sessions) as session:
        await session.execute(delete(SpeakerProfile).where(SpeakerProfile.id == person))
        await notes.note(session, About.profile, person, user_id)
    await bring(sessions, store)
    assert await points(store) == {ada}


async def test_a_deleted_account_leaves_no_point_and_a_living_one_keeps_them(
    sessions, store, user_id
):
    stranger = await add_user(sessions)
    _, [theirs] = await add_file(sessions, stranger, ADA)
    _, [ada] = await add_file(sessions, user_id, ADA)
    await known(sessions, user_id, ada, "Ada")
    await bring(sessions, store)
    for who in (user_id, stranger):
        await note(sessions, About.user, who, who)
    async with session_scope(sessions) as session:
        await session.execute(delete(User).where(User.id == user_id))
    await bring(sessions, store)
    assert await points(store) == {theirs}


async def test_what_goes_while_it_is_being_stored_leaves_no_point(sessions, store, user_id):
    file_id, _ = await add_file(sessions, user_id, ADA)
    watched = Watched(store)
    watched.once("upsert", lambda: remove_file(sessions, file_id))
    await bring(sessions, watched)
    assert await points(store) == set()
    assert await waiting(sessions) == []


async def test_what_comes_while_it_is_being_stored_has_a_point(sessions, store, user_id):
    file_id, [ada] = await add_file(sessions, user_id, ADA)
    person = await add_profile(sessions, user_id, "Ada")
    watched = Watched(store)

    async def move() -> None:
        async with session_scope(sessions) as session:
            moved = update(Speaker).where(Speaker.id == ada).values(embedding=list(BOB))
            await session.execute(moved)
            await notes.note(session, About.file, file_id, user_id)

    watched.once("upsert", move)
    watched.once("upsert", lambda: assign(sessions, user_id, [ada], person))
    await bring(sessions, watched)
    assert await points(store) == {ada, person}
    [[hit]] = await store.search(
        (await store.spaces())[0], user_id, [BOB], limit=1, matching={"kind": ["speaker"]}
    )
    assert hit.similarity == pytest.approx(1)


async def test_of_two_at_work_the_one_with_old_rows_mends_what_it_wrote(sessions, store, user_id):
    """The second does everything, and ends, between the first one's look and its write."""
    file_id, [ada] = await add_file(sessions, user_id, ADA)
    slow = Watched(store)

    async def overtake() -> None:
        async with session_scope(sessions) as session:
            await session.execute(delete(Speaker).where(Speaker.id == ada))
            await notes.note(session, About.file, file_id, user_id)
        assert await bring(sessions, store) == 1
        assert await waiting(sessions) == []

    slow.once("upsert", overtake)
    await bring(sessions, slow)
    assert await points(store) == set()


async def test_two_at_once_find_the_pair_once(sessions, store, user_id):
    files = [await add_file(sessions, user_id, near(ADA, 0.9, 5), BOB) for _ in range(6)]
    for _ in range(3):
        for file_id, _ in files:
            await note(sessions, About.file, file_id, user_id)
        await asyncio.gather(*(bring(sessions, store) for _ in range(3)))
    assert await waiting(sessions) == []
    assert len(await pairs(sessions)) == 2 * 15
    assert await points(store) == {voice for _, voices in files for voice in voices}


async def test_a_sure_match_gets_the_name_and_is_no_part_of_the_voiceprint(
    sessions, store, user_id
):
    _, [ada] = await add_file(sessions, user_id, ADA)
    person = await known(sessions, user_id, ada, "Ada")
    await bring(sessions, store, ACCEPTING)
    _, [new] = await add_file(sessions, user_id, near(ADA, 0.8, 5))
    await bring(sessions, store, ACCEPTING)
    found = await speaker(sessions, new)
    assert (found.profile_id, found.display_name) == (person, "Ada")
    assert (found.verified, found.name_source) == (False, "voice")
    [mean] = (await voiceprints(sessions)).values()
    assert mean.samples == 1
    assert await waiting(sessions) == []


async def test_a_person_who_becomes_known_is_named_in_old_files(sessions, store, user_id):
    _, [ada] = await add_file(sessions, user_id, ADA)
    _, [old] = await add_file(sessions, user_id, near(ADA, 0.8, 5))
    await bring(sessions, store, ACCEPTING)
    person = await known(sessions, user_id, ada, "Ada")
    await bring(sessions, store, ACCEPTING)
    assert (await speaker(sessions, old)).profile_id == person


async def test_only_a_calibrated_model_names_anybody(sessions, store, user_id):
    _, [ada] = await add_file(sessions, user_id, ADA)
    await known(sessions, user_id, ada, "Ada")
    _, [new] = await add_file(sessions, user_id, ADA)
    await bring(sessions, store)
    assert (await speaker(sessions, new)).profile_id is None


async def test_what_a_person_ruled_out_is_not_accepted(sessions, store, user_id):
    _, [ada] = await add_file(sessions, user_id, ADA)
    _, [rejected] = await add_file(sessions, user_id, ADA)
    _, [apart] = await add_file(sessions, user_id, ADA)
    async with session_scope(sessions) as session:
        person = SpeakerProfile(id=uuid.uuid4(), user_id=user_id, name="Ada")
        session.add(person)
        await session.flush()
        session.add(ProfileRejection(speaker_id=rejected, profile_id=person.id))
        await speaker_rulings.part(session, apart, ada)
    await assign(sessions, user_id, [ada], person.id)
    await bring(sessions, store, ACCEPTING)
    assert (await people(sessions)).keys() == {(rejected, person.id), (apart, person.id)}
    for voice in (rejected, apart):
        assert (await speaker(sessions, voice)).profile_id is None


async def test_a_name_that_a_person_took_away_does_not_come_back(sessions, store, user_id):
    _, [ada] = await add_file(sessions, user_id, ADA)
    await known(sessions, user_id, ada, "Ada")
    _, [new] = await add_file(sessions, user_id, ADA)
    await bring(sessions, store, ACCEPTING)
    assert (await speaker(sessions, new)).display_name == "Ada"
    await assign(sessions, user_id, [new], None)
    file_id = (await speaker(sessions, new)).media_file_id
    await note(sessions, About.file, file_id, user_id)
    await bring(sessions, store, ACCEPTING)
    assert (await speaker(sessions, new)).display_name is None


async def test_of_two_voices_of_a_file_the_nearer_one_gets_the_name(sessions, store, user_id):
    _, [ada] = await add_file(sessions, user_id, ADA)
    person = await known(sessions, user_id, ada, "Ada")
    _, [far, close] = await add_file(sessions, user_id, near(ADA, 0.8, 5), near(ADA, 0.9, 6))
    await bring(sessions, store, ACCEPTING)
    assert (await speaker(sessions, close)).profile_id == person
    assert (await speaker(sessions, far)).profile_id is None


async def test_a_match_waits_for_who_decides_and_sees_what_they_did(sessions, store, user_id):
    """Matches are written behind the user's lock: a merge in between is waited for."""
    file_id, [ada, doomed] = await add_file(sessions, user_id, ADA, near(ADA, 0.9, 5))
    await add_file(sessions, user_id, ADA)
    async with session_scope(sessions) as session:
        await speakers.hold(session, user_id, [ada, doomed])
        work = asyncio.create_task(bring(sessions, store))
        while not await _someone_waits(sessions):
            await asyncio.sleep(0.01)
        await session.execute(delete(Speaker).where(Speaker.id == doomed))
        await notes.note(session, About.file, file_id, user_id)
    await work
    assert doomed not in await points(store)
    assert all(doomed not in pair for pair in await pairs(sessions))


async def _someone_waits(sessions: Sessions) -> bool:
    async with session_scope(sessions) as session:
        waits = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
        return bool(await session.scalar(waits))


async def test_a_file_that_is_named_and_deleted_at_once_leaves_nothing(sessions, store, user_id):
    person = await add_profile(sessions, user_id, "Ada")
    for _ in range(8):
        file_id, [ada] = await add_file(sessions, user_id, ADA)
        done = await asyncio.gather(
            assign(sessions, user_id, [ada], person),
            remove_file(sessions, file_id),
            bring(sessions, store),
            return_exceptions=True,
        )
        # Who names it may come too late; nobody waits for each other.
        assert all(outcome is None or isinstance(outcome, (int, NotFound)) for outcome in done)
    await due_now(sessions)
    await bring(sessions, store)
    assert await points(store) == set()
    assert await voiceprints(sessions) == {}


async def test_retention_leaves_no_point(sessions, store, user_id):
    file_id, [ada] = await add_file(sessions, user_id, ADA)
    await known(sessions, user_id, ada, "Ada")
    await bring(sessions, store)
    async with session_scope(sessions) as session:
        old = func.now() - timedelta(days=10_000)
        await session.execute(
            update(MediaFile).where(MediaFile.id == file_id).values(created_at=old)
        )
    assert (await retention.run_now(sessions, 5, actor_id=user_id)).files == 1
    await bring(sessions, store)
    assert await points(store) == set()
    assert await voiceprints(sessions) == {}


async def test_a_runner_is_told_and_does_not_wait_for_its_next_look(sessions, parts, user_id):
    patient = replace(parts, maintenance=MaintenanceSettings(outbox_poll_seconds=3600))
    _, [first] = await add_file(sessions, user_id, ADA)
    async with running(patient):
        await _until_points(patient, {first})
        _, [second] = await add_file(sessions, user_id, BOB)
        await _until_points(patient, {first, second})


async def _until_points(parts, wanted: set[uuid.UUID]) -> None:
    async with asyncio.timeout(30):
        while await points(parts.vectors) != wanted:
            await asyncio.sleep(0.02)
