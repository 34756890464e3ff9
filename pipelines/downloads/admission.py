"""Whether a user may ask for one more download: their quota, and what they have already."""

import math
import uuid
from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from cluster.settings import DownloadSettings
from db.models import Task, TaskKind
from db.queries import downloads
from pipelines import queue
from pipelines.downloads.orders import Order
from pipelines.errors import DownloadActive, FileExists, QuotaExceeded

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
BUSY_RETRY_SECONDS = 60


async def submit(
    session: AsyncSession, user_id: uuid.UUID, order: Order, settings: DownloadSettings
) -> Task:
    """Queue a download, in this transaction.

    Raises:
        FileExists: the user has a file from this address.
        DownloadActive: the user is fetching it.
        QuotaExceeded: later.
    """
    await downloads.lock(session, user_id)
    await _refuse_repeated(session, user_id, order.url)
    await _refuse_too_many(session, user_id, settings)
    return await queue.submit(
        session,
        user_id=user_id,
        media_file_id=None,
        kind=TaskKind.download,
        options=order.stored(),
    )


async def _refuse_repeated(session: AsyncSession, user_id: uuid.UUID, url: str) -> None:
    if file_id := (await downloads.files_from(session, user_id, [url])).get(url):
        raise FileExists(file_id)
    if task_id := (await downloads.active_from(session, user_id, [url])).get(url):
        raise DownloadActive(task_id)


async def _refuse_too_many(
    session: AsyncSession, user_id: uuid.UUID, settings: DownloadSettings
) -> None:
    if await downloads.count_open(session, user_id) >= settings.max_open:
        raise QuotaExceeded(
            f"{settings.max_open} of your downloads wait or run, which is the most.",
            BUSY_RETRY_SECONDS,
        )
    for within, limit, name in ((HOUR, settings.per_hour, "hour"), (DAY, settings.per_day, "day")):
        count, seconds = await downloads.asked_for(session, user_id, within, limit)
        if count >= limit:
            raise QuotaExceeded(
                f"You asked for {count} downloads within the last {name}; {limit} are allowed.",
                max(1, math.ceil(seconds)),
            )


async def room_today(session: AsyncSession, user_id: uuid.UUID, settings: DownloadSettings) -> int:
    """How many more downloads the user may ask for within the day."""
    count, _ = await downloads.asked_for(session, user_id, DAY, settings.per_day)
    return max(0, settings.per_day - count)
