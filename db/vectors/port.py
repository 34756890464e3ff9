"""What the others may ask of a vector store."""

import uuid
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

Vector = Sequence[float]
Payload = Mapping[str, str | Sequence[str]]
"""What a point is found by, by field: a text, or a list of texts, of which any one matches."""
Values = Mapping[str, Collection[str]]
"""By field of a payload, the values that match."""


OWNER = "owner_id"
"""The field that says whose a point is; no payload has one of this name."""
INDEXED = ("kind", "media_file_id")
"""Fields with one text by which points are found without looking at all of their owner's."""
INDEXED_LISTS = ("speaker_ids",)
"""The same, of fields with lists."""
FILE = "media_file_id"
"""The field that says of which file a point is, by the file's id."""


@dataclass(frozen=True, slots=True)
class Space:
    """A collection: vectors of one model, which are compared by cosine."""

    name: str
    """At most 63 lower-case letters, digits, `_` and `-`; it says of which model its vectors
    are."""
    dimension: int
    """How many numbers each vector has, at most 1536."""


@dataclass(frozen=True, slots=True)
class Point:
    """A vector of an owner, and what it is found by besides its direction."""

    id: uuid.UUID
    owner_id: uuid.UUID
    vector: Vector
    payload: Payload = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Hit:
    """A point that was found, and its cosine to what was asked for: -1..1, not a rescaled score."""

    id: uuid.UUID
    similarity: float
    payload: Payload


class VectorStore(Protocol):
    """Points in spaces. Everything but `spaces` and `drop` is of one owner, or says of whom.

    Vectors are compared by direction only. A space that is not there holds nothing; only `upsert`
    needs it. Writes are found by the next search.

    Raises:
        StoreUnavailable: the store does not answer, or does not let us in.
        ValueError: a name that no space can have, a vector of another dimension, or without a
            direction (all zeros, infinite, no number).
    """

    @property
    def adapter(self) -> str:
        """Which server plays the part: `pgvector` or `qdrant`."""
        ...

    async def ready(self) -> None:
        """Return when the store answers; raise otherwise."""
        ...

    async def spaces(self) -> Sequence[str]:
        """Names of the spaces there are."""
        ...

    async def ensure(self, space: Space) -> None:
        """Make a space with its indexes, unless it is there; safe from many processes at once.

        Raises:
            ValueError: there is one of this name with another dimension.
        """
        ...

    async def drop(self, space: str) -> None:
        """Remove a space with all its points; none: nothing happens."""
        ...

    async def upsert(self, space: str, points: Sequence[Point]) -> None:
        """Store points, each in the place of the one with its id.

        Raises:
            NotFound: there is no such space, and this store was not told to make it.
        """
        ...

    async def search(
        self,
        space: str,
        owner_id: uuid.UUID,
        vectors: Sequence[Vector],
        *,
        limit: int,
        at_least: float = -1.0,
        matching: Values | None = None,
        excluding: Values | None = None,
    ) -> list[list[Hit]]:
        """For each vector the owner's nearest points, nearest first, in one round trip.

        A point matches where every field of `matching` has one of its values, and no field of
        `excluding` does; a list has a value where one of its texts is it.
        """
        ...

    async def delete(
        self,
        space: str,
        owner_id: uuid.UUID,
        *,
        matching: Values | None = None,
        keep: Collection[uuid.UUID] = (),
    ) -> None:
        """Remove an owner's points but those in `keep`; all of them where nothing is said."""
        ...

    async def remove(self, space: str, ids: Collection[uuid.UUID]) -> None:
        """Remove points whosever they are: what no row stands for any more."""
        ...

    def ids(
        self,
        space: str,
        owner_id: uuid.UUID | None = None,
        *,
        matching: Values | None = None,
    ) -> AsyncIterator[uuid.UUID]:
        """Ids of all points that match, of one owner or of all, in no order."""
        ...

    def files(self, space: str) -> AsyncIterator[Mapping[uuid.UUID, int]]:
        """How many points each file has (`media_file_id`), some files at a time, in no order.

        A file comes again where its points have several owners; points of no file are not counted.
        """
        ...

    async def count(self, space: str, owner_id: uuid.UUID | None = None) -> int:
        """How many points there are, exactly."""
        ...

    async def close(self) -> None:
        """Let go of the connections that are its own."""
        ...
