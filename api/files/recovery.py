"""Sets a user's own files right: what is stuck is queued anew, what may succeed is retried."""

import uuid
from datetime import timedelta

from api.dependencies import Services
from api.errors import ApiError, ErrorType
from api.files import bulk
from api.idempotency import Guarded
from api.outcomes import BulkResult, Done, attempted
from db.engine import session_scope
from db.models import TaskState
from db.queries import tasks, troubles
from pipelines.advice import advice_on

MAX_FILES = 50
"""Of each kind: what a click asks for must end while somebody waits for it."""
BETWEEN_TRIES = timedelta(minutes=5)
"""What was in the way has had no time to pass before."""


async def recover(services: Services, user_id: uuid.UUID, once: Guarded) -> BulkResult:
    """Recover stuck files, then retry failed ones; each in transactions of its own."""

    async def take_over(file_id: uuid.UUID) -> Done:
        return await bulk.recover(services, user_id, None, file_id)

    async def retry(file_id: uuid.UUID) -> Done:
        await _require_hope(services, file_id)
        return await bulk.retry(services, user_id, None, file_id)

    async with once.guarded({}) as keep:
        async with session_scope(services.sessions) as session:
            rows, _ = await troubles.stuck(session, user_id, limit=MAX_FILES)
            stuck = list(dict.fromkeys(file.id for file, _ in rows))
            failed = await troubles.failed(session, user_id, limit=MAX_FILES)
        results = [await attempted(file_id, take_over) for file_id in stuck]
        results += [await attempted(file_id, retry) for file_id in failed]
        async with session_scope(services.sessions) as session:
            return await keep(session, BulkResult.of(results))


async def _require_hope(services: Services, file_id: uuid.UUID) -> None:
    """Raise where a retry would end as the last try, or comes too soon after it."""
    async with session_scope(services.sessions) as session:
        if await troubles.tried_within(session, file_id, BETWEEN_TRIES):
            raise ApiError(
                ErrorType.too_many_attempts,
                "It was tried less than five minutes ago: ask again later, or retry it by itself.",
            )
        last = await tasks.latest_of_file(session, file_id)
    if last is None or last.state is not TaskState.failed:
        return
    advice = advice_on(last.error_type)
    if not advice.retryable:
        raise ApiError(ErrorType.conflict, f"{advice.happened} {advice.outlook}")
