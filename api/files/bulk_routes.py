"""Routes that act on many files, and show those that are stuck: /api/files/management."""

from fastapi import APIRouter

from api.dependencies import App, CurrentUser, Session
from api.envelope import EnvelopeRoute
from api.errors import ErrorType
from api.files import bulk
from api.files.bulk_schemas import BulkRequest
from api.files.intake import undisturbed
from api.files.status_schemas import FileWithTask
from api.idempotency import IDEMPOTENT, Once
from api.openapi import SIGNED_IN_TYPES, errors
from api.outcomes import BulkResult
from api.pagination import Page, Paging
from db.queries import troubles

router = APIRouter(prefix="/api/files/management", tags=["files"], route_class=EnvelopeRoute)


@router.post(
    "/bulk-action",
    summary="One action on many files",
    response_description="Done with each file, or not",
    responses=errors(*SIGNED_IN_TYPES, *IDEMPOTENT, ErrorType.language_unsupported),
)
async def bulk_action(
    services: App, user: CurrentUser, once: Once, wanted: BulkRequest
) -> BulkResult:
    """Delete, retry, cancel, recover, reprocess or summarize up to 100 of your files.

    Each for itself: what cannot be done with one is told in its result, and the others go on.
    """
    return await undisturbed(bulk.run(services, user.id, wanted, once))


@router.get(
    "/stuck",
    summary="My stuck files",
    response_description="Stuck files",
    responses=errors(*SIGNED_IN_TYPES, ErrorType.validation_error),
)
async def stuck_files(session: Session, user: CurrentUser, paging: Paging) -> Page[FileWithTask]:
    """Your files whose runner has fallen silent, silent longest first.

    Other runners take them by themselves; one that stays here for minutes can be recovered.
    """
    rows, total = await troubles.stuck(
        session, user.id, limit=paging.page_size, offset=paging.offset
    )
    shown = [FileWithTask.model_validate({"file": file, "task": task}) for file, task in rows]
    return paging.of(shown, total)
