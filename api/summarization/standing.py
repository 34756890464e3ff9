"""How a file's summary stands: what its newest task and its newest version say together."""

import uuid

from sqlalchemy.ext.asyncio import AsyncSession

from api import language_work
from api.dependencies import Services
from api.errors import ApiError, ErrorType
from api.summarization.schemas import SummaryState
from api.waiting import task_answer
from db.models import MediaFile, Summary, Task, TaskKind, TaskState
from db.queries import media_files, summaries, transcripts
from pipelines.language import configurations, tasks
from pipelines.language.tasks import AUTOMATIC
from pipelines.notices import LanguageStatus, language_status
from pipelines.task_state import TERMINAL

CAME_TO_NOTHING = {TaskState.failed, TaskState.cancelled}


async def transcript_version(session: AsyncSession, file: MediaFile) -> int | None:
    """The version of a file's transcript now; None: there is none."""
    head = await transcripts.head(session, file.user_id, file.id)
    return head.version if head else None


async def of_summary(services: Services, session: AsyncSession, file: MediaFile) -> SummaryState:
    """The answer about a file that its reader may see."""
    latest = await summaries.latest(session, file.user_id, file.id)
    task = await tasks.latest(session, file.id, TaskKind.summarization)
    now = await transcript_version(session, file)
    found = await configurations.find(session, file.user_id, services.language)
    available = found is not None
    return SummaryState(
        file_id=file.id,
        filename=file.filename,
        transcription_status=file.status,
        summary_status=_status(latest, task, available=available),
        summary_exists=latest is not None,
        summary_version=latest.version if latest else None,
        is_stale=latest is not None and latest.transcript_version != now,
        llm_available=available,
        can_retry=available and now is not None and _is_retryable(latest, task),
        task=await task_answer(session, task) if task else None,
    )


def _status(latest: Summary | None, task: Task | None, *, available: bool) -> LanguageStatus:
    """How far the newest summary is that was asked for."""
    if task is not None and task.state is not TaskState.completed:
        status = language_status(task)
        # Nobody waits for what was cancelled: it is as before.
        if status is not LanguageStatus.cancelled:
            return status
    if latest is not None:
        return LanguageStatus.completed
    return LanguageStatus.pending if available else LanguageStatus.not_configured


def _is_retryable(latest: Summary | None, task: Task | None) -> bool:
    if task is None:
        return latest is None
    if task.state is TaskState.completed:
        # Somebody has deleted what came of it.
        return latest is None
    return task.state in CAME_TO_NOTHING


async def retry(
    services: Services, session: AsyncSession, user_id: uuid.UUID, file_id: uuid.UUID
) -> Task:
    """Ask again for the summary that was asked for last.

    Raises:
        NotFound, NotConfigured, TaskActive, ApiError: as `language_work.summarize`; nothing failed.
    """
    file = await media_files.get(session, user_id, file_id, lock=True)
    task = await tasks.latest(session, file.id, TaskKind.summarization)
    latest = await summaries.latest(session, user_id, file_id)
    if (task is None or task.state in TERMINAL) and not _is_retryable(latest, task):
        raise ApiError(
            ErrorType.conflict,
            "The latest summary did not fail, so there is nothing to retry. For another one, use "
            f"POST /api/summarization/{file_id} with `force_regenerate`.",
        )
    options = dict(task.options) if task else {}
    options.pop(AUTOMATIC, None)
    return await language_work.summarize(services, session, user_id, file_id, options, force=True)
