"""Whatever is done to voices and people, the store and the voiceprints are what the rows say."""

import uuid
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select, update

from cluster.settings import VoiceSettings
from db.engine import Sessions, session_scope
from db.models import Enrolment, MediaFile, ProfileVoiceprint, Speaker, SpeakerProfile
from db.queries import speakers
from db.vectors.pgvector import PgVectorStore
from pipelines import removal
from pipelines.speakers import notes
from pipelines.speakers.notes import About
from tests.fixtures.voiceprints import (
    DIMENSION,
    add_file,
    add_profile,
    add_user,
    assign,
    axis,
    bring,
    pairs,
    people,
    points,
)

LIMITS = VoiceSettings(
    min_clean_seconds=2, max_profile_samples=2, medium=0.5, high=0.9, auto_accept=True
)
MODELS = ("one", "two")
VOICE = st.integers(0, 2**16).map(
    lambda seed: tuple(np.random.default_rng(seed).normal(size=DIMENSION).tolist())
)
SECONDS = st.sampled_from([1.0, 2.0, 7.0, 30.0, 90.0])
WHICH = st.integers(0, 20)
STEP = st.one_of(
    st.tuples(st.just("record"), st.lists(VOICE, min_size=1, max_size=2), SECONDS, WHICH),
    st.tuples(st.just("assign"), WHICH, WHICH),
    st.tuples(st.just("assign"), WHICH, WHICH),
    st.tuples(st.just("unassign"), WHICH),
    st.tuples(st.just("alter"), WHICH, VOICE, SECONDS),
    st.tuples(st.just("forget"), WHICH),
    st.tuples(st.just("remove"), WHICH),
    st.tuples(st.just("enrol"), WHICH, VOICE),
    st.tuples(st.just("disband"), WHICH),
)


