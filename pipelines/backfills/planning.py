"""What a backfill would be, before it is one: how much there is, what it costs, when it is over."""

import asyncio
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from cluster.settings import BackfillSettings, PriceSettings
from db.engine import Sessions, session_scope
from db.models import BackfillStage
from db.queries import backfill_files, backfill_pace
from db.queries.backfill_files import Amount, InUse, Wanted
from db.queries.backfill_pace import Pace
from pipelines.backfills import manifests, selecting
from pipelines.backfills.manifests import Entry, ManifestInvalid
from pipelines.backfills.orders import Order
from pipelines.backfills.sources import Buckets

HOUR = 3600.0
MEASURED_FILES = 100
DEFAULT_WINDOW_SECONDS = 25.0
"""Of recording for each window, before any was cut: of 30 at most, and silence takes none."""
DEFAULT_SPEED = 1.0
"""Audio seconds per second, before anything was measured."""
LONGEST = timedelta(days=100 * 365)
"""What takes longer is said to end then: the calendar ends somewhere, and nobody waits for it."""

STAGES: Mapping[BackfillStage, frozenset[str]] = {
    BackfillStage.retranscribe: frozenset({"transcribe", "align", "diarize"}),
    BackfillStage.rediarize: frozenset({"diarize"}),
    BackfillStage.reembed: frozenset({"embed"}),
    BackfillStage.realign: frozenset({"align"}),
    BackfillStage.reindex: frozenset(),
    BackfillStage.resummarize: frozenset(),
    BackfillStage.bring_in: frozenset({"transcribe", "align", "diarize"}),
}
"""Whose models are busy; a re-index embeds texts, whose time is not kept by the hour of audio."""
BY_WINDOWS = frozenset({"transcribe", "align"})


@dataclass(frozen=True, slots=True)
class Plan:
    """Estimates; `measured` says whether they are by what was measured here."""

    files: int
    owners: int
    audio_seconds: float
    windows: int
    speed: float
    """Audio seconds per second, all together."""
    measured: bool
    seconds: float
    """From its begin to its end, if nothing else is to be done."""
    finish_at: datetime
    model_seconds: Mapping[str, float] = field(default_factory=dict)
    """By stage."""
    cost: float = 0.0
    left_out: int = 0
    """Files that are chosen and stay as they are, since people have worked on them."""
    cut_by: str | None = None
    """Which limit ends it before its end."""


@dataclass(frozen=True, slots=True)
class Planning:
    """Reckons for one order."""

    sessions: Sessions
    buckets: Buckets
    settings: BackfillSettings
    prices: PriceSettings

    async def plan(self, order: Order, used: InUse) -> Plan:
        """How much it would be, as things are now.

        Raises:
            ManifestInvalid, SourceRefused: it cannot be known what is meant.
        """
        amount, left_out = await self._amount(order, used)
        async with session_scope(self.sessions) as session:
            pace = await backfill_pace.measured(session, order.stage)
            each = await backfill_files.window_seconds(session, MEASURED_FILES)
            busy = await backfill_pace.busy_per_audio_second(session, STAGES[order.stage])
        return self._reckoned(order, amount, left_out, pace, each or DEFAULT_WINDOW_SECONDS, busy)

    def _reckoned(
        self,
        order: Order,
        amount: Amount,
        left_out: int,
        pace: Pace | None,
        window_seconds: float,
        busy: Mapping[str, float],
    ) -> Plan:
        limits, seconds = order.limits, amount.audio_seconds
        speed = pace.speed if pace else DEFAULT_SPEED
        if limits.audio_seconds_per_minute:
            speed = min(speed, limits.audio_seconds_per_minute / 60)
        cut_by = None
        if limits.audio_seconds is not None and limits.audio_seconds < seconds:
            seconds, cut_by = limits.audio_seconds, "audio_hours"
        model = {stage: each * seconds for stage, each in busy.items()}
        if limits.model_seconds is not None and limits.model_seconds < sum(model.values()):
            share = limits.model_seconds / sum(model.values())
            seconds, cut_by = seconds * share, "model_seconds"
            model = {stage: each * share for stage, each in model.items()}
        lasts = seconds / speed
        has_windows = bool(STAGES[order.stage] & BY_WINDOWS)
        return Plan(
            files=amount.files,
            owners=amount.owners,
            audio_seconds=amount.audio_seconds,
            windows=math.ceil(seconds / window_seconds) if has_windows else 0,
            speed=speed,
            measured=pace is not None,
            seconds=lasts,
            finish_at=datetime.now(UTC) + timedelta(seconds=min(lasts, LONGEST.total_seconds())),
            model_seconds=model,
            cost=sum(each / HOUR * self.prices.model_hour(stage) for stage, each in model.items()),
            left_out=left_out,
            cut_by=cut_by,
        )

    async def _amount(self, order: Order, used: InUse) -> tuple[Amount, int]:
        selection = order.selection
        if selection.prefix is not None:
            return await self._below(selection.prefix), 0
        if selection.manifest is not None:
            return await self._listed(order, used, selection.manifest)
        return await self._chosen(order.stage, selection.wanted, used)

    async def _chosen(
        self, stage: BackfillStage, wanted: Wanted, used: InUse
    ) -> tuple[Amount, int]:
        conditions = backfill_files.chosen(stage, wanted, used)
        async with session_scope(self.sessions) as session:
            found = await backfill_files.amount(session, conditions)
            return found, await _left_out(session, stage, wanted, used)

    async def _below(self, prefix: str) -> Amount:
        place = self.buckets.place(prefix)
        files = size = 0
        async for listed in self.buckets.store(place).pages(place.key):
            sizes = [one.size_bytes for one in listed if one.size_bytes]
            files, size = files + len(sizes), size + sum(sizes)
        return Amount(files, size * selecting.BITS / self.settings.audio_bits_per_second, 1)

    async def _listed(self, order: Order, used: InUse, location: str) -> tuple[Amount, int]:
        rows = files = left_out = 0
        seconds = 0.0
        async with selecting.fetched(self.buckets, self.buckets.place(location)) as file:
            pages = manifests.pages(file)
            while page := await asyncio.to_thread(next, pages, None):
                rows += len(page)
                found, theirs = await self._of_page(order, used, page)
                files, seconds = files + found.files, seconds + found.audio_seconds
                left_out += theirs
        if not rows:
            raise ManifestInvalid("The manifest has no rows.")
        return Amount(files, seconds, 1), left_out

    async def _of_page(
        self, order: Order, used: InUse, page: Sequence[Entry]
    ) -> tuple[Amount, int]:
        """Recordings of a manifest that would be done; a file that is here has its own length."""
        if order.stage is BackfillStage.bring_in:
            seconds = sum(one.facts.get(manifests.SECONDS, 0.0) for one in page)
            return Amount(len(page), seconds, 1), 0
        wanted = order.selection.wanted
        listed = {one.file_id for one in page if one.file_id is not None}
        ids = listed.intersection(wanted.file_ids) if wanted.file_ids else listed
        if not ids:
            return Amount(0, 0.0, 0), 0
        return await self._chosen(order.stage, replace(wanted, file_ids=tuple(ids)), used)


async def _left_out(
    session: AsyncSession, stage: BackfillStage, wanted: Wanted, used: InUse
) -> int:
    """Files that would be chosen if people had not worked on them."""
    if stage not in backfill_files.REPLACES or wanted.edited:
        return 0
    conditions = backfill_files.chosen(stage, replace(wanted, edited=True), used)
    found = await backfill_files.amount(session, [*conditions, backfill_files.worked_on()])
    return found.files
