"""Routes of retention: what would go, and letting it go now: /api/admin/retention."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query

from api.admin.schemas import (
    AdminFile,
    DailyRun,
    RetentionPreview,
    RetentionRun,
    RetentionStatus,
)
from api.dependencies import App, CallerAddress, CurrentAdmin, Session
from api.envelope import EnvelopeRoute
from api.errors import ErrorType
from api.openapi import ADMIN_TYPES, errors
from db.queries import audit
from db.queries import retention as files
from db.queries.audit import Action
from db.queries.retention import Rule
from pipelines import retention
from pipelines.system_settings import MAX_DAYS, RetentionSettings, current

router = APIRouter(prefix="/api/admin/retention", tags=["admin"], route_class=EnvelopeRoute)

SHOWN = 20
DELETED_AT_ONCE = 200
"""Files that one request deletes: each is a transaction of its own, with all its segments."""


@router.get(
    "",
    summary="How retention is doing",
    response_description="Retention",
    responses=errors(*ADMIN_TYPES),
)
async def status(session: Session, _: CurrentAdmin) -> RetentionStatus:
    """The settings, the latest daily run, and when the next one is."""
    settings = await current(session, RetentionSettings)
    last = await retention.last_run(session)
    following = retention.next_moment(settings, datetime.now(UTC))
    return RetentionStatus(
        settings=settings,
        last_run=DailyRun.model_validate(last) if last else None,
        next_run_at=following if settings.enabled else None,
    )


@router.get(
    "/preview",
    summary="What retention would delete",
    response_description="Files that would go",
    responses=errors(*ADMIN_TYPES, ErrorType.validation_error),
)
async def preview(
    session: Session,
    admin: CurrentAdmin,
    address: CallerAddress,
    days: Annotated[
        int | None, Query(ge=1, le=MAX_DAYS, description="Unset: as the settings say")
    ] = None,
    delete_failed: Annotated[bool | None, Query(description="Unset: as the settings say")] = None,
) -> RetentionPreview:
    """How many files would go if a run began now, and which are the oldest of them.

    Completed files go that came in more than `days` days ago; with `delete_failed` also failed and
    cancelled ones. A file with a task that is not over stays. The look is written to the audit log.
    """
    settings = await current(session, RetentionSettings)
    rule = Rule(
        settings.days if days is None else days,
        settings.delete_failed if delete_failed is None else delete_failed,
    )
    count, size_bytes = await files.amount(session, rule)
    oldest = await files.due(session, rule, SHOWN)
    audit.add(
        session,
        Action.files_listed,
        actor_id=admin.id,
        address=address,
        details={"retention": {"days": rule.days, "delete_failed": rule.delete_failed}},
    )
    return RetentionPreview(
        days=rule.days,
        delete_failed=rule.delete_failed,
        count=count,
        bytes=size_bytes,
        files=[AdminFile.model_validate(file) for file in oldest],
    )


@router.post(
    "/run",
    summary="Let retention delete now",
    response_description="Files deleted",
    responses=errors(*ADMIN_TYPES, ErrorType.store_unavailable),
)
async def run(services: App, admin: CurrentAdmin, address: CallerAddress) -> RetentionRun:
    """Delete what the settings say, now, whether the daily run is enabled or not.

    At most 200 files at a time: call it again until `more` is false. Owners are told as of an own
    deletion; each file and the run are written to the audit log.
    """
    deleted = await retention.run_now(
        services.sessions, DELETED_AT_ONCE, actor_id=admin.id, address=address
    )
    return RetentionRun.model_validate(deleted)
