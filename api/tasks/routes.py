"""Routes of tasks: /api/tasks."""

import uuid

from fastapi import APIRouter

from api.dependencies import CurrentUser, Session
from api.envelope import EnvelopeRoute
from api.errors import ErrorType
from api.openapi import SIGNED_IN_TYPES, errors, owned_errors
from api.pagination import Page, Paging
from api.schemas import TaskOut
from api.tasks.filters import Filters
from api.waiting import task_answer, task_answers
from db.models import TaskState
from db.queries import reading, tasks
from pipelines import queue

router = APIRouter(prefix="/api/tasks", tags=["tasks"], route_class=EnvelopeRoute)


@router.get(
    "",
    summary="List tasks",
    response_description="Tasks, newest first",
    responses=errors(*SIGNED_IN_TYPES, ErrorType.validation_error),
)
async def list_tasks(
    session: Session, user: CurrentUser, filters: Filters, paging: Paging
) -> Page[TaskOut]:
    """Your tasks, newest first; a task is shown if it meets every filter."""
    rows, total = await tasks.page(
        session, user.id, filters, limit=paging.page_size, offset=paging.offset
    )
    return paging.of(await task_answers(session, rows), total)


@router.get("/{task_id}", summary="One task", response_description="Task", responses=owned_errors())
async def get_task(session: Session, user: CurrentUser, task_id: uuid.UUID) -> TaskOut:
    """State, stage, progress, place in the queue, and the seconds it will probably still take.

    Administrators may read anybody's; that is written to the audit log.
    """
    return await task_answer(session, await reading.task(session, user, task_id))


@router.post(
    "/{task_id}/cancel",
    summary="Cancel a task",
    response_description="Cancellation noted",
    responses=owned_errors(ErrorType.conflict),
)
async def cancel_task(session: Session, user: CurrentUser, task_id: uuid.UUID) -> TaskOut:
    """Cancel: at once while the task waits, within one window of audio while it runs."""
    task = await tasks.get(session, user.id, task_id, lock=True)
    if task.state is not TaskState.cancelling:
        await queue.cancel(session, task)
    return TaskOut.model_validate(task)
