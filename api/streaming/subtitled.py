"""Videos with subtitles in them: made when first asked for, kept until the transcript changes.

The key of a kept one holds the transcript's id and version, so that an edit makes it stale by
itself. Whoever makes one holds its lock, over all replicas; the others look again after a while.
"""

import asyncio
import time
import uuid
from dataclasses import dataclass
from datetime import timedelta
from pathlib import PurePath

from api.dependencies import Services
from api.errors import ApiError, ErrorType
from api.headers import content_disposition
from api.readiness import not_ready
from api.streaming.representation import Representation
from db.engine import session_scope
from db.errors import NotFound
from db.guards import guard
from db.models import MediaFile, Transcript, User
from db.objects.keys import subtitled_prefix
from db.objects.port import ObjectInfo
from db.queries import reading, transcripts
from db.queries.transcripts import StoredTranscript
from pipelines import documents, leftovers, subtitles
from pipelines.leftovers import KeptWhile
from serving.muxing import VideoFormat, format_for
from serving.speech import MediaSource, MuxRequest

RULES = 1
"""Of cutting into cues and of muxing: grows when they change, so that what is kept is made anew."""

URL_LIFETIME = timedelta(hours=2)
KEPT_NOTE = timedelta(hours=3)
"""Longer than the making of one may take."""

WAIT_SECONDS = 60.0
"""How long a request waits for its turn, or for another one that makes the same."""
LOOK_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """A video with the subtitles of one version of its transcript."""

    file: MediaFile
    state: str
    speakers: bool

    @property
    def format(self) -> VideoFormat:
        """What it is written as."""
        probe = self.file.probe
        return format_for(probe.get("container", ""), probe.get("codecs") or ())

    @property
    def key(self) -> str:
        """Where it is kept."""
        names = "named" if self.speakers else "plain"
        return f"{prefix(self.file)}{self.state}/{names}.{self.format}"

    def kept(self, found: ObjectInfo) -> Representation:
        """It, as it is sent."""
        name = f"{name_of(self.file)}.{self.format}"
        return Representation(
            key=self.key,
            size_bytes=found.size_bytes,
            etag=f'"{self.state}-{found.etag}"',
            content_type=self.format.media_type,
            disposition=content_disposition("attachment", name),
            cache_control="private, no-cache",
        )


def name_of(file: MediaFile) -> str:
    """What a file made of this one is called, without its suffix."""
    return file.title or PurePath(file.filename).stem or file.filename


def prefix(file: MediaFile) -> str:
    """Everything that is kept of a file's."""
    return subtitled_prefix(file.object_key)


def _wanted(file: MediaFile, transcript: Transcript | None, *, speakers: bool) -> Wanted:
    if not file.probe.get("has_video"):
        raise ApiError(ErrorType.no_video, "The file has no picture that subtitles could be in.")
    if transcript is None:
        raise not_ready(file)
    return Wanted(file, f"{transcript.id}-{transcript.version}-{RULES}", speakers)


async def get(
    services: Services, reader: User, file_id: uuid.UUID, *, speakers: bool
) -> Representation:
    """The video with subtitles as the transcript is now; made, where it is not kept.

    Raises:
        ApiError: `no_video`, `transcript_not_ready`; `server_busy`, it is not ready in time.
    """
    async with session_scope(services.sessions) as session:
        file = await reading.file(session, reader, file_id)
        head = await transcripts.head(session, file.user_id, file.id)
        wanted = _wanted(file, head, speakers=speakers)
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        found = await _find(services, wanted)
        if found is not None:
            return wanted.kept(found)
        # Finished although the client hangs up: it asks again, and then it is there.
        work = asyncio.ensure_future(_make_in_turn(services, wanted))
        made = await asyncio.shield(work)
        if made is not None:
            return made
        if time.monotonic() > deadline:
            raise _busy("It is being made")
        await asyncio.sleep(LOOK_SECONDS)


async def _find(services: Services, wanted: Wanted) -> ObjectInfo | None:
    try:
        return await services.objects.stat(wanted.key)
    except NotFound:
        return None


async def _make_in_turn(services: Services, wanted: Wanted) -> Representation | None:
    """Make it, as one of a few at a time; None where another request makes the same."""
    try:
        async with asyncio.timeout(WAIT_SECONDS):
            await services.muxing.acquire()
    except TimeoutError as error:
        raise _busy("Others are being made") from error
    try:
        async with guard(services.guards, "subtitled", wanted.key) as mine:
            return None if mine is None else await _make(services, wanted)
    finally:
        services.muxing.release()


def _busy(why: str) -> ApiError:
    return ApiError(ErrorType.server_busy, f"{why}: ask again in a moment.")


async def _make(services: Services, wanted: Wanted) -> Representation:
    """Make it, of the transcript as it is now, and drop what is kept of earlier ones."""
    file = wanted.file
    async with session_scope(services.sessions) as session:
        await reading.at_one_moment(session)
        stored = await transcripts.of_file(session, file.user_id, file.id)
    if stored is None:
        raise not_ready(file)
    made = _wanted(file, stored.transcript, speakers=wanted.speakers)
    # Somebody may have made it since we looked.
    found = await _find(services, made)
    if found is None:
        await _mux(services, made, stored)
        found = await services.objects.stat(made.key)
        await _remove_earlier(services, made)
    return made.kept(found)


async def _mux(services: Services, made: Wanted, stored: StoredTranscript) -> None:
    file, transcript = made.file, stored.transcript
    async with session_scope(services.sessions) as session:
        # A file that is deleted meanwhile takes with it what was there then, not this.
        await leftovers.note(session, made.key, KeptWhile.file_exists, file.id, KEPT_NOTE)
    document = documents.of_rows(file, stored)
    source = await services.objects.presign_get(file.object_key, URL_LIFETIME)
    await services.prober.mux(
        MuxRequest(
            source=MediaSource(source, file.size_bytes),
            target_url=await services.objects.presign_put_inside(made.key, URL_LIFETIME),
            subtitles=await asyncio.to_thread(subtitles.srt, document, speakers=made.speakers),
            language="en" if transcript.task == "translate" else transcript.language,
            format=made.format,
        )
    )


async def _remove_earlier(services: Services, made: Wanted) -> None:
    """Remove what was made of earlier versions, unless this one has been overtaken itself."""
    async with session_scope(services.sessions) as session:
        head = await transcripts.head(session, made.file.user_id, made.file.id)
    if head is None or _wanted(made.file, head, speakers=made.speakers).key != made.key:
        return
    current = f"{prefix(made.file)}{made.state}/"
    async for page in services.objects.pages(prefix(made.file)):
        stale = [item.key for item in page if not item.key.startswith(current)]
        if stale:
            await services.objects.delete(stale)
