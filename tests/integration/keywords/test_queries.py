"""Which words find what: the table of docs/search-queries.md, and the order of what is found."""

import uuid

import pytest

from tests.fixtures.passages import hits, marked, passage
from tests.fixtures.search_cases import CASES, PASSAGES, Case, markdown
from tests.fixtures.stack import ROOT

ANN = uuid.uuid4()
KNOWN_OF_MEILISEARCH = "what Meilisearch finds is its own: only the port's promises are tested"


@pytest.fixture
async def full(store, index):
    made = {
        name: passage(text, ANN, number=number, language=language)
        for number, (name, (language, text)) in enumerate(PASSAGES.items())
    }
    await store.upsert(index, list(made.values()))
    return {one.id: name for name, one in made.items()}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.typed[:40])
async def test_each(store, index, full, adapter, case: Case):
    if adapter == "meilisearch":
        pytest.skip(KNOWN_OF_MEILISEARCH)
    phrases = (case.phrase,) if case.phrase is not None else ()
    found = await hits(store, index, ANN, *case.words.split(), phrases=phrases)
    names = [full[hit.id] for hit in found]
    if case.first:
        assert names[:1] == [case.first]
    if case.only:
        assert len(names) == bool(case.first)
    if case.marked is not None:
        assert marked(found[0]) == list(case.marked)
    scores = [hit.score for hit in found]
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 1 for score in scores)


def test_the_table_is_the_one_of_the_docs():
    assert (ROOT / "docs/search-queries.md").read_text() == markdown()


class TestOrder:
    async def first(self, store, index, *texts: str, words: str, **more) -> list[str]:
        made = [passage(text, ANN, number=number, **more) for number, text in enumerate(texts)]
        await store.upsert(index, made)
        return [hit.text for hit in await hits(store, index, ANN, *words.split())]

    async def test_all_words_come_before_some(self, store, index):
        some = "revenue revenue revenue revenue, growth and growth"
        every = "growth there was, and of revenue we spoke, far from china and the rest of it"
        found = await self.first(store, index, some, every, words="revenue growth china")
        assert found == [every, some]

    async def test_as_written_comes_before_other_forms_and_typing_errors(self, store, index):
        written, form, error = "the contract is", "the contracts are", "the contrast is"
        found = await self.first(store, index, error, form, written, words="contract there")
        assert found == [written, form, error]

    async def test_near_words_come_before_far_ones(self, store, index):
        far = "cash " + "is what it is about here and now " * 8 + "flow"
        near = "what it is about here and now is cash flow " + "and so on and on " * 8
        assert await self.first(store, index, far, near, words="cash flow") == [near, far]

    async def test_rare_words_count_for_more(self, store, index):
        often = [f"the company has number {n} and margin" for n in range(8)]
        rare = "hedging of the company"
        found = await self.first(store, index, *often, rare, words="margin hedging today")
        assert found[0] == rare

    async def test_a_title_is_found_with_what_is_said(self, store, index):
        call = passage("revenue was up", ANN, title="Nvidia 2025")
        other = passage("revenue was up", ANN, title="Acme 2025")
        await store.upsert(index, [other, call])
        first, *_ = await hits(store, index, ANN, "nvidia", "revenue")
        assert first.id == call.id
        assert first.title_matched
        assert marked(first) == ["revenue"]

    async def test_a_phrase_does_not_go_from_text_to_title(self, store, index):
        await store.upsert(index, [passage("we spoke of cash", ANN, title="flow and other things")])
        assert not await hits(store, index, ANN, phrases=("cash flow",))
        assert await hits(store, index, ANN, phrases=("flow and other",))

    async def test_without_a_query_the_newest_files_come_first(self, store, index, adapter):
        if adapter == "meilisearch":
            pytest.skip("the order of what is not asked for is not a promise of the port")
        from datetime import timedelta

        from tests.fixtures.passages import TAKEN_IN

        old, new = uuid.uuid4(), uuid.uuid4()
        made = [
            passage("x", ANN, file, number=n, created_at=TAKEN_IN + timedelta(days=file == new))
            for file in (old, new)
            for n in (1, 0)
        ]
        await store.upsert(index, made)
        found = await hits(store, index, ANN)
        assert [(hit.media_file_id, hit.number) for hit in found] == [
            (new, 0),
            (new, 1),
            (old, 0),
            (old, 1),
        ]
