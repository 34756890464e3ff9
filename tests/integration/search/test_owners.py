"""Another user's passage never appears, whatever is asked, deleted, or not deleted yet."""

import uuid

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete

from db.engine import session_scope
from db.keywords.port import KeywordQuery, PassageFilters
from db.models import MediaFile
from db.queries import search_facets
from pipelines.search.finding import Asked, Mode, SearchStores, find
from pipelines.search.notes import note_files
from pipelines.search.places import LIVE
from pipelines.search.suggesting import suggest
from tests.fixtures.searchable import bring, spoken
from tests.fixtures.voiceprints import add_user

WORDS = ["launch", "budget", "roses", "tulips", "marketing", "rocket"]
NAMES = ["Ada", "Bob", "SPEAKER_00"]
SAYING = st.lists(
    st.tuples(st.sampled_from(NAMES), st.lists(st.sampled_from(WORDS), min_size=1, max_size=4)),
    min_size=1,
    max_size=3,
)
RECORDING = st.tuples(
    st.integers(0, 2),
    SAYING,
    st.sampled_from(["kept", "deleted", "deleted unnoticed", "given away unnoticed"]),
)
QUESTION = st.tuples(
    st.lists(st.sampled_from([*WORDS, '"launch budget"', "speaker:ada", "lau", "*"]), min_size=1),
    st.sampled_from(Mode),
)


async def let_go(stores: SearchStores, owner: uuid.UUID, file_id: uuid.UUID, fate: str) -> None:
    """Delete a file, or give it to somebody else, with or without a word to the stores."""
    async with session_scope(stores.sessions) as session:
        if fate == "given away unnoticed":
            file = await session.get_one(MediaFile, file_id)
            file.user_id = await add_user(stores.sessions)
            return
        await session.execute(delete(MediaFile).where(MediaFile.id == file_id))
        if fate == "deleted":
            await note_files(session, owner, [file_id], spoken=True)


@given(st.lists(RECORDING, max_size=6), st.lists(QUESTION, min_size=1, max_size=3), st.booleans())
@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
async def test_nobody_finds_what_is_not_theirs(
    stores: SearchStores, recordings, questions, drained
):
    owners = [await add_user(stores.sessions) for _ in range(3)]
    added: list[tuple[uuid.UUID, uuid.UUID, str]] = []
    for number, said, fate in recordings:
        lines = [(who, " ".join(words)) for who, words in said]
        file_id = await spoken(stores.sessions, owners[number], lines, title=f"of {number}")
        added.append((owners[number], file_id, fate))
    await bring(stores)
    for owner, file_id, fate in added:
        if fate != "kept":
            await let_go(stores, owner, file_id, fate)
    if drained:
        await bring(stores)
    for number, owner in enumerate(owners):
        mine = {file_id for whose, file_id, fate in added if whose == owner and fate == "kept"}
        for words, mode in questions:
            await _asked(stores, owner, mine, " ".join(words), mode)
        await _beside(stores, owner, mine, number)


async def _asked(
    stores: SearchStores, owner: uuid.UUID, mine: set[uuid.UUID], text: str, mode: Mode
) -> None:
    everybody = PassageFilters(speakers=["ada", "bob", "SPEAKER_00"])
    for filters in (PassageFilters(), everybody):
        asked = Asked(
            user_id=owner, text=f"launch budget {text}", mode=mode, filters=filters, limit=100
        )
        found = await find(asked, stores)
        assert {file.row.id for file in found.files} <= mine
        assert found.facets.files == found.total


async def _beside(
    stores: SearchStores, owner: uuid.UUID, mine: set[uuid.UUID], number: int
) -> None:
    """What the stores themselves let out, and what is suggested and counted."""
    async with session_scope(stores.sessions) as session:
        facets = await search_facets.facets(session, owner)
    assert facets.files == len(mine)
    suggested = await suggest(owner, "of", 20, stores)
    assert {one.text for one in suggested.suggestions} <= ({f"of {number}"} if mine else set())
    hits = await stores.keywords.search(LIVE, uuid.uuid4(), KeywordQuery(), limit=100)
    assert list(hits) == []
