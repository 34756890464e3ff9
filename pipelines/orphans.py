"""Finds objects that no row names, and removes them.

There should be none: whoever writes objects notes them first (`pipelines.leftovers`). What is left
of a restored backup, or of a fault nobody thought of, is found here; and manifests of backfills,
which lie until they are old and their rows are written down.
"""

import re
import uuid
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from sqlalchemy.ext.asyncio import AsyncSession

from db.engine import Sessions, session_scope
from db.objects.port import ListedObject, ObjectStore
from db.queries import oversight

UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
Question = Callable[[AsyncSession, Collection[uuid.UUID]], Awaitable[set[uuid.UUID]]]
"""Which of these ids are still needed."""


class Root(NamedTuple):
    """Keys that begin alike. What looks otherwise is somebody else's and stays."""

    key: re.Pattern[str]
    """As db.objects.keys makes them; `id` is that of the row which needs the object."""
    needed: Question


ROOTS: Mapping[str, Root] = {
    "backfills/manifests/": Root(
        re.compile(rf"backfills/manifests/(?P<id>{UUID})"), oversight.unread_manifests
    ),
    "enrolments/": Root(
        re.compile(rf"enrolments/{UUID}/{UUID}/(?P<id>{UUID})"), oversight.known_enrolments
    ),
    "media/": Root(re.compile(rf"media/{UUID}/(?P<id>{UUID})/.+"), oversight.known_files),
    "uploads/": Root(re.compile(rf"uploads/{UUID}/(?P<id>{UUID})/.+"), oversight.open_uploads),
}
"""In order of keys."""


@dataclass(slots=True)
class Orphans:
    """What was found."""

    seen: int = 0
    """Objects that were looked at."""
    objects: int = 0
    """Those of them that nothing needs."""
    bytes: int = 0
    unknown: int = 0
    """Objects whose keys are not ours; they stay."""
    next_after: str | None = None
    """Where to go on; None: everything was looked at."""


async def sweep(
    sessions: Sessions,
    objects: ObjectStore,
    age: timedelta,
    *,
    limit: int,
    after: str | None = None,
    dry_run: bool = False,
) -> Orphans:
    """Remove objects older than `age` that no row names, among about `limit` from `after` on.

    A page of a thousand is kept in memory at a time.
    """
    found = Orphans()
    before = datetime.now(UTC) - age
    for root in ROOTS:
        if after is not None and after > root and not after.startswith(root):
            continue
        async for page in objects.pages(root, after if after and after > root else None):
            found.seen += len(page)
            orphans = await _orphans(sessions, root, page, before, found)
            found.objects += len(orphans)
            found.bytes += sum(item.size_bytes for item in orphans)
            if orphans and not dry_run:
                await objects.delete([item.key for item in orphans])
            if found.seen >= limit:
                found.next_after = page[-1].key
                return found
    return found


async def _orphans(
    sessions: Sessions,
    root: str,
    page: Sequence[ListedObject],
    before: datetime,
    found: Orphans,
) -> list[ListedObject]:
    old: list[tuple[ListedObject, uuid.UUID]] = []
    for item in page:
        match = ROOTS[root].key.fullmatch(item.key)
        if match is None:
            found.unknown += 1
        elif item.modified_at < before:
            old.append((item, uuid.UUID(match["id"])))
    ids = {key for _, key in old}
    async with session_scope(sessions) as session:
        needed = await ROOTS[root].needed(session, ids)
    return [item for item, key in old if key not in needed]
