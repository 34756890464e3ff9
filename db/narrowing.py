"""What narrows files wherever they are asked for: in lists, and in searches."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class FileNarrowing:
    """Which files are meant; what is left out narrows nothing."""

    tags: Sequence[str] = ()
    """Names of tags, of which a file has all, in any letter case."""
    collection_id: uuid.UUID | None = None
    from_date: datetime | None = None
    """Taken in at this moment or later."""
    before_date: datetime | None = None
    """Taken in earlier than this moment."""
    min_duration: float | None = None
    max_duration: float | None = None
    min_file_size: int | None = None
    max_file_size: int | None = None
    file_types: Sequence[str] = ()
    """`audio`, `video` or content types, of which a file has one."""
    language: str | None = None

    @property
    def narrowing(self) -> dict[str, Any]:
        """What it says by these fields alone: for other questions about the same files."""
        return {one.name: getattr(self, one.name) for one in fields(FileNarrowing)}
