"""What every adapter of db.keywords.port does; which words find what is in test_queries.py."""

import asyncio
import random
import uuid
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from db.errors import NotFound
from db.keywords.port import KeywordQuery, KeywordStore, PassageFilters
from tests.fixtures.passages import TAKEN_IN, facts, hits, marked, passage
from tests.integration.keywords.conftest import PREFIX

ANN, BOB = uuid.uuid4(), uuid.uuid4()
HOSTILE = (
    "",
    'x"; DROP TABLE media_file; --',
    "../indexes",
    "a/b",
    ".",
    "UPPER",
    "a" * 64,
    "zwölf",
    "a\x00b",
    "a b",
    "line\n",
)
INJECTIONS = (
    "'",
    "''",
    "' OR true --",
    "'); DROP TABLE media_file; --",
    '" OR owner_id EXISTS "',
    "a' | 'b",
    "!a & (b | c):*",
    "<->",
    "\\",
    "\\'",
    "%_",
    "$1",
    ":owner",
    "{n}",
    "\x00",
    "a\x00b",
    "\ud800",
    "@",
    "'@'",
    "*",
    "\u202e\u200d",
)


async def ids(store: KeywordStore, index: str, owner: uuid.UUID, *words: str, **query) -> list:
    return [hit.id for hit in await hits(store, index, owner, *words, **query)]


async def counts(store: KeywordStore, index: str) -> dict[uuid.UUID, int]:
    found: dict[uuid.UUID, int] = {}
    async for page in store.files(index):
        assert page
        assert not page.keys() & found.keys()
        found |= page
    return found


async def test_it_answers_and_says_what_it_is(store, adapter):
    await store.ready()
    assert store.adapter == adapter


class TestIndexes:
    async def test_one_is_made_once_by_many(self, stores, name):
        assert name not in await stores[0].indexes()
        await asyncio.gather(*(store.ensure(name) for store in stores * 4))
        assert list(await stores[1].indexes()).count(name) == 1
        await stores[0].ensure(name)

    async def test_one_that_is_there_keeps_its_passages(self, stores, index):
        await stores[0].upsert(index, [passage("kept", ANN)])
        await stores[1].ensure(index)
        assert await stores[1].count(index) == 1

    async def test_what_is_not_there_holds_nothing(self, store, name):
        assert await ids(store, name, ANN, "word") == []
        assert await store.count(name) == await store.count(name, ANN) == 0
        assert await counts(store, name) == {}
        await store.delete(name, ANN)
        await store.remove_files(name, [uuid.uuid4()])
        await store.drop(name)
        with pytest.raises(NotFound):
            await store.upsert(name, [passage("word", ANN)])

    async def test_one_that_another_process_dropped_is_not_there(self, stores, index):
        here, there = stores
        await here.upsert(index, [passage("gone", ANN)])
        assert await here.count(index) == 1
        await there.drop(index)
        assert index not in await here.indexes()
        assert await ids(here, index, ANN, "gone") == []
        with pytest.raises(NotFound):
            await here.upsert(index, [passage("gone", ANN)])
        await here.ensure(index)
        assert await here.count(index) == 0
        await here.upsert(index, [passage("gone", ANN)])
        assert await there.count(index) == 1

    async def test_two_are_swapped_at_once(self, stores, index):
        here, there = stores
        other = f"{index}-next"
        await here.ensure(other)
        old, new = passage("ingress of old", ANN), passage("ingress of new", ANN)
        await here.upsert(index, [old])
        await here.upsert(other, [new])
        await there.swap(index, other)
        assert await ids(here, index, ANN, "ingress") == [new.id]
        assert await ids(here, other, ANN, "ingress") == [old.id]
        # Who writes goes on with what has the name now.
        later = passage("ingress of later", ANN)
        await here.upsert(index, [later])
        await here.drop(other)
        assert set(await ids(there, index, ANN, "ingress")) == {new.id, later.id}

    async def test_a_search_sees_the_one_or_the_other(self, stores, index):
        here, there = stores
        other = f"{index}-next"
        await here.upsert(index, [passage(f"ingress {n}", ANN, number=n) for n in range(10)])
        seen: set[int] = set()

        async def look() -> None:
            while not done.is_set():
                seen.add(len(await hits(there, index, ANN, "ingress", limit=50)))

        done = asyncio.Event()
        looking = asyncio.create_task(look())
        for _ in range(4):
            await here.ensure(other)
            await here.upsert(other, [passage(f"ingress {n}", ANN, number=n) for n in range(10)])
            await here.swap(index, other)
            await here.drop(other)
        done.set()
        await looking
        assert seen == {10}

    async def test_swapped_are_two_that_are_there(self, store, index, name):
        for pair in ((index, f"{index}-not"), (f"{index}-not", index)):
            with pytest.raises(NotFound):
                await store.swap(*pair)
        assert index in await store.indexes()

    @pytest.mark.parametrize("hostile", HOSTILE)
    async def test_what_can_be_no_name_is_refused(self, store, hostile):
        for call in (
            lambda: store.ensure(hostile),
            lambda: store.drop(hostile),
            lambda: store.swap(hostile, "passages"),
            lambda: store.swap("passages", hostile),
            lambda: store.upsert(hostile, [passage("word", ANN)]),
            lambda: store.delete(hostile, ANN),
            lambda: store.remove_files(hostile, [uuid.uuid4()]),
            lambda: store.search(hostile, ANN, KeywordQuery(("word",)), limit=1),
            lambda: store.count(hostile),
            lambda: counts(store, hostile),
        ):
            with pytest.raises(ValueError, match="is no name of an index"):
                await call()

    async def test_a_name_may_be_as_long_as_it_may(self, store):
        long = f"{PREFIX}_{'a' * 63}"[:63]
        await store.ensure(long)
        await store.upsert(long, [passage("word", ANN)])
        assert await store.count(long) == 1


