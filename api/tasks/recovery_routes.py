"""Routes that set things right: a retry by the owner, recovery by administrators."""

import uuid
from collections.abc import Sequence

from fastapi import APIRouter

from api import rerun
from api.dependencies import App, CurrentAdmin, CurrentUser, Session
from api.envelope import EnvelopeRoute
from api.errors import ApiError, ErrorType
from api.idempotency import IDEMPOTENT, Once
from api.openapi import ADMIN_TYPES, errors, owned_errors
from api.schemas import TaskOut
from api.tasks.schemas import (
    FileFinding,
    FixedFile,
    Recovered,
    RetryOut,
    SystemHealth,
    TaskFacts,
)
from db.engine import session_scope
from db.errors import DuplicateFile
from db.models import Task, TaskState
from db.notify import TASKS, notify
from db.queries import oversight, tasks
from pipelines import queue, recovery
from pipelines.advice import advice_on

router = APIRouter(prefix="/api/tasks", tags=["tasks"], route_class=EnvelopeRoute)

SHOWN = 100
FIXED_AT_ONCE = 1000

ADMIN = errors(*ADMIN_TYPES)
ADMIN_BY_ID = errors(*ADMIN_TYPES, ErrorType.not_found, ErrorType.validation_error)


@router.post(
    "/retry/{file_id}",
    status_code=201,
    summary="Retry a failed or cancelled file",
    response_description="Task queued",
    responses=owned_errors(ErrorType.file_completed, *rerun.REFUSALS, *IDEMPOTENT),
)
async def retry_file(services: App, user: CurrentUser, once: Once, file_id: uuid.UUID) -> RetryOut:
    """A new task with the options of the last one; what that one had done is not repeated.

    A retry is taken also where it can hardly help: the answer says so.
    """
    async with once.guarded({}) as keep, session_scope(services.sessions) as session:
        task, last = await rerun.retry(services, session, user.id, file_id)
        return await keep(session, _retried(task, last))


def _retried(task: Task, last: Task | None) -> RetryOut:
    answer = TaskOut.model_validate(task)
    if last is None or last.state is not TaskState.failed:
        note = "The last task was cancelled; the new one goes on with what it had done."
        return RetryOut(task=answer, previous_error_type=None, retryable=None, note=note)
    advice = advice_on(last.error_type)
    return RetryOut(
        task=answer,
        previous_error_type=last.error_type,
        retryable=advice.retryable,
        note=f"{advice.happened} {advice.outlook}",
    )


@router.get(
    "/system/health",
    summary="Health of the queue",
    response_description="Queue of the whole installation",
    responses=ADMIN,
)
async def system_health(session: Session, _: CurrentAdmin) -> SystemHealth:
    """Counts, ages, tasks whose runner has fallen silent, files whose status is wrong."""
    lanes = (await oversight.load(session)).values()
    stuck = await oversight.overdue(session, limit=SHOWN)
    wrong = await recovery.inconsistent_files(session, limit=SHOWN)
    counted = await tasks.count_by_state(session)
    return SystemHealth(
        task_counts={state: counted.get(state, 0) for state in TaskState},
        file_counts=await oversight.files_by_status(session),
        queued_hours=sum(lane.waiting_audio_seconds for lane in lanes) / 3600,
        oldest_queued_seconds=max(lane.waiting_oldest_seconds for lane in lanes),
        oldest_running_seconds=max(lane.running_oldest_seconds for lane in lanes),
        stuck_tasks=[TaskFacts.model_validate(task) for task in stuck],
        inconsistent_files=[FileFinding.model_validate(finding) for finding in wrong],
    )


@router.post(
    "/recover-stuck-tasks",
    summary="Recover stuck tasks",
    response_description="Stuck tasks recovered",
    responses=ADMIN,
)
async def recover_stuck_tasks(session: Session, _: CurrentAdmin) -> Recovered:
    """Queue every task anew whose lease has run out, at no cost of an attempt.

    Runners claim such tasks by themselves, within seconds and at the cost of an attempt: this is
    for when the attempts were not the file's fault. One that was being cancelled is cancelled.
    """
    return _recovered(await recovery.release_overdue(session))


