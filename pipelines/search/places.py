"""Where passages lie: indexes of the keyword store, spaces of the vector store."""

from cluster.settings import SearchSettings
from db.keywords.port import KeywordStore
from db.vectors.port import Space, VectorStore

LIVE = "passages"
"""The index that is searched."""
NEXT = "passages-next"
"""The one that a rebuild fills; who writes to the one writes to the other while it is there."""


def keyword_place(store: KeywordStore, index: str, settings: SearchSettings) -> str:
    """What `indexed_file` calls an index; passages that are cut otherwise are elsewhere."""
    return f"{store.adapter}:{index}:{_cutting(settings)}"


def passage_place(store: VectorStore, space: Space, settings: SearchSettings) -> str:
    """What `indexed_file` calls a space of passages; passages that are cut otherwise are elsewhere.

    The space says which model it is of.
    """
    return f"{store.adapter}:{space.name}:{_cutting(settings)}"


def name_in(place: str) -> str:
    """The index or space that a place is in."""
    return place.split(":")[1]


def _cutting(settings: SearchSettings) -> str:
    return f"{settings.passage_words}/{settings.passage_overlap_words}"
