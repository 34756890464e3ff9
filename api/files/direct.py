"""Small files in one request."""

import asyncio
import hashlib
import uuid
from typing import Any, BinaryIO

from fastapi import UploadFile

from api.dependencies import Services
from api.files import intake
from api.files.intake import Arrival
from api.files.names import display_name
from api.files.schemas import Accepted
from api.idempotency import Guarded, Keeper
from db.engine import session_scope
from pipelines import backlog
from serving.containers import HEAD_BYTES, sniff

CHUNK_BYTES = 1024 * 1024


def _digest(file: BinaryIO) -> str:
    digest = hashlib.sha256()
    while chunk := file.read(CHUNK_BYTES):
        digest.update(chunk)
    return digest.hexdigest()


async def take_in(
    services: Services, user_id: uuid.UUID, file: UploadFile, options: dict[str, Any], once: Guarded
) -> Accepted:
    """Check, store and queue a file that arrived whole."""
    container = sniff(await file.read(HEAD_BYTES))
    await file.seek(0)
    sha256 = await asyncio.to_thread(_digest, file.file)
    await file.seek(0)
    arrival = Arrival(
        file_id=uuid.uuid4(),
        user_id=user_id,
        filename=display_name(file.filename or ""),
        container=container,
        size_bytes=file.size or 0,
        sha256=sha256,
        options=options,
    )
    # Not the body: a form has another boundary each time.
    content = {"sha256": sha256, "filename": arrival.filename, "options": options}
    async with once.guarded(content) as keep:
        return await _store(services, file.file, arrival, keep)


async def _store(services: Services, file: BinaryIO, arrival: Arrival, keep: Keeper) -> Accepted:
    async with session_scope(services.sessions) as session:
        await intake.refuse_duplicate(session, arrival.user_id, arrival.sha256)
        await backlog.look(session, arrival.user_id, services.queue)
        await intake.announce(session, arrival.user_id, arrival.file_id)
    try:
        await services.objects.put_stream(arrival.key, file, arrival.size_bytes)
        header = await intake.probe(services, arrival)
        async with session_scope(services.sessions) as session:
            accepted = await intake.record(session, arrival, header, services.queue)
            return await keep(session, Accepted.of(*accepted))
    except BaseException:
        await intake.discard(services, arrival.user_id, arrival.file_id)
        raise
