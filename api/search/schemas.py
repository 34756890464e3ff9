"""Answers of searches: files with the places that were found, facets, suggestions."""

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pydantic import BaseModel

from api.listing import EXAMPLE_LABELS, CollectionName
from api.pagination import Page
from api.schemas import EXAMPLE_ID, EXAMPLE_MOMENT, documented
from pipelines.search.found import Asking, Mode, Source
from pipelines.search.suggesting import Kind

EXAMPLE_OCCURRENCE: dict[str, Any] = {
    "passage_id": EXAMPLE_ID,
    "passage_index": 12,
    "start": 312.4,
    "end": 371.02,
    "speakers": ["Ada", "SPEAKER_01"],
    "snippet": "…then the <mark>launch</mark> moves by two weeks, said R&amp;D…",
    "score": 0.97,
    "match_type": ["keyword", "semantic"],
    "similarity": 0.61,
}


class OccurrenceOut(BaseModel):
    """A place of a recording that was found."""

    passage_id: uuid.UUID
    """Stays the same for as long as text, times and speakers do."""
    passage_index: int
    """Which passage of the file it is, from 0."""
    start: float
    """Where it begins, in seconds."""
    end: float
    """Where it ends."""
    speakers: Sequence[str]
    """Who speaks in it, as shown."""
    snippet: str
    """HTML: a piece of what is said, what matched in `<mark>`; all else is escaped."""
    score: float
    """0..1: the better its ranks; it compares places of one answer."""
    match_type: Sequence[Source]
    """Why it was found: by words (`keyword`), by meaning (`semantic`), or both."""
    similarity: float | None
    """Cosine to what was typed, -1..1; null: it was not found by meaning."""

    model_config = documented(EXAMPLE_OCCURRENCE)


EXAMPLE_FOUND: dict[str, Any] = {
    "file_id": EXAMPLE_ID,
    "filename": "board.m4a",
    "title": "Board, <launch>",
    "title_highlighted": "Board, &lt;<mark>launch</mark>&gt;",
    "content_type": "audio/mp4",
    "file_size": 18_300_000,
    "duration": 1830.0,
    "language": "en",
    "upload_time": EXAMPLE_MOMENT,
    "completed_at": EXAMPLE_MOMENT,
    "speakers": ["Ada", "SPEAKER_01"],
    **EXAMPLE_LABELS,
    "relevance_score": 0.97,
    "relevance_percent": 97,
    "match_sources": ["keyword", "semantic"],
    "title_matched": True,
    "semantic_only": False,
    "similarity": 0.61,
    "keyword_occurrences": 2,
    "total_occurrences": 3,
    "occurrences": [EXAMPLE_OCCURRENCE],
}


class FoundFileOut(BaseModel):
    """A file in which something was found."""

    file_id: uuid.UUID
    """The file's id."""
    filename: str
    """Its name."""
    title: str | None
    """What people call it; null: it goes by its file name."""
    title_highlighted: str
    """HTML: title, else file name, what matched in `<mark>`; all else is escaped."""
    content_type: str
    """The kind of media."""
    file_size: int
    """Bytes."""
    duration: float | None
    """Seconds; null: not known."""
    language: str | None
    """Spoken language: Whisper's code; null: not known."""
    upload_time: datetime
    """When it was taken in."""
    completed_at: datetime | None
    """When it was transcribed; null: it is not, or again."""
    speakers: Sequence[str]
    """Who speaks in the file, as shown, who speaks most first."""
    tags: Sequence[str]
    """Names of its tags, in alphabetical order."""
    collections: Sequence[CollectionName]
    """The collections that it is in, in alphabetical order."""
    relevance_score: float
    """That of its best place, 0..1; it follows from ranks and compares files of one answer."""
    relevance_percent: int
    """The same in percent."""
    match_sources: Sequence[Source]
    """What found something in it."""
    title_matched: bool
    """Whether what it is called has some of the words."""
    semantic_only: bool
    """Whether only its meaning matched."""
    similarity: float | None
    """The highest cosine of its places; null: none was found by meaning."""
    keyword_occurrences: int
    """How many places were found by words."""
    total_occurrences: int
    """How many places were found, of those that were looked at."""
    occurrences: Sequence[OccurrenceOut]
    """The best of them first, at most ten."""

    model_config = documented(EXAMPLE_FOUND)


EXAMPLE_COUNT: dict[str, Any] = {"value": "Ada", "count": 12}


class FacetValue(BaseModel):
    """A value, and how many files have it."""

    value: str
    """The value, as the filter of that name takes it."""
    count: int
    """Files."""

    model_config = documented(EXAMPLE_COUNT)


EXAMPLE_COLLECTION: dict[str, Any] = {"id": EXAMPLE_ID, "name": "Spring", "count": 4}


class FacetCollection(BaseModel):
    """A collection, and how many of the files are in it."""

    id: uuid.UUID
    """The collection's id, as the filter takes it."""
    name: str
    """The collection's name."""
    count: int
    """Files."""

    model_config = documented(EXAMPLE_COLLECTION)


