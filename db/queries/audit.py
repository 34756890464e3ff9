"""The audit log."""

import uuid
from enum import StrEnum
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from db.models import AuditEvent


class Action(StrEnum):
    """What is written down; new members are added, old ones keep their meaning."""

    file_read = "file.read"
    file_deleted = "file.deleted"
    task_read = "task.read"


def add(
    session: AsyncSession,
    action: Action,
    *,
    actor_id: uuid.UUID | None,
    subject: tuple[str, str] | None = None,
    owner_id: uuid.UUID | None = None,
    address: str = "",
    details: dict[str, Any] | None = None,
) -> None:
    """Write down an action in this transaction; `subject` is its kind and id."""
    kind, subject_id = subject or (None, None)
    session.add(
        AuditEvent(
            actor_id=actor_id,
            action=action,
            subject_type=kind,
            subject_id=subject_id,
            owner_id=owner_id,
            address=address,
            details=details or {},
        )
    )
