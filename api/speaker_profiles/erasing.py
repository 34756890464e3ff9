"""Removes people: rows in one transaction, then the objects."""

import uuid
from collections.abc import Sequence

from api.dependencies import Services
from api.speaker_profiles.schemas import Erased
from db.engine import session_scope
from db.queries import audit, speakers
from db.queries.audit import Action
from pipelines import leftovers
from pipelines.speakers import erasure, people


async def delete(services: Services, user_id: uuid.UUID, profile_id: uuid.UUID) -> None:
    """Delete a profile and its clips; whatever stops this only delays the clips' end."""
    async with session_scope(services.sessions) as session:
        objects = await people.delete(session, user_id, profile_id)
    await remove(services, objects)


async def erase(services: Services, user_id: uuid.UUID, profile_id: uuid.UUID) -> Erased:
    """Forget a person everywhere; the audit log says that it was done, not to whom by name."""
    async with session_scope(services.sessions) as session:
        await speakers.serialise(session, user_id)
        audit.add(
            session,
            Action.person_erased,
            actor_id=user_id,
            owner_id=user_id,
            subject=("profile", str(profile_id)),
        )
        forgotten = await erasure.forget_person(session, user_id, profile_id)
    await remove(services, forgotten.objects)
    return Erased.of(forgotten)


async def remove(services: Services, objects: Sequence[str]) -> None:
    """Remove objects under prefixes that are noted as leftovers."""
    for prefix in objects:
        await leftovers.remove_now(services.sessions, services.objects, prefix)
