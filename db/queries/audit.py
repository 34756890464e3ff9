"""The audit log."""

import uuid
from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from db.models import AuditEvent

ADDRESS: ContextVar[str] = ContextVar("address", default="")
"""Where the request in hand comes from; empty: from nowhere, or it is not known."""


class Action(StrEnum):
    """What is written down; new members are added, old ones keep their meaning."""

    file_read = "file.read"
    file_deleted = "file.deleted"
    task_read = "task.read"
    signed_in = "session.signed_in"
    sign_in_failed = "session.sign_in_failed"
    account_locked = "session.account_locked"
    session_ended = "session.ended"
    token_reused = "session.token_reused"  # noqa: S105 - an action's name
    password_changed = "user.password_changed"  # noqa: S105 - an action's name
    email_changed = "user.email_changed"
    identity_linked = "user.identity_linked"
    user_created = "user.created"
    user_updated = "user.updated"
    user_deactivated = "user.deactivated"
    role_changed = "user.role_changed"
    user_deleted = "user.deleted"
    files_listed = "files.listed"
    settings_changed = "settings.changed"
    retention_run = "retention.run"
    cleanup_begun = "cleanup.begun"
    cleanup_run = "cleanup.run"
    audit_exported = "audit.exported"
    voiceprints_reembedded = "voiceprints.reembedded"
    voiceprints_resynced = "voiceprints.resynced"
    search_reindexed = "search.reindexed"
    search_repaired = "search.repaired"
    search_stopped = "search.stopped"
    person_erased = "person.erased"
    backfill_begun = "backfill.begun"
    backfill_resumed = "backfill.resumed"
    backfill_stopped = "backfill.stopped"
    usage_exported = "usage.exported"


def add(
    session: AsyncSession,
    action: Action,
    *,
    actor_id: uuid.UUID | None,
    subject: tuple[str, str] | None = None,
    owner_id: uuid.UUID | None = None,
    address: str | None = None,
    details: dict[str, Any] | None = None,
) -> None:
    """Write down an action in this transaction; `subject` is its kind and id.

    Unless told, it comes from where the request in hand does.
    """
    kind, subject_id = subject or (None, None)
    session.add(
        AuditEvent(
            actor_id=actor_id,
            action=action,
            subject_type=kind,
            subject_id=subject_id,
            owner_id=owner_id,
            address=ADDRESS.get() if address is None else address,
            details=details or {},
        )
    )


@dataclass(frozen=True, slots=True)
class Filters:
    """Which events are wanted; None: whatever it is."""

    actor_id: uuid.UUID | None = None
    owner_id: uuid.UUID | None = None
    action: Action | None = None
    subject: str | None = None
    """The id of what it was done to."""
    date_from: datetime | None = None
    date_to: datetime | None = None

    def told(self) -> dict[str, str]:
        """Those that are set, in words."""
        return {key: str(value) for key, value in asdict(self).items() if value is not None}

    def conditions(self) -> list[ColumnElement[bool]]:
        """All of them, for a WHERE."""
        equal = {
            AuditEvent.actor_id: self.actor_id,
            AuditEvent.owner_id: self.owner_id,
            AuditEvent.action: self.action,
            AuditEvent.subject_id: self.subject,
        }
        found = [column == value for column, value in equal.items() if value is not None]
        if self.date_from is not None:
            found.append(AuditEvent.created_at >= self.date_from)
        if self.date_to is not None:
            found.append(AuditEvent.created_at < self.date_to)
        return found


async def page(
    session: AsyncSession, filters: Filters, *, limit: int, offset: int
) -> tuple[Sequence[AuditEvent], int]:
    """One page of events, newest first, and how many there are in all."""
    matching = filters.conditions()
    rows = await session.scalars(
        select(AuditEvent)
        .where(*matching)
        .order_by(AuditEvent.created_at.desc(), AuditEvent.id.desc())
        .limit(limit)
        .offset(offset)
    )
    total = await session.scalar(select(func.count()).select_from(AuditEvent).where(*matching))
    return rows.all(), total or 0


async def before(
    session: AsyncSession, filters: Filters, last: AuditEvent | None, limit: int
) -> Sequence[AuditEvent]:
    """The next events after `last`, newest first; None: from the newest on."""
    matching = filters.conditions()
    key = tuple_(AuditEvent.created_at, AuditEvent.id)
    if last is not None:
        matching.append(key < tuple_(last.created_at, last.id))
    rows = await session.scalars(
        select(AuditEvent)
        .where(*matching)
        .order_by(AuditEvent.created_at.desc(), AuditEvent.id.desc())
        .limit(limit)
    )
    return rows.all()
