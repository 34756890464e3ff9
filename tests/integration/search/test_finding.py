"""What is found, in which order, and how it is shown."""

import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import update

from db.engine import session_scope
from db.keywords.port import PassageFilters
from db.models import MediaFile
from pipelines.search.finding import Asked, Found, Mode, NothingAsked, SearchStores, Sort, find
from pipelines.search.found import Asking, Source
from tests.fixtures.searchable import bring, spoken
from tests.fixtures.voiceprints import add_user

NOON = datetime(2030, 1, 31, 12, tzinfo=UTC)
LAUNCH = "We move the launch date of the new product by two weeks."
BUDGET = "The budget for marketing is too small this year."
GARDEN = "My garden has roses, tulips and an old apple tree."


async def ask(stores: SearchStores, user_id: uuid.UUID, text: str, **more: Any) -> Found:
    return await find(Asked(user_id=user_id, text=text, **more), stores)


def ids(found: Found) -> list[uuid.UUID]:
    return [file.row.id for file in found.files]


@pytest.fixture
async def user_id(stores: SearchStores) -> uuid.UUID:
    return await add_user(stores.sessions)


@pytest.fixture
async def library(stores: SearchStores, user_id: uuid.UUID) -> dict[str, uuid.UUID]:
    """Three recordings that are about different things."""
    add = stores.sessions, user_id
    files = {
        "board": await spoken(
            *add,
            [("Ada", LAUNCH), ("Bob", BUDGET), ("Ada", "Goodbye everybody.")],
            title="Board <1>",
            tags=["work", "Team 7"],
            collections=["Spring"],
            created_at=NOON,
            completed_at=NOON,
        ),
        "garden": await spoken(
            *add,
            [("SPEAKER_00", GARDEN), ("SPEAKER_01", "The launch of a rocket is loud.")],
            tags=["home"],
            content_type="video/mp4",
            filename="garden.mp4",
            duration=600.0,
            size_bytes=9000,
            language="de",
            created_at=NOON + timedelta(days=1),
        ),
        "notes": await spoken(
            *add,
            [("Ada", "Roses are red, and the budget is spent.")],
            title="Launch notes",
            tags=["work"],
            created_at=NOON + timedelta(days=2),
            duration=None,
        ),
    }
    await bring(stores)
    return files


class TestModes:
    async def test_hybrid_shows_places_with_their_reasons(self, stores, user_id, library):
        found = await ask(stores, user_id, "launch date")
        assert ids(found)[0] == library["board"]
        best = found.files[0]
        assert best.sources == [Source.keyword, Source.semantic]
        place = best.occurrences[0]
        assert "<mark>launch</mark> <mark>date</mark>" in place.snippet
        assert place.speakers[0] == "Ada"
        assert (place.start, place.end > 0) == (0.0, True)
        assert place.similarity is not None
        assert place.similarity >= stores.settings.min_similarity
        assert best.title_marked == "Board &lt;1&gt;"
        assert best.tags == ["Team 7", "work"]
        assert [one.name for one in best.collections] == ["Spring"]
        assert list(best.speakers) == ["Ada", "Bob"]
        assert [one.asking for one in found.answers] == [Asking.answered] * 2
        assert [one.adapter for one in found.answers] == ["postgresql", "pgvector"]
        assert not found.degraded
        assert not found.capped
        assert found.seconds > 0

    async def test_one_mode_asks_one_store(self, stores, user_id, library):
        by_words = await ask(stores, user_id, "launch date", mode=Mode.keyword)
        assert [one.asking for one in by_words.answers] == [Asking.answered, Asking.not_asked]
        assert {source for file in by_words.files for source in file.sources} == {Source.keyword}
        by_meaning = await ask(stores, user_id, "launch date", mode=Mode.semantic)
        assert [one.asking for one in by_meaning.answers] == [Asking.not_asked, Asking.answered]
        assert {s for file in by_meaning.files for s in file.sources} == {Source.semantic}
        assert ids(by_meaning)[0] == library["board"]
        # Its text comes from the rows.
        assert "<mark>launch</mark> <mark>date</mark>" in by_meaning.files[0].occurrences[0].snippet

    async def test_typing_errors_are_words_business(self, stores, user_id, library):
        found = await ask(stores, user_id, "markting")
        assert ids(found) == [library["board"]]
        assert found.files[0].sources == [Source.keyword]
        assert "<mark>marketing</mark>" in found.files[0].occurrences[0].snippet

    async def test_titles_are_found_by_words(self, stores, user_id, library):
        found = await ask(stores, user_id, "notes")
        assert ids(found) == [library["notes"]]
        assert found.files[0].title_matched
        assert found.files[0].title_marked == "Launch <mark>notes</mark>"


