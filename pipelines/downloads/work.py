"""One attempt at a download: look, check, fetch, take in; or begin the entries of a playlist."""

import asyncio
import hashlib
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from cluster.egress import Policy
from cluster.settings import DownloadSettings, QueueSettings, Settings
from db.engine import Sessions, session_scope
from db.errors import NotFound
from db.models import MediaFile, Task
from db.objects.port import ObjectStore
from db.queries import collections, downloads, tags
from pipelines import backlog, intake, queue, task_state
from pipelines.downloads.failures import UNSUPPORTED
from pipelines.downloads.found import Playlist, Video
from pipelines.downloads.orders import Order
from pipelines.downloads.playlists import begin_entries
from pipelines.downloads.ytdlp import Downloader
from pipelines.errors import FileExists, TaskFailed
from pipelines.intake import Arrival, MediaProber
from pipelines.names import display_name
from pipelines.progress import ProgressMeter, reported
from pipelines.queue import Claim
from serving.containers import HEAD_BYTES, sniff
from serving.errors import AudioTooLong
from serving.speech import MediaProbe

log = structlog.get_logger(__name__)

CHUNK_BYTES = 1024 * 1024
SHARE = {"look": 0.1, "download": 0.7, "store": 0.2}
"""Each stage's share of a download's progress."""


@dataclass(frozen=True, slots=True)
class DownloadParts:
    """What downloads need besides stores."""

    downloader: Downloader
    settings: DownloadSettings
    queue: QueueSettings
    max_bytes: int
    max_audio_seconds: float

    @classmethod
    def of(cls, settings: Settings, policy: Policy) -> "DownloadParts":
        """As the operator set it."""
        max_bytes = settings.api.max_upload_bytes
        return cls(
            downloader=Downloader(policy, settings.download, max_bytes),
            settings=settings.download,
            queue=settings.queue,
            max_bytes=max_bytes,
            max_audio_seconds=settings.media.max_audio_seconds,
        )


