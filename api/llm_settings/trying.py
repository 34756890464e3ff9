"""Asks language models something small, and what they offer: outside of any transaction."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from api.dependencies import Services
from api.errors import ApiError, ErrorType
from api.llm_settings import saving
from api.llm_settings.schemas import ConnectionIn
from api.llm_settings.status_schemas import Models, ModelsWanted, Trial, TrialStatus
from cluster.egress import EgressError, EgressRefused
from cluster.settings import LlmProvider
from db.engine import session_scope
from db.models import LlmConfiguration
from db.queries import llm_configurations
from pipelines.language import configurations
from serving.errors import LlmUnavailable, SpeechError
from serving.language import (
    ChatMessage,
    ChatRole,
    Generation,
    GenerationRequest,
    LlmConnection,
)
from serving.ports import LanguageModel
from serving.providers.connect import connect

QUESTION = GenerationRequest(
    messages=(ChatMessage(ChatRole.user, "Answer with the word yes, and nothing else."),),
    max_tokens=16,
)
MAX_MESSAGE_CHARACTERS = 1000


def _nothing(message: str) -> Trial:
    return Trial(
        success=False,
        status=TrialStatus.not_configured,
        message=message,
        error_type=ErrorType.not_configured,
        response_time_ms=None,
        provider=None,
        model=None,
        context_tokens=None,
    )


NOTHING = _nothing(
    "No language model is set up: make a configuration with POST /api/llm-settings, or ask an "
    "administrator for a default one."
)
NO_DEFAULT = _nothing("No default is set: set one with PUT /api/admin/llm-settings.")


@asynccontextmanager
async def reached(services: Services, connection: LlmConnection) -> AsyncIterator[LanguageModel]:
    """A model for somebody who waits: it is asked once, and for no longer than a test may take.

    Raises:
        SpeechError, EgressRefused: what went wrong with it.
    """
    local = None
    if connection.provider is LlmProvider.local:
        local = await services.local_model.handle()
    settings = services.language.model_copy(update={"retries": 0})
    model = connect(connection, services.egress, settings, local=local, resolve=services.resolve)
    try:
        async with asyncio.timeout(settings.test_seconds):
            yield model
    except TimeoutError as error:
        raise LlmUnavailable(
            f"There was no answer within {settings.test_seconds:g} seconds."
        ) from error
    finally:
        await model.close()


async def tried(services: Services, connection: LlmConnection) -> Trial:
    """What came of asking a model something small."""
    started = time.monotonic()
    try:
        async with reached(services, connection) as model:
            answer = await model.generate(QUESTION)
    except (SpeechError, EgressError) as error:
        trial = failed(error, connection.provider, connection.model, connection.context_tokens)
    else:
        trial = _answered(answer, connection)
    return trial.model_copy(update={"response_time_ms": round((time.monotonic() - started) * 1000)})


async def tried_row(services: Services, row: LlmConfiguration) -> Trial:
    """The same of a configuration, which keeps what came of it unless it was changed meanwhile."""
    try:
        connection = await connection_of_row(services, row)
    except SpeechError as error:
        trial = failed(error, row.provider, row.model, row.context_tokens)
    else:
        trial = await tried(services, connection)
    async with session_scope(services.sessions) as session:
        await llm_configurations.note_test(session, row, trial.status, trial.message)
    return trial


async def tried_unsaved(services: Services, wanted: ConnectionIn) -> Trial:
    """The same of a connection that is not saved, if it could be.

    Raises:
        RequestValidationError, ApiError, EgressRefused, EgressUnreachable: it could not.
    """
    try:
        connection = await connection_wanted(services, wanted)
    except SpeechError as error:
        return failed(error, wanted.provider, wanted.model, wanted.context_tokens)
    return await tried(services, connection)


async def tried_local(services: Services) -> Trial:
    """What came of asking the model inside the cluster, which nobody had to set up."""
    try:
        connection = configurations.local_connection(await services.local_model.state())
    except SpeechError as error:
        return failed(error, LlmProvider.local)
    return await tried(services, connection)


async def connection_of_row(services: Services, row: LlmConfiguration) -> LlmConnection:
    """How a configuration's model is reached.

    Raises:
        SpeechError: it cannot be: see `pipelines.language.configurations.resolve`.
    """
    local = await services.local_model.state() if row.provider is LlmProvider.local else None
    return configurations.connection_of(row, services.language, local, services.encryption)


async def connection_saved(
    services: Services, user_id: uuid.UUID, config_id: uuid.UUID | None
) -> LlmConnection:
    """How one of a user's configurations is reached, or else what works for the user now.

    Raises:
        NotFound: the user has no configuration of this id.
        ApiError: `not_configured`: nothing works for the user.
        SpeechError: it cannot be reached.
    """
    row = await _saved(services, user_id, config_id)
    if row is not None:
        return await connection_of_row(services, row)
    return configurations.local_connection(await services.local_model.state())


async def _saved(
    services: Services, user_id: uuid.UUID, config_id: uuid.UUID | None
) -> LlmConfiguration | None:
    """The configuration; None: the model inside the cluster works for the user."""
    async with session_scope(services.sessions) as session:
        if config_id is not None:
            return await llm_configurations.get(session, user_id, config_id)
        found = await configurations.find(session, user_id, services.language)
    if found is None:
        raise ApiError(ErrorType.not_configured, NOTHING.message)
    return found.configuration


async def connection_wanted(services: Services, wanted: ConnectionIn) -> LlmConnection:
    """How a model is reached that is not saved, if it could be.

    Raises:
        RequestValidationError, ApiError, SpeechError, EgressRefused, EgressUnreachable: it cannot.
    """
    has_key = wanted.api_key is not None
    saving.require_allowed(wanted.provider, services.language)
    saving.require_complete(wanted.provider, wanted.model, wanted.base_url, has_key=has_key)
    if wanted.provider is LlmProvider.local:
        state = await services.local_model.state()
        return configurations.local_connection(state, wanted.context_tokens, wanted.temperature)
    return LlmConnection(
        provider=wanted.provider,
        model=wanted.model or saving.LOCAL_MODEL,
        context_tokens=wanted.context_tokens,
        base_url=await saving.normal_url(services, wanted.base_url),
        api_key=wanted.api_key,
        temperature=wanted.temperature,
    )


async def connection_listed(services: Services, wanted: ModelsWanted) -> LlmConnection:
    """How a provider is asked for its models; raises as `connection_wanted` does."""
    # No model is asked anything: which one it would be does not matter.
    sent = wanted.model_dump(exclude_none=True)
    return await connection_wanted(services, ConnectionIn(model="any", **sent))


def _answered(answer: Generation, connection: LlmConnection) -> Trial:
    return Trial(
        success=True,
        status=TrialStatus.success,
        message="The model answers.",
        error_type=None,
        response_time_ms=None,
        provider=connection.provider,
        model=answer.model,
        context_tokens=connection.context_tokens,
    )


def failed(
    error: SpeechError | EgressError,
    provider: LlmProvider,
    model: str | None = None,
    context_tokens: int | None = None,
) -> Trial:
    """What is told of a model that did not answer."""
    return Trial(
        success=False,
        status=TrialStatus.failed,
        message=error.message[:MAX_MESSAGE_CHARACTERS],
        error_type=error_type_of(error),
        response_time_ms=None,
        provider=provider,
        model=model,
        context_tokens=context_tokens,
    )


def error_type_of(error: SpeechError | EgressError) -> ErrorType:
    """What it is called."""
    if isinstance(error, SpeechError):
        return ErrorType(error.code)
    refused = isinstance(error, EgressRefused)
    return ErrorType.url_refused if refused else ErrorType.llm_unavailable


async def offered(services: Services, connection: LlmConnection) -> Models:
    """The models that a provider offers.

    Raises:
        SpeechError, EgressError: what went wrong.
    """
    async with reached(services, connection) as model:
        names = sorted(set(await model.models()))
    return Models(provider=connection.provider, models=names, total=len(names))
