"""Routes of the stores of search: how they stand, making them anew, mending them."""

import uuid
from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Query

from api.dependencies import App, CurrentAdmin, CurrentUser, Services, Session
from api.envelope import EnvelopeRoute
from api.errors import ApiError, ErrorType
from api.idempotency import IDEMPOTENT, Guarded, Once
from api.openapi import ADMIN_TYPES, SIGNED_IN, SIGNED_IN_TYPES, errors
from api.search import index_answers
from api.search.index_schemas import IndexHealth, IndexTask, ReindexStatus, TextModels
from api.search.routes import stores_of
from db.engine import session_scope
from db.models import Role, User
from db.queries import audit
from db.queries.audit import Action as Audited
from pipelines.search import requests, standing
from pipelines.search.requests import Action

router = APIRouter(prefix="/api/search", tags=["search"], route_class=EnvelopeRoute)

PENDING = "Only what differs from the transcripts: the same as a repair"
AUDITED: Mapping[Action, Audited] = {
    Action.reindex: Audited.search_reindexed,
    Action.repair: Audited.search_repaired,
}
BEGINS = errors(*ADMIN_TYPES, *IDEMPOTENT, ErrorType.conflict)


def _whose(user: User) -> uuid.UUID | None:
    """Whose files somebody is told about; None: administrators, of all."""
    return None if user.role is Role.admin else user.id


async def _begun(services: Services, admin: User, once: Guarded, action: Action) -> IndexTask:
    async with (
        once.guarded({"action": action}) as keep,
        session_scope(services.sessions) as session,
    ):
        task = await requests.submit(session, admin.id, action)
        audit.add(session, AUDITED[action], actor_id=admin.id, subject=("task", str(task.id)))
        return await keep(session, index_answers.task(task))


@router.post(
    "/reindex",
    status_code=202,
    summary="Make the stores of search anew",
    response_description="Task queued",
    responses=BEGINS,
)
async def reindex(
    services: App,
    admin: CurrentAdmin,
    once: Once,
    pending_only: Annotated[bool, Query(description=PENDING)] = False,
) -> IndexTask:
    """Cut every transcript into passages and bring them to both stores, in a task.

    For another model, other lengths of passages, another store. Words are filled into an index
    beside the one that is searched and take its place at once; vectors that are right are kept.
    The task waits in the bulk lane, goes on after a crash, and can be stopped.
    """
    action = Action.repair if pending_only else Action.reindex
    return await _begun(services, admin, once, action)


@router.post(
    "/repair-indices",
    status_code=202,
    summary="Mend the stores of search",
    response_description="Task queued",
    responses=BEGINS,
)
async def repair(services: App, admin: CurrentAdmin, once: Once) -> IndexTask:
    """Compare both stores with the transcripts; bring or remove only what differs, in a task."""
    return await _begun(services, admin, once, Action.repair)


@router.post(
    "/reindex/stop",
    summary="Stop making the stores of search anew",
    response_description="Cancellation noted",
    responses=errors(*ADMIN_TYPES, ErrorType.conflict),
)
async def stop(session: Session, admin: CurrentAdmin) -> IndexTask:
    """Cancel the task that waits or is at work; what was searched before is searched on."""
    task = await requests.stop(session)
    if task is None:
        raise ApiError(ErrorType.conflict, "No such task waits or is at work: nothing to stop.")
    subject = ("task", str(task.id))
    audit.add(session, Audited.search_stopped, actor_id=admin.id, subject=subject)
    return index_answers.task(task)


@router.get(
    "/reindex/status",
    summary="Whether the stores of search are being made anew",
    response_description="Status",
    responses=SIGNED_IN,
)
async def status(services: App, user: CurrentUser) -> ReindexStatus:
    """The latest task, and what both stores have: of your files; for administrators, of all."""
    async with session_scope(services.sessions) as session:
        task = await requests.latest(session)
    stores = await standing.standing(stores_of(services), _whose(user))
    return index_answers.status(task, stores)


@router.get(
    "/index-health",
    summary="How the stores of search stand",
    response_description="Stores",
    responses=SIGNED_IN,
)
async def index_health(services: App, user: CurrentUser) -> IndexHealth:
    """Asks both stores now, and compares numbers: of your files; for administrators, of all.

    `rayscribe search check` compares file by file.
    """
    return index_answers.health(await standing.standing(stores_of(services), _whose(user)))


@router.get(
    "/models",
    summary="Models of text embeddings",
    response_description="Models",
    responses=errors(*SIGNED_IN_TYPES, ErrorType.speech_unavailable),
)
async def models(services: App, _: CurrentUser) -> TextModels:
    """The one in use, and those of the catalogue.

    Operators choose by `RAYSCRIBE_TEXT_EMBEDDING_MODEL`, then everything is embedded anew by a
    `reindex`: vectors of different models cannot be compared.
    """
    return index_answers.models(await standing.model_in_use(stores_of(services)))
