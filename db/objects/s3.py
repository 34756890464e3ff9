"""The object store's adapter for any S3 server, through the `minio` client in threads."""

import asyncio
import io
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from itertools import islice
from typing import BinaryIO, TypeVar

import urllib3
from minio import Minio
from minio.commonconfig import ComposeSource
from minio.deleteobjects import DeleteObject
from minio.error import MinioException, S3Error
from urllib3.exceptions import HTTPError

from cluster.settings import ObjectSettings
from db.errors import NotFound, StoreUnavailable
from db.objects.port import ListedObject, ObjectInfo

T = TypeVar("T")

CHUNK_BYTES = 1024 * 1024
PART_BYTES = 16 * 1024 * 1024
CONNECTIONS = 32
LISTED = 1000
"""Objects of a listing at a time: what S3 sends in one answer."""
BYTES = "application/octet-stream"


def create_client(settings: ObjectSettings, endpoint: str | None = None) -> Minio:
    """A client with time-outs and a connection per thread; the library's own waits 5 minutes."""
    if settings.endpoint is None or settings.access_key is None or settings.secret_key is None:
        raise ValueError(
            "MINIO_ENDPOINT, MINIO_ACCESS_KEY and MINIO_SECRET_KEY are not set: "
            "start with `rayscribe up`, or name a server"
        )
    pool = urllib3.PoolManager(
        maxsize=CONNECTIONS,
        timeout=urllib3.Timeout(connect=5, read=60),
        retries=urllib3.Retry(total=3, backoff_factor=0.2, status_forcelist=[502, 503, 504]),
    )
    return Minio(
        endpoint or settings.endpoint,
        settings.access_key.get_secret_value(),
        settings.secret_key.get_secret_value(),
        secure=settings.secure,
        region=settings.region,
        http_client=pool,
    )


@contextmanager
def _translated(key: str) -> Iterator[None]:
    try:
        yield
    except S3Error as error:
        if error.code in {"NoSuchKey", "NoSuchObject"}:
            raise NotFound("object", key) from error
        raise StoreUnavailable(f"object store: {error.code} {error.message}") from error
    except (HTTPError, MinioException, OSError) as error:
        raise StoreUnavailable(f"object store: {error}") from error


class S3Objects:
    """Objects of one bucket."""

    def __init__(self, settings: ObjectSettings) -> None:
        self._settings = settings
        self._bucket = settings.bucket
        self._client = create_client(settings)
        # Presigned URLs name the host that the reader will ask, so a public one has its own client.
        self._public = (
            create_client(settings, settings.public_endpoint) if settings.public_endpoint else None
        )

    async def _call(self, key: str, function: Callable[[], T]) -> T:
        def work() -> T:
            with _translated(key):
                return function()

        return await asyncio.to_thread(work)

    async def put(self, key: str, data: bytes, content_type: str = BYTES) -> ObjectInfo:
        """Store `data`, replacing what was there."""
        return await self.put_stream(key, io.BytesIO(data), len(data), content_type)

    async def put_stream(
        self, key: str, source: BinaryIO, size_bytes: int, content_type: str = BYTES
    ) -> ObjectInfo:
        """Store `size_bytes` read from a blocking file, part by part."""
        result = await self._call(
            key,
            lambda: self._client.put_object(
                self._bucket, key, source, size_bytes, content_type, part_size=PART_BYTES
            ),
        )
        return ObjectInfo(size_bytes, str(result.etag))

    async def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        """The object's bytes, or `length` of them from `start`."""

        def work() -> bytes:
            response = self._client.get_object(self._bucket, key, start, length or 0)
            try:
                data: bytes = response.read()
            finally:
                response.close()
                response.release_conn()
            return data

        # One turn in a thread: this is what every window of every recording asks.
        return await self._call(key, work)

    async def stream(
        self, key: str, start: int = 0, length: int | None = None
    ) -> AsyncIterator[bytes]:
        """The same, chunk by chunk; the connection goes back to the pool in any case."""
        response = await self._call(
            key, lambda: self._client.get_object(self._bucket, key, start, length or 0)
        )
        try:
            while chunk := await self._call(key, lambda: response.read(CHUNK_BYTES)):
                yield chunk
        finally:
            # A half-read body cannot be reused: close it rather than read the rest.
            response.close()
            response.release_conn()

    async def stat(self, key: str) -> ObjectInfo:
        """Size and tag."""
        found = await self._call(key, lambda: self._client.stat_object(self._bucket, key))
        return ObjectInfo(int(found.size or 0), str(found.etag))

    async def compose(self, key: str, parts: Sequence[str]) -> ObjectInfo:
        """Join stored objects into one on the server; all but the last at least 5 MiB."""
        sources = [ComposeSource(self._bucket, part) for part in parts]
        await self._call(key, lambda: self._client.compose_object(self._bucket, key, sources))
        return await self.stat(key)

    async def delete(self, keys: Sequence[str]) -> None:
        """Remove objects; one that is not there is no error."""

        def work() -> list[str]:
            doomed = [DeleteObject(key) for key in keys]
            return [str(e) for e in self._client.remove_objects(self._bucket, doomed)]

        if failed := await self._call(",".join(keys), work):
            raise StoreUnavailable(f"object store: could not delete {failed[0]}")

    async def delete_prefix(self, prefix: str) -> int:
        """Remove all objects under a prefix; says how many."""

        def names() -> list[str]:
            found = self._client.list_objects(self._bucket, prefix, recursive=True)
            return [str(item.object_name) for item in found]

        keys = await self._call(prefix, names)
        if keys:
            await self.delete(keys)
        return len(keys)

    async def pages(
        self, prefix: str, after: str | None = None
    ) -> AsyncIterator[Sequence[ListedObject]]:
        """Objects under a prefix, those after a key, in order of keys and a thousand at a time."""
        # Asks the server for the next thousand when it comes to them.
        found = self._client.list_objects(self._bucket, prefix, recursive=True, start_after=after)
        while listed := await self._call(prefix, lambda: list(islice(found, LISTED))):
            yield [
                ListedObject(str(item.object_name), int(item.size or 0), item.last_modified)
                for item in listed
            ]

    async def presign_get(self, key: str, expires: timedelta) -> str:
        """A URL that reads the object from inside the cluster, for a while, with Range."""
        return await self._call(
            key, lambda: str(self._client.presigned_get_object(self._bucket, key, expires))
        )

    async def presign_put(self, key: str, expires: timedelta) -> str | None:
        """A URL under which a client may put the object; None where none is public."""
        if self._public is None:
            return None
        public = self._public
        return await self._call(
            key, lambda: str(public.presigned_put_object(self._bucket, key, expires))
        )

    async def presign_put_inside(self, key: str, expires: timedelta) -> str:
        """A URL under which a part of the cluster may put the object, for a while."""
        return await self._call(
            key, lambda: str(self._client.presigned_put_object(self._bucket, key, expires))
        )

    async def ready(self) -> None:
        """Raise StoreUnavailable unless the bucket answers; makes it where it is missing."""

        def work() -> None:
            if not self._client.bucket_exists(self._bucket):
                self._client.make_bucket(self._bucket)

        await self._call(self._bucket, work)
