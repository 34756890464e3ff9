"""A file that is computed anew keeps what people said of its voices."""

import uuid
from collections.abc import Mapping, Sequence

import pytest
from sqlalchemy import select, update

from cluster.settings import LanguageSettings
from db.engine import Sessions, session_scope
from db.models import CannotLink, MediaFile, ProfileRejection, Speaker, Transcript
from db.models import Segment as Line
from db.queries import speaker_rulings
from db.vectors.pgvector import PgVectorStore
from pipelines import persist, queue
from pipelines.queue import Claim
from pipelines.stages.base import Options, Recording
from serving.speech import Diarization, MediaSource, Segment, SpeakerTurn
from serving.voiceprints import clean_seconds
from tests.fixtures.runner import MODELS, SETTINGS
from tests.fixtures.voiceprints import (
    add_file,
    add_profile,
    add_user,
    assign,
    axis,
    bring,
    points,
    voiceprints,
    waiting,
)

Turns = Mapping[str, Sequence[tuple[float, float]]]
ONE, TWO = "SPEAKER_00", "SPEAKER_01"


async def empty_file(sessions: Sessions) -> tuple[uuid.UUID, uuid.UUID]:
    user_id = await add_user(sessions)
    async with session_scope(sessions) as session:
        file = MediaFile(
            id=uuid.uuid4(),
            user_id=user_id,
            filename="a.wav",
            content_type="audio/wav",
            size_bytes=1,
            sha256=uuid.uuid4().hex,
            object_key=f"media/{user_id}/a/original",
        )
        session.add(file)
    return user_id, file.id


async def publish(
    sessions: Sessions,
    file: tuple[uuid.UUID, uuid.UUID],
    said: Turns,
    voices: Mapping[str, tuple[float, ...]] | None = None,
) -> dict[str, Speaker]:
    """What a runner does when everything is computed; the speakers by label."""
    user_id, file_id = file
    turns = tuple(SpeakerTurn(*span, label) for label, spans in said.items() for span in spans)
    found = {label: axis(n) for n, label in enumerate(said)} if voices is None else voices
    diarization = Diarization(turns, turns, found, "fake", clean_seconds(turns))
    segments = tuple(Segment(t.start, t.end, "Said.", speaker=t.speaker) for t in turns)
    recording = Recording(
        "sha", MediaSource("", 1), Options(), diarization=diarization, segments=segments
    )
    async with session_scope(sessions) as session:
        await queue.submit(session, user_id=user_id, media_file_id=file_id)
    async with session_scope(sessions) as session:
        claimed = await queue.claim(session, "test", SETTINGS)
        assert claimed is not None
        held = Claim(claimed.task.id, claimed.task.fence)
    async with session_scope(sessions) as session:
        await persist.publish(session, held, recording, MODELS, None, LanguageSettings())
    return await speakers_of(sessions, file_id)


async def speakers_of(sessions: Sessions, file_id: uuid.UUID) -> dict[str, Speaker]:
    async with session_scope(sessions) as session:
        rows = await session.scalars(select(Speaker).where(Speaker.media_file_id == file_id))
        return {row.label: row for row in rows}


async def test_a_new_file_has_voiceprints_of_length_one_with_their_worth(sessions):
    file = await empty_file(sessions)
    said = {ONE: [(0.0, 10.0)], TWO: [(8.0, 12.0)], "SPEAKER_02": [(12.0, 13.0)]}
    voices = {ONE: (3.0, 4.0), TWO: (0.0, 0.0)}
    found = await publish(sessions, file, said, voices)
    assert found[ONE].embedding == pytest.approx([0.6, 0.8])
    assert (found[TWO].embedding, found["SPEAKER_02"].embedding) == (None, None)
    assert [found[label].clean_seconds for label in sorted(found)] == [8.0, 2.0, 1.0]
    assert [entry.subject for entry in await waiting(sessions)] == [f"file/{file[1]}"]


async def test_a_file_in_which_nobody_speaks_has_nothing_to_tell(sessions):
    await publish(sessions, await empty_file(sessions), {})
    assert await waiting(sessions) == []


async def test_names_go_to_who_speaks_when_they_did(sessions):
    file = await empty_file(sessions)
    old = await publish(sessions, file, {ONE: [(0, 10)], TWO: [(10, 20)]})
    ada = await add_profile(sessions, file[0], "Ada")
    await assign(sessions, file[0], [old[TWO].id], ada)
    # The labels change places, the times a little.
    new = await publish(
        sessions, file, {ONE: [(10.5, 20)], TWO: [(0, 9)], "SPEAKER_02": [(9, 10.5)]}
    )
    heir = new[ONE]
    assert heir.id != old[TWO].id
    assert (heir.profile_id, heir.display_name) == (ada, "Ada")
    assert (heir.verified, heir.name_source) == (True, "person")
    assert [new[label].display_name for label in (TWO, "SPEAKER_02")] == [None, None]


