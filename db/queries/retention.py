"""Files whose time is over, of all users."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import ColumnElement, exists, func, not_, select
from sqlalchemy.ext.asyncio import AsyncSession

from db.models import FileStatus, MediaFile, Task
from db.queries.tasks import ACTIVE


@dataclass(frozen=True, slots=True)
class Rule:
    """Which files go: completed ones that came in more than `days` ago, on request failed ones."""

    days: int
    delete_failed: bool

    def __call__(self) -> ColumnElement[bool]:
        """As a condition. A file with a task that is not over stays, whatever its age."""
        gone = [FileStatus.completed]
        if self.delete_failed:
            gone += [FileStatus.failed, FileStatus.cancelled]
        active = exists().where(Task.media_file_id == MediaFile.id, Task.state.in_(ACTIVE))
        old = MediaFile.created_at < func.now() - timedelta(days=self.days)
        return old & MediaFile.status.in_(gone) & not_(active)


async def due(session: AsyncSession, rule: Rule, limit: int) -> Sequence[MediaFile]:
    """The oldest of them."""
    rows = await session.scalars(
        select(MediaFile).where(rule()).order_by(MediaFile.created_at, MediaFile.id).limit(limit)
    )
    return rows.all()


async def amount(session: AsyncSession, rule: Rule) -> tuple[int, int]:
    """How many there are, and their bytes."""
    row = await session.execute(
        select(func.count(), func.coalesce(func.sum(MediaFile.size_bytes), 0)).where(rule())
    )
    count, size_bytes = row.one()
    return count, int(size_bytes)


async def take(session: AsyncSession, rule: Rule) -> MediaFile | None:
    """The oldest of them that nobody is at work on, locked until this transaction ends."""
    file: MediaFile | None = await session.scalar(
        select(MediaFile)
        .where(rule())
        .order_by(MediaFile.created_at, MediaFile.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    return file
