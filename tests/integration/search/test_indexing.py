"""What is said reaches both stores, and what is not said any more leaves them."""

import asyncio
import uuid
from collections.abc import Sequence
from dataclasses import replace

import pytest
from sqlalchemy import delete, select, text, update

from cluster.settings import MaintenanceSettings
from db.engine import session_scope
from db.models import (
    Destination,
    IndexedFile,
    MediaFile,
    OutboxEntry,
    Segment,
    Speaker,
    Transcript,
    User,
)
from db.queries import outbox as entries
from pipelines import outbox
from pipelines.search import keeping, locks
from pipelines.search.finding import find
from pipelines.search.found import Asked, Mode
from pipelines.search.keeping import handler, keep_file
from pipelines.search.notes import note_files, note_user_gone
from pipelines.search.places import LIVE, NEXT
from pipelines.search.vectors import PassageKeeper
from serving.errors import SpeechUnavailable
from serving.ports import TextEmbeddings
from tests.fixtures.indexed import equal, forget_notes, meaning, points, tables, waiting, words
from tests.fixtures.searchable import bring, spoken
from tests.fixtures.voiceprints import add_user

TALK = [
    ("Ada", "We plan the harvest of apples near the river this year."),
    ("SPEAKER_01", "How many baskets do we need for that?"),
    ("Ada", " ".join(f"Basket number {n} goes to the market." for n in range(12))),
]


class Counting:
    """An embedder that says how many texts it was given."""

    def __init__(self, inner) -> None:
        self.inner = inner
        self.texts = 0

    async def embed(self, texts: Sequence[str]) -> TextEmbeddings:
        self.texts += len(texts)
        return await self.inner.embed(texts)


async def indexed(sessions) -> dict[Destination, tuple[int, int]]:
    """By store, version and passages of the one file."""
    async with session_scope(sessions) as session:
        rows = await session.scalars(select(IndexedFile))
        return {row.destination: (row.transcript_version, row.passages) for row in rows}


async def reword(sessions, file_id: uuid.UUID, index: int, said: str) -> None:
    """Change a line as an edit does."""
    async with session_scope(sessions) as session:
        transcript = await session.scalar(
            update(Transcript)
            .where(Transcript.media_file_id == file_id)
            .values(version=Transcript.version + 1)
            .returning(Transcript.id)
        )
        await session.execute(
            update(Segment)
            .where(Segment.transcript_id == transcript, Segment.index == index)
            .values(text=said)
        )
        owner = (await session.get_one(MediaFile, file_id)).user_id
        await note_files(session, owner, [file_id], spoken=True)


async def test_a_file_is_in_both_stores_and_it_is_written_down(sessions, stores):
    ann = await add_user(sessions)
    file_id = await spoken(sessions, ann, TALK, tags=["fruit"], collections=["Farm"])
    assert await bring(stores) == 2
    assert await waiting(sessions) == set()
    found = await points(stores)
    assert len(found) >= 4
    assert await indexed(sessions) == {
        Destination.keywords: (1, len(found)),
        Destination.passages: (1, len(found)),
    }
    assert {payload["media_file_id"] for payload in found.values()} == {str(file_id)}
    assert await stores.keywords.count(LIVE, ann) == len(found)
    await equal(stores)


@pytest.mark.parametrize(("task", "found"), [("translate", 1), ("transcribe", 0)])
async def test_a_translation_is_found_by_english_stems(sessions, stores, task, found):
    ann = await add_user(sessions)
    said = [("Ada", "We are planning the harvest.")]
    file_id = await spoken(sessions, ann, said, language="de")
    async with session_scope(sessions) as session:
        of_it = Transcript.media_file_id == file_id
        await session.execute(update(Transcript).where(of_it).values(task=task))
    await bring(stores)
    asked = Asked(user_id=ann, text="plans", mode=Mode.keyword)
    assert (await find(asked, stores)).total == found