class TestWrites:
    async def test_a_hit_has_what_was_stored(self, store, index):
        stored = passage(
            "The ingress lost its certificate.", ANN, number=3, speakers=("Ada", "SPEAKER_01")
        )
        await store.upsert(index, [stored])
        (hit,) = await hits(store, index, ANN, "ingress")
        assert (hit.id, hit.media_file_id, hit.number) == (stored.id, stored.media_file_id, 3)
        assert (hit.start, hit.end, hit.text) == (stored.start, stored.end, stored.text)
        assert hit.speakers == stored.speakers
        assert 0 < hit.score <= 1
        assert marked(hit) == ["ingress"]
        assert not hit.title_matched

    async def test_the_last_of_one_id_stays(self, store, index):
        first = passage("The ingress is down.", ANN)
        second = replace(first, text="The egress is up.", speakers=("Bob",))
        await store.upsert(index, [first])
        await store.upsert(index, [first, second])
        assert await ids(store, index, ANN, "ingress") == []
        (hit,) = await hits(store, index, ANN, "egress")
        assert hit.text == second.text
        assert hit.speakers == ("Bob",)
        assert await store.count(index) == 1

    async def test_writing_the_same_again_changes_nothing(self, store, index):
        some = [passage(f"ingress {n}", ANN, number=n) for n in range(5)]
        for _ in range(3):
            await store.upsert(index, some)
        assert set(await ids(store, index, ANN, "ingress")) == {one.id for one in some}
        await store.delete(index, ANN)
        assert await ids(store, index, ANN, "ingress") == []

    async def test_none_are_none(self, store, index):
        await store.upsert(index, [])
        await store.remove_files(index, [])
        assert await store.count(index) == 0

    async def test_what_is_known_of_a_file_changes(self, store, index):
        file = uuid.uuid4()
        some = [passage(f"ingress {n}", ANN, file, number=n, tags=("Old",)) for n in range(3)]
        await store.upsert(index, some)
        renamed = facts(title="Postmortem", tags=("New",))
        await store.upsert(index, [replace(one, file=renamed) for one in some])
        for tag, count in (("old", 0), ("new", 3)):
            found = await ids(store, index, ANN, "ingress", filters=PassageFilters(tags=[tag]))
            assert len(found) == count
        named = await hits(store, index, ANN, "postmortem")
        assert len(named) == 3
        assert all(hit.title_matched and hit.marks == () for hit in named)
        assert await ids(store, index, ANN, "recording") == []

    async def test_a_file_goes_but_what_is_kept(self, store, index):
        file = uuid.uuid4()
        some = [passage(f"ingress {n}", ANN, file, number=n) for n in range(6)]
        other, bobs = passage("ingress", ANN), passage("ingress", BOB, file)
        await store.upsert(index, [*some, other, bobs])
        await store.delete(index, ANN, file, keep=[some[1].id, some[4].id, uuid.uuid4()])
        assert set(await ids(store, index, ANN, "ingress")) == {some[1].id, some[4].id, other.id}
        await store.delete(index, ANN, file)
        assert await ids(store, index, ANN, "ingress") == [other.id]
        assert await ids(store, index, BOB, "ingress") == [bobs.id]

    async def test_an_owner_goes(self, store, index):
        await store.upsert(index, [passage(f"ingress {n}", ANN) for n in range(4)])
        mine = passage("ingress", BOB)
        await store.upsert(index, [mine])
        await store.delete(index, ANN)
        assert await store.count(index, ANN) == 0
        assert await ids(store, index, BOB, "ingress") == [mine.id]

    async def test_files_go_whosever_they_are(self, store, index):
        here, there, elsewhere = (uuid.uuid4() for _ in range(3))
        await store.upsert(
            index,
            [
                *(passage("ingress", ANN, here, number=n) for n in range(3)),
                passage("ingress", BOB, there),
                passage("ingress", BOB, elsewhere),
            ],
        )
        await store.remove_files(index, [here, there, uuid.uuid4()])
        assert await counts(store, index) == {elsewhere: 1}

    async def test_passages_of_several_owners_are_written_together(self, store, index):
        some = [passage("ingress", owner, number=n) for n in range(5) for owner in (ANN, BOB)]
        await store.upsert(index, some)
        assert await store.count(index, ANN) == await store.count(index, BOB) == 5
        assert await store.count(index) == 10

    async def test_a_nul_is_refused(self, store, index):
        for refused in (passage("a\x00b", ANN), passage("a", ANN, title="\x00")):
            with pytest.raises(ValueError, match="holds a NUL character"):
                await store.upsert(index, [refused])

    async def test_odd_texts_are_kept_as_they_are(self, store, index):
        odd = "x" * 5000 + " 'quoted' \\ \"double\" \u202e <b>&amp;</b> 🎉 {n} :owner %s naïve"
        stored = passage(odd, ANN, speakers=('O\'Hara \\ "x"', ""), title="'; --", tags=("{}",))
        await store.upsert(index, [stored])
        (hit,) = await hits(store, index, ANN, "naive")
        assert hit.text == odd
        assert hit.speakers == stored.speakers
        assert marked(hit) == ["naïve"]

    async def test_an_empty_text_does_no_harm(self, store, index):
        await store.upsert(index, [passage("", ANN, speakers=(), title="")])
        assert await store.count(index, ANN) == 1
        assert await ids(store, index, ANN, "word") == []
        assert len(await ids(store, index, ANN)) == 1


