"""Routes of recordings that are fetched from an address: /api/files/url-processing."""

import uuid
from datetime import timedelta

from fastapi import APIRouter
from sqlalchemy.ext.asyncio import AsyncSession

from api import preferences
from api.dependencies import App, CurrentUser, Services, Session
from api.envelope import EnvelopeRoute
from api.errors import ErrorType
from api.files.intake import undisturbed
from api.files.link_schemas import MAX_URL_CHARACTERS, LinkOut, LinkQuota, LinkRequest
from api.idempotency import IDEMPOTENT, Guarded, Once
from api.openapi import SIGNED_IN, SIGNED_IN_TYPES, errors, owned_errors
from api.pagination import Page, Paging
from api.preferences import DownloadPreferences
from api.schemas import TaskOut
from api.waiting import task_answer, task_answers
from cluster.egress import EgressRefused
from db.engine import session_scope
from db.models import TaskState
from db.queries import collections, downloads
from pipelines import queue
from pipelines.downloads import admission
from pipelines.downloads.links import canonical
from pipelines.downloads.orders import Order

router = APIRouter(prefix="/api/files/url-processing", tags=["links"], route_class=EnvelopeRoute)

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@router.post(
    "",
    status_code=202,
    summary="Fetch a recording from an address",
    response_description="Download queued",
    responses=errors(
        *SIGNED_IN_TYPES,
        *IDEMPOTENT,
        ErrorType.not_found,
        ErrorType.duplicate_file,
        ErrorType.url_refused,
        ErrorType.language_unsupported,
        ErrorType.quota_exceeded,
    ),
)
async def process_url(services: App, user: CurrentUser, once: Once, wanted: LinkRequest) -> TaskOut:
    """Queue the download of a media file, of the recording on a page, or of a playlist.

    The address is checked here, what is behind it by the task: the task fails with `url_refused`,
    `source_…`, `audio_too_long` or `upload_too_large` before or while it is fetched. When it
    completes, `result.file_id` is the file, whose own task transcribes it. A playlist becomes one
    download for each entry (`GET …/{task_id}/entries`). To retry, send the address again.
    """
    return await undisturbed(_order(services, user.id, wanted, once))


async def _order(
    services: Services, user_id: uuid.UUID, wanted: LinkRequest, once: Guarded
) -> TaskOut:
    asked = wanted.options.stored()
    async with once.guarded(wanted.model_dump(mode="json")) as keep:
        await services.policy.check_url(wanted.url)
        url = canonical(wanted.url)
        if len(url) > MAX_URL_CHARACTERS:
            raise EgressRefused(f"The address has more than {MAX_URL_CHARACTERS} characters.")
        async with session_scope(services.sessions) as session:
            for collection_id in set(wanted.collection_ids):
                await collections.require(session, user_id, collection_id)
            preferred = await preferences.load(session, user_id, DownloadPreferences)
            order = Order(
                url=url,
                quality=wanted.quality(preferred),
                tags=list({tag.lower(): tag for tag in wanted.tags}.values()),
                collection_ids=sorted(set(wanted.collection_ids)),
                transcription=await preferences.with_defaults(session, user_id, asked),
            )
            task = await admission.submit(session, user_id, order, services.download)
            return await keep(session, TaskOut.model_validate(task))


@router.get(
    "/quota",
    summary="How much may still be fetched",
    response_description="Quota",
    responses=SIGNED_IN,
)
async def quota(services: App, session: Session, user: CurrentUser) -> LinkQuota:
    """Your downloads of the last hour and day, those that are not over, and the limits of each."""
    limits = services.download
    used_this_hour, _ = await downloads.asked_for(session, user.id, HOUR, limits.per_hour)
    used_today, _ = await downloads.asked_for(session, user.id, DAY, limits.per_day)
    return LinkQuota(
        per_hour=limits.per_hour,
        used_this_hour=used_this_hour,
        per_day=limits.per_day,
        used_today=used_today,
        max_open=limits.max_open,
        open=await downloads.count_open(session, user.id),
    )


@router.get(
    "/{task_id}",
    summary="One download",
    response_description="Download",
    responses=owned_errors(),
)
async def get_download(session: Session, user: CurrentUser, task_id: uuid.UUID) -> LinkOut:
    """Where a download stands, and the entries of a playlist by their states."""
    return await _answer(session, user.id, task_id)


@router.get(
    "/{task_id}/entries",
    summary="Entries of a playlist",
    response_description="Downloads, in the order of the playlist",
    responses=owned_errors(),
)
async def list_entries(
    session: Session, user: CurrentUser, paging: Paging, task_id: uuid.UUID
) -> Page[TaskOut]:
    """The downloads that a playlist began; none where the address was that of one recording."""
    task = await downloads.get(session, user.id, task_id)
    rows, total = await downloads.entries(
        session, task.id, limit=paging.page_size, offset=paging.offset
    )
    return paging.of(await task_answers(session, rows) if rows else [], total)


@router.post(
    "/{task_id}/cancel",
    summary="Cancel a download",
    response_description="Cancellation noted",
    responses=owned_errors(),
)
async def cancel_download(session: Session, user: CurrentUser, task_id: uuid.UUID) -> LinkOut:
    """Cancel a download, or all entries of a playlist that are not over; again is no error."""
    task = await downloads.get(session, user.id, task_id)
    for each in await downloads.locked_open(session, task.id):
        if each.state is not TaskState.cancelling:
            await queue.cancel(session, each)
    return await _answer(session, user.id, task_id)


async def _answer(session: AsyncSession, user_id: uuid.UUID, task_id: uuid.UUID) -> LinkOut:
    task = await downloads.get(session, user_id, task_id)
    entries = await downloads.entries_by_state(session, task.id)
    return LinkOut.of(await task_answer(session, task), entries)
