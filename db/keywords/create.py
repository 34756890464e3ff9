"""Which keyword store the settings ask for."""

from cluster.settings import SearchSettings
from db.engine import Sessions
from db.keywords.port import KeywordStore
from db.keywords.postgres import PostgresKeywordStore


def create_keyword_store(settings: SearchSettings, sessions: Sessions) -> KeywordStore:
    """Meilisearch where its address is set, else the database of these sessions.

    Raises:
        ValueError: MEILI_URL is no address of a server.
    """
    if settings.meili_url is None:
        return PostgresKeywordStore(sessions)
    # Its client is of no use elsewhere.
    from db.keywords.meilisearch import MeilisearchStore
    from db.keywords.meilisearch_requests import create_client

    return MeilisearchStore(create_client(settings), settings)
