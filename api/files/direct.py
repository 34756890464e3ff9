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
from db.engine import session_scope
from db.models import MediaFile, Task
from serving.containers import HEAD_BYTES, sniff

CHUNK_BYTES = 1024 * 1024


def _digest(file: BinaryIO) -> str:
    digest = hashlib.sha256()
    while chunk := file.read(CHUNK_BYTES):
        digest.update(chunk)
    return digest.hexdigest()


async def take_in(
    services: Services, user_id: uuid.UUID, file: UploadFile, options: dict[str, Any]
) -> tuple[MediaFile, Task]:
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
    async with session_scope(services.sessions) as session:
        await intake.refuse_duplicate(session, user_id, arrival.sha256)
    try:
        await services.objects.put_stream(arrival.key, file.file, arrival.size_bytes)
        header = await intake.probe(services, arrival)
        async with session_scope(services.sessions) as session:
            return await intake.record(session, arrival, header)
    except BaseException:
        await intake.discard(services, arrival.file_id, arrival.key)
        raise