async def test_the_profile_is_known_by_the_new_voice(sessions):
    store = PgVectorStore(sessions)
    file = await empty_file(sessions)
    old = await publish(sessions, file, {ONE: [(0, 10)]}, {ONE: axis(0)})
    ada = await add_profile(sessions, file[0], "Ada")
    await assign(sessions, file[0], [old[ONE].id], ada)
    await bring(sessions, store)
    new = await publish(sessions, file, {ONE: [(0, 10)]}, {ONE: axis(1)})
    await bring(sessions, store)
    [mean] = (await voiceprints(sessions)).values()
    assert mean.embedding == pytest.approx(axis(1))
    assert await points(store) == {new[ONE].id, ada}


async def test_a_voice_without_an_heir_is_no_part_of_its_profile_any_more(sessions):
    store = PgVectorStore(sessions)
    file = await empty_file(sessions)
    old = await publish(sessions, file, {ONE: [(0, 10)]})
    ada = await add_profile(sessions, file[0], "Ada")
    await assign(sessions, file[0], [old[ONE].id], ada)
    await bring(sessions, store)
    new = await publish(sessions, file, {ONE: [(0, 4)], TWO: [(4, 8)]})
    assert {speaker.display_name for speaker in new.values()} == {None}
    await bring(sessions, store)
    assert await voiceprints(sessions) == {}
    assert await points(store) == {speaker.id for speaker in new.values()}


async def test_what_was_ruled_out_stays_ruled_out(sessions):
    file = await empty_file(sessions)
    old = await publish(sessions, file, {ONE: [(0, 10)], TWO: [(10, 20)]})
    _, [stranger] = await add_file(sessions, file[0], axis(5))
    bob = await add_profile(sessions, file[0], "Bob")
    async with session_scope(sessions) as session:
        session.add(ProfileRejection(speaker_id=old[ONE].id, profile_id=bob))
        await speaker_rulings.part(session, old[ONE].id, old[TWO].id)
        await speaker_rulings.part(session, old[TWO].id, stranger)
    new = await publish(sessions, file, {TWO: [(0, 10)], ONE: [(10, 20)]})
    async with session_scope(sessions) as session:
        rejected = [row.speaker_id for row in await session.scalars(select(ProfileRejection))]
        apart = [{row.first_id, row.second_id} for row in await session.scalars(select(CannotLink))]
    assert rejected == [new[TWO].id]
    assert len(apart) == 2
    assert {new[ONE].id, new[TWO].id} in apart
    assert {new[ONE].id, stranger} in apart


async def test_where_people_gave_lines_to_somebody_else_it_is_those_lines_that_count(sessions):
    file = await empty_file(sessions)
    old = await publish(sessions, file, {ONE: [(0, 10), (10, 20)]})
    async with session_scope(sessions) as session:
        ada = Speaker(
            id=uuid.uuid4(),
            user_id=file[0],
            media_file_id=file[1],
            label=TWO,
            display_name="Ada",
            verified=True,
            name_source="person",
        )
        session.add(ada)
        await session.flush()
        transcript = await session.scalar(
            update(Transcript)
            .where(Transcript.media_file_id == file[1])
            .values(reassigned=True)
            .returning(Transcript.id)
        )
        await session.execute(
            update(Line)
            .where(Line.transcript_id == transcript, Line.index == 1)
            .values(speaker_id=ada.id)
        )
    assert old[ONE].display_name is None
    new = await publish(sessions, file, {ONE: [(0, 10)], TWO: [(10, 20)]})
    assert (new[ONE].display_name, new[TWO].display_name) == (None, "Ada")


async def test_what_the_voice_alone_named_goes_on_as_such(sessions):
    file = await empty_file(sessions)
    old = await publish(sessions, file, {ONE: [(0, 10)]})
    async with session_scope(sessions) as session:
        named = {"display_name": "Ada", "name_source": "voice"}
        await session.execute(update(Speaker).where(Speaker.id == old[ONE].id).values(named))
    new = await publish(sessions, file, {ONE: [(0, 10)]})
    assert (new[ONE].display_name, new[ONE].name_source) == ("Ada", "voice")
    assert new[ONE].verified is False
