"""Stores that are away, or take too long: what is found without them, and what is said of it."""

import asyncio
import socket
import uuid
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import replace

import pytest

from db.errors import StoreUnavailable
from db.keywords.create import create_keyword_store
from db.vectors.create import create_vector_store
from pipelines.search.asking import part_of
from pipelines.search.finding import Asked, Mode, SearchStores, find
from pipelines.search.found import Asking, Source
from pipelines.search.suggesting import Kind, suggest
from serving.errors import SpeechUnavailable
from serving.ports import TextEmbeddings
from tests.fixtures.searchable import bring, settings, spoken
from tests.fixtures.stack import free_port
from tests.fixtures.voiceprints import add_user

QUICKLY = {"query_seconds": 1.0, "vector_retries": 0}


class NoEmbedder:
    """A port behind which nobody answers."""

    async def embed(self, texts: Sequence[str]) -> TextEmbeddings:
        raise SpeechUnavailable


class SlowEmbedder:
    """A port behind which somebody is busy."""

    async def embed(self, texts: Sequence[str]) -> TextEmbeddings:
        await asyncio.Event().wait()
        raise AssertionError


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A server that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


@pytest.fixture(params=["closed", "silent"])
def dead_url(request: pytest.FixtureRequest, silent_port: int) -> str:
    port = silent_port if request.param == "silent" else free_port()
    return f"http://127.0.0.1:{port}"


@pytest.fixture
async def user_id(stores: SearchStores) -> uuid.UUID:
    user = await add_user(stores.sessions)
    await spoken(stores.sessions, user, [("Ada", "We move the launch date.")], title="Launch")
    await bring(stores)
    return user


@pytest.fixture
async def without_words(stores: SearchStores, dead_url: str) -> AsyncIterator[SearchStores]:
    changed = settings(meili_url=dead_url, keyword_timeout_seconds=1, **QUICKLY)
    dead = create_keyword_store(changed, stores.sessions)
    yield replace(stores, keywords=dead, settings=changed)
    await dead.close()


@pytest.fixture
async def without_vectors(stores: SearchStores, dead_url: str) -> AsyncIterator[SearchStores]:
    changed = settings(qdrant_url=dead_url, **QUICKLY)
    dead = create_vector_store(changed, stores.sessions)
    yield replace(stores, vectors=dead, settings=changed)
    await dead.close()


async def test_without_the_keyword_store_meaning_is_left(without_words, user_id):
    asked = Asked(user_id=user_id, text="launch date")
    found = await find(asked, without_words)
    assert [file.sources for file in found.files] == [[Source.semantic]]
    [missing] = found.degraded
    assert (missing.source, missing.adapter) == (Source.keyword, "meilisearch")
    assert missing.asking in {Asking.timed_out, Asking.unavailable}
    assert part_of(missing) == "the keyword store"
    with pytest.raises(StoreUnavailable):
        await find(replace(asked, mode=Mode.keyword), without_words)
    # Nobody needs it.
    assert not (await find(replace(asked, mode=Mode.semantic), without_words)).degraded


async def test_without_the_vector_store_words_are_left(without_vectors, user_id):
    asked = Asked(user_id=user_id, text="launch date")
    found = await find(asked, without_vectors)
    assert [file.sources for file in found.files] == [[Source.keyword]]
    [missing] = found.degraded
    assert (missing.source, missing.adapter) == (Source.semantic, "qdrant")
    assert part_of(missing) == "the vector store"
    with pytest.raises(StoreUnavailable):
        await find(replace(asked, mode=Mode.semantic), without_vectors)
    assert not (await find(replace(asked, mode=Mode.keyword), without_vectors)).degraded


@pytest.mark.parametrize(
    ("embedder", "asking"),
    [(NoEmbedder(), Asking.unavailable), (SlowEmbedder(), Asking.timed_out)],
)
async def test_without_the_embedder_words_are_left(stores, user_id, embedder, asking):
    changed = replace(stores, embedder=embedder, settings=settings(**QUICKLY))
    asked = Asked(user_id=user_id, text="launch date")
    found = await find(asked, changed)
    assert [file.sources for file in found.files] == [[Source.keyword]]
    [missing] = found.degraded
    assert (missing.asking, part_of(missing)) == (asking, "the text embedder")
    with pytest.raises(SpeechUnavailable):
        await find(replace(asked, mode=Mode.semantic), changed)


async def test_without_any_of_them_it_is_refused(without_words, user_id):
    nothing = replace(without_words, embedder=NoEmbedder())
    with pytest.raises(StoreUnavailable):
        await find(Asked(user_id=user_id, text="launch date"), nothing)


async def test_suggestions_without_the_keyword_store_have_names(without_words, user_id):
    suggested = await suggest(user_id, "lau", 8, without_words)
    assert [(one.kind, one.text) for one in suggested.suggestions] == [(Kind.file_title, "Launch")]
    assert suggested.answer.error is not None
