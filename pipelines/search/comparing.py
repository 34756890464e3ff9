"""A store of search beside the rows: how far apart they are.

By numbers of passages: what a store was given of each file, as it was written down then, and what
it says that it has. What is written meanwhile may seem to differ.
"""

import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field

from db.engine import Sessions, session_scope
from db.keywords.port import KeywordStore
from db.models import Destination
from db.queries import indexing
from db.vectors.port import VectorStore
from pipelines.search.places import LIVE, name_in
from pipelines.spaces import is_passage_space

PAGE = 5_000
"""Files that are looked up in the rows at a time."""


@dataclass(slots=True)
class Difference:
    """One place of a store beside the rows; files by their ids."""

    place: str
    files: int = 0
    """That have a transcript."""
    passages: int = 0
    """That the place was given of them."""
    stored: int = 0
    """That it has, of any file."""
    missing: list[uuid.UUID] = field(default_factory=list)
    """Files that were not brought to it."""
    different: list[uuid.UUID] = field(default_factory=list)
    """Files of which it has another number of passages than it was given."""
    orphaned: list[uuid.UUID] = field(default_factory=list)
    """Files that have no transcript, or are gone."""

    @property
    def wanted(self) -> Sequence[uuid.UUID]:
        """Files that are to be brought to it."""
        return [*self.missing, *self.different]

    @property
    def equal(self) -> bool:
        """Whether it has of every file what it was given, and nothing else."""
        return not (self.missing or self.different or self.orphaned)


async def keywords(sessions: Sessions, store: KeywordStore, place: str) -> Difference:
    """The index that is searched.

    Raises:
        StoreUnavailable: the store does not answer.
    """
    return await _compare(sessions, Destination.keywords, place, store.files(LIVE))


async def passages(sessions: Sessions, store: VectorStore, place: str) -> Difference:
    """One space of passages.

    Raises:
        StoreUnavailable: the store does not answer.
    """
    return await _compare(sessions, Destination.passages, place, store.files(name_in(place)))


async def latest_place(sessions: Sessions, destination: Destination) -> str | None:
    """The place of a store that was written to last; None: nothing was."""
    async with session_scope(sessions) as session:
        places = await indexing.places(session, destination)
    return max(places, key=lambda place: places[place], default=None)


async def other_spaces(store: VectorStore, place: str | None) -> Sequence[str]:
    """Spaces of passages that are of other models."""
    current = name_in(place) if place else None
    return [one for one in await store.spaces() if is_passage_space(one) and one != current]


async def _compare(
    sessions: Sessions,
    destination: Destination,
    place: str,
    files: AsyncIterator[Mapping[uuid.UUID, int]],
) -> Difference:
    # The store first: rows are there before what they stand for.
    found: dict[uuid.UUID, int] = {}
    async for part in files:
        for file_id, count in part.items():
            found[file_id] = found.get(file_id, 0) + count
    difference = Difference(place, stored=sum(found.values()))
    after: uuid.UUID | None = None
    while True:
        async with session_scope(sessions) as session:
            page = await indexing.stored(session, destination, place, after, PAGE)
        for row in page:
            _add(difference, row, found.pop(row.file_id, 0))
        if len(page) < PAGE:
            break
        after = page[-1].file_id
    difference.orphaned = sorted(found)
    return difference


def _add(difference: Difference, row: indexing.Stored, there: int) -> None:
    difference.files += 1
    difference.passages += row.passages or 0
    if row.passages is None:
        difference.missing.append(row.file_id)
    elif row.passages != there:
        difference.different.append(row.file_id)
