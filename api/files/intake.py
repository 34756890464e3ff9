"""Takes a stored object in as a media file: header probe, then file and task in one transaction."""

import asyncio
import uuid
from collections.abc import Awaitable
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any, TypeVar

from sqlalchemy.ext.asyncio import AsyncSession

from api.dependencies import Services
from api.errors import ApiError, ErrorType
from api.files.cleaning import remove_noted
from api.files.keys import media_key, media_prefix
from api.files.media_types import media_type
from cluster.settings import QueueSettings
from db.engine import session_scope
from db.models import MediaFile, Task
from db.queries import events, media_files
from pipelines import backlog, leftovers, notices, queue
from pipelines.leftovers import KeptWhile
from serving.containers import Container
from serving.speech import MediaProbe, MediaSource

T = TypeVar("T")

PROBE_URL_LIFETIME = timedelta(minutes=15)
ARRIVAL_TIME = timedelta(days=1)
"""When objects without a file count as leftovers: joining and hashing the largest upload must be
over long before, or it would be swept away while it is taken in."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A file whose bytes are under its media key, and what is known of it."""

    file_id: uuid.UUID
    user_id: uuid.UUID
    filename: str
    container: Container
    size_bytes: int
    sha256: str
    options: dict[str, Any]

    @property
    def key(self) -> str:
        """Where the bytes are."""
        return media_key(self.user_id, self.file_id)


async def announce(session: AsyncSession, user_id: uuid.UUID, file_id: uuid.UUID) -> None:
    """Write down that objects of a file are about to be stored; commit this before they are."""
    prefix = media_prefix(user_id, file_id)
    await leftovers.note(session, prefix, KeptWhile.file_exists, file_id, ARRIVAL_TIME)


async def probe(services: Services, arrival: Arrival) -> MediaProbe:
    """Read the header in the decoder's sandbox; raises a SpeechError where it is unacceptable."""
    url = await services.objects.presign_get(arrival.key, PROBE_URL_LIFETIME)
    return await services.prober.probe(MediaSource(url, arrival.size_bytes))


async def refuse_duplicate(session: AsyncSession, user_id: uuid.UUID, sha256: str) -> None:
    """Raise `duplicate_file` where the user has these bytes already."""
    existing = await media_files.duplicate_of(session, user_id, sha256)
    if existing is not None:
        raise _duplicate(existing)


def _duplicate(existing: uuid.UUID | None) -> ApiError:
    return ApiError(
        ErrorType.duplicate_file,
        f"You have this file already, under the id {existing}.",
        existing_file_id=str(existing),
    )


async def record(
    session: AsyncSession, arrival: Arrival, header: MediaProbe, limits: QueueSettings
) -> tuple[MediaFile, Task]:
    """Write the file's row and queue its task, in this transaction.

    Raises:
        ApiError: `duplicate_file`, also where the other upload came in between.
        QueueFull: there is no room for its task now.
    """
    await backlog.admit(session, arrival.user_id, header.duration or 0.0, limits)
    facts = asdict(header)
    facts.pop("raw")
    file = await media_files.add(
        session,
        {
            "id": arrival.file_id,
            "user_id": arrival.user_id,
            "filename": arrival.filename,
            "content_type": media_type(arrival.container, has_video=header.has_video),
            "size_bytes": arrival.size_bytes,
            "sha256": arrival.sha256,
            "object_key": arrival.key,
            "duration": header.duration,
            "probe": facts,
        },
    )
    if file is None:
        raise _duplicate(await media_files.duplicate_of(session, arrival.user_id, arrival.sha256))
    await leftovers.forget(session, media_prefix(arrival.user_id, arrival.file_id))
    await events.append(
        session,
        arrival.user_id,
        notices.Notice.file_created,
        notices.file_facts(file),
        media_file_id=file.id,
    )
    task = await queue.submit(
        session,
        user_id=arrival.user_id,
        media_file_id=arrival.file_id,
        options=arrival.options,
        audio_seconds=header.duration or 0.0,
    )
    return file, task


async def discard(services: Services, user_id: uuid.UUID, file_id: uuid.UUID) -> None:
    """Remove the objects of a file that was not taken in.

    A commit whose answer was lost may have happened: then the file stays.
    """
    async with session_scope(services.sessions) as session:
        if await media_files.exists(session, file_id):
            return
    await remove_noted(services, media_prefix(user_id, file_id))


async def undisturbed(work: Awaitable[T]) -> T:
    """Finish `work` although the client hangs up: what it sent is either taken in or removed."""
    return await asyncio.shield(asyncio.ensure_future(work))