async def test_what_stays_as_it_is_is_not_embedded_again(sessions, stores):
    counting = Counting(stores.embedder)
    counted = replace(stores, embedder=counting)
    ann = await add_user(sessions)
    file_id = await spoken(sessions, ann, TALK)
    await bring(counted)
    all_of_them = counting.texts
    assert all_of_them == len(await points(stores))
    async with session_scope(sessions) as session:
        await note_files(session, ann, [file_id], spoken=True)
    await bring(counted)
    assert counting.texts == all_of_them
    await reword(sessions, file_id, 0, "We plan the harvest of cherries near the river this year.")
    await bring(counted)
    assert all_of_them < counting.texts < 2 * all_of_them
    await equal(stores)


async def test_a_name_reaches_the_keyword_store_alone(sessions, stores):
    ann = await add_user(sessions)
    file_id = await spoken(sessions, ann, TALK)
    await bring(stores)
    before = await points(stores)
    async with session_scope(sessions) as session:
        await session.execute(
            update(Speaker).where(Speaker.display_name == "Ada").values(display_name="Grace")
        )
        await note_files(session, ann, [file_id], spoken=False)
    assert await waiting(sessions) == {("keywords", f"file/{file_id}")}
    await bring(stores)
    assert await points(stores) == before
    assert any("Grace" in row for row in (await tables(sessions, LIVE))["passages"])
    await equal(stores)


async def test_a_file_that_goes_leaves_both_stores(sessions, stores):
    ann = await add_user(sessions)
    kept = await spoken(sessions, ann, TALK)
    gone = await spoken(sessions, ann, TALK)
    await bring(stores)
    async with session_scope(sessions) as session:
        await session.execute(delete(MediaFile).where(MediaFile.id == gone))
        await note_files(session, ann, [gone], spoken=True)
    await bring(stores)
    assert {payload["media_file_id"] for payload in (await points(stores)).values()} == {str(kept)}
    await equal(stores)


async def test_a_file_goes_while_no_model_answers(sessions, stores):
    ann = await add_user(sessions)
    gone = await spoken(sessions, ann, TALK)
    await bring(stores)

    class Away:
        async def embed(self, _):
            raise SpeechUnavailable("nobody is there")

    async with session_scope(sessions) as session:
        await session.execute(delete(MediaFile).where(MediaFile.id == gone))
        await note_files(session, ann, [gone], spoken=True)
    await bring(replace(stores, embedder=Away()))
    assert await waiting(sessions) == set()
    [space] = await stores.vectors.spaces()
    assert await stores.vectors.count(space) == 0


async def test_without_a_transcript_there_is_nothing_to_find(sessions, stores):
    ann = await add_user(sessions)
    file_id = await spoken(sessions, ann, TALK)
    await bring(stores)
    async with session_scope(sessions) as session:
        await session.execute(delete(Transcript))
        await note_files(session, ann, [file_id], spoken=True)
    await bring(stores)
    assert await indexed(sessions) == {}
    await equal(stores)


async def test_a_file_in_which_nothing_is_said(sessions, stores):
    ann = await add_user(sessions)
    await spoken(sessions, ann, [])
    await bring(stores)
    assert await indexed(sessions) == {Destination.keywords: (1, 0), Destination.passages: (1, 0)}


async def test_an_account_goes_with_all_its_passages(sessions, stores):
    ann, bob = await add_user(sessions), await add_user(sessions)
    await spoken(sessions, ann, TALK)
    kept = await spoken(sessions, bob, TALK)
    await bring(stores)
    async with session_scope(sessions) as session:
        await session.execute(delete(User).where(User.id == ann))
        await note_user_gone(session, ann)
        await note_user_gone(session, bob)
    assert ("passages", f"user/{ann}") in await waiting(sessions)
    await bring(stores)
    assert {payload["media_file_id"] for payload in (await points(stores)).values()} == {str(kept)}
    assert await stores.keywords.count(LIVE, ann) == 0
    assert await stores.keywords.count(LIVE, bob) > 0
    await equal(stores)


async def test_writers_write_to_the_next_index_too(sessions, stores):
    ann = await add_user(sessions)
    first = await spoken(sessions, ann, TALK)
    await bring(stores)
    await stores.keywords.ensure(NEXT)
    await spoken(sessions, ann, TALK)
    await bring(stores)
    assert 0 < await stores.keywords.count(NEXT) < await stores.keywords.count(LIVE)
    async with session_scope(sessions) as session:
        await note_files(session, ann, [first], spoken=False)
    await bring(stores)
    assert await tables(sessions, NEXT) == await tables(sessions, LIVE)
    async with session_scope(sessions) as session:
        await session.execute(delete(MediaFile).where(MediaFile.id == first))
        await note_files(session, ann, [first], spoken=True)
    await bring(stores)
    assert await tables(sessions, NEXT) == await tables(sessions, LIVE)


