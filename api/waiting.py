"""Answers about tasks, with the place in the queue of those that wait."""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncSession

from api.schemas import TaskOut
from db.models import Task, TaskState
from pipelines import backlog


async def task_answers(session: AsyncSession, tasks: Sequence[Task]) -> list[TaskOut]:
    """These tasks, all of one user."""
    waiting = [task.id for task in tasks if task.state is TaskState.queued]
    places = await backlog.places(session, tasks[0].user_id, waiting) if waiting else {}
    answers = []
    for task in tasks:
        answer = TaskOut.model_validate(task)
        if place := places.get(task.id):
            told = {"queue_position": place.position, "eta_seconds": place.eta_seconds}
            answer = answer.model_copy(update=told)
        answers.append(answer)
    return answers


async def task_answer(session: AsyncSession, task: Task) -> TaskOut:
    """One task."""
    return (await task_answers(session, [task]))[0]