EXAMPLE_FACETS: dict[str, Any] = {
    "files": 31,
    "speakers": [EXAMPLE_COUNT],
    "tags": [{"value": "interview", "count": 3}],
    "collections": [EXAMPLE_COLLECTION],
    "file_types": [{"value": "audio", "count": 30}, {"value": "video", "count": 1}],
    "languages": [{"value": "en", "count": 31}],
    "earliest": EXAMPLE_MOMENT,
    "latest": EXAMPLE_MOMENT,
    "min_duration": 12.5,
    "max_duration": 5400.0,
    "min_file_size": 120_000,
    "max_file_size": 18_300_000,
}


class FacetsOut(BaseModel):
    """What files have, most frequent first: at most 200 values of each kind."""

    files: int
    """How many files these are."""
    speakers: Sequence[FacetValue]
    """Names that people gave to speakers."""
    tags: Sequence[FacetValue]
    """Names of tags."""
    collections: Sequence[FacetCollection]
    """Collections."""
    file_types: Sequence[FacetValue]
    """`audio` and `video`."""
    languages: Sequence[FacetValue]
    """Spoken languages, as Whisper's codes."""
    earliest: datetime | None
    """When the first of the files was taken in; null: there are none."""
    latest: datetime | None
    """When the last one was; null: there are none."""
    min_duration: float | None
    """Seconds of the shortest; null: not known."""
    max_duration: float | None
    """Seconds of the longest; null: not known."""
    min_file_size: int | None
    """Bytes of the smallest; null: there are none."""
    max_file_size: int | None
    """Bytes of the largest; null: there are none."""

    model_config = documented(EXAMPLE_FACETS)


EXAMPLE_STORE: dict[str, Any] = {
    "source": "keyword",
    "adapter": "postgresql",
    "status": "answered",
    "seconds": 0.012,
    "passages": 41,
}


class StoreOut(BaseModel):
    """How it went with one of the two stores."""

    source: Source
    """What it looks by."""
    adapter: str
    """Which server plays the part."""
    status: Asking
    """`answered`; `not_asked`: the mode needs no such answer; else something may be missing."""
    seconds: float
    """How long it took, the embedding of the query included."""
    passages: int
    """How many passages it found."""

    model_config = documented(EXAMPLE_STORE)


EXAMPLE_QUERY: dict[str, Any] = {
    "words": ["budget"],
    "phrases": ["launch date"],
    "speakers": ["ada"],
    "left_out": [],
}


class QueryOut(BaseModel):
    """What the text was read as."""

    words: Sequence[str]
    """In any order; typing errors are forgiven, the last may be the beginning of a word."""
    phrases: Sequence[str]
    """Each is in the passage, or in the title, as it stands."""
    speakers: Sequence[str]
    """One of them, or of the parameter's, speaks."""
    left_out: Sequence[str]
    """What came after as many words as are looked for."""

    model_config = documented(EXAMPLE_QUERY)


class SearchAnswer(BaseModel):
    """What was found, what it can be narrowed by, and who answered."""

    results: Page[FoundFileOut]
    """Files, each with its best places."""
    total_occurrences: int
    """Places in all of the files."""
    capped: bool
    """Whether a store found as many passages as it is asked for: there may be more files."""
    facets: FacetsOut
    """What all files that were found have."""
    search_mode: Mode
    """What passages were looked for by."""
    query: QueryOut
    """What was looked for."""
    stores: Sequence[StoreOut]
    """Both stores, and how it went."""
    degraded: bool
    """Whether a store that was asked did not answer: then something may be missing."""
    degraded_reasons: Sequence[str]
    """Which, for people."""
    search_time_ms: float
    """How long it all took, in milliseconds."""

    model_config = documented(
        {
            "results": {
                "items": [EXAMPLE_FOUND],
                "total": 1,
                "page": 1,
                "page_size": 20,
                "total_pages": 1,
            },
            "total_occurrences": 3,
            "capped": False,
            "facets": EXAMPLE_FACETS,
            "search_mode": "hybrid",
            "query": EXAMPLE_QUERY,
            "stores": [EXAMPLE_STORE, {**EXAMPLE_STORE, "source": "semantic"}],
            "degraded": False,
            "degraded_reasons": [],
            "search_time_ms": 31.8,
        }
    )


EXAMPLE_SUGGESTION: dict[str, Any] = {
    "type": "speaker",
    "text": "Ada",
    "count": 12,
    "file_id": None,
}


class SuggestionOut(BaseModel):
    """Something to look for."""

    type: Kind
    """What it is: `speaker` and `tag` are filters, a `title` a file's, a `word` was said."""
    text: str
    """What it is called; of a word, all that was typed with its last word made whole."""
    count: int
    """Files that have it; of a word, how often the best passages say it."""
    file_id: uuid.UUID | None
    """Of a title, the newest file that is called so; null: it is none."""

    model_config = documented(EXAMPLE_SUGGESTION)


class SuggestionsOut(BaseModel):
    """What may be about to be typed."""

    suggestions: Sequence[SuggestionOut]
    """Some of each kind."""
    degraded: bool
    """Whether the keyword store did not answer: then words are missing."""
    search_time_ms: float
    """How long it took, in milliseconds."""

    model_config = documented(
        {"suggestions": [EXAMPLE_SUGGESTION], "degraded": False, "search_time_ms": 8.1}
    )
