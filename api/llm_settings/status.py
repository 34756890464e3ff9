"""Which language model a user's work is done with, and why not, without asking any provider."""

import uuid

from api.dependencies import Services
from api.errors import ErrorType
from api.llm_settings.status_schemas import LlmSource, LlmStatus
from cluster.settings import LlmProvider
from db.engine import session_scope
from pipelines.language import configurations
from pipelines.language.configurations import Resolved, Source
from serving.errors import SpeechError

NOTHING = LlmStatus(
    available=False,
    source=LlmSource.none,
    provider=None,
    model=None,
    configuration_id=None,
    context_tokens=None,
    last_tested_at=None,
    test_status=None,
    reason="No language model is set up. Set one up with POST /api/llm-settings, or ask an "
    "administrator for a default one, or for `rayscribe up --llm`.",
    error_type=ErrorType.not_configured,
)


async def status(services: Services, user_id: uuid.UUID) -> LlmStatus:
    """What works for this user now."""
    async with session_scope(services.sessions) as session:
        found = await configurations.find(session, user_id, services.language)
    if found is None:
        return NOTHING
    told = _told(found)
    try:
        return told.model_copy(update=await _reached(services, found))
    except SpeechError as error:
        trouble = {"reason": error.message, "error_type": ErrorType(error.code)}
        return told.model_copy(update={"available": False, **trouble})


def _told(found: Resolved) -> LlmStatus:
    row = found.configuration
    return LlmStatus(
        available=True,
        source=LlmSource(found.source),
        provider=found.provider,
        model=found.model,
        configuration_id=row.id if row and found.source is Source.own else None,
        context_tokens=row.context_tokens if row else None,
        last_tested_at=row.last_tested_at if row else None,
        test_status=row.test_status if row else None,
        reason=None,
        error_type=None,
    )


async def _reached(services: Services, found: Resolved) -> dict[str, object]:
    """What is known of the model; raises SpeechError where it cannot be reached."""
    local = None
    if found.provider is LlmProvider.local:
        if await services.local_model.asleep():
            return {}
        local = await services.local_model.state()
    connection = configurations.connection(found, services.language, local, services.encryption)
    return {"model": connection.model, "context_tokens": connection.context_tokens}
