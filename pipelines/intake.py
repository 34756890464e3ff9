"""Takes a stored object in as a media file: header probe, then file and task in one transaction."""

import uuid
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from typing import Any, Protocol

from sqlalchemy.ext.asyncio import AsyncSession

from cluster.settings import QueueSettings
from db.engine import Sessions, session_scope
from db.models import Lane, MediaFile, Task
from db.objects.keys import media_key, media_prefix
from db.objects.port import ObjectStore
from db.queries import events, media_files
from pipelines import backlog, leftovers, notices, queue
from pipelines.errors import FileExists
from pipelines.leftovers import KeptWhile
from pipelines.media_types import media_type
from serving.containers import Container
from serving.speech import MediaProbe, MediaSource

PROBE_URL_LIFETIME = timedelta(minutes=15)
ARRIVAL_TIME = timedelta(days=1)
"""When objects without a file count as leftovers: joining and hashing the largest upload must be
over long before, or it would be swept away while it is taken in."""


class MediaProber(Protocol):
    """Reads the header of a stored media file (the first half of serving.ports.Preparer)."""

    async def probe(self, source: MediaSource) -> MediaProbe:
        """Read the header; raise a SpeechError where it is unacceptable."""
        ...


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
    """Of its transcription."""
    facts: dict[str, str | None] = field(default_factory=dict)
    """Title, author, description and source_url, where they are known."""

    @property
    def key(self) -> str:
        """Where the bytes are."""
        return media_key(self.user_id, self.file_id)


async def announce(session: AsyncSession, user_id: uuid.UUID, file_id: uuid.UUID) -> None:
    """Write down that objects of a file are about to be stored; commit this before they are."""
    prefix = media_prefix(user_id, file_id)
    await leftovers.note(session, prefix, KeptWhile.file_exists, file_id, ARRIVAL_TIME)


async def probe(objects: ObjectStore, prober: MediaProber, arrival: Arrival) -> MediaProbe:
    """Read the header in the decoder's sandbox; raises a SpeechError where it is unacceptable."""
    url = await objects.presign_get(arrival.key, PROBE_URL_LIFETIME)
    return await prober.probe(MediaSource(url, arrival.size_bytes))


async def refuse_duplicate(session: AsyncSession, user_id: uuid.UUID, sha256: str) -> None:
    """Raise FileExists where the user has these bytes already."""
    existing = await media_files.duplicate_of(session, user_id, sha256)
    if existing is not None:
        raise FileExists(existing)


async def record(
    session: AsyncSession,
    arrival: Arrival,
    header: MediaProbe,
    limits: QueueSettings,
    backfill_id: uuid.UUID | None = None,
) -> tuple[MediaFile, Task]:
    """Write the file's row and queue its transcription, in this transaction.

    A backfill's waits for nobody, so there is room for it.

    Raises:
        FileExists: the user has these bytes already, also where they came in between.
        QueueFull: there is no room for its task now.
    """
    if backfill_id is None:
        await backlog.admit(session, arrival.user_id, header.duration or 0.0, limits)
    file = await media_files.add(session, _row(arrival, header))
    if file is None:
        raise FileExists(await media_files.duplicate_of(session, arrival.user_id, arrival.sha256))
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
        lane=Lane.bulk if backfill_id else Lane.interactive,
        options=arrival.options,
        audio_seconds=header.duration or 0.0,
        backfill_id=backfill_id,
    )
    return file, task


def _row(arrival: Arrival, header: MediaProbe) -> dict[str, Any]:
    facts = asdict(header)
    facts.pop("raw")
    return {
        "id": arrival.file_id,
        "user_id": arrival.user_id,
        "filename": arrival.filename,
        "content_type": media_type(
            arrival.container, has_video=header.has_video, codecs=header.codecs
        ),
        "size_bytes": arrival.size_bytes,
        "sha256": arrival.sha256,
        "object_key": arrival.key,
        "duration": header.duration,
        "probe": facts,
        **arrival.facts,
    }


async def discard(
    sessions: Sessions, objects: ObjectStore, user_id: uuid.UUID, file_id: uuid.UUID
) -> None:
    """Remove the objects of a file that was not taken in.

    A commit whose answer was lost may have happened, or be happening: then the file stays. It
    takes the note away, and the row that it writes cannot be seen before it ends; so the note is
    what tells. Where a sweep took the note, it took the objects too.
    """
    prefix = media_prefix(user_id, file_id)
    async with session_scope(sessions) as session:
        if not await leftovers.still_noted(session, prefix):
            return
    await leftovers.remove_now(sessions, objects, prefix)
