"""Takes one recording in from an object store: what an upload does, without the upload."""

import asyncio
import hashlib
import tempfile
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, BinaryIO

from sqlalchemy import func
from sqlalchemy.ext.asyncio import AsyncSession

from db.engine import session_scope
from db.errors import NotFound, StoreUnavailable
from db.models import Backfill, BackfillItem, ItemState, User
from db.queries import backfills, users
from pipelines import intake
from pipelines.backfills.orders import Selection
from pipelines.backfills.sources import Buckets, SourceRefused
from pipelines.backfills.taking import MINUTE, TAKEN_IN, BringIn, Taking
from pipelines.errors import FileExists
from pipelines.intake import Arrival
from pipelines.job import RunnerParts
from pipelines.names import display_name
from serving.containers import HEAD_BYTES, sniff
from serving.errors import SpeechError
from serving.speech import MediaProbe


class _RowFailed(Exception):
    """This recording is not taken in; the next one may be."""

    def __init__(self, error_type: str, message: str, state: ItemState = ItemState.failed) -> None:
        super().__init__(error_type, message, state)
        self.error_type = error_type
        self.message = message
        self.state = state


@dataclass(frozen=True, slots=True)
class Importing:
    """Takes recordings in for one actor."""

    parts: RunnerParts
    taking: Taking
    buckets: Buckets

    async def bring_in(self, wanted: BringIn) -> None:
        """Make it a file with a task that is the item's, or write down why not.

        Raises:
            StoreUnavailable: a store is away: try again.
            SpeechUnavailable: so is the decoder.
        """
        try:
            await self._brought_in(wanted)
        except _RowFailed as failed:
            await self._settle(wanted.item, failed)
        except SourceRefused as error:
            await self._settle(wanted.item, _RowFailed("forbidden", str(error)))
        except NotFound as error:
            await self._settle(wanted.item, _RowFailed("not_found", str(error)))
        except StoreUnavailable:
            await self._forgive(wanted.item)
            raise
        except FileExists as error:
            skipped = _RowFailed("duplicate_file", str(error), ItemState.skipped)
            await self._settle(wanted.item, skipped)
        except SpeechError as error:
            if error.retryable:
                await self._forgive(wanted.item)
                raise
            await self._settle(wanted.item, _RowFailed(error.code, error.message))

    async def _brought_in(self, wanted: BringIn) -> None:
        owner = await self._owner(wanted.item, wanted.backfill)
        with tempfile.TemporaryFile() as file:
            size, sha256 = await self._fetch(wanted.item, file)
            container = sniff(file.read(HEAD_BYTES))
            file.seek(0)
            facts = wanted.item.facts
            name = facts.get("filename") or (wanted.item.source or "").rpartition("/")[2]
            arrival = Arrival(
                file_id=uuid.uuid4(),
                user_id=owner.id,
                filename=display_name(str(name)),
                container=container,
                size_bytes=size,
                sha256=sha256,
                options=_options(wanted.backfill, facts),
                facts={"title": display_name(facts["title"])} if facts.get("title") else {},
            )
            await self._take_in(wanted, arrival, file)

    async def _owner(self, item: BackfillItem, backfill: Backfill) -> User:
        named = item.facts.get("owner")
        fallback = Selection.of(backfill.selection).import_owner_id or backfill.user_id
        async with session_scope(self.parts.sessions) as session:
            owner = await _user(session, str(named) if named else str(fallback))
        if owner is None or not owner.is_active:
            raise _RowFailed("not_found", f"Nobody has an account here as {named or fallback}.")
        return owner

    async def _fetch(self, item: BackfillItem, file: BinaryIO) -> tuple[int, str]:
        """The recording as a file of this machine; its bytes and their digest."""
        place = self.buckets.place(item.source or "")
        store = self.buckets.store(place)
        limit = self.parts.downloads.max_bytes
        if (await store.stat(place.key)).size_bytes > limit:
            raise _RowFailed("upload_too_large", f"It has more than the {limit} bytes taken here.")
        digest, size = hashlib.sha256(), 0
        async for chunk in store.stream(place.key):
            digest.update(chunk)
            size += len(chunk)
            await asyncio.to_thread(file.write, chunk)
        file.seek(0)
        return size, digest.hexdigest()

    async def _take_in(self, wanted: BringIn, arrival: Arrival, file: BinaryIO) -> None:
        parts, user_id = self.parts, arrival.user_id
        async with session_scope(parts.sessions) as session:
            await intake.refuse_duplicate(session, user_id, arrival.sha256)
            await intake.announce(session, user_id, arrival.file_id)
        try:
            await parts.objects.put_stream(arrival.key, file, arrival.size_bytes)
            header = await intake.probe(parts.objects, parts.ports.preparer, arrival)
            async with session_scope(parts.sessions) as session:
                await self._record(session, wanted, arrival, header)
        except BaseException:
            await intake.discard(parts.sessions, parts.objects, user_id, arrival.file_id)
            raise

    async def _record(
        self, session: AsyncSession, wanted: BringIn, arrival: Arrival, header: MediaProbe
    ) -> None:
        """The file, its task and the item that both are of: all or nothing."""
        backfill = await backfills.get(session, wanted.backfill.id, lock=True)
        item = await backfills.item(session, backfill.id, wanted.item.number, lock=True)
        halted = await self.taking.halted(session, backfill)
        if halted is not None or item.state is not ItemState.waiting or item.task_id is not None:
            # Somebody else has it.
            raise FileExists(item.media_file_id)
        limits = self.parts.downloads.queue
        seconds = header.duration or 0.0
        unexpected = seconds - item.audio_seconds
        backfill.begun_audio_seconds += unexpected
        if backfill.audio_seconds_per_minute and backfill.next_begin_at is not None:
            # How long a recording is may only be known now: the rate holds for what it is.
            pause = unexpected / backfill.audio_seconds_per_minute * MINUTE
            backfill.next_begin_at += timedelta(seconds=pause)
        file, task = await intake.record(session, arrival, header, limits, backfill.id)
        item.media_file_id, item.task_id, item.audio_seconds = file.id, task.id, seconds
        # Whose it is and what it is called, the file knows, and forgets when it is told to.
        item.facts = {TAKEN_IN: True}

    async def _forgive(self, item: BackfillItem) -> None:
        """An outage is nobody's attempt; how long it may last, `outage_seconds` says."""
        async with session_scope(self.parts.sessions) as session:
            found = await backfills.item(session, item.backfill_id, item.number, lock=True)
            found.attempts = max(0, found.attempts - 1)

    async def _settle(self, item: BackfillItem, failed: _RowFailed) -> None:
        async with session_scope(self.parts.sessions) as session:
            backfill = await backfills.get(session, item.backfill_id, lock=True)
            if await self.taking.halted(session, backfill) is not None:
                return
            found = await backfills.item(session, item.backfill_id, item.number, lock=True)
            if found.state is ItemState.waiting and found.task_id is None:
                found.state, found.ended_at = failed.state, func.now()
                found.error_type, found.error_message = failed.error_type, failed.message


def _options(backfill: Backfill, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Of its transcription: the row's own before the backfill's."""
    language = facts.get("language")
    return {**backfill.options, **({"language": language} if language else {})}


async def _user(session: AsyncSession, named: str) -> User | None:
    """By id, or by address."""
    try:
        return await session.get(User, uuid.UUID(named))
    except ValueError:
        return await users.by_email(session, named)
