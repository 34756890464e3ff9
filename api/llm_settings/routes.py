"""Routes of a user's own configurations of language models: /api/llm-settings."""

import uuid

from fastapi import APIRouter
from sqlalchemy.ext.asyncio import AsyncSession

from api.dependencies import App, CurrentUser, Session
from api.envelope import EnvelopeRoute
from api.errors import ApiError, ErrorType
from api.llm_settings import providers, saving, status
from api.llm_settings.schemas import (
    ActiveConfiguration,
    ConfigurationChanged,
    ConfigurationChanges,
    ConfigurationDeleted,
    ConfigurationIn,
    ConfigurationOut,
    ConfigurationsDeleted,
)
from api.llm_settings.status_schemas import LlmStatus, Providers
from api.openapi import SIGNED_IN, SIGNED_IN_TYPES, errors, owned_errors
from api.pagination import Page, Paging
from cluster.settings import LanguageSettings
from db.queries import llm_configurations

router = APIRouter(prefix="/api/llm-settings", tags=["language models"], route_class=EnvelopeRoute)


@router.get(
    "/providers",
    summary="Kinds of language models",
    response_description="Providers",
    responses=SIGNED_IN,
)
async def list_providers(services: App, _: CurrentUser) -> Providers:
    """What can be set up, what each needs, and which of them the operator allows."""
    return Providers(providers=providers.described(services.language))


@router.get(
    "/status",
    summary="Which language model works for me",
    response_description="Status",
    responses=SIGNED_IN,
)
async def get_status(services: App, user: CurrentUser) -> LlmStatus:
    """Your active configuration, else the installation's default, else the model inside.

    Where it cannot be used, this says why. No provider is asked: the tests do that.
    """
    return await status.status(services, user.id)


@router.get(
    "",
    summary="List my language models",
    response_description="Configurations",
    responses=errors(*SIGNED_IN_TYPES, ErrorType.validation_error),
)
async def list_configurations(
    session: Session, user: CurrentUser, paging: Paging
) -> Page[ConfigurationOut]:
    """Your configurations, by name; one of them is active."""
    rows, total = await llm_configurations.page(
        session, user.id, limit=paging.page_size, offset=paging.offset
    )
    return paging.of([ConfigurationOut.of(row) for row in rows], total)


@router.post(
    "",
    status_code=201,
    summary="Set up a language model",
    response_description="Configuration made",
    responses=errors(
        *SIGNED_IN_TYPES,
        ErrorType.validation_error,
        ErrorType.url_refused,
        ErrorType.not_configured,
        ErrorType.name_taken,
        ErrorType.too_many_configurations,
    ),
)
async def create_configuration(
    services: App, session: Session, user: CurrentUser, wanted: ConfigurationIn
) -> ConfigurationOut:
    """A further configuration; your first one is active at once.

    The key is stored encrypted, and nobody gets to see it again. An address must be public, or one
    that the operator allows.
    """
    url = await saving.normal_url(services, wanted.base_url)
    values = saving.first_values(wanted, url, services)
    await _require_place(session, user.id, services.language)
    return ConfigurationOut.of(await llm_configurations.add(session, user.id, values))


async def _require_place(
    session: AsyncSession, user_id: uuid.UUID, settings: LanguageSettings
) -> None:
    limit = settings.max_configurations
    if await llm_configurations.count(session, user_id) >= limit:
        raise ApiError(
            ErrorType.too_many_configurations,
            f"You have {limit} configurations, the most that this installation allows.",
            max_configurations=limit,
        )


@router.post(
    "/set-active",
    summary="Switch to another language model",
    response_description="Configuration is active",
    responses=owned_errors(),
)
async def set_active(
    session: Session, user: CurrentUser, wanted: ActiveConfiguration
) -> ConfigurationOut:
    """Makes one of your configurations the active one: work that begins from now on uses it."""
    row = await llm_configurations.activate(session, user.id, wanted.configuration_id)
    return ConfigurationOut.of(row)


@router.get(
    "/config/{config_id}",
    summary="One language model of mine",
    response_description="Configuration",
    responses=owned_errors(),
)
async def get_configuration(
    session: Session, user: CurrentUser, config_id: uuid.UUID
) -> ConfigurationOut:
    """How it is set up, but for its key."""
    return ConfigurationOut.of(await llm_configurations.get(session, user.id, config_id))


@router.put(
    "/config/{config_id}",
    summary="Change a language model of mine",
    response_description="Configuration changed",
    responses=owned_errors(ErrorType.url_refused, ErrorType.not_configured, ErrorType.name_taken),
)
async def change_configuration(
    services: App,
    session: Session,
    user: CurrentUser,
    config_id: uuid.UUID,
    changes: ConfigurationChanges,
) -> ConfigurationChanged:
    """Changes what is sent. Without `api_key` the stored one stays, with null it goes.

    A key goes to no other address than the one it was entered for: with another `provider` or
    `base_url`, and no new key, the stored one is dropped, and `api_key_dropped` says so.
    """
    url = await saving.normal_url(services, changes.base_url)
    row = await llm_configurations.get(session, user.id, config_id, lock=True)
    values, dropped = saving.new_values(row, changes, url, services)
    changed = await llm_configurations.change(session, row, values)
    return ConfigurationChanged.after(changed, dropped=dropped)


@router.delete(
    "/config/{config_id}",
    summary="Delete a language model of mine",
    response_description="Configuration deleted",
    responses=owned_errors(),
)
async def delete_configuration(
    session: Session, user: CurrentUser, config_id: uuid.UUID
) -> ConfigurationDeleted:
    """Deletes it with its key. If it was active, the one that you made last is so from now on."""
    heir = await llm_configurations.remove(session, user.id, config_id)
    return ConfigurationDeleted(active_id=heir.id if heir else None)


@router.delete(
    "/all",
    summary="Delete all my language models",
    response_description="Configurations deleted",
    responses=SIGNED_IN,
)
async def delete_configurations(session: Session, user: CurrentUser) -> ConfigurationsDeleted:
    """Deletes all of them with their keys: your work then uses the installation's default."""
    return ConfigurationsDeleted(removed=await llm_configurations.remove_all(session, user.id))
