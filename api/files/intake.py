"""Takes a stored object in for a request: `pipelines.intake`, with what its user prefers."""

import asyncio
import uuid
from collections.abc import Awaitable
from dataclasses import replace
from typing import TypeVar

from sqlalchemy.ext.asyncio import AsyncSession

from api import preferences
from api.dependencies import Services
from cluster.settings import QueueSettings
from db.models import MediaFile, Task
from pipelines import intake
from pipelines.intake import Arrival, announce, refuse_duplicate
from serving.speech import MediaProbe

__all__ = ["Arrival", "announce", "discard", "probe", "record", "refuse_duplicate", "undisturbed"]

T = TypeVar("T")


async def probe(services: Services, arrival: Arrival) -> MediaProbe:
    """Read the header in the decoder's sandbox; raises a SpeechError where it is unacceptable."""
    return await intake.probe(services.objects, services.prober, arrival)


async def record(
    session: AsyncSession, arrival: Arrival, header: MediaProbe, limits: QueueSettings
) -> tuple[MediaFile, Task]:
    """Write the file's row and queue its task, in this transaction.

    Raises:
        FileExists: the user has these bytes already, also where they came in between.
        QueueFull: there is no room for its task now.
    """
    options = await preferences.with_defaults(session, arrival.user_id, arrival.options)
    return await intake.record(session, replace(arrival, options=options), header, limits)


async def discard(services: Services, user_id: uuid.UUID, file_id: uuid.UUID) -> None:
    """Remove the objects of a file that was not taken in."""
    await intake.discard(services.sessions, services.objects, user_id, file_id)


async def undisturbed(work: Awaitable[T]) -> T:
    """Finish `work` although the client hangs up: what it sent is either taken in or removed."""
    return await asyncio.shield(asyncio.ensure_future(work))
