"""Prompts as lists show them: the system's before one's own."""

import uuid
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from api.pagination import Page, PageRequest
from api.prompts.schemas import ActivePrompt, PromptOut, PromptsOfType
from db.models import ContentType
from db.queries import summary_prompts
from pipelines.language import prompts
from pipelines.language.prompts import SYSTEM, SYSTEM_BY_ID, Origin

DELETED = (
    "The prompt that you had set is deleted; the system's is used instead. Set another one with "
    "POST /api/prompts/active/set."
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which prompts a list shows."""

    content_type: ContentType | None
    """None: of every kind."""
    system: bool
    own: bool


async def page(
    session: AsyncSession, user_id: uuid.UUID, wanted: Wanted, paging: PageRequest
) -> Page[PromptOut]:
    """One page of the list."""
    active_id = await prompts.active_id(session, user_id)
    system = [
        PromptOut.of_system(prompt, active_id)
        for prompt in SYSTEM.values()
        if wanted.system and wanted.content_type in {None, prompt.content_type}
    ]
    shown = system[paging.offset : paging.offset + paging.page_size]
    if not wanted.own:
        return paging.of(shown, len(system))
    rows, total = await summary_prompts.page(
        session,
        user_id,
        wanted.content_type,
        limit=paging.page_size - len(shown),
        offset=max(0, paging.offset - len(system)),
    )
    own = [PromptOut.of_own(row, active_id) for row in rows]
    return paging.of([*shown, *own], len(system) + total)


async def of_type(
    session: AsyncSession, user_id: uuid.UUID, content_type: ContentType
) -> PromptsOfType:
    """All prompts for a kind of recordings."""
    active_id = await prompts.active_id(session, user_id)
    rows = await summary_prompts.every(session, user_id, content_type)
    return PromptsOfType(
        content_type=content_type,
        system=PromptOut.of_system(SYSTEM[content_type], active_id),
        own=[PromptOut.of_own(row, active_id) for row in rows],
        active_prompt_id=active_id,
    )


async def one(session: AsyncSession, user_id: uuid.UUID, prompt_id: uuid.UUID) -> PromptOut:
    """One prompt.

    Raises:
        NotFound: there is none that this user may see.
    """
    active_id = await prompts.active_id(session, user_id)
    if prompt_id in SYSTEM_BY_ID:
        return PromptOut.of_system(SYSTEM_BY_ID[prompt_id], active_id)
    return PromptOut.of_own(await summary_prompts.get(session, user_id, prompt_id), active_id)


async def active(session: AsyncSession, user_id: uuid.UUID) -> ActivePrompt:
    """The prompt that is used where a request names none."""
    found = await prompts.active(session, user_id)
    return ActivePrompt(
        prompt=await one(session, user_id, found.prompt.id),
        origin=found.origin,
        note=DELETED if found.origin is Origin.fallback else None,
    )