class TestCounts:
    async def test_files_are_counted_in_pages(self, store, index):
        files = [uuid.uuid4() for _ in range(7)]
        wanted = {file: number for number, file in enumerate(files, start=1)}
        await store.upsert(
            index,
            [
                passage("word", random.choice((ANN, BOB)) if count == 1 else ANN, file, number=n)
                for file, count in wanted.items()
                for n in range(count)
            ],
        )
        assert await counts(store, index) == wanted
        assert await store.count(index) == sum(wanted.values())


class TestOwners:
    @given(st.data())
    @settings(
        max_examples=15,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )
    async def test_nobody_finds_what_is_anothers(self, store, index, data):
        """Random owners, words, deletes: what is found is the asker's, and all of his is."""
        owners = [uuid.uuid4() for _ in range(3)]
        files = {owner: [uuid.uuid4() for _ in range(2)] for owner in owners}
        words = ["ingress", "revenue", "learning", "學習"]
        there: dict[uuid.UUID, tuple[uuid.UUID, uuid.UUID, str]] = {}
        for _ in range(data.draw(st.integers(1, 6))):
            owner = data.draw(st.sampled_from(owners))
            file = data.draw(st.sampled_from(files[owner]))
            if data.draw(st.booleans()) or not there:
                said = data.draw(st.lists(st.sampled_from(words), min_size=1, max_size=3))
                made = passage(" ".join(said), owner, file)
                await store.upsert(index, [made])
                there[made.id] = (owner, file, made.text)
            else:
                await store.delete(index, owner, file)
                there = {key: one for key, one in there.items() if one[:2] != (owner, file)}
        for owner in owners:
            for word in words:
                wanted = {
                    k for k, (whose, _, text) in there.items() if whose == owner and word in text
                }
                assert set(await ids(store, index, owner, word)) == wanted
                others = [file for each in owners if each != owner for file in files[each]]
                outside = PassageFilters(media_file_ids=others)
                assert await ids(store, index, owner, word, filters=outside) == []
            mine = {key for key, (whose, *_) in there.items() if whose == owner}
            assert set(await ids(store, index, owner)) == mine
            assert await store.count(index, owner) == len(mine)

    async def test_what_others_say_corrects_no_word(self, store, index):
        await store.upsert(index, [passage("kubernetes", BOB), passage("kubernet", ANN)])
        (hit,) = await hits(store, index, ANN, "kubernets")
        assert hit.text == "kubernet"

    @pytest.mark.parametrize("injection", INJECTIONS)
    async def test_nothing_that_is_typed_is_syntax(self, store, index, injection):
        await store.upsert(index, [passage("alpha beta", BOB), passage("alpha gamma", ANN)])
        filters = PassageFilters(
            speakers=[injection],
            tags=[injection],
            file_types=[injection],
            language=injection,
            title=injection,
        )
        for query in (
            KeywordQuery((injection,)),
            KeywordQuery((), (injection,)),
            KeywordQuery(("alpha", injection), (injection,)),
            KeywordQuery(("alpha",), filters=filters),
            *(
                KeywordQuery(("alpha",), filters=each)
                for each in (
                    PassageFilters(speakers=[injection]),
                    PassageFilters(tags=[injection]),
                    PassageFilters(file_types=[injection]),
                    PassageFilters(language=injection),
                    PassageFilters(title=injection),
                )
            ),
        ):
            for hit in await store.search(index, ANN, query, limit=10):
                assert hit.text == "alpha gamma"

    async def test_long_queries_are_answered(self, store, index):
        await store.upsert(index, [passage("alpha beta gamma", ANN)])
        for long in ("alpha " * 1700, "学習" * 1700, "x" * 10_000, "ab-" * 3400, "'" * 10_000):
            await hits(store, index, ANN, *long.split())
            await hits(store, index, ANN, long)
            assert await ids(store, index, ANN, phrases=(long,)) == []
        many = [f"word{n}" for n in range(1500)]
        assert len(await ids(store, index, ANN, "alpha", *many)) == 1


