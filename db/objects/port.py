"""What the others may ask of an object store."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import BinaryIO, Protocol


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """Size in bytes and entity tag of a stored object."""

    size_bytes: int
    etag: str


@dataclass(frozen=True, slots=True)
class ListedObject:
    """A stored object as a listing shows it."""

    key: str
    size_bytes: int
    modified_at: datetime


class ObjectStore(Protocol):
    """Keys to bytes. A missing key raises db.errors.NotFound, a silent server StoreUnavailable."""

    async def put(self, key: str, data: bytes, content_type: str = ...) -> ObjectInfo:
        """Store `data`, replacing what was there."""
        ...

    async def put_stream(
        self, key: str, source: BinaryIO, size_bytes: int, content_type: str = ...
    ) -> ObjectInfo:
        """Store `size_bytes` read from a blocking file, part by part."""
        ...

    async def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        """The object's bytes, or `length` of them from `start`."""
        ...

    def stream(self, key: str, start: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        """The same, chunk by chunk."""
        ...

    async def stat(self, key: str) -> ObjectInfo:
        """Size and tag."""
        ...

    async def compose(self, key: str, parts: Sequence[str]) -> ObjectInfo:
        """Join stored objects into one on the server; all but the last at least 5 MiB."""
        ...

    async def delete(self, keys: Sequence[str]) -> None:
        """Remove objects; one that is not there is no error."""
        ...

    async def delete_prefix(self, prefix: str) -> int:
        """Remove all objects under a prefix; says how many."""
        ...

    def pages(self, prefix: str, after: str | None = None) -> AsyncIterator[Sequence[ListedObject]]:
        """Objects under a prefix, those after a key, in order of keys and a thousand at a time."""
        ...

    async def presign_get(self, key: str, expires: timedelta) -> str:
        """A URL that reads the object from inside the cluster, for a while, with Range."""
        ...

    async def presign_put(self, key: str, expires: timedelta) -> str | None:
        """A URL under which a client may put the object; None where none is public."""
        ...

    async def presign_put_inside(self, key: str, expires: timedelta) -> str:
        """A URL under which a part of the cluster may put the object, for a while."""
        ...

    async def ready(self) -> None:
        """Raise StoreUnavailable unless the bucket answers; makes it where it is missing."""
        ...
