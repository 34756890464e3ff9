"""Which vector store the settings ask for."""

from cluster.settings import SearchSettings
from db.engine import Sessions
from db.vectors.pgvector import PgVectorStore
from db.vectors.port import VectorStore


def create_vector_store(settings: SearchSettings, sessions: Sessions) -> VectorStore:
    """Qdrant where its address is set, else pgvector in the database of these sessions.

    Raises:
        ValueError: QDRANT_URL is no address of a server.
    """
    if settings.qdrant_url is None:
        return PgVectorStore(sessions)
    # Its client takes half a second to import.
    from db.vectors.qdrant import QdrantStore
    from db.vectors.qdrant_requests import create_client

    return QdrantStore(create_client(settings), settings)
