"""Removes at once what is noted as a leftover; what cannot be, the outbox removes later."""

import structlog

from api.dependencies import Services
from db.engine import session_scope
from db.errors import StoreUnavailable
from pipelines import leftovers

logger = structlog.get_logger(__name__)


async def remove_noted(services: Services, prefix: str, *, forget: bool = True) -> None:
    """Remove all objects under a prefix that is noted; `forget` unless more may still arrive."""
    try:
        await services.objects.delete_prefix(prefix)
    except StoreUnavailable as error:
        # The rows say already that nobody needs them, and the note stays.
        logger.warning("objects not removed yet", prefix=prefix, error=str(error))
        return
    if forget:
        async with session_scope(services.sessions) as session:
            await leftovers.forget(session, prefix)
