"""Routes that tell users how their files are doing: /api/my-files."""

import uuid
from collections.abc import Sequence

from fastapi import APIRouter
from sqlalchemy.ext.asyncio import AsyncSession

from api.dependencies import App, CurrentUser, Session
from api.envelope import EnvelopeRoute
from api.files import recovery
from api.files.actions import Situation, possible, recommended
from api.files.bulk_schemas import FileAction
from api.files.intake import undisturbed
from api.files.status_schemas import FilesState, FileState, FileWithTask
from api.idempotency import IDEMPOTENT, Once
from api.openapi import SIGNED_IN, SIGNED_IN_TYPES, errors, owned_errors
from api.outcomes import BulkResult
from api.schemas import FileOut
from api.waiting import task_answer, task_answers
from db.models import FileStatus, MediaFile
from db.queries import file_lists, oversight, reading, tasks, troubles
from db.queries.file_filters import FileFilters
from pipelines.recovery import attempts_allowed

router = APIRouter(prefix="/api/my-files", tags=["files"], route_class=EnvelopeRoute)

PROBLEMS = 20
RECENT = 5


@router.get(
    "/status",
    summary="How my files are doing",
    response_description="Files by status",
    responses=SIGNED_IN,
)
async def my_files_status(session: Session, user: CurrentUser) -> FilesState:
    """Counts by status, the files that failed with what can be done about them, the latest."""
    failed = await _newest(session, user.id, [FileStatus.failed], PROBLEMS)
    latest = await tasks.latest_of_files(session, [file.id for file in failed])
    stuck = await oversight.overdue(session, limit=PROBLEMS, user_id=user.id)
    return FilesState(
        counts=await oversight.files_by_status(session, user.id),
        problem_files=[
            FileWithTask.model_validate({"file": file, "task": latest.get(file.id)})
            for file in failed
        ],
        stuck_tasks=await task_answers(session, stuck) if stuck else [],
        recent_files=[
            FileOut.model_validate(file) for file in await _newest(session, user.id, [], RECENT)
        ],
    )


async def _newest(
    session: AsyncSession, user_id: uuid.UUID, statuses: Sequence[FileStatus], limit: int
) -> Sequence[MediaFile]:
    return await file_lists.newest(session, user_id, FileFilters(statuses=statuses), limit)


@router.get(
    "/{file_id}/status",
    summary="How one file is doing",
    response_description="Status of the file",
    responses=owned_errors(),
)
async def my_file_status(
    services: App, session: Session, user: CurrentUser, file_id: uuid.UUID
) -> FileState:
    """Where a file stands, what failed last, and what can be done now.

    Administrators may read anybody's; that is written to the audit log.
    """
    file = await reading.file(session, user, file_id)
    task = await tasks.latest_of_file(session, file_id)
    now = Situation(file, task, await troubles.has_overdue(session, file_id))
    failure = await troubles.last_failure(session, file_id)
    can = possible(now)
    return FileState(
        file=FileOut.model_validate(file),
        task=await task_answer(session, task) if task else None,
        is_stuck=now.is_stuck,
        attempts=task.attempt if task else 0,
        max_attempts=await attempts_allowed(session, services.runner),
        last_error_type=failure.error_type if failure else None,
        last_error_message=failure.error_message if failure else None,
        actions_available=can,
        recommendations=recommended(now),
        can_cancel=FileAction.cancel in can,
        can_retry=FileAction.retry in can,
        can_reprocess=FileAction.reprocess in can,
        can_delete=FileAction.delete in can,
    )


@router.post(
    "/request-recovery",
    summary="Set my files right",
    response_description="Recovered what could be recovered",
    responses=errors(*SIGNED_IN_TYPES, *IDEMPOTENT),
)
async def request_recovery(services: App, user: CurrentUser, once: Once) -> BulkResult:
    """Queue anew what is stuck, and retry what failed for a reason that may have passed.

    At most 50 files of each kind, the newest first. One that was tried within five minutes, or that
    would fail again for the same reason, is left alone, and its result says so.
    """
    return await undisturbed(recovery.recover(services, user.id, once))