class TestQueries:
    async def test_a_phrase_is_in_all_that_is_found(self, stores, user_id, library):
        for mode in Mode:
            found = await ask(stores, user_id, '"launch date"', mode=mode)
            assert ids(found) == [library["board"]], mode
            none = await ask(stores, user_id, '"date launch"', mode=mode)
            assert ids(none) == [], mode

    @pytest.mark.parametrize("text", ["launch speaker:ada", 'launch speaker:"ADA"'])
    async def test_a_speaker_in_the_text(self, stores, user_id, library, text):
        for mode in Mode:
            found = await ask(stores, user_id, text, mode=mode)
            assert library["board"] in ids(found)
            assert library["garden"] not in ids(found)

    async def test_a_speaker_alone_lists_what_they_say(self, stores, user_id, library):
        found = await ask(stores, user_id, "speaker:SPEAKER_01")
        assert ids(found) == [library["garden"]]
        assert [one.asking for one in found.answers] == [Asking.answered, Asking.not_asked]
        with pytest.raises(NothingAsked):
            await ask(stores, user_id, "speaker:ada", mode=Mode.semantic)

    @pytest.mark.parametrize("text", ["???", '""', "speaker:", "- * ."])
    async def test_nothing_to_look_for(self, stores, user_id, text):
        if text == "speaker:":
            assert ids(await ask(stores, user_id, text)) == []
        else:
            with pytest.raises(NothingAsked):
                await ask(stores, user_id, text)

    @pytest.mark.parametrize(
        "text",
        [
            "'; DROP TABLE media_file; --",
            "launch' OR '1'='1",
            "launch) | (",
            "launch:* & !garden",
            "launch\\",
            "100%_",
            "owner_id = *",
            '" OR owner_id EXISTS OR "',
            "<script>alert(1)</script>",
            "${jndi:ldap://x}",
            "👍 🎉",
            "発売日",
            "الاجتماع",
            "\u202elaunch",
            "z" * 1000,
            "a b c d e f g h i j k l m n o p q r s t u v w x y z " * 15,
        ],
    )
    async def test_anything_can_be_asked(self, stores, user_id, library, text):
        stranger = await add_user(stores.sessions)
        for mode in Mode:
            found = await ask(stores, user_id, text, mode=mode)
            assert set(ids(found)) <= set(library.values())
            assert not found.degraded
            assert ids(await ask(stores, stranger, text, mode=mode)) == []

    async def test_too_many_words_are_told(self, stores, user_id, library):
        few = replace(stores, settings=stores.settings.model_copy(update={"max_query_words": 2}))
        found = await ask(few, user_id, "launch date garden")
        assert found.query.left_out == ("garden",)


NARROWED: list[tuple[dict[str, Any], set[str]]] = [
    ({"speakers": ["ada"]}, {"board", "notes"}),
    ({"speakers": ["BOB", "SPEAKER_01"]}, {"board", "garden"}),
    ({"speakers": ["nobody"]}, set()),
    ({"tags": ["WORK"]}, {"board", "notes"}),
    ({"tags": ["work", "team 7"]}, {"board"}),
    ({"from_date": NOON + timedelta(days=1)}, {"garden", "notes"}),
    ({"before_date": NOON + timedelta(days=1)}, {"board"}),
    ({"min_duration": 61.0}, {"garden"}),
    ({"max_duration": 61.0}, {"board"}),
    ({"min_file_size": 2000}, {"garden"}),
    ({"max_file_size": 2000}, {"board", "notes"}),
    ({"file_types": ["video"]}, {"garden"}),
    ({"file_types": ["audio/wav"]}, {"board", "notes"}),
    ({"language": "de"}, {"garden"}),
    ({"title": "LAUNCH"}, {"notes"}),
    ({"title": "garden."}, {"garden"}),
    ({"title": "%"}, set()),
    ({"media_file_ids": []}, set()),
]


