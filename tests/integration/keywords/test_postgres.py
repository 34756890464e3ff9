"""PostgreSQL alone: the words of each owner, its plans, what a server must offer."""

import asyncio
import random
import uuid
from collections import Counter
from dataclasses import replace

import pytest
from pydantic import SecretStr
from sqlalchemy import event, text

from cluster.settings import DatabaseSettings
from db.engine import create_engine, create_sessions, session_scope
from db.errors import StoreUnavailable
from db.keywords import postgres_query, postgres_reading, postgres_vocabulary
from db.keywords.port import KeywordQuery, PassageDocument, PassageFilters
from db.keywords.postgres import PostgresKeywordStore
from db.keywords.words import tokens
from tests.fixtures.passages import facts, hits, marked, passage
from tests.fixtures.stores import as_role

ANN, BOB = uuid.uuid4(), uuid.uuid4()
INDEX = "passages"
WORDS = (
    "ingress",
    "revenue",
    "growth",
    "margin",
    "cash",
    "flow",
    "the",
    "of",
    "学習",
    "résumé",
    "🎉",
)
LANGUAGES = ("en", "de", "ja", None)


@pytest.fixture
async def store(keywords) -> PostgresKeywordStore:
    await keywords.ensure(INDEX)
    return keywords


async def vocabulary(sessions) -> dict[tuple[uuid.UUID, str], int]:
    """How many of an owner's passages the store says have a word."""
    asked = text("SELECT owner_id, word, sum(passages) FROM keywords.words_1 GROUP BY 1, 2")
    async with session_scope(sessions) as session:
        return {(owner, word): int(count) for owner, word, count in await session.execute(asked)}


def counted(passages) -> dict[tuple[uuid.UUID, str], int]:
    """How many really have it; the empty word is in all."""
    found: Counter[tuple[uuid.UUID, str]] = Counter()
    for one in passages:
        said = {token.word for text in (one.text, one.file.title) for token in tokens(text)}
        found.update((one.owner_id, word) for word in {*said, ""})
    return dict(found)


def said(choice: random.Random) -> str:
    return " ".join(choice.choices(WORDS, k=choice.randint(0, 8)))