async def test_a_change_between_look_and_write_is_seen(sessions, stores):
    """Rows change while they are being brought: what is brought last is what they say."""
    ann = await add_user(sessions)
    file_id = await spoken(sessions, ann, TALK)
    keeper = meaning(stores)
    changes = iter(["Nobody knows about pears.", "Everybody knows about plums."])

    class Meanwhile(PassageKeeper):
        async def bring(self, file):
            brought = await super().bring(file)
            if (said := next(changes, None)) is not None:
                await reword(sessions, file_id, 0, said)
            return brought

    assert await keep_file(
        Meanwhile(keeper.sessions, keeper.store, keeper.embedder, keeper.settings), file_id, ann
    )
    assert (await indexed(sessions))[Destination.passages][0] == 3
    await forget_notes(sessions)
    assert await keep_file(words(stores), file_id, ann)
    await equal(stores)


async def test_one_at_a_time_brings_a_file_to_a_store(sessions, stores):
    ann = await add_user(sessions)
    file_id = await spoken(sessions, ann, TALK)
    async with locks.writing(sessions, Destination.passages, file_id) as ours:
        assert ours
        assert not await keep_file(meaning(stores), file_id, ann)
        # The other store is another matter.
        assert await keep_file(words(stores), file_id, ann)
        work = {Destination.passages: handler(meaning(stores))}
        assert await outbox.drain(sessions, work, MaintenanceSettings()) == 1
    async with session_scope(sessions) as session:
        query = select(OutboxEntry).where(OutboxEntry.destination == Destination.passages)
        [entry] = await session.scalars(query)
        assert (entry.failures, entry.last_error) == (0, None)
        soon = await session.scalar(text("SELECT now() + interval '10 seconds'"))
        assert entry.due_at < soon
    assert keeping.BUSY.total_seconds() < 10


async def test_tags_on_ten_thousand_files_are_one_statement(sessions):
    ann = await add_user(sessions)
    ids = [uuid.uuid4() for _ in range(10_000)]
    async with session_scope(sessions) as session:
        await note_files(session, ann, ids, spoken=False)
        await note_files(session, ann, ids[:10], spoken=False)
    async with session_scope(sessions) as session:
        rows = await entries.take(session, Destination.keywords, 20_000, entries.NOW)
    assert {row.subject for row in rows} == {f"file/{one}" for one in ids}
    assert {row.payload["user_id"] for row in rows} == {str(ann)}


async def test_nothing_is_noted_for_nothing(sessions):
    ann = await add_user(sessions)
    async with session_scope(sessions) as session:
        await note_files(session, ann, [], spoken=True)
        nobody = select(MediaFile.id).where(MediaFile.user_id == uuid.uuid4())
        await note_files(session, ann, nobody, spoken=True)
    assert await waiting(sessions) == set()


async def test_who_note_the_same_files_wait_and_not_for_each_other(sessions):
    ann = await add_user(sessions)
    ids = [uuid.uuid4() for _ in range(200)]

    async def note(order: Sequence[uuid.UUID]) -> None:
        async with session_scope(sessions) as session:
            await note_files(session, ann, order, spoken=True)
            await asyncio.sleep(0)

    for _ in range(10):
        await asyncio.gather(note(ids), note(ids[::-1]), note(ids[50:]), note(ids[:150][::-1]))
    assert len(await waiting(sessions)) == 400


@pytest.mark.parametrize("words_of_a_passage", [20, 1000])
async def test_files_are_outdated_where_passages_are_cut_otherwise(
    sessions, stores, words_of_a_passage
):
    ann = await add_user(sessions)
    await spoken(sessions, ann, TALK)
    await bring(stores)
    keeper = words(stores)
    before = keeper.place(LIVE)
    changed = stores.settings.model_copy(update={"passage_words": words_of_a_passage})
    other = type(keeper)(sessions, stores.keywords, changed).place(LIVE)
    assert (before == other) == (words_of_a_passage == stores.settings.passage_words)
