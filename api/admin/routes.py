"""Routes of administrators: figures, all users' files, cleaning up: /api/admin."""

import uuid
from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Query, Request

from api.admin import statistics
from api.admin.schemas import AdminFile, Cleanup
from api.admin.statistics_schemas import Statistics
from api.dependencies import App, CallerAddress, CurrentAdmin, Session
from api.envelope import EnvelopeRoute
from api.errors import ErrorType
from api.openapi import ADMIN_TYPES, errors
from api.pagination import Page, Paging
from db.engine import session_scope
from db.models import FileStatus
from db.queries import audit, oversight
from db.queries.audit import Action
from pipelines import leftovers, maintenance, orphans, removal

router = APIRouter(prefix="/api/admin", tags=["admin"], route_class=EnvelopeRoute)

OBJECTS_AT_ONCE = 50_000
"""Objects that one request looks at: fifty questions to the store, a few seconds."""


@router.get(
    "/stats",
    summary="The installation in figures",
    response_description="Statistics",
    responses=errors(*ADMIN_TYPES, ErrorType.store_unavailable),
)
async def stats(services: App, request: Request, _: CurrentAdmin) -> Statistics:
    """Users, files, tasks, models in use, and the node that answers.

    Users, files and tasks are counted at this moment. Of segments and speakers the number is
    PostgreSQL's estimate once there are more than 50,000 (`estimated` says so).
    """
    models = await statistics.models_in_use(services)
    system = await statistics.system_facts(request.app.version, services.data_dir)
    async with session_scope(services.sessions) as session:
        return Statistics(
            users=await statistics.user_stats(session),
            files=await statistics.file_stats(session),
            tasks=await statistics.task_stats(session),
            models=models,
            system=system,
        )


@router.get(
    "/files",
    summary="All users' files",
    response_description="Files, newest first",
    responses=errors(*ADMIN_TYPES, ErrorType.validation_error),
)
async def list_files(
    session: Session,
    admin: CurrentAdmin,
    address: CallerAddress,
    paging: Paging,
    owner_id: Annotated[uuid.UUID | None, Query(description="Only this user's")] = None,
    status: Annotated[list[FileStatus] | None, Query(description="Only these")] = None,
) -> Page[AdminFile]:
    """Files of all users, newest first: each look is written to the audit log (`files.listed`).

    What a file says is read at its own routes, `GET /api/files/{file_id}` and those below it.
    """
    rows, total = await oversight.files(
        session,
        owner_id=owner_id,
        statuses=status or [],
        limit=paging.page_size,
        offset=paging.offset,
    )
    audit.add(
        session,
        Action.files_listed,
        actor_id=admin.id,
        owner_id=owner_id,
        address=address,
        details={"status": status or [], "page": paging.page, "page_size": paging.page_size},
    )
    return paging.of([AdminFile.model_validate(row) for row in rows], total)


@router.delete(
    "/files/{file_id}",
    status_code=204,
    summary="Delete any user's file",
    responses=errors(
        *ADMIN_TYPES, ErrorType.not_found, ErrorType.validation_error, ErrorType.store_unavailable
    ),
)
async def delete_file(
    services: App, admin: CurrentAdmin, address: CallerAddress, file_id: uuid.UUID
) -> None:
    """Delete a file whatever is going on with it; its task is cancelled first.

    Its owner is told as of an own deletion, and the audit log says who did it.
    """
    async with session_scope(services.sessions) as session:
        file = await oversight.file(session, file_id)
        audit.add(
            session,
            Action.file_deleted,
            actor_id=admin.id,
            subject=("file", str(file_id)),
            owner_id=file.user_id,
            address=address,
            details={"reason": "administrator", "size_bytes": file.size_bytes},
        )
        remains = await removal.remove(session, file, force=True)
    await leftovers.remove_now(
        services.sessions, services.objects, remains.prefix, forget_it=not remains.growing
    )


@router.post(
    "/cleanup",
    summary="Remove what is left over",
    response_description="Cleaned up",
    responses=errors(*ADMIN_TYPES, ErrorType.validation_error, ErrorType.store_unavailable),
)
async def clean_up(
    services: App,
    admin: CurrentAdmin,
    address: CallerAddress,
    dry_run: Annotated[bool, Query(description="Only count")] = False,
    after: Annotated[
        str | None,
        Query(
            max_length=1024,
            pattern=r"^[\x21-\x7e]+$",
            description="Go on behind this key: `next_after` of the answer before",
        ),
    ] = None,
) -> Cleanup:
    """Do at once what runners do from time to time, and look for objects that no row names.

    Rows whose time is over go: expired uploads and sessions, old events, idempotency keys, sign-in
    attempts, audit events. Objects under `enrolments/`, `media/` and `uploads/` go if no row names
    them and they are older than `RAYSCRIBE_MAINTENANCE_ORPHAN_AGE_HOURS`; 50,000 are looked at in
    one request.
    Zero rows may also mean that a runner is at it at this moment.
    """
    settings = services.maintenance
    if not dry_run:
        # In a transaction of its own: what stops the rest does not undo what was deleted.
        async with session_scope(services.sessions) as session:
            audit.add(session, Action.cleanup_begun, actor_id=admin.id, address=address)
    rows_of = maintenance.count_old_rows if dry_run else maintenance.drop_old_rows
    rows = await rows_of(services.sessions, settings)
    found = await orphans.sweep(
        services.sessions,
        services.objects,
        timedelta(hours=settings.orphan_age_hours),
        limit=OBJECTS_AT_ONCE,
        after=after,
        dry_run=dry_run,
    )
    answer = Cleanup(
        dry_run=dry_run,
        rows=dict(rows),
        objects=found.objects,
        bytes=found.bytes,
        seen=found.seen,
        unknown=found.unknown,
        next_after=found.next_after,
    )
    if not dry_run:
        async with session_scope(services.sessions) as session:
            audit.add(
                session,
                Action.cleanup_run,
                actor_id=admin.id,
                address=address,
                details=answer.model_dump(mode="json", exclude={"dry_run"}),
            )
    return answer
