"""Settings of search: its two stores, how transcripts are cut, how answers are put together."""

from typing import Annotated

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from cluster.settings.base import Count, Group, Seconds, seed


class SearchSettings(Group):
    """Search by words and by meaning. Without servers of their own PostgreSQL does both."""

    model_config = SettingsConfigDict(
        env_prefix="RAYSCRIBE_SEARCH_", extra="ignore", frozen=True, populate_by_name=True
    )

    qdrant_url: str | None = Field(None, validation_alias=seed("QDRANT_URL"))
    """`http://host:6333` of a Qdrant server. Unset: pgvector in PostgreSQL. After a change run
    `rayscribe vectors resync` and `rayscribe search reindex`."""
    qdrant_api_key: SecretStr | None = Field(None, validation_alias=seed("QDRANT_API_KEY"))
    """Sent to the Qdrant server; over `http://` whoever is on the way can read it."""
    vector_timeout_seconds: Seconds = Field(10, validation_alias="RAYSCRIBE_VECTOR_TIMEOUT_SECONDS")
    """How long a request to the vector store may take."""
    vector_retries: Annotated[int, Field(ge=0)] = Field(
        2, validation_alias="RAYSCRIBE_VECTOR_RETRIES"
    )
    """How often a request that the store did not answer is sent again."""
    meili_url: str | None = Field(None, validation_alias=seed("MEILI_URL"))
    """`http://host:7700` of a Meilisearch server, 1.12 or later. Unset: PostgreSQL searches for
    words. After a change run `rayscribe search reindex`."""
    meili_api_key: SecretStr | None = Field(None, validation_alias=seed("MEILI_API_KEY"))
    """Sent to the Meilisearch server: its master key, or a key that may do everything with our
    indexes; over `http://` whoever is on the way can read it."""
    keyword_timeout_seconds: Seconds = Field(
        10, validation_alias="RAYSCRIBE_KEYWORD_TIMEOUT_SECONDS"
    )
    """How long a request to the keyword store may take."""
    keyword_write_seconds: Seconds = Field(120, validation_alias="RAYSCRIBE_KEYWORD_WRITE_SECONDS")
    """How long a write to the keyword store may take until searches find it: Meilisearch does
    writes later, one after the other."""
    model: str | None = Field(None, validation_alias="RAYSCRIBE_TEXT_EMBEDDING_MODEL")
    """The model of text embeddings: a name of `rayscribe models`, or a folder of a
    sentence-transformers model. Unset: the profile's. After a change run
    `rayscribe search reindex`."""
    passage_words: Annotated[int, Field(ge=20, le=1000)] = 200
    """About how many words a passage has, what is found and shown as one place of a recording. More
    than the embedding model reads of a text (256 tokens of the default) is not found by
    meaning."""
    passage_overlap_words: Annotated[int, Field(ge=0)] = 40
    """About how many words of a passage the next one begins with, where one speaker goes on."""
    max_query_characters: Count = 1000
    """Longer queries are refused: nobody types them, and each word is looked up."""
    max_query_words: Count = 32
    """Of a query, so many words are looked for; what follows them is said to be left out."""
    window: Annotated[int, Field(ge=20, le=10_000)] = 500
    """How many passages each store is asked for; files are found among these."""
    rank_constant: Count = 20
    """Of reciprocal rank fusion: the larger, the less the first ranks count for. This, the weights
    and `min_similarity` are tuned by judged queries (`python -m tests.bench retrieval --tune`)."""
    keyword_weight: Annotated[float, Field(ge=0)] = 1.0
    """What a rank by words counts for in a hybrid search, where a passage has all of the query; one
    that has a part of it counts for as much less."""
    semantic_weight: Annotated[float, Field(ge=0)] = 0.5
    """What a rank by meaning counts for in a hybrid search."""
    min_similarity: Annotated[float, Field(ge=-1, le=1)] = 0.25
    """Cosine to the query below which a passage is not found by meaning: the nearest of many texts
    about something else is no answer."""
    query_seconds: Seconds = 5
    """How long a store, or the embedding of a query, is waited for; then the answer says that it
    is without it."""
    embedding_batch_size: Count = 8
    """Texts that are embedded at a time. A query waits for as long as a batch of passages takes; on
    a CPU larger ones are no faster (90 ms of a core for a passage in 4, 100 in 32), on a GPU they
    are."""
    index_batch: Count = 500
    """Passages that are sent to a store at a time."""
    files_at_a_time: Count = 4
    """Files that a re-index brings to a store at the same time: each holds a connection."""
    outage_seconds: Seconds = 900
    """How long a re-index waits for a store that does not answer; then the attempt has failed."""
