"""Routes of suggested tags and collections: /api/summarization/{file_id}/topics."""

import uuid
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Body

from api import language_work
from api.dependencies import App, CurrentUser, Services, Session
from api.envelope import EnvelopeRoute
from api.errors import ErrorType
from api.idempotency import IDEMPOTENT, Once
from api.openapi import SIGNED_IN_TYPES, errors, owned_errors
from api.outcomes import BulkResult, Done, attempted
from api.schemas import TaskOut
from api.summarization import applying, standing
from api.summarization.topic_schemas import (
    TopicsAccepted,
    TopicsApplied,
    TopicsBatchRequest,
    TopicsOut,
    TopicsRequest,
)
from db.engine import session_scope
from db.models import Lane
from db.queries import media_files, reading, topic_suggestions
from pipelines.language import tasks

router = APIRouter(prefix="/api/summarization", tags=["summarization"], route_class=EnvelopeRoute)


@router.post(
    "/topics/batch",
    status_code=202,
    summary="Have tags suggested for many files",
    response_description="Topic extractions queued, or not",
    responses=errors(
        *SIGNED_IN_TYPES, *IDEMPOTENT, ErrorType.validation_error, ErrorType.not_configured
    ),
)
async def extract_topics_of_many(
    services: App, user: CurrentUser, once: Once, wanted: TopicsBatchRequest
) -> BulkResult:
    """Up to 100 of your files, each for itself: which were queued, and why others were not.

    They wait in the bulk lane, so that whatever somebody waits for goes first.
    """
    async with once.guarded(wanted.model_dump(mode="json")) as keep:
        async with session_scope(services.sessions) as session:
            # It is so for all of them.
            await tasks.require_model(session, user.id, services.language)
        work = partial(_queued, services, user.id, force=wanted.force_regenerate)
        results = [await attempted(file_id, work) for file_id in dict.fromkeys(wanted.file_ids)]
        async with session_scope(services.sessions) as session:
            return await keep(session, BulkResult.of(results))


async def _queued(
    services: Services, user_id: uuid.UUID, file_id: uuid.UUID, *, force: bool
) -> Done:
    async with session_scope(services.sessions) as session:
        task = await language_work.extract_topics(
            services, session, user_id, file_id, force=force, lane=Lane.bulk
        )
        return Done("Queued.", task.id)


@router.post(
    "/{file_id}/topics",
    status_code=202,
    summary="Have tags and collections suggested",
    response_description="Topic extraction queued",
    responses=owned_errors(*language_work.REFUSALS, *IDEMPOTENT),
)
async def extract_topics(
    services: App,
    user: CurrentUser,
    once: Once,
    file_id: uuid.UUID,
    wanted: Annotated[TopicsRequest | None, Body()] = None,
) -> TaskOut:
    """A task in which your language model suggests tags and collections for a file.

    Nothing is put on the file by it. New suggestions take the place of earlier ones, and of what
    was decided about these; the tags that were accepted stay on the file.
    """
    wanted = wanted or TopicsRequest()
    async with (
        once.guarded(wanted.model_dump(mode="json")) as keep,
        session_scope(services.sessions) as session,
    ):
        task = await language_work.extract_topics(
            services, session, user.id, file_id, force=wanted.force_regenerate
        )
        return await keep(session, TaskOut.model_validate(task))


@router.get(
    "/{file_id}/topics",
    summary="Tags and collections that are suggested",
    response_description="Suggestions",
    responses=owned_errors(),
)
async def get_topics(session: Session, user: CurrentUser, file_id: uuid.UUID) -> TopicsOut:
    """What your language model suggests for a file, and what was decided about it."""
    file = await reading.file(session, user, file_id)
    row = await topic_suggestions.get(session, file.user_id, file_id)
    return TopicsOut.of(row, await standing.transcript_version(session, file))


@router.post(
    "/{file_id}/topics/apply",
    summary="Accept suggested tags and collections",
    response_description="Suggestions accepted",
    responses=owned_errors(ErrorType.conflict),
)
async def apply_topics(
    services: App, session: Session, user: CurrentUser, file_id: uuid.UUID, wanted: TopicsAccepted
) -> TopicsApplied:
    """Puts the tags on the file and the file into the collections; what you lack of them is made.

    All of them or, where one is not suggested or a limit is met, none.
    """
    return await applying.applied(services, session, user.id, file_id, wanted)


@router.delete(
    "/{file_id}/topics",
    status_code=204,
    summary="Dismiss suggested tags and collections",
    responses=owned_errors(),
)
async def dismiss_topics(session: Session, user: CurrentUser, file_id: uuid.UUID) -> None:
    """Marks them as rejected; what was accepted of them before stays on the file."""
    file = await media_files.get(session, user.id, file_id, lock=True)
    found = await topic_suggestions.get(session, user.id, file.id, lock=True)
    await topic_suggestions.decide(session, found, [], [])