class TestFilters:
    @pytest.fixture
    async def three(self, store, index):
        """A call, a meeting and a lecture."""
        shelf = uuid.uuid4()
        made = {
            "call": passage(
                "ingress",
                ANN,
                speakers=("Ada", "Bob"),
                title="Quarterly call: Straße",
                tags=("Money", "Public"),
                collections=(shelf,),
                duration=100.0,
            ),
            "meeting": passage(
                "ingress",
                ANN,
                speakers=("Bob",),
                title="Weekly",
                tags=("money",),
                created_at=TAKEN_IN + timedelta(days=1),
                content_type="video/mp4",
                size_bytes=5_000_000_000,
                duration=200.5,
            ),
            "lecture": passage(
                "ingress",
                ANN,
                speakers=("SPEAKER_00",),
                title="100% of_it",
                created_at=TAKEN_IN + timedelta(days=2),
                content_type="video/webm",
                size_bytes=10,
                language="de",
            ),
        }
        await store.upsert(index, list(made.values()))
        return {one.media_file_id: what for what, one in made.items()}, shelf

    @pytest.mark.parametrize("words", [("ingress",), ()])
    @pytest.mark.parametrize(
        ("asked", "wanted"),
        [
            ({}, "call meeting lecture"),
            ({"speakers": ["ADA"]}, "call"),
            ({"speakers": ["bob"]}, "call meeting"),
            ({"speakers": ["ada", "speaker_00"]}, "call lecture"),
            ({"speakers": ["Bo"]}, ""),
            ({"tags": ["MONEY"]}, "call meeting"),
            ({"tags": ["money", "public"]}, "call"),
            ({"tags": ["mon"]}, ""),
            ({"from_date": TAKEN_IN + timedelta(days=1)}, "meeting lecture"),
            ({"before_date": TAKEN_IN + timedelta(days=1)}, "call"),
            ({"min_duration": 100.0}, "call meeting"),
            ({"max_duration": 100.0}, "call"),
            ({"min_duration": 100.5, "max_duration": 200.5}, "meeting"),
            ({"min_file_size": 1001}, "meeting"),
            ({"max_file_size": 1000}, "call lecture"),
            ({"file_types": ["video"]}, "meeting lecture"),
            ({"file_types": ["audio", "video/webm"]}, "call lecture"),
            ({"file_types": ["AUDIO/MPEG"]}, "call"),
            ({"language": "de"}, "lecture"),
            ({"title": "CALL: s"}, "call"),
            ({"title": "0% OF_"}, "lecture"),
            ({"title": "%"}, "lecture"),
            ({"media_file_ids": []}, ""),
            ({"media_file_ids": [uuid.UUID(int=1)]}, ""),
            ({"speakers": ["bob"], "tags": ["money"], "file_types": ["video"]}, "meeting"),
            ({"speakers": ["bob"], "language": "de"}, ""),
        ],
    )
    async def test_each(self, store, index, three, words, asked, wanted):
        names, _ = three
        found = await hits(store, index, ANN, *words, filters=PassageFilters(**asked))
        assert sorted(names[hit.media_file_id] for hit in found) == sorted(wanted.split())

    async def test_files_and_collections(self, store, index, three):
        names, shelf = three
        for words in (("ingress",), ()):
            for asked, wanted in (
                ({"collection_id": shelf}, ["call"]),
                ({"collection_id": uuid.uuid4()}, []),
                ({"media_file_ids": list(names)[1:]}, ["meeting", "lecture"]),
                ({"media_file_ids": list(names)[1:], "tags": ["money"]}, ["meeting"]),
            ):
                found = await hits(store, index, ANN, *words, filters=PassageFilters(**asked))
                assert sorted(names[hit.media_file_id] for hit in found) == sorted(wanted)

    async def test_filters_go_for_phrases_too(self, store, index, three):
        found = await hits(
            store, index, ANN, phrases=("ingress",), filters=PassageFilters(language="de")
        )
        assert len(found) == 1

    async def test_no_more_than_asked_for(self, store, index, three):
        for words in (("ingress",), ()):
            assert len(await hits(store, index, ANN, *words, limit=2)) == 2
