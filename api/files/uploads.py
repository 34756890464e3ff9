"""Uploads in parts: prepare, receive, complete, cancel.

Nothing here holds a transaction while it talks to the object store: the upload's row is read, the
store is asked, and the row is locked and checked again when the outcome is written.
"""

import asyncio
import hashlib
import uuid
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from api.dependencies import Services
from api.errors import ApiError, ErrorType
from api.files import intake
from api.files.cleaning import remove_noted
from api.files.intake import Arrival
from api.files.names import display_name
from api.files.schemas import Accepted
from api.files.upload_schemas import UploadRequest
from api.idempotency import Guarded, Keeper
from db.engine import session_scope
from db.errors import NotFound
from db.models import Lane, Upload, UploadState
from db.objects.keys import media_key, part_key, upload_prefix
from db.queries import media_files, tasks, uploads
from pipelines import backlog, leftovers
from serving.containers import HEAD_BYTES, sniff

PART_URL_LIFETIME = timedelta(hours=1)
MISSING_SHOWN = 100
PART_SECONDS = 300
"""How long a part may take: others wait for its place in memory."""


def part_count(upload: Upload) -> int:
    """How many parts an upload has."""
    return -(-upload.size_bytes // upload.part_bytes)


def part_size(upload: Upload, number: int) -> int:
    """Bytes of part `number`, counted from 1.

    Raises:
        ApiError: `invalid_part`, there is no such part.
    """
    count = part_count(upload)
    if not 1 <= number <= count:
        raise ApiError(ErrorType.invalid_part, f"This upload has the parts 1 to {count}.")
    return min(upload.part_bytes, upload.size_bytes - (number - 1) * upload.part_bytes)


def require_open(upload: Upload) -> None:
    """Raise unless the upload still takes parts."""
    if upload.state is not UploadState.open:
        raise ApiError(ErrorType.upload_closed, f"The upload is {upload.state}.")
    if upload.expires_at <= datetime.now(UTC):
        raise ApiError(ErrorType.upload_expired, "The upload has expired; prepare a new one.")


async def prepare(
    services: Services, session: AsyncSession, user_id: uuid.UUID, wanted: UploadRequest
) -> Upload:
    """Open an upload, unless the file is too large or there already."""
    limit = services.api.max_upload_bytes
    if wanted.size_bytes > limit:
        raise ApiError(
            ErrorType.upload_too_large,
            f"The file has {wanted.size_bytes} bytes, this installation takes {limit}.",
            max_upload_bytes=limit,
        )
    options = wanted.options.stored()
    await _require_place(services, session, user_id)
    if wanted.sha256:
        await intake.refuse_duplicate(session, user_id, wanted.sha256)
    await backlog.look(session, user_id, services.queue)
    lifetime = timedelta(hours=services.api.upload_expiry_hours)
    upload = await uploads.add(
        session,
        user_id=user_id,
        filename=display_name(wanted.filename),
        content_type=wanted.content_type,
        size_bytes=wanted.size_bytes,
        part_bytes=services.api.part_bytes,
        sha256=wanted.sha256,
        options=options,
        lifetime=lifetime,
    )
    prefix = upload_prefix(user_id, upload.id)
    await leftovers.note(session, prefix, after=lifetime + leftovers.GRACE)
    return upload


async def _require_place(services: Services, session: AsyncSession, user_id: uuid.UUID) -> None:
    limit = services.api.max_open_uploads
    if await uploads.count_open(session, user_id) >= limit:
        raise ApiError(
            ErrorType.too_many_uploads,
            f"You have {limit} uploads open, the most that this installation allows; "
            "GET /api/files/upload lists them.",
            max_open_uploads=limit,
        )


async def expected_part(
    services: Services, user_id: uuid.UUID, upload_id: uuid.UUID, number: int
) -> int:
    """The bytes that part `number` of an open upload must have."""
    async with session_scope(services.sessions) as session:
        upload = await uploads.get(session, user_id, upload_id)
    require_open(upload)
    return part_size(upload, number)


async def read_body(stream: AsyncIterator[bytes], size: int) -> bytes:
    """The body, if it has exactly `size` bytes; no more than that is kept.

    Raises:
        ApiError: `invalid_part`, it has others, or comes too slowly.
    """
    chunks: list[bytes] = []
    received = 0
    try:
        async with asyncio.timeout(PART_SECONDS):
            async for chunk in stream:
                received += len(chunk)
                if received > size:
                    break
                chunks.append(chunk)
    except TimeoutError as error:
        raise ApiError(
            ErrorType.invalid_part,
            f"{received} of {size} bytes arrived within {PART_SECONDS} s: send the part again.",
            size_bytes=size,
        ) from error
    if received != size:
        raise ApiError(ErrorType.invalid_part, f"This part has {size} bytes.", size_bytes=size)
    return b"".join(chunks)


async def store_part(
    services: Services,
    user_id: uuid.UUID,
    upload_id: uuid.UUID,
    number: int,
    body: bytes,
    announced_sha256: str | None,
) -> str:
    """Store a part and say its sha256; the same part again replaces it."""
    if number == 1:
        # What is no recording is refused before the rest is sent.
        sniff(body[:HEAD_BYTES])
    sha256 = (await asyncio.to_thread(hashlib.sha256, body)).hexdigest()
    if announced_sha256 is not None and announced_sha256 != sha256:
        raise ApiError(
            ErrorType.checksum_mismatch, f"The sha256 of what arrived is {sha256}.", sha256=sha256
        )
    key = part_key(user_id, upload_id, number)
    await services.objects.put(key, body)
    async with session_scope(services.sessions) as session:
        upload = await uploads.get(session, user_id, upload_id, lock=True)
        if upload.state is UploadState.open:
            await uploads.save_part(session, upload_id, number, len(body), sha256)
    if upload.state is not UploadState.open:
        await services.objects.delete([key])
        require_open(upload)
    return sha256


async def part_url(
    services: Services, user_id: uuid.UUID, upload_id: uuid.UUID, number: int
) -> str | None:
    """Where a client may put a part itself; None where it cannot reach the object store."""
    if not services.presigned_uploads:
        return None
    key = part_key(user_id, upload_id, number)
    return await services.objects.presign_put(key, PART_URL_LIFETIME)


async def cancel(services: Services, user_id: uuid.UUID, upload_id: uuid.UUID) -> None:
    """Give an upload up and remove its parts; again is no error."""
    async with session_scope(services.sessions) as session:
        upload = await uploads.get(session, user_id, upload_id, lock=True)
        if upload.state is UploadState.completed:
            raise ApiError(ErrorType.upload_closed, "The upload is completed; delete the file.")
        await uploads.close(session, upload_id, UploadState.cancelled)
        await _parts_are_leftovers(services, session, upload)
    await _remove_parts(services, upload)


async def complete(
    services: Services,
    user_id: uuid.UUID,
    upload_id: uuid.UUID,
    sha256: str | None,
    once: Guarded,
) -> Accepted:
    """Join the parts, verify the whole, and take it in. Completing again gives the same answer."""
    async with once.guarded({"sha256": sha256}) as keep:
        async with session_scope(services.sessions) as session:
            upload = await uploads.get(session, user_id, upload_id)
            if upload.state is UploadState.completed:
                return await keep(session, await _outcome(session, upload))
            received = [part.number for part in await uploads.parts(session, upload_id)]
            require_open(upload)
            await backlog.look(session, user_id, services.queue)
        await _require_all(services, upload, received)
        try:
            async with services.join_slots.take(user_id, Lane.interactive):
                accepted = await _join(services, upload, sha256 or upload.sha256, keep)
        except NotFound:
            # A part is gone: whoever removed it may have completed the upload meanwhile.
            async with session_scope(services.sessions) as session:
                upload = await uploads.get(session, user_id, upload_id)
                if upload.state is not UploadState.completed:
                    raise
                return await keep(session, await _outcome(session, upload))
        await _remove_parts(services, upload)
        return accepted


async def _outcome(session: AsyncSession, upload: Upload) -> Accepted:
    """What a completed upload became."""
    if upload.media_file_id is not None:
        file = await media_files.get(session, upload.user_id, upload.media_file_id)
        task = await tasks.latest_of_file(session, file.id)
        if task is not None:
            return Accepted.of(file, task)
    raise ApiError(ErrorType.upload_closed, "The upload was completed; its file is deleted.")


async def all_received(services: Services, upload: Upload, received: Sequence[int]) -> list[int]:
    """The parts that are there: those that came through us, and those put by the client itself."""
    numbers = set(received)
    if services.presigned_uploads and upload.state is UploadState.open:
        prefix = upload_prefix(upload.user_id, upload.id)
        expected = {
            part_key(upload.user_id, upload.id, number): (number, part_size(upload, number))
            for number in range(1, part_count(upload) + 1)
        }
        async for page in services.objects.pages(prefix):
            for item in page:
                number, size = expected.get(item.key, (0, 0))
                if number and item.size_bytes == size:
                    numbers.add(number)
    return sorted(numbers)


async def _require_all(services: Services, upload: Upload, received: Sequence[int]) -> None:
    there = set(await all_received(services, upload, received))
    missing = [number for number in range(1, part_count(upload) + 1) if number not in there]
    if missing:
        raise ApiError(
            ErrorType.upload_incomplete,
            f"{len(missing)} of {part_count(upload)} parts are missing or have the wrong size.",
            missing_parts=missing[:MISSING_SHOWN],
        )


async def _join(
    services: Services,
    upload: Upload,
    announced_sha256: str | None,
    keep: Keeper,
) -> Accepted:
    """Compose the parts under a new file's key; that object is removed unless it is taken in."""
    numbers = range(1, part_count(upload) + 1)
    keys = [part_key(upload.user_id, upload.id, number) for number in numbers]
    container = sniff(await services.objects.get(keys[0], 0, HEAD_BYTES))
    file_id = uuid.uuid4()
    key = media_key(upload.user_id, file_id)
    async with session_scope(services.sessions) as session:
        await intake.announce(session, upload.user_id, file_id)
    try:
        stored = await services.objects.compose(key, keys)
        # What is hashed is what is kept: a part that changes from now on changes nothing.
        sha256 = await _hash(services, key)
        _require_same(upload, stored.size_bytes, sha256, announced_sha256)
        arrival = Arrival(
            file_id=file_id,
            user_id=upload.user_id,
            filename=upload.filename,
            container=container,
            size_bytes=stored.size_bytes,
            sha256=sha256,
            options=upload.options,
        )
        accepted = await _take_in(services, upload, arrival, keep)
    except BaseException:
        await intake.discard(services, upload.user_id, file_id)
        raise
    if accepted.file.id != file_id:
        await intake.discard(services, upload.user_id, file_id)
    return accepted


def _require_same(upload: Upload, size: int, sha256: str, announced: str | None) -> None:
    if announced not in {None, sha256} or size != upload.size_bytes:
        raise ApiError(
            ErrorType.checksum_mismatch,
            f"The parts make {size} bytes with the sha256 {sha256}.",
            sha256=sha256,
        )


async def _hash(services: Services, key: str) -> str:
    digest = hashlib.sha256()
    async for chunk in services.objects.stream(key):
        await asyncio.to_thread(digest.update, chunk)
    return digest.hexdigest()


async def _take_in(services: Services, upload: Upload, arrival: Arrival, keep: Keeper) -> Accepted:
    """Close the upload and record its file, at once; of two completions the first one counts."""
    header = await intake.probe(services, arrival)
    async with session_scope(services.sessions) as session:
        now = await uploads.get(session, upload.user_id, upload.id, lock=True)
        if now.state is UploadState.completed:
            return await keep(session, await _outcome(session, now))
        require_open(now)
        await _parts_are_leftovers(services, session, upload)
        file, task = await intake.record(session, arrival, header, services.queue)
        await uploads.close(session, upload.id, UploadState.completed, file.id)
        return await keep(session, Accepted.of(file, task))


async def _parts_are_leftovers(services: Services, session: AsyncSession, upload: Upload) -> None:
    """Note that the parts are needed no longer: a URL given out for one may still be used."""
    after = PART_URL_LIFETIME if services.presigned_uploads else timedelta(0)
    await leftovers.note(session, upload_prefix(upload.user_id, upload.id), after=after)


async def _remove_parts(services: Services, upload: Upload) -> None:
    prefix = upload_prefix(upload.user_id, upload.id)
    await remove_noted(services, prefix, forget=not services.presigned_uploads)
