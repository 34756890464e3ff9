"""Route that computes a file anew: /api/files/{file_id}/reprocess."""

import uuid
from typing import Annotated

from fastapi import APIRouter, Body

from api import rerun
from api.dependencies import App, CurrentUser
from api.envelope import EnvelopeRoute
from api.errors import ErrorType
from api.files.schemas import Accepted
from api.files.upload_schemas import ReprocessRequest
from api.idempotency import IDEMPOTENT, Once
from api.openapi import owned_errors
from db.engine import session_scope

router = APIRouter(prefix="/api/files", tags=["files"], route_class=EnvelopeRoute)


@router.post(
    "/{file_id}/reprocess",
    status_code=201,
    summary="Compute a file anew",
    response_description="Task queued",
    responses=owned_errors(*rerun.REFUSALS, *IDEMPOTENT, ErrorType.language_unsupported),
)
async def reprocess_file(
    services: App,
    user: CurrentUser,
    once: Once,
    file_id: uuid.UUID,
    wanted: Annotated[ReprocessRequest | None, Body()] = None,
) -> Accepted:
    """A new task, with the options of the latest one and what is changed here.

    The stages that are named are computed anew. Of the others, what is stored is reused wherever it
    was made of the same audio with the same options and models; without a name, only what other
    options or models need is computed. A transcript that is there stays readable until the new one
    takes its place, and for good if the task fails or is cancelled; what people edited in it goes
    with it. Analytics follow by themselves.
    """
    wanted = wanted or ReprocessRequest()
    changes = wanted.changes()
    async with (
        once.guarded(wanted.model_dump(mode="json", exclude_unset=True)) as keep,
        session_scope(services.sessions) as session,
    ):
        file, task = await rerun.reprocess(
            services, session, user.id, file_id, changes, wanted.stages
        )
        return await keep(session, Accepted.of(file, task))
