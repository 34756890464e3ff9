"""Answers of the administrators' routes."""

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from pydantic import BaseModel

from api.schemas import EXAMPLE_ID, EXAMPLE_MOMENT, documented
from db.models import FileStatus
from db.queries.audit import Action
from pipelines.system_settings import AuditSettings, RetentionSettings, RetrySettings


class AdminFile(BaseModel):
    """A file as lists of all users' files show it."""

    id: uuid.UUID
    """The file's id: reading it is written down."""
    user_id: uuid.UUID
    """Whose it is."""
    filename: str
    """Its name as it was brought in."""
    title: str | None
    """Its title, where it has one."""
    content_type: str
    """Its media type."""
    size_bytes: int
    """Its bytes."""
    duration: float | None
    """Seconds of audio; null until it is prepared."""
    status: FileStatus
    """How far it is."""
    error_type: str | None
    """Why it failed; null: it did not."""
    created_at: datetime
    """When it came in."""
    completed_at: datetime | None
    """When its transcript was done."""

    model_config = documented(
        {
            "id": EXAMPLE_ID,
            "user_id": EXAMPLE_ID,
            "filename": "board.mp4",
            "title": "Board meeting",
            "content_type": "video/mp4",
            "size_bytes": 48_000_000,
            "duration": 1830.4,
            "status": "completed",
            "error_type": None,
            "created_at": EXAMPLE_MOMENT,
            "completed_at": EXAMPLE_MOMENT,
        }
    )


class SystemSettings(BaseModel):
    """Every section as it is in force now."""

    retry: RetrySettings
    """How often a task is tried in all."""
    retention: RetentionSettings
    """Which files are deleted by themselves."""
    audit: AuditSettings
    """What is kept of the audit log."""

    model_config = documented(
        {
            "retry": {"enabled": True, "max_attempts": None},
            "retention": RetentionSettings().model_dump(),
            "audit": {"retention_days": 365},
        }
    )


class RetentionPreview(BaseModel):
    """What a run of retention would delete now."""

    days: int
    """Files that came in longer ago than this go."""
    delete_failed: bool
    """Whether failed and cancelled files go too."""
    count: int
    """How many files that are."""
    bytes: int
    """What they take."""
    files: Sequence[AdminFile]
    """The oldest twenty."""

    model_config = documented(
        {"days": 90, "delete_failed": False, "count": 0, "bytes": 0, "files": []}
    )


class DailyRun(BaseModel):
    """The latest daily run."""

    scheduled_for: datetime
    """When it was to begin."""
    started_at: datetime
    """When it began."""
    finished_at: datetime | None
    """When it was done; null: it is going on, or will go on after an interruption."""
    files: int
    """Files that it has deleted."""
    bytes: int
    """What they took."""

    model_config = documented(
        {
            "scheduled_for": EXAMPLE_MOMENT,
            "started_at": EXAMPLE_MOMENT,
            "finished_at": EXAMPLE_MOMENT,
            "files": 3,
            "bytes": 144_000_000,
        }
    )


class RetentionStatus(BaseModel):
    """The settings, the latest daily run and the next one."""

    settings: RetentionSettings
    """As they are in force now."""
    last_run: DailyRun | None
    """Null: there was none yet."""
    next_run_at: datetime | None
    """Null: daily runs are not enabled."""

    model_config = documented(
        {
            "settings": RetentionSettings().model_dump(),
            "last_run": None,
            "next_run_at": EXAMPLE_MOMENT,
        }
    )


class RetentionRun(BaseModel):
    """What was deleted just now."""

    files: int
    """Files."""
    bytes: int
    """What they took; the object store frees it within seconds."""
    more: bool
    """Whether files are left: call it again."""

    model_config = documented({"files": 200, "bytes": 9_600_000_000, "more": True})


class Cleanup(BaseModel):
    """What was removed, or with `dry_run` would have been."""

    dry_run: bool
    """Whether nothing was removed."""
    rows: Mapping[str, int]
    """By kind: `uploads` that expired (their parts go soon after), `events`, `idempotency_keys`,
    `sign_in_attempts`, `sessions` that expired, `audit_events`."""
    objects: int
    """Objects that no row names."""
    bytes: int
    """What those take."""
    seen: int
    """Objects that were looked at."""
    unknown: int
    """Objects whose keys rayscribe does not make: they stay."""
    next_after: str | None
    """Where to go on (`after`); null: all objects were looked at."""

    model_config = documented(
        {
            "dry_run": False,
            "rows": {"uploads": 1, "events": 0},
            "objects": 2,
            "bytes": 16_000_000,
            "seen": 1200,
            "unknown": 0,
            "next_after": None,
        }
    )


class AuditEntry(BaseModel):
    """One event of the audit log."""

    id: int
    """Its number; later events have higher ones."""
    created_at: datetime
    """When it happened."""
    action: Action
    """What was done."""
    actor_id: uuid.UUID | None
    """Who did it; null: nobody was signed in, or the service itself."""
    owner_id: uuid.UUID | None
    """Whose thing it was, where somebody else touched it."""
    subject_type: str | None
    """What kind of thing it was done to."""
    subject_id: str | None
    """Which one."""
    address: str
    """Where the request came from; empty: not known."""
    details: Mapping[str, Any]
    """What else is known of it; depends on the action."""

    model_config = documented(
        {
            "id": 4711,
            "created_at": EXAMPLE_MOMENT,
            "action": "file.read",
            "actor_id": EXAMPLE_ID,
            "owner_id": EXAMPLE_ID,
            "subject_type": "file",
            "subject_id": EXAMPLE_ID,
            "address": "192.0.2.7",
            "details": {},
        }
    )
