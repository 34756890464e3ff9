"""Routes of a file's summary: /api/summarization/{file_id}."""

import uuid
from typing import Annotated

from fastapi import APIRouter, Body, Query

from api import language_work
from api.dependencies import App, CurrentUser, Session
from api.envelope import EnvelopeRoute
from api.idempotency import IDEMPOTENT, Once
from api.openapi import owned_errors
from api.pagination import Page, Paging
from api.schemas import TaskOut
from api.summarization import standing
from api.summarization.schemas import SummaryOut, SummaryRequest, SummaryState, SummaryVersion
from db.engine import session_scope
from db.models import TaskKind
from db.queries import media_files, reading, stage_results, summaries
from pipelines.language.kinds import STAGE

router = APIRouter(prefix="/api/summarization", tags=["summarization"], route_class=EnvelopeRoute)

VERSION = Query(ge=1, le=2**31 - 1, description="A version; left out: the newest one")


@router.post(
    "/{file_id}",
    status_code=202,
    summary="Summarize a file",
    response_description="Summary queued",
    responses=owned_errors(*language_work.REFUSALS, *IDEMPOTENT),
)
async def summarize(
    services: App,
    user: CurrentUser,
    once: Once,
    file_id: uuid.UUID,
    wanted: Annotated[SummaryRequest | None, Body()] = None,
) -> TaskOut:
    """A task that makes the file's next summary, with your language model.

    Where there is one of the transcript as it is, this is refused unless `force_regenerate` is set;
    older versions are kept. One at a time for each file.
    """
    wanted = wanted or SummaryRequest()
    content = wanted.model_dump(mode="json", exclude_unset=True)
    async with once.guarded(content) as keep, session_scope(services.sessions) as session:
        task = await language_work.summarize(
            services, session, user.id, file_id, wanted.options(), force=wanted.force_regenerate
        )
        return await keep(session, TaskOut.model_validate(task))


@router.get(
    "/{file_id}",
    summary="A file's summary",
    response_description="Summary",
    responses=owned_errors(),
)
async def get_summary(
    session: Session,
    user: CurrentUser,
    file_id: uuid.UUID,
    version: Annotated[int | None, VERSION] = None,
) -> SummaryOut:
    """The newest one, or the version that is asked for; `is_stale` where the transcript changed."""
    file = await reading.file(session, user, file_id)
    row = await summaries.get(session, file.user_id, file_id, version)
    return SummaryOut.whole(row, await standing.transcript_version(session, file), file)


@router.get(
    "/{file_id}/versions",
    summary="List a summary's versions",
    response_description="Versions",
    responses=owned_errors(),
)
async def list_versions(
    session: Session, user: CurrentUser, file_id: uuid.UUID, paging: Paging
) -> Page[SummaryVersion]:
    """All summaries of a file, newest first, without what they say."""
    file = await reading.file(session, user, file_id)
    rows, total = await summaries.page(
        session, file.user_id, file_id, limit=paging.page_size, offset=paging.offset
    )
    now = await standing.transcript_version(session, file)
    return paging.of([SummaryVersion.of(row, now) for row in rows], total)


@router.delete(
    "/{file_id}",
    status_code=204,
    summary="Delete a file's summary",
    responses=owned_errors(),
)
async def delete_summary(
    session: Session,
    user: CurrentUser,
    file_id: uuid.UUID,
    version: Annotated[
        int | None, Query(ge=1, le=2**31 - 1, description="Only this one; left out: all versions")
    ] = None,
) -> None:
    """Deletes it with all its versions, or one of these; it cannot be brought back."""
    file = await media_files.get(session, user.id, file_id, lock=True)
    await summaries.remove(session, user.id, file.id, version)
    if version is None:
        # Nor what was noted for one that never came to be.
        await stage_results.drop(session, file.id, {STAGE[TaskKind.summarization]})


@router.get(
    "/{file_id}/status",
    summary="How a file's summary stands",
    response_description="Status of the summary",
    responses=owned_errors(),
)
async def get_status(
    services: App, session: Session, user: CurrentUser, file_id: uuid.UUID
) -> SummaryState:
    """Whether there is one, whether one is being made, and whether another one can be had."""
    file = await reading.file(session, user, file_id)
    return await standing.of_summary(services, session, file)


@router.post(
    "/{file_id}/retry",
    status_code=202,
    summary="Try a summary again",
    response_description="Summary queued anew",
    responses=owned_errors(*language_work.REFUSALS, *IDEMPOTENT),
)
async def retry_summary(
    services: App, user: CurrentUser, once: Once, file_id: uuid.UUID
) -> TaskOut:
    """As it was asked for last, where that failed, was cancelled, or was never tried.

    Sections that were done are not done again.
    """
    async with once.guarded({}) as keep, session_scope(services.sessions) as session:
        task = await standing.retry(services, session, user.id, file_id)
        return await keep(session, TaskOut.model_validate(task))
