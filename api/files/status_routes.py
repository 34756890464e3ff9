"""Routes that tell users how their files are doing: /api/my-files."""

import uuid
from collections.abc import Sequence

from fastapi import APIRouter
from sqlalchemy.ext.asyncio import AsyncSession

from api import rerun
from api.dependencies import CurrentUser, Session
from api.envelope import EnvelopeRoute
from api.files.schemas import FileOut
from api.files.status_schemas import FilesState, FileState, FileWithTask
from api.openapi import SIGNED_IN, owned_errors
from api.waiting import task_answer, task_answers
from db.models import FileStatus, MediaFile, TaskState
from db.queries import media_files, oversight, tasks
from db.queries.media_files import FileSort
from pipelines.task_state import TERMINAL

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
    files, _ = await media_files.page(
        session,
        user_id,
        statuses=statuses,
        sort=FileSort.created_at,
        descending=True,
        limit=limit,
        offset=0,
    )
    return files


@router.get(
    "/{file_id}/status",
    summary="How one file is doing",
    response_description="Status of the file",
    responses=owned_errors(),
)
async def my_file_status(session: Session, user: CurrentUser, file_id: uuid.UUID) -> FileState:
    """Where a file stands, why it failed if it did, and what its owner can do now."""
    file = await media_files.get(session, user.id, file_id)
    task = await tasks.latest_of_file(session, file_id)
    idle = task is None or task.state in TERMINAL
    stuck = await oversight.overdue(session, limit=1, file_id=file_id)
    return FileState(
        file=FileOut.model_validate(file),
        task=await task_answer(session, task) if task else None,
        is_stuck=bool(stuck),
        can_cancel=task is not None and task.state in {TaskState.queued, TaskState.running},
        can_retry=idle and rerun.is_retryable(file, task),
        can_reprocess=idle,
        can_delete=idle or (task is not None and task.state is TaskState.queued),
    )