@router.post(
    "/system/startup-recovery",
    summary="Go on after a crash",
    response_description="Stuck tasks recovered, runners awake",
    responses=ADMIN,
)
async def startup_recovery(session: Session, _: CurrentAdmin) -> Recovered:
    """Release all leases that have run out, and wake the runners, whether there are any or not.

    Nothing has to be recovered at a start: a lease that its runner cannot renew runs out, and its
    task is claimed by the next runner. This does both at once instead of when somebody looks.
    """
    released = await recovery.release_overdue(session)
    await notify(session, TASKS)
    return _recovered(released)


@router.post(
    "/system/recover-all-user-files",
    summary="Recover everybody's files",
    response_description="Files and tasks recovered",
    responses=ADMIN,
)
async def recover_all_user_files(session: Session, _: CurrentAdmin) -> Recovered:
    """Queue stuck tasks anew, and give files the status that follows from their latest task.

    At most 1000 files at a time: call it again until it fixes none.
    """
    return await _recover_files(session, None)


@router.post(
    "/system/recover-user-files/{user_id}",
    summary="Recover one user's files",
    response_description="Files and tasks recovered",
    responses=ADMIN_BY_ID,
)
async def recover_user_files(session: Session, _: CurrentAdmin, user_id: uuid.UUID) -> Recovered:
    """The same for the tasks and files of one user."""
    await oversight.require_user(session, user_id)
    return await _recover_files(session, user_id)


async def _recover_files(session: Session, user_id: uuid.UUID | None) -> Recovered:
    released = await recovery.release_overdue(session, user_id)
    fixed, left = await recovery.fix_files(session, limit=FIXED_AT_ONCE, user_id=user_id)
    return _recovered(released).model_copy(
        update={
            "fixed_files": [FileFinding.model_validate(finding) for finding in fixed],
            "unfixable_files": [FileFinding.model_validate(finding) for finding in left],
        }
    )


def _recovered(released: Sequence[Task]) -> Recovered:
    return Recovered(tasks=[TaskFacts.model_validate(task) for task in released])


@router.post(
    "/system/recover-task/{task_id}",
    summary="Take a task from its runner",
    response_description="Task recovered",
    responses=errors(
        *ADMIN_TYPES, ErrorType.not_found, ErrorType.conflict, ErrorType.validation_error
    ),
)
async def recover_task(session: Session, _: CurrentAdmin, task_id: uuid.UUID) -> TaskFacts:
    """Queue a running task anew although its runner may be alive; it costs no attempt.

    The fence grows, so that whatever the old runner still writes changes nothing. One that is being
    cancelled is cancelled at once.
    """
    task = await oversight.task(session, task_id, lock=True)
    await queue.recover(session, task)
    return TaskFacts.model_validate(task)


@router.post(
    "/system/fix-file/{file_id}",
    summary="Set a file's status right",
    response_description="Status checked",
    responses=errors(
        *ADMIN_TYPES, ErrorType.not_found, ErrorType.duplicate_file, ErrorType.validation_error
    ),
)
async def fix_file(session: Session, _: CurrentAdmin, file_id: uuid.UUID) -> FixedFile:
    """Give a file the status that follows from its latest task and from its transcript."""
    try:
        found = await recovery.fix_file(session, file_id)
    except DuplicateFile as error:
        raise ApiError(
            ErrorType.duplicate_file,
            "Its owner has uploaded this recording again since: two files with the same bytes "
            "cannot both be alive. Delete one of them.",
        ) from error
    return FixedFile(
        file_id=found.file_id,
        user_id=found.user_id,
        status=found.status,
        expected=found.expected,
        changed=found.status is not found.expected,
    )
