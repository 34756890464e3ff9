"""Routes of the installation's default language model: /api/admin/llm-settings."""

from typing import Any

from fastapi import APIRouter
from sqlalchemy.ext.asyncio import AsyncSession

from api.dependencies import App, CallerAddress, CurrentAdmin, Services, Session
from api.envelope import EnvelopeRoute
from api.errors import ErrorType
from api.llm_settings import saving, trying
from api.llm_settings.schemas import (
    ConfigurationChanged,
    ConfigurationOut,
    ConnectionIn,
    DefaultOut,
)
from api.llm_settings.status_schemas import Trial
from api.openapi import ADMIN_TYPES, errors
from db.engine import session_scope
from db.models import LlmConfiguration, User
from db.queries import audit, llm_configurations
from db.queries.audit import Action

router = APIRouter(prefix="/api/admin/llm-settings", tags=["admin"], route_class=EnvelopeRoute)

TOLD = ("provider", "model", "base_url", "context_tokens", "temperature")
"""What the audit log keeps of a default, beside whether it has a key."""


@router.get(
    "",
    summary="The default language model",
    response_description="Default",
    responses=errors(*ADMIN_TYPES),
)
async def get_default(session: Session, _: CurrentAdmin) -> DefaultOut:
    """What everybody's work is done with who set up nothing, but for its key."""
    row = await llm_configurations.default(session)
    return DefaultOut(configuration=ConfigurationOut.of(row) if row else None)


@router.put(
    "",
    summary="Set the default language model",
    response_description="Default set",
    responses=errors(
        *ADMIN_TYPES, ErrorType.validation_error, ErrorType.url_refused, ErrorType.not_configured
    ),
)
async def put_default(
    services: App,
    session: Session,
    admin: CurrentAdmin,
    address: CallerAddress,
    wanted: ConnectionIn,
) -> ConfigurationChanged:
    """Sets all of it; what is left out gets its default, only the key stays as it is.

    With another `provider` or `base_url` than before, and without a key, the stored one is dropped,
    and `api_key_dropped` says so. Users see the provider and the model's name, never the key.
    """
    url = await saving.normal_url(services, wanted.base_url)
    row = await llm_configurations.default(session, lock=True)
    before, key_before = _told(row), row.api_key if row else None
    if row is None:
        dropped = False
        values = saving.first_values(wanted, url, services)
        row = await llm_configurations.add_default(session, values)
    else:
        values, dropped = saving.all_values(row, wanted, url, services)
        row = await llm_configurations.change(session, row, values)
    after = {**_told(row), "api_key_changed": row.api_key != key_before}
    _write_down(session, admin, address, before, after)
    return ConfigurationChanged.after(row, dropped=dropped)


@router.delete(
    "",
    status_code=204,
    summary="Remove the default language model",
    responses=errors(*ADMIN_TYPES),
)
async def delete_default(session: Session, admin: CurrentAdmin, address: CallerAddress) -> None:
    """Deletes it with its key: who set up nothing has the model inside the cluster, if any."""
    row = await llm_configurations.default(session, lock=True)
    if row is not None:
        _write_down(session, admin, address, _told(row), None)
        await llm_configurations.remove_default(session)


@router.post(
    "/test",
    summary="Test the default language model",
    response_description="Test is over",
    responses=errors(*ADMIN_TYPES),
)
async def try_default(services: App, _: CurrentAdmin) -> Trial:
    """Asks it something small, and keeps how that went."""
    row = await _stored(services)
    return await trying.tried_row(services, row) if row else trying.NO_DEFAULT


async def _stored(services: Services) -> LlmConfiguration | None:
    async with session_scope(services.sessions) as session:
        return await llm_configurations.default(session)


def _told(row: LlmConfiguration | None) -> dict[str, Any]:
    """What is written down of a default: not the key, not even encrypted."""
    if row is None:
        return {}
    return {**{name: getattr(row, name) for name in TOLD}, "has_api_key": row.api_key is not None}


def _write_down(
    session: AsyncSession,
    admin: User,
    address: str,
    before: dict[str, Any],
    after: dict[str, Any] | None,
) -> None:
    if {**before, "api_key_changed": False} != after:
        audit.add(
            session,
            Action.settings_changed,
            actor_id=admin.id,
            subject=("settings", "llm"),
            address=address,
            details={"before": before or None, "after": after},
        )
