"""Where recordings and manifests of a backfill lie: places in the object store, and which may be.

The service's key opens every bucket that its store has, and its own bucket holds everybody's
recordings: what an administrator names is therefore looked up in a list, and in the own bucket
below one prefix.
"""

from dataclasses import dataclass
from typing import Self

from cluster.settings import ObjectSettings
from cluster.settings.base import words
from db.objects.port import ObjectStore
from db.objects.s3 import S3Objects
from pipelines.errors import PipelineError

SCHEME = "s3://"
IMPORTS = "import/"
"""Where in the service's own bucket anything may lie that is to be imported."""
MANIFESTS = "backfills/manifests/"
"""Where manifests are that came through the API."""


class SourceRefused(PipelineError):
    """A place that nothing may be read from; the message says what may."""


@dataclass(frozen=True, slots=True)
class Place:
    """An object, or all below a prefix."""

    bucket: str
    key: str

    def __str__(self) -> str:
        """As it is written."""
        return f"{SCHEME}{self.bucket}/{self.key}"

    @classmethod
    def of(cls, location: str, own_bucket: str) -> Self:
        """`s3://bucket/key`, or a key of the service's own bucket."""
        if location.startswith(SCHEME):
            bucket, _, key = location.removeprefix(SCHEME).partition("/")
            return cls(bucket, key)
        return cls(own_bucket, location)


class Buckets:
    """The buckets of the service's object store from which may be read."""

    def __init__(self, objects: ObjectSettings, own: ObjectStore, allowed: str) -> None:
        self._settings = objects
        self._allowed = frozenset(words(allowed))
        self._stores: dict[str, ObjectStore] = {objects.bucket: own}

    def place(self, location: str) -> Place:
        """What a location means.

        Raises:
            SourceRefused: nothing may be read there.
        """
        place = Place.of(location, self._settings.bucket)
        if place.bucket == self._settings.bucket:
            allowed = place.key.startswith((IMPORTS, MANIFESTS))
        else:
            allowed = place.bucket in self._allowed
        if not allowed:
            raise SourceRefused(
                f"Nothing is imported from {place}: put it below {IMPORTS} in the service's own "
                "bucket, or have an operator name the bucket in RAYSCRIBE_BACKFILL_IMPORT_BUCKETS."
            )
        return place

    def store(self, place: Place) -> ObjectStore:
        """The store that has it."""
        if place.bucket not in self._stores:
            there = self._settings.model_copy(update={"bucket": place.bucket})
            self._stores[place.bucket] = S3Objects(there)
        return self._stores[place.bucket]
