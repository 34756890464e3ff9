"""Routes that ask language models: tests, and what a provider offers: /api/llm-settings."""

import uuid
from typing import Annotated

from fastapi import APIRouter, Query

from api.dependencies import App, CurrentUser
from api.envelope import EnvelopeRoute
from api.errors import ErrorType
from api.llm_settings import trying
from api.llm_settings.schemas import ConnectionIn
from api.llm_settings.status_schemas import Models, ModelsWanted, Trial
from api.openapi import SIGNED_IN, SIGNED_IN_TYPES, errors, owned_errors
from db.engine import session_scope
from db.queries import llm_configurations
from pipelines.language import configurations

router = APIRouter(prefix="/api/llm-settings", tags=["language models"], route_class=EnvelopeRoute)

ASKED = (
    ErrorType.validation_error,
    ErrorType.url_refused,
    ErrorType.not_configured,
)
LISTED = (
    *ASKED,
    ErrorType.llm_failed,
    ErrorType.llm_unavailable,
    ErrorType.llm_unauthorised,
    ErrorType.llm_rate_limited,
    ErrorType.llm_refused,
)


@router.post(
    "/test",
    summary="Test a language model before it is saved",
    response_description="Test is over",
    responses=errors(*SIGNED_IN_TYPES, *ASKED),
)
async def try_connection(services: App, _: CurrentUser, wanted: ConnectionIn) -> Trial:
    """Asks the model something small; nothing is stored. What went wrong is told in the answer."""
    return await trying.tried_unsaved(services, wanted)


@router.post(
    "/test-current",
    summary="Test the language model that works for me",
    response_description="Test is over",
    responses=SIGNED_IN,
)
async def try_current(services: App, user: CurrentUser) -> Trial:
    """Asks the model that `GET …/status` names something small, and keeps how that went."""
    async with session_scope(services.sessions) as session:
        found = await configurations.find(session, user.id, services.language)
    if found is None:
        return trying.NOTHING
    if found.configuration is not None:
        return await trying.tried_row(services, found.configuration)
    return await trying.tried_local(services)


@router.post(
    "/test-config/{config_id}",
    summary="Test a language model of mine",
    response_description="Test is over",
    responses=owned_errors(),
)
async def try_configuration(services: App, user: CurrentUser, config_id: uuid.UUID) -> Trial:
    """Asks the model of one of your configurations something small, and keeps how that went."""
    async with session_scope(services.sessions) as session:
        row = await llm_configurations.get(session, user.id, config_id)
    return await trying.tried_row(services, row)


@router.get(
    "/models",
    summary="Models that a provider of mine offers",
    response_description="Models",
    responses=owned_errors(*LISTED),
)
async def list_models(
    services: App,
    user: CurrentUser,
    config_id: Annotated[
        uuid.UUID | None,
        Query(description="One of your configurations; unset: what works for you now"),
    ] = None,
) -> Models:
    """Their names, as the provider of a configuration tells them.

    For one that is not saved, `POST` to the same path: a key never stands in an address.
    """
    connection = await trying.connection_saved(services, user.id, config_id)
    return await trying.offered(services, connection)


@router.post(
    "/models",
    summary="Models that a provider offers with a key",
    response_description="Models",
    responses=errors(*SIGNED_IN_TYPES, *LISTED),
)
async def list_models_with_key(services: App, _: CurrentUser, wanted: ModelsWanted) -> Models:
    """The same before a configuration is saved; the key is used for this once and not stored."""
    return await trying.offered(services, await trying.connection_listed(services, wanted))
