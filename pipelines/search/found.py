"""What is asked of search, and what is found: words that its parts share."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from cluster.settings import SearchSettings
from db.engine import Sessions
from db.keywords.port import KeywordStore, PassageFilters, Span
from db.queries.file_labels import CollectionName
from db.queries.found_files import FoundRow
from db.queries.search_facets import Facets
from db.vectors.port import VectorStore
from pipelines.search.query import Query
from serving.ports import TextEmbedder

MOST_OCCURRENCES = 10
"""Passages of one file that an answer shows."""


class NothingAsked(ValueError):
    """There is nothing in the text that could be looked for; the message says so to people."""


class Mode(StrEnum):
    """What passages are found by."""

    hybrid = "hybrid"
    """Words and meaning."""
    keyword = "keyword"
    semantic = "semantic"


class Source(StrEnum):
    """Which of them found a passage."""

    keyword = "keyword"
    semantic = "semantic"


class Sort(StrEnum):
    """In what order files are shown."""

    relevance = "relevance"
    upload_time = "upload_time"
    completed_at = "completed_at"
    filename = "filename"
    duration = "duration"
    file_size = "file_size"


@dataclass(frozen=True, slots=True)
class SearchStores:
    """What is asked."""

    sessions: Sessions
    keywords: KeywordStore
    vectors: VectorStore
    embedder: TextEmbedder
    settings: SearchSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What somebody looks for in their own recordings."""

    user_id: uuid.UUID
    text: str
    """As typed: words, `"phrases"`, `speaker:name`."""
    mode: Mode = Mode.hybrid
    filters: PassageFilters = field(default_factory=PassageFilters)
    sort: Sort = Sort.relevance
    descending: bool = True
    """The best, newest, longest, largest first; of names, the last in the alphabet."""
    limit: int = 20
    """Files on a page."""
    offset: int = 0
    """Files before it."""


class Asking(StrEnum):
    """How it went with a part that was to be asked."""

    answered = "answered"
    not_asked = "not_asked"
    """The mode does not need it, or there is nothing to ask it."""
    timed_out = "timed_out"
    unavailable = "unavailable"


@dataclass(frozen=True, slots=True)
class StoreAnswer:
    """How it went with one store."""

    source: Source
    adapter: str
    """Which server plays the part."""
    asking: Asking
    seconds: float = 0.0
    passages: int = 0
    """How many it found, up to the window."""
    error: Exception | None = None
    """Why it did not answer; the text may name hosts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RankedPassage:
    """A passage that was found, with its ranks (from 1); None: this store did not find it."""

    id: uuid.UUID
    media_file_id: uuid.UUID
    number: int
    start: float
    end: float
    score: float = 0.0
    """Of rank fusion, 0..1: compares passages of one answer."""
    keyword_rank: int | None = None
    semantic_rank: int | None = None
    similarity: float | None = None
    """Cosine to the query, where it was found by meaning."""
    text: str | None = None
    """None: only the rows know it."""
    speakers: tuple[str, ...] = ()
    marks: tuple[Span, ...] = ()
    title_matched: bool = False

    @property
    def sources(self) -> tuple[Source, ...]:
        """What it was found by."""
        ranks = ((Source.keyword, self.keyword_rank), (Source.semantic, self.semantic_rank))
        return tuple(source for source, rank in ranks if rank is not None)


@dataclass(frozen=True, slots=True)
class Ranking:
    """All passages that were found, best first."""

    query: Query
    """What the text was read as."""
    passages: Sequence[RankedPassage]
    answers: Sequence[StoreAnswer]
    """Of each store, whether it was asked or not."""
    capped: bool
    """Whether a store found as many as it was asked for: there may be more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Occurrence:
    """A place of a recording, and why it was found."""

    id: uuid.UUID
    number: int
    start: float
    end: float
    speakers: Sequence[str]
    snippet: str
    """HTML: a piece of what is said, what matched in `<mark>`, all else escaped."""
    score: float
    sources: Sequence[Source]
    similarity: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundFile:
    """A file with the best of its passages that were found."""

    row: FoundRow
    title_marked: str
    """HTML: what it is called, what matched in `<mark>`."""
    title_matched: bool
    speakers: Sequence[str]
    tags: Sequence[str]
    collections: Sequence[CollectionName]
    score: float
    """Of its best passage."""
    sources: Sequence[Source]
    similarity: float | None
    """The highest of its passages."""
    occurrences: Sequence[Occurrence]
    """Best first, at most ten."""
    keyword_occurrences: int
    total_occurrences: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The answer to what was asked."""

    files: Sequence[FoundFile]
    """Of the page."""
    total: int
    """Files on all pages."""
    total_occurrences: int
    capped: bool
    """Whether there may be more than was looked at."""
    facets: Facets
    answers: Sequence[StoreAnswer]
    query: Query
    """What the text was read as."""
    seconds: float
    """How long it all took."""

    @property
    def degraded(self) -> Sequence[StoreAnswer]:
        """Parts that were asked and did not answer: something may be missing."""
        return [one for one in self.answers if one.error is not None]