class TestVocabulary:
    @pytest.mark.parametrize("seed", range(3))
    async def test_it_is_that_of_the_passages_there_are(self, store, sessions, seed):
        """Random writes, changes and deletes of two owners; afterwards all counts are right."""
        choice = random.Random(seed)
        there: dict[uuid.UUID, PassageDocument] = {}
        for _ in range(30):
            kind = choice.random()
            if kind < 0.5 or not there:
                owner, file = choice.choice((ANN, BOB)), uuid.UUID(int=choice.randint(1, 4))
                title, language = said(choice), choice.choice(LANGUAGES)
                made = [
                    passage(said(choice), owner, file, title=title, language=language)
                    for _ in range(3)
                ]
            elif kind < 0.75:
                made = [
                    replace(one, text=said(choice), file=facts(title=said(choice)))
                    for one in choice.sample(list(there.values()), min(3, len(there)))
                ]
            else:
                one = choice.choice(list(there.values()))
                keep = choice.sample(list(there), len(there) // 2)
                await store.delete(INDEX, one.owner_id, one.media_file_id, keep=keep)
                there = {
                    key: other
                    for key, other in there.items()
                    if key in keep
                    or (other.owner_id, other.media_file_id) != (one.owner_id, one.media_file_id)
                }
                continue
            await store.upsert(INDEX, made)
            there |= {one.id: one for one in made}
        assert await vocabulary(sessions) == counted(there.values())
        await store.delete(INDEX, ANN)
        await store.remove_files(INDEX, [uuid.UUID(int=n) for n in range(1, 5)])
        assert await vocabulary(sessions) == {}

    async def test_a_word_that_nobody_says_any_more_corrects_nothing(self, store):
        gone = passage("kubernetes", ANN)
        await store.upsert(INDEX, [gone, passage("something else", ANN)])
        await store.upsert(INDEX, [replace(gone, text="swarm")])
        assert await hits(store, INDEX, ANN, "kubernets") == []
        assert await hits(store, INDEX, ANN, "swarn")

    async def test_many_write_the_same_owner_at_once(self, store, sessions):
        """Words in any order, passages again and again: nobody waits for ever, all is counted."""
        choice = random.Random(7)
        some = [passage(said(choice), ANN, number=n) for n in range(60)]
        others = [passage(said(choice), BOB, number=n) for n in range(30)]

        async def write() -> None:
            mixed = choice.sample([*some, *others], 60)
            for start in range(0, 60, 20):
                await store.upsert(INDEX, mixed[start : start + 20])

        await asyncio.gather(*(write() for _ in range(8)))
        await store.upsert(INDEX, [*some, *others])
        assert await vocabulary(sessions) == counted([*some, *others])

    async def test_what_did_not_change_is_not_written_again(self, store, sessions):
        some = [passage("ingress of revenue", ANN, uuid.UUID(int=1), number=n) for n in range(5)]
        await store.upsert(INDEX, some)

        async def versions() -> list:
            asked = text(
                "SELECT xmin::text FROM keywords.passages_1"
                " UNION ALL SELECT xmin::text FROM keywords.words_1"
            )
            async with session_scope(sessions) as session:
                return sorted(await session.scalars(asked))

        before = await versions()
        await store.upsert(INDEX, [replace(one, file=facts(tags=("new",))) for one in some])
        assert await versions() == before
        found = await hits(store, INDEX, ANN, "ingress", filters=PassageFilters(tags=["new"]))
        assert len(found) == 5


class TestWays:
    @pytest.fixture
    async def crowd(self, store, sessions):
        """Ann has 3000 passages, Bob twenty, with the same frequent words and a few rare ones."""
        choice = random.Random(5)
        frequent = [f"frequent{n}" for n in range(60)]

        def text_of(number: int) -> str:
            rare = f"r{number % 500:03}" if number % 5 == 0 else ""
            return " ".join([*choice.choices(frequent, k=25), "everywhere", rare])

        for owner, count in ((ANN, 3000), (BOB, 20)):
            some = [
                passage(text_of(n), owner, uuid.UUID(int=n // 20), number=n) for n in range(count)
            ]
            await store.upsert(INDEX, some)
        async with session_scope(sessions) as session:
            await session.execute(text("ANALYZE keywords.passages_1, keywords.words_1"))
        return store

    @pytest.fixture
    def plans(self, sessions):
        """Plans of the searches from now on."""
        heard: list[tuple[str, tuple]] = []
        engine = sessions.kw["bind"].sync_engine

        @event.listens_for(engine, "before_cursor_execute")
        def _(_connection, _cursor, statement: str, parameters, *_) -> None:
            if "AS candidate" in statement:
                heard.append((statement, parameters))

        async def explained() -> list[str]:
            async with sessions() as session:
                raw = await (await session.connection()).get_raw_connection()
                await postgres_reading.plan(session)
                return [
                    "\n".join(
                        row[0]
                        for row in await raw.driver_connection.fetch(f"EXPLAIN {asked}", *given)
                    )
                    for asked, given in heard
                ]

        return explained

    async def test_words_are_found_by_the_index_of_words(self, crowd, plans):
        for owner in (ANN, BOB):
            await hits(crowd, INDEX, owner, "r005", "frequent1")
            await hits(crowd, INDEX, owner, phrases=("everywhere r005",))
        found = await plans()
        assert len(found) > 3
        assert all("passages_1_words_idx" in plan for plan in found)
        assert not any("Seq Scan" in plan for plan in found)

    async def test_words_of_most_passages_are_read_until_there_are_enough(self, crowd, plans):
        assert len(await hits(crowd, INDEX, ANN, "everywhere", limit=500)) == 500
        (plan,) = await plans()
        assert "passages_1_owner_id_media_file_id_number_idx" in plan
        assert "passages_1_words_idx" not in plan

    async def test_few_files_are_found_by_their_index(self, crowd, plans):
        filters = PassageFilters(media_file_ids=[uuid.UUID(int=3)])
        assert len(await hits(crowd, INDEX, ANN, "everywhere", filters=filters)) == 20
        (plan,) = await plans()
        assert "passages_1_owner_id_media_file_id_number_idx" in plan

    async def test_only_so_many_are_ranked(self, crowd, monkeypatch):
        monkeypatch.setattr(postgres_reading, "RANKED", 50)
        assert len(await hits(crowd, INDEX, ANN, "everywhere", limit=20)) == 20
        assert len(await hits(crowd, INDEX, ANN, "everywhere", limit=200)) == 200

    async def test_of_some_words_those_that_say_most_are_looked_for(self, crowd, monkeypatch):
        found = await hits(crowd, INDEX, ANN, "r005", "r010", "r015", "everywhere", limit=100)
        assert {mark for hit in found for mark in marked(hit)} == {"r005", "r010", "r015"}
        assert len(found) == 18

    async def test_frequent_words_are_looked_for_two_by_two(self, crowd, monkeypatch):
        """About one in three has each of the frequent words, one in nine two of them."""
        monkeypatch.setattr(postgres_query, "RANKED", 1000)
        asked = ("frequent1", "frequent2", "frequent3", "nowhere", "r005", "and")
        found = await hits(crowd, INDEX, ANN, *asked, limit=3000)
        together = [set(marked(hit)) for hit in found]
        assert sum("r005" in marks for marks in together) == 6
        assert all(len(marks) > 1 for marks in together if "r005" not in marks)

    async def test_of_few_files_passages_with_any_word_are_found(self, crowd, monkeypatch):
        monkeypatch.setattr(postgres_query, "RANKED", 10)
        filters = PassageFilters(media_file_ids=[uuid.UUID(int=3)])
        asked = ("frequent1", "frequent2", "r065")
        found = await hits(crowd, INDEX, ANN, *asked, filters=filters, limit=100)
        assert {"frequent1"} in [set(marked(hit)) for hit in found]

    async def test_words_of_most_passages_need_not_be_there(self, crowd):
        found = await hits(crowd, INDEX, ANN, "everywhere", "r005", "and", limit=100)
        assert len(found) == 6
        assert all(marked(hit) == ["r005"] for hit in found)

    async def test_a_beginning_of_very_many_words_stands_for_the_most_frequent(
        self, crowd, monkeypatch
    ):
        monkeypatch.setattr(postgres_vocabulary, "MOST_POSTINGS", 100)
        monkeypatch.setattr(postgres_vocabulary, "MOST_CONTINUATIONS", 2)
        found = await hits(crowd, INDEX, ANN, "r0", limit=1000)
        assert 2 <= len({mark for hit in found for mark in marked(hit)}) <= 3

    async def test_a_familiar_word_is_not_taken_for_an_error(self, crowd):
        found = await hits(crowd, INDEX, ANN, "frequent1", "x", limit=3000)
        assert {mark for hit in found for mark in marked(hit)} == {"frequent1"}

    async def test_owners_whose_lexemes_begin_alike_are_kept_apart(self, store, monkeypatch):
        monkeypatch.setattr("db.keywords.postgres_rows.tag", lambda _: "aaa")
        await store.upsert(INDEX, [passage("ingress", ANN), passage("ingress", BOB)])
        for owner in (ANN, BOB):
            for query in (KeywordQuery(("ingress",)), KeywordQuery((), ("ingress",))):
                assert len(await store.search(INDEX, owner, query, limit=5)) == 1
            spoken = KeywordQuery(filters=PassageFilters(speakers=["ada"]))
            assert len(await store.search(INDEX, owner, spoken, limit=5)) == 1


class TestServer:
    async def use(self, url: str) -> None:
        engine = create_engine(DatabaseSettings(url=SecretStr(url)))
        try:
            store = PostgresKeywordStore(create_sessions(engine))
            await store.ensure(INDEX)
            await store.upsert(INDEX, [passage("kubernetes", ANN)])
            assert await hits(store, INDEX, ANN, "kubernets")
        finally:
            await engine.dispose()

    async def test_a_role_that_may_not_make_a_schema_is_told_what_to_do(self, database_url):
        url = await as_role(database_url)
        with pytest.raises(StoreUnavailable, match="let an administrator run: CREATE EXTENSION"):
            await self.use(url)

    async def test_a_role_without_rights_does_once_an_administrator_has_done_so(self, database_url):
        url = await as_role(
            database_url,
            "CREATE EXTENSION fuzzystrmatch",
            "CREATE SCHEMA keywords AUTHORIZATION {role}",
        )
        await self.use(url)

    async def test_an_outage_is_told(self):
        url = "postgresql://nobody:x@127.0.0.1:9/none"
        engine = create_engine(DatabaseSettings(url=SecretStr(url)))
        store = PostgresKeywordStore(create_sessions(engine))
        with pytest.raises(StoreUnavailable):
            await store.ready()
        with pytest.raises(StoreUnavailable):
            await hits(store, INDEX, ANN, "word")
        await engine.dispose()