class World:
    """A user's voices, and what the API and runners do to them."""

    def __init__(self, sessions: Sessions, user_id: uuid.UUID) -> None:
        self.sessions, self.user_id = sessions, user_id
        self.store = PgVectorStore(sessions)

    async def voices(self) -> Sequence[Speaker]:
        async with session_scope(self.sessions) as session:
            mine = select(Speaker).where(Speaker.user_id == self.user_id)
            mine = mine.order_by(Speaker.created_at, Speaker.label)
            return (await session.scalars(mine)).all()

    async def persons(self) -> Sequence[SpeakerProfile]:
        async with session_scope(self.sessions) as session:
            mine = SpeakerProfile.user_id == self.user_id
            query = select(SpeakerProfile).where(mine).order_by(SpeakerProfile.name)
            return (await session.scalars(query)).all()

    async def record(self, voices, seconds: float, which: int) -> None:
        model = MODELS[which % 2]
        await add_file(self.sessions, self.user_id, *voices, model=model, clean_seconds=seconds)

    async def assign(self, which: int, whose: int) -> None:
        if voices := await self.voices():
            persons = await self.persons()
            person = persons[whose % len(persons)]
            voice = voices[which % len(voices)]
            await assign(self.sessions, self.user_id, [voice.id], person.id)

    async def unassign(self, which: int) -> None:
        if voices := await self.voices():
            await assign(self.sessions, self.user_id, [voices[which % len(voices)].id], None)

    async def alter(self, which: int, vector, seconds: float) -> None:
        """As a merge does to the one that stays, and a new embedding."""
        if voices := await self.voices():
            voice = voices[which % len(voices)]
            async with session_scope(self.sessions) as session:
                await speakers.hold(session, self.user_id, [voice.id])
                await session.execute(
                    update(Speaker)
                    .where(Speaker.id == voice.id)
                    .values(embedding=list(vector), clean_seconds=seconds)
                )
                await self._note(session, voice)

    async def forget(self, which: int) -> None:
        """As a merge does to the one that goes."""
        if voices := await self.voices():
            voice = voices[which % len(voices)]
            async with session_scope(self.sessions) as session:
                await speakers.hold(session, self.user_id, [voice.id])
                await session.execute(delete(Speaker).where(Speaker.id == voice.id))
                await self._note(session, voice)

    async def _note(self, session, voice: Speaker) -> None:
        about = [(About.file, voice.media_file_id)]
        about += [(About.profile, voice.profile_id)] if voice.profile_id else []
        await notes.note_all(session, about, self.user_id)

    async def remove(self, which: int) -> None:
        if voices := await self.voices():
            file_id = voices[which % len(voices)].media_file_id
            async with session_scope(self.sessions) as session:
                await removal.remove(session, await session.get_one(MediaFile, file_id))

    async def enrol(self, whose: int, vector) -> None:
        persons = await self.persons()
        person = persons[whose % len(persons)]
        length = float(np.linalg.norm(vector))
        async with session_scope(self.sessions) as session:
            await speakers.serialise(session, self.user_id)
            clip = Enrolment(
                profile_id=person.id,
                filename="a.wav",
                object_key="key",
                size_bytes=1,
                clean_seconds=6.0,
                embedding=[number / length for number in vector],
                embedding_model="one",
            )
            session.add(clip)
            await notes.note(session, About.profile, person.id, self.user_id)

    async def disband(self, whose: int) -> None:
        """Delete a person, and make another one of the name."""
        persons = await self.persons()
        person = persons[whose % len(persons)]
        theirs = [voice.id for voice in await self.voices() if voice.profile_id == person.id]
        if theirs:
            await assign(self.sessions, self.user_id, theirs, None)
        async with session_scope(self.sessions) as session:
            await speakers.serialise(session, self.user_id)
            await session.execute(delete(SpeakerProfile).where(SpeakerProfile.id == person.id))
            await notes.note(session, About.profile, person.id, self.user_id)
        await add_profile(self.sessions, self.user_id, person.name)

    async def bring(self) -> None:
        await bring(self.sessions, self.store, LIMITS)

    async def check(self) -> None:
        """Compare everything that is derived with what the rows say, computed another way."""
        voices, persons = await self.voices(), await self.persons()
        compared = {v.id: v for v in voices if v.clean_seconds >= LIMITS.min_clean_seconds}
        means = {
            (person.id, model): mean
            for person in persons
            for model in MODELS
            if (mean := await self._mean(person.id, model, compared.values())) is not None
        }
        async with session_scope(self.sessions) as session:
            ids = [person.id for person in persons]
            stored = await session.scalars(
                select(ProfileVoiceprint).where(ProfileVoiceprint.profile_id.in_(ids))
            )
            found = {(row.profile_id, row.embedding_model): row.embedding for row in stored}
        assert found.keys() == means.keys()
        for key, mean in means.items():
            assert found[key] == pytest.approx(mean, abs=1e-5)
        known = {person for person, _ in means}
        assert await points(self.store, self.user_id) == compared.keys() | known
        await self._check_matches(compared, means)

    async def _mean(self, person_id: uuid.UUID, model: str, voices) -> list[float] | None:
        known = [
            (-v.clean_seconds, v.id, v.embedding)
            for v in voices
            if v.profile_id == person_id and v.verified and v.embedding_model == model
        ]
        async with session_scope(self.sessions) as session:
            clips = await session.scalars(
                select(Enrolment).where(
                    Enrolment.profile_id == person_id, Enrolment.embedding_model == model
                )
            )
            known += [(-clip.clean_seconds, clip.id, clip.embedding) for clip in clips]
        known = sorted(known)[: LIMITS.max_profile_samples]
        total = sum((min(60.0, -s) * unit(vector) for s, _, vector in known), np.zeros(DIMENSION))
        return unit(total).tolist() if known else None

    async def _check_matches(self, compared, means) -> None:
        def cosine(one: Speaker, vector) -> float:
            return float(unit(one.embedding) @ unit(vector))

        expected = {
            frozenset((one.id, other.id)): cosine(one, other.embedding)
            for one in compared.values()
            for other in compared.values()
            if one.media_file_id != other.media_file_id
            and one.embedding_model == other.embedding_model
            and cosine(one, other.embedding) >= LIMITS.medium
        }
        mine = {pair: c for pair, c in (await pairs(self.sessions)).items() if pair & set(compared)}
        assert mine == pytest.approx(expected, abs=1e-5)
        found = await people(self.sessions)
        for (voice_id, person_id), mean in (
            ((voice.id, person), mean)
            for voice in compared.values()
            for (person, model), mean in means.items()
            if voice.embedding_model == model
        ):
            voice = compared[voice_id]
            if voice.profile_id == person_id and voice.verified:
                continue
            if cosine(voice, mean) >= LIMITS.medium:
                assert found[voice_id, person_id] == pytest.approx(cosine(voice, mean), abs=1e-5)
            else:
                assert (voice_id, person_id) not in found


def unit(vector) -> np.ndarray:
    array = np.array(vector, dtype=np.float64)
    return array / np.linalg.norm(array)


@given(st.lists(st.tuples(STEP, st.booleans()), min_size=4, max_size=14))
@settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
async def test_it_is_what_the_rows_say(sessions, steps):
    user_id = await add_user(sessions)
    world = World(sessions, user_id)
    for number, name in enumerate(("Ada", "Bob")):
        await add_profile(sessions, user_id, name)
        await world.record([axis(number), axis(2)], 10.0, 0)
        await world.assign(number, number)
    for (step, *arguments), brought in steps:
        await getattr(world, step)(*arguments)
        if brought:
            await world.bring()
    await world.bring()
    await world.check()
