"""Searches over real stores in PostgreSQL, with a bag of words for meaning."""

import pytest

from db.engine import Sessions
from db.keywords.postgres import PostgresKeywordStore
from db.vectors.pgvector import PgVectorStore
from pipelines.search.finding import SearchStores
from serving.ports import TextEmbedder
from tests.fixtures.searchable import settings


@pytest.fixture
def stores(
    sessions: Sessions,
    keywords: PostgresKeywordStore,
    vectors: PgVectorStore,
    text_embedder: TextEmbedder,
) -> SearchStores:
    return SearchStores(sessions, keywords, vectors, text_embedder, settings())
