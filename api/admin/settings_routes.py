"""Routes of settings that administrators change while the service runs, one set per section."""

from typing import Any

from fastapi import APIRouter

from api.admin.schemas import SystemSettings
from api.dependencies import CallerAddress, CurrentAdmin, Session
from api.envelope import EnvelopeRoute
from api.errors import ErrorType
from api.openapi import ADMIN_TYPES, errors
from db.models import User
from db.queries import audit, system_settings
from db.queries.audit import Action
from pipelines.system_settings import SECTIONS, S, Section, current, parsed

router = APIRouter(prefix="/api/admin/settings", tags=["admin"], route_class=EnvelopeRoute)


@router.get(
    "",
    summary="All settings of the installation",
    response_description="Settings",
    responses=errors(*ADMIN_TYPES),
)
async def all_settings(session: Session, _: CurrentAdmin) -> SystemSettings:
    """Every section as it is in force now; changes count at once, for every replica."""
    sections = {section.section: await current(session, section) for section in SECTIONS}
    return SystemSettings(**sections)


async def change(
    session: Session, admin: User, address: str, section: type[S], new: dict[str, Any] | None
) -> S:
    """Set a section's values, or with None forget them; writes down what they were and are."""
    stored = await system_settings.locked(session, section.section)
    before = parsed(section, stored)
    after = parsed(section, new or {})
    if new is None:
        await system_settings.reset(session, section.section)
    elif before != after or not stored:
        await system_settings.save(session, section.section, new)
    if before != after:
        audit.add(
            session,
            Action.settings_changed,
            actor_id=admin.id,
            subject=("settings", section.section),
            address=address,
            details={"before": before.model_dump(), "after": after.model_dump()},
        )
    return after


def _add(section: type[Section]) -> None:
    """The three routes of a section; made per section, so that each has its own schema."""
    name = section.section
    about = f"{section.__doc__}"

    @router.get(
        f"/{name}",
        name=f"get_{name}_settings",
        summary=f"Settings: {name}",
        description=about,
        response_description="Settings",
        responses=errors(*ADMIN_TYPES),
    )
    async def read(session: Session, _: CurrentAdmin) -> section:  # type: ignore[valid-type]
        return await current(session, section)

    @router.put(
        f"/{name}",
        name=f"put_{name}_settings",
        summary=f"Set: {name}",
        description=f"{about} What is left out gets its default.",
        response_description="Settings changed",
        responses=errors(*ADMIN_TYPES, ErrorType.validation_error),
    )
    async def write(
        session: Session,
        admin: CurrentAdmin,
        address: CallerAddress,
        body: section,  # type: ignore[valid-type]
    ) -> section:  # type: ignore[valid-type]
        values = body.model_dump(mode="json")  # type: ignore[attr-defined]
        return await change(session, admin, address, section, values)

    @router.delete(
        f"/{name}",
        name=f"reset_{name}_settings",
        summary=f"Back to the defaults: {name}",
        description=about,
        response_description="Settings reset",
        responses=errors(*ADMIN_TYPES),
    )
    async def reset(session: Session, admin: CurrentAdmin, address: CallerAddress) -> section:  # type: ignore[valid-type]
        return await change(session, admin, address, section, None)


for each in SECTIONS:
    _add(each)
