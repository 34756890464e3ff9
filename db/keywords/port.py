"""What the others may ask of a keyword store."""

import uuid
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from db.narrowing import FileNarrowing


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What is known of a file besides what is said in it: passages are narrowed by it."""

    title: str
    """What the file is called: its title, else its file name."""
    created_at: datetime
    """When it was taken in."""
    content_type: str
    size_bytes: int
    duration: float | None = None
    """Seconds."""
    language: str | None = None
    """What is spoken."""
    tags: tuple[str, ...] = ()
    collections: tuple[uuid.UUID, ...] = ()
    translated_to: str | None = None
    """In which language the text is, where it is not the one spoken."""


@dataclass(frozen=True, slots=True)
class PassageDocument:
    """A passage of an owner's recording, as it is found."""

    id: uuid.UUID
    owner_id: uuid.UUID
    media_file_id: uuid.UUID
    number: int
    """In order of time, from 0."""
    start: float
    end: float
    text: str
    speakers: tuple[str, ...]
    """Who speaks in it, as shown: names, else labels."""
    file: FileFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class PassageFilters(FileNarrowing):
    """Which passages are looked through; what is left out narrows nothing.

    Names are compared without letter case.
    """

    media_file_ids: Collection[uuid.UUID] | None = None
    """Of these files."""
    speakers: Sequence[str] = ()
    """One of these speaks in the passage."""
    title: str | None = None
    """A part of what the file is called, in any letter case."""


@dataclass(frozen=True, slots=True)
class KeywordQuery:
    """What is looked for: words and phrases; neither: every passage that the filters leave."""

    words: tuple[str, ...] = ()
    """In any order; typing errors are forgiven, the last one may be the beginning of a word.
    A passage that has all of them comes before one that has some."""
    phrases: tuple[str, ...] = ()
    """Each is in the passage (or its title) as it stands, letter case and accents aside; nothing
    is forgiven."""
    filters: PassageFilters = field(default_factory=PassageFilters)


Span = tuple[int, int]
"""From and to (exclusive), in characters of a text."""


@dataclass(frozen=True, slots=True)
class KeywordHit:
    """A passage that was found, and by what."""

    id: uuid.UUID
    media_file_id: uuid.UUID
    number: int
    start: float
    end: float
    text: str
    speakers: tuple[str, ...]
    score: float
    """From 0 to 1 of one store; those of different stores cannot be compared."""
    marks: tuple[Span, ...]
    """What of the text matched, in order, not overlapping."""
    title_matched: bool = False
    """Whether what the file is called matched."""


class KeywordStore(Protocol):
    """Passages in indexes. Every question but `files` and `count` is of one owner.

    The owner is part of the filter inside the engine: nobody else's passage leaves it.
    An index that is not there holds nothing; only `upsert` needs it. Writes are found by the next
    search: they return when they are.

    Raises:
        StoreUnavailable: the store does not answer, or does not let us in.
        ValueError: a name that no index can have (1 to 63 of a-z, 0-9, `_`, `-`).
    """

    @property
    def adapter(self) -> str:
        """Which server plays the part: `postgresql` or `meilisearch`."""
        ...

    async def ready(self) -> None:
        """Return when the store answers and lets us in; raise otherwise."""
        ...

    async def indexes(self) -> Sequence[str]:
        """Names of the indexes there are that are ours."""
        ...

    async def ensure(self, index: str) -> None:
        """Make an index with its settings, unless it is there; safe from many processes at once."""
        ...

    async def swap(self, index: str, other: str) -> None:
        """Exchange the contents of two indexes at once: a search sees the one or the other.

        Raises:
            NotFound: one of them is not there.
        """
        ...

    async def drop(self, index: str) -> None:
        """Remove an index with all its passages; none: nothing happens."""
        ...

    async def upsert(self, index: str, passages: Sequence[PassageDocument]) -> None:
        """Store passages, each in the place of the one with its id.

        Raises:
            NotFound: there is no such index.
        """
        ...

    async def delete(
        self,
        index: str,
        owner_id: uuid.UUID,
        media_file_id: uuid.UUID | None = None,
        *,
        keep: Collection[uuid.UUID] = (),
    ) -> None:
        """Remove an owner's passages, or those of one file, but those in `keep`."""
        ...

    async def remove_files(self, index: str, media_file_ids: Collection[uuid.UUID]) -> None:
        """Remove passages whosever they are: what no file stands for any more."""
        ...

    async def search(
        self, index: str, owner_id: uuid.UUID, query: KeywordQuery, *, limit: int
    ) -> Sequence[KeywordHit]:
        """The owner's passages that match, best first."""
        ...

    def files(self, index: str) -> AsyncIterator[Mapping[uuid.UUID, int]]:
        """How many passages each file has, some files at a time, in no order."""
        ...

    async def count(self, index: str, owner_id: uuid.UUID | None = None) -> int:
        """How many passages there are, of one owner or of all, exactly."""
        ...

    async def close(self) -> None:
        """Let go of the connections that are its own."""
        ...
