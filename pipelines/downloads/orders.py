"""What a download task was asked for, as it lies in the task's options."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from pipelines.downloads.formats import Quality


@dataclass(frozen=True, slots=True)
class Order:
    """An address in its canonical form, and what is to become of the recording."""

    url: str
    quality: Quality
    tags: Sequence[str]
    collection_ids: Sequence[uuid.UUID]
    transcription: Mapping[str, Any]
    title: str | None = None
    """What a playlist calls it."""

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Self:
        """As `stored` wrote it."""
        return cls(
            url=options["url"],
            quality=Quality.of(options["quality"]),
            tags=options["tags"],
            collection_ids=[uuid.UUID(each) for each in options["collection_ids"]],
            transcription=options["transcription"],
            title=options.get("title"),
        )

    def stored(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "url": self.url,
            "quality": self.quality.stored(),
            "tags": list(self.tags),
            "collection_ids": [str(each) for each in self.collection_ids],
            "transcription": dict(self.transcription),
            "title": self.title,
        }

    def for_entry(self, url: str, title: str | None) -> Self:
        """The same for an entry of the playlist that was found at this address."""
        return replace(self, url=url, title=title)
