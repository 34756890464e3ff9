"""Writes down what a backfill is to do: page by page, and on from where a crash left it."""

import asyncio
import tempfile
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO

from sqlalchemy import func

from db.engine import session_scope
from db.models import Backfill, BackfillStage, ItemState
from db.queries import backfill_files, backfills
from db.queries.backfill_files import InUse
from db.queries.media_files import durations
from pipelines import queue
from pipelines.backfills import manifests
from pipelines.backfills.manifests import Entry, ManifestInvalid
from pipelines.backfills.orders import Selection
from pipelines.backfills.parts import BackfillParts
from pipelines.backfills.sources import Buckets, Place, SourceRefused
from pipelines.job import Job

PAGE = 1000
"""Items that one transaction writes down."""
BITS = 8

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Selecting:
    """Writes down the items of one backfill."""

    job: Job
    parts: BackfillParts
    backfill: Backfill
    used: InUse

    @property
    def selection(self) -> Selection:
        """What was asked for."""
        return Selection.of(self.backfill.selection)

    async def run(self) -> None:
        """Write down all that is missing.

        Raises:
            ManifestInvalid, SourceRefused: it cannot be known what is meant.
            StoreError: a store is away, or somebody else drives the backfill.
        """
        if self.backfill.selected_at is not None:
            return
        if self.selection.manifest is not None:
            await self._from_manifest(self.selection.manifest)
        elif self.selection.prefix is not None:
            await self._from_prefix(self.selection.prefix)
        else:
            await self._from_files()
        await self._write([], self.backfill.cursor, complete=True)

    async def _from_files(self) -> None:
        stage, cursor = self.backfill.stage, self.backfill.cursor
        conditions = backfill_files.chosen(stage, self.selection.wanted, self.used)
        after = uuid.UUID(cursor) if cursor else None
        while True:
            async with session_scope(self.job.parts.sessions) as session:
                found = await backfill_files.candidates(session, conditions, after, PAGE)
            if not found:
                return
            after = found[-1].file_id
            rows = [
                {"media_file_id": one.file_id, "audio_seconds": one.audio_seconds} for one in found
            ]
            await self._write(rows, str(after))

    async def _from_prefix(self, prefix: str) -> None:
        place = self.parts.buckets.place(prefix)
        store = self.parts.buckets.store(place)
        async for listed in store.pages(place.key, self.backfill.cursor):
            rows = [
                {
                    "source": str(Place(place.bucket, one.key)),
                    "audio_seconds": self._reckoned(one.size_bytes),
                }
                for one in listed
                # What a browser of buckets makes to show a folder is no recording.
                if one.size_bytes and not one.key.endswith("/")
            ]
            await self._write(rows, listed[-1].key)

    def _reckoned(self, size_bytes: int) -> float:
        return size_bytes * BITS / self.parts.settings.audio_bits_per_second

    async def _from_manifest(self, location: str) -> None:
        place = self.parts.buckets.place(location)
        begun = int(self.backfill.cursor or 0)
        async with fetched(self.parts.buckets, place) as file:
            rows = manifests.pages(file)
            number = 0
            while page := await asyncio.to_thread(next, rows, None):
                number += 1
                if number > begun:
                    await self._write(await self._rows(page), str(number))

    async def _rows(self, page: Sequence[Entry]) -> list[Row]:
        is_import = self.backfill.stage is BackfillStage.bring_in
        for entry in page:
            if is_import and entry.source is None:
                raise ManifestInvalid("A manifest for an import names the `source` of each row.")
            if not is_import and entry.file_id is None:
                raise ManifestInvalid("A manifest for this stage names the `file_id` of each row.")
        if is_import:
            return [self._import_row(entry) for entry in page]
        wanted = [entry.file_id for entry in page if entry.file_id is not None]
        async with session_scope(self.job.parts.sessions) as session:
            known = await durations(session, wanted)
        # Of a file that is not here nothing can be written down.
        return [
            {"media_file_id": one, "audio_seconds": known[one]}
            for one in dict.fromkeys(wanted)
            if one in known
        ]

    def _import_row(self, entry: Entry) -> Row:
        seconds = entry.facts.get("duration")
        row: dict[str, Any] = {
            "source": entry.source,
            "facts": dict(entry.facts),
            "audio_seconds": float(seconds) if seconds else 0.0,
        }
        try:
            return {**row, "source": str(self.parts.buckets.place(entry.source or ""))}
        except SourceRefused as error:
            refused = {"error_type": "forbidden", "error_message": str(error)}
            return {**row, **refused, "state": ItemState.failed}

    async def _write(
        self, rows: Sequence[Row], cursor: str | None, *, complete: bool = False
    ) -> None:
        async with session_scope(self.job.parts.sessions) as session:
            await queue.held_task(session, self.job.held, lock=False)
            backfill = await backfills.get(session, self.backfill.id, lock=True)
            await backfills.add_items(session, backfill.id, _unique(rows))
            backfill.cursor = cursor
            if complete:
                backfill.selected_at = func.now()


def _unique(rows: Sequence[Row]) -> list[Row]:
    """Each source and file once."""
    found = {(row.get("source"), row.get("media_file_id")): row for row in rows}
    return list(found.values())


@asynccontextmanager
async def fetched(buckets: Buckets, place: Place) -> AsyncIterator[BinaryIO]:
    """An object as a file of this machine."""
    store = buckets.store(place)
    with tempfile.TemporaryFile() as file:
        async for chunk in store.stream(place.key):
            await asyncio.to_thread(file.write, chunk)
        file.seek(0)
        yield file
