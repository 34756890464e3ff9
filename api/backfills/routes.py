"""Routes of backfills: one stage over many files: /api/admin/backfills."""

import asyncio
import uuid
from typing import Annotated, BinaryIO

from fastapi import APIRouter, File, UploadFile

from api.backfills.planning import planned, require_readable
from api.backfills.schemas import (
    BackfillOut,
    BackfillRequest,
    ManifestOut,
    PlanOut,
    ResumeRequest,
)
from api.dependencies import App, CallerAddress, CurrentAdmin, Session
from api.envelope import EnvelopeRoute
from api.errors import ApiError, ErrorType
from api.idempotency import IDEMPOTENT, Once
from api.openapi import ADMIN_TYPES, errors
from api.pagination import Page, Paging
from db.engine import session_scope
from db.queries import audit, backfills
from db.queries.audit import Action
from pipelines.backfills import manifests, reporting, requests
from pipelines.backfills.manifests import ManifestInvalid
from pipelines.backfills.sources import MANIFESTS

router = APIRouter(
    prefix="/api/admin/backfills",
    tags=["admin"],
    route_class=EnvelopeRoute,
    form_limits={"max_files": 1, "max_fields": 1},
)

OF_ONE = (*ADMIN_TYPES, ErrorType.not_found, ErrorType.validation_error)


@router.post(
    "/plan",
    summary="What a backfill would be",
    response_description="Plan",
    responses=errors(
        *ADMIN_TYPES,
        ErrorType.validation_error,
        ErrorType.language_unsupported,
        ErrorType.not_found,
        ErrorType.speech_unavailable,
    ),
)
async def plan(services: App, _: CurrentAdmin, wanted: BackfillRequest) -> PlanOut:
    """Files, hours, windows, cost and end, estimated by what was measured here; nothing is begun.

    Of a backfill whose files need nothing the plan has none. Files whose transcripts people have
    worked on are left out of stages that replace transcripts, unless `edited` asks for them.
    """
    return await planned(services, wanted.order())


@router.post(
    "",
    status_code=202,
    summary="Begin a backfill",
    response_description="Backfill queued",
    responses=errors(*ADMIN_TYPES, *IDEMPOTENT, ErrorType.language_unsupported),
)
async def begin(
    services: App,
    admin: CurrentAdmin,
    address: CallerAddress,
    once: Once,
    wanted: BackfillRequest,
) -> BackfillOut:
    """Do one stage over many files, each as a task of its own in the bulk lane.

    It holds back while users' recordings wait, goes on after a crash, does nothing twice, and says
    of each file what became of it. What is missing for all of them stops it: `resume` goes on.
    """
    order = wanted.order()
    require_readable(services, order)
    async with (
        once.guarded(wanted.model_dump(mode="json")) as keep,
        session_scope(services.sessions) as session,
    ):
        begun = await requests.submit(session, admin.id, order, wanted.engine)
        audit.add(
            session,
            Action.backfill_begun,
            actor_id=admin.id,
            subject=("backfill", str(begun.backfill.id)),
            address=address,
            details={"stage": order.stage, "selection": order.selection.stored()},
        )
        [found] = await reporting.standing(session, [begun.backfill])
        return await keep(session, BackfillOut.of(found))


@router.post(
    "/manifests",
    status_code=201,
    summary="Keep a manifest",
    response_description="Manifest kept",
    responses=errors(
        *ADMIN_TYPES,
        ErrorType.validation_error,
        ErrorType.body_too_large,
        ErrorType.store_unavailable,
    ),
)
async def keep_manifest(
    services: App,
    _: CurrentAdmin,
    file: Annotated[UploadFile, File(description="JSON lines or Parquet")],
) -> ManifestOut:
    """Send a list of files (`file_id`) or of recordings to import (`source`), a row for each.

    Further columns of an import: `owner` (id or address), `filename`, `title`, `language`,
    `duration`. Larger ones are put into the object store below `import/`.
    """
    try:
        rows = await asyncio.to_thread(_rows, file.file)
    except ManifestInvalid as error:
        raise ApiError(ErrorType.validation_error, str(error)) from error
    await file.seek(0)
    location = f"{MANIFESTS}{uuid.uuid4()}"
    await services.objects.put(location, await file.read())
    return ManifestOut(location=location, rows=rows)


def _rows(file: BinaryIO) -> int:
    return sum(len(page) for page in manifests.pages(file))


@router.get(
    "",
    summary="List backfills",
    response_description="Backfills, newest first",
    responses=errors(*ADMIN_TYPES, ErrorType.validation_error),
)
async def list_backfills(session: Session, _: CurrentAdmin, paging: Paging) -> Page[BackfillOut]:
    """All there were, with how far each is."""
    rows, total = await backfills.page(session, limit=paging.page_size, offset=paging.offset)
    found = await reporting.standing(session, rows)
    return paging.of([BackfillOut.of(one) for one in found], total)


@router.get(
    "/{backfill_id}",
    summary="Where a backfill stands",
    response_description="Backfill",
    responses=errors(*OF_ONE),
)
async def get_backfill(session: Session, _: CurrentAdmin, backfill_id: uuid.UUID) -> BackfillOut:
    """How many of its files are done, failed, skipped, and still to be done."""
    [found] = await reporting.standing(session, [await backfills.get(session, backfill_id)])
    return BackfillOut.of(found)


@router.post(
    "/{backfill_id}/resume",
    status_code=202,
    summary="Have a backfill go on",
    response_description="Backfill queued anew",
    responses=errors(*OF_ONE, *IDEMPOTENT, ErrorType.conflict),
)
async def resume(
    services: App,
    admin: CurrentAdmin,
    address: CallerAddress,
    once: Once,
    backfill_id: uuid.UUID,
    wanted: ResumeRequest,
) -> BackfillOut:
    """After a budget, a cancellation or a failure. What is done stays done.

    Where other models are in use by now, what the old ones made is done again.
    """
    async with (
        once.guarded(wanted.model_dump(mode="json")) as keep,
        session_scope(services.sessions) as session,
    ):
        begun = await requests.resume(
            session,
            admin.id,
            backfill_id,
            wanted.limits.limits(),
            retry_failed=wanted.retry_failed,
        )
        audit.add(
            session,
            Action.backfill_resumed,
            actor_id=admin.id,
            subject=("backfill", str(backfill_id)),
            address=address,
            details=wanted.model_dump(mode="json"),
        )
        [found] = await reporting.standing(session, [begun.backfill])
        return await keep(session, BackfillOut.of(found))


@router.post(
    "/{backfill_id}/cancel",
    summary="Stop a backfill",
    response_description="Cancellation noted",
    responses=errors(*OF_ONE, ErrorType.conflict),
)
async def cancel(
    session: Session, admin: CurrentAdmin, address: CallerAddress, backfill_id: uuid.UUID
) -> BackfillOut:
    """Begin nothing more; files that are being done are ordinary bulk work from then on."""
    begun = await requests.stop(session, backfill_id)
    if begun is None:
        raise ApiError(ErrorType.conflict, "Nothing drives this backfill: nothing to stop.")
    audit.add(
        session,
        Action.backfill_stopped,
        actor_id=admin.id,
        subject=("backfill", str(backfill_id)),
        address=address,
    )
    [found] = await reporting.standing(session, [begun.backfill])
    return BackfillOut.of(found)