@dataclass(frozen=True, slots=True)
class Work:
    """A claimed download; `prober` reads headers in the decoder's sandbox."""

    task: Task
    parts: DownloadParts
    sessions: Sessions
    objects: ObjectStore
    prober: MediaProber

    @property
    def held(self) -> Claim:
        """What every write names."""
        return Claim(self.task.id, self.task.fence)

    async def run(self) -> None:
        """Do it, and complete the task in the transaction that makes the file.

        Raises:
            TaskFailed, SpeechError: there is no recording, or not one that is taken here.
            FileExists, QueueFull: it cannot be taken in, or not now.
            FenceLost: somebody else has the task.
        """
        order = Order.of(self.task.options)
        async with reported(self.sessions, self.held, SHARE) as meter:
            meter("look", 0, 1)
            found = await self._look(order)
            meter("look", 1, 1)
            if isinstance(found, Playlist):
                async with session_scope(self.sessions) as session:
                    await begin_entries(session, self.held, found, self.parts.settings)
            else:
                await self._check(order, found)
                await self._fetch(order, found, meter)

    async def _look(self, order: Order) -> Video | Playlist:
        most = self.parts.settings.max_playlist_entries
        found = await self.parts.downloader.look(order.url, order.quality, most)
        if isinstance(found, Playlist) and self.task.parent_id is not None:
            raise TaskFailed(
                UNSUPPORTED, "This entry of a playlist is a playlist itself: send its address."
            )
        return found

    async def _check(self, order: Order, video: Video) -> None:
        """Refuse what can be known to be refused before anything is fetched."""
        if video.live:
            raise TaskFailed("source_live", "This stream is still running, or has not begun.")
        limit = self.parts.max_audio_seconds
        if video.duration is not None and video.duration > limit:
            raise AudioTooLong(
                f"The recording has {video.duration:.0f} seconds; {limit:g} are taken here."
            )
        if video.size_bytes is not None and video.size_bytes > self.parts.max_bytes:
            raise TaskFailed(
                "upload_too_large",
                f"The recording has about {video.size_bytes} bytes; "
                f"{self.parts.max_bytes} are taken here.",
            )
        async with session_scope(self.sessions) as session:
            user_id = self.task.user_id
            have = await downloads.files_from(session, user_id, [order.url])
            if have:
                raise FileExists(have[order.url])
            await backlog.look(session, user_id, self.parts.queue, video.duration or 0.0)

    async def _fetch(self, order: Order, video: Video, meter: ProgressMeter) -> None:
        loop = asyncio.get_running_loop()
        expected = video.size_bytes

        def told(done: int, total: int | None) -> None:
            # From yt-dlp's thread. A total that nobody knows tells nothing.
            size = total or expected
            if size:
                loop.call_soon_threadsafe(meter, "download", done, size)

        async with self.parts.downloader.fetched(video, order.quality, told) as file:
            meter("download", 1, 1)
            arrival = await self._arrival(order, video, file)
            await self._take_in(order, arrival, file)

    async def _arrival(self, order: Order, video: Video, file: BinaryIO) -> Arrival:
        size, sha256 = await asyncio.to_thread(_measured, file)
        if size > self.parts.max_bytes:
            raise TaskFailed(
                "upload_too_large",
                f"The recording has {size} bytes; {self.parts.max_bytes} are taken here.",
            )
        container = sniff(file.read(HEAD_BYTES))
        file.seek(0)
        # What a feed calls an entry says more than the name of its file.
        title = order.title or video.title
        return Arrival(
            file_id=uuid.uuid4(),
            user_id=self.task.user_id,
            filename=display_name(f"{(title or 'download').replace('/', '-')}.{container.value}"),
            container=container,
            size_bytes=size,
            sha256=sha256,
            options=dict(order.transcription),
            facts={
                "title": title,
                "author": video.author,
                "description": video.description,
                "source_url": order.url,
            },
        )

    async def _take_in(self, order: Order, arrival: Arrival, file: BinaryIO) -> None:
        async with session_scope(self.sessions) as session:
            await intake.refuse_duplicate(session, arrival.user_id, arrival.sha256)
            await intake.announce(session, arrival.user_id, arrival.file_id)
        try:
            await self.objects.put_stream(arrival.key, file, arrival.size_bytes)
            header = await intake.probe(self.objects, self.prober, arrival)
            async with session_scope(self.sessions) as session:
                await self._publish(session, order, arrival, header)
        except BaseException:
            await intake.discard(self.sessions, self.objects, arrival.user_id, arrival.file_id)
            raise
        log.info("download completed", file_id=str(arrival.file_id))

    async def _publish(
        self, session: AsyncSession, order: Order, arrival: Arrival, header: MediaProbe
    ) -> None:
        """The file, its transcription, its labels and the end of this task: all or nothing."""
        # Locked first, as everybody locks a task before its user.
        task = await queue.held_task(session, self.held)
        step = task_state.on_success(task)
        labels = await _Labels.locked(session, order, task.user_id)
        file, transcription = await intake.record(session, arrival, header, self.parts.queue)
        await labels.put_on(session, file)
        await queue.complete(
            session,
            task,
            step,
            media_file_id=file.id,
            result={
                "file_id": str(file.id),
                "task_id": str(transcription.id),
                "title": file.title,
            },
        )


@dataclass(frozen=True, slots=True)
class _Labels:
    """The tags and collections of an order, locked: labels come before their user, as elsewhere."""

    tag_ids: Sequence[uuid.UUID]
    collection_ids: Sequence[uuid.UUID]

    @classmethod
    async def locked(cls, session: AsyncSession, order: Order, user_id: uuid.UUID) -> "_Labels":
        """Make the tags that are missing; a collection that is gone by now is left out."""
        # In one order, so that two downloads never wait for each other.
        names = sorted(order.tags, key=str.lower)
        found = [(await tags.ensure(session, user_id, name)).id for name in names]
        kept = []
        for collection_id in sorted(order.collection_ids):
            try:
                await collections.require(session, user_id, collection_id, lock=True)
            except NotFound:
                log.info("a collection is gone by now", collection_id=str(collection_id))
            else:
                kept.append(collection_id)
        return cls(found, kept)

    async def put_on(self, session: AsyncSession, file: MediaFile) -> None:
        """Label the file."""
        for tag_id in self.tag_ids:
            await tags.put(session, tag_id, file.id)
        for collection_id in self.collection_ids:
            await collections.put_in(session, file.user_id, collection_id, {file.id})


def _measured(file: BinaryIO) -> tuple[int, str]:
    """Bytes and digest of a file, which is left at its start."""
    digest = hashlib.sha256()
    while chunk := file.read(CHUNK_BYTES):
        digest.update(chunk)
    size = file.tell()
    file.seek(0)
    return size, digest.hexdigest()