class TestFilters:
    @pytest.mark.parametrize("mode", Mode)
    async def test_each_narrows_both_stores_alike(self, stores, user_id, library, mode):
        # What each of the recordings is found by, whatever is looked for.
        text = "launch budget roses"
        for filters, expected in NARROWED:
            found = await ask(stores, user_id, text, mode=mode, filters=PassageFilters(**filters))
            assert set(ids(found)) <= {library[name] for name in expected}, filters
            if mode is Mode.keyword and "speakers" not in filters:
                assert set(ids(found)) == {library[name] for name in expected}, filters

    async def test_of_a_collection(self, stores, user_id, library):
        everything = await ask(stores, user_id, "launch budget roses")
        [spring] = everything.facets.collections
        for mode in Mode:
            filters = PassageFilters(collection_id=spring[0])
            found = await ask(stores, user_id, "launch budget", mode=mode, filters=filters)
            assert ids(found) == [library["board"]]
        filters = PassageFilters(collection_id=uuid.uuid4())
        assert ids(await ask(stores, user_id, "launch", filters=filters)) == []

    async def test_facets_count_all_files_that_were_found(self, stores, user_id, library):
        found = await ask(stores, user_id, "launch budget roses", limit=1)
        assert (len(found.files), found.total) == (1, 3)
        facets = found.facets
        assert facets.files == 3
        assert list(facets.speakers) == [("Ada", 2), ("Bob", 1)]
        assert list(facets.tags) == [("work", 2), ("home", 1), ("Team 7", 1)]
        assert [(name, count) for _, name, count in facets.collections] == [("Spring", 1)]
        assert list(facets.file_types) == [("audio", 2), ("video", 1)]
        assert list(facets.languages) == [("en", 2), ("de", 1)]
        assert (facets.min_duration, facets.max_duration) == (60.0, 600.0)
        assert (facets.earliest, facets.latest) == (NOON, NOON + timedelta(days=2))


class TestPages:
    async def test_pages_have_each_file_once(self, stores, user_id, library):
        pages = [
            await ask(stores, user_id, "launch budget roses", limit=1, offset=offset)
            for offset in range(4)
        ]
        shown = [file for page in pages for file in ids(page)]
        assert sorted(shown) == sorted(library.values())
        assert pages[3].files == []
        assert {page.total for page in pages} == {3}

    @pytest.mark.parametrize(
        ("sort", "expected"),
        [
            (Sort.upload_time, ["notes", "garden", "board"]),
            (Sort.duration, ["garden", "board", "notes"]),
            (Sort.filename, ["notes", "garden", "board"]),
        ],
    )
    async def test_orders(self, stores, user_id, library, sort, expected):
        text = "launch budget roses"
        found = await ask(stores, user_id, text, sort=sort)
        assert ids(found) == [library[name] for name in expected]
        upwards = await ask(stores, user_id, text, sort=sort, descending=False)
        assert ids(upwards) == ids(found)[::-1]

    async def test_a_store_that_finds_all_that_it_may_is_told(self, stores, user_id, library):
        for number in range(25):
            await spoken(stores.sessions, user_id, [("Ada", f"Launch number {number}.")])
        await bring(stores)
        settings = stores.settings.model_copy(update={"window": 20})
        found = await ask(replace(stores, settings=settings), user_id, "launch")
        assert found.capped
        assert found.total >= 20


async def test_what_the_rows_do_not_have_any_more_is_not_shown(stores, user_id, library):
    other = await add_user(stores.sessions)
    async with session_scope(stores.sessions) as session:
        # Behind the back of the stores.
        board = MediaFile.id == library["board"]
        await session.execute(update(MediaFile).where(board).values(user_id=other))
    for mode in Mode:
        found = await ask(stores, user_id, "launch date", mode=mode)
        assert library["board"] not in ids(found)
