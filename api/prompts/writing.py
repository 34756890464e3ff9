"""What a prompt has to meet before it is stored."""

import uuid

from sqlalchemy.ext.asyncio import AsyncSession

from api.errors import ApiError, ErrorType
from api.prompts.schemas import PromptChanges, PromptIn, PromptOut
from cluster.settings import LanguageSettings
from db.queries import summary_prompts
from pipelines.errors import PromptInvalid
from pipelines.language import prompts
from pipelines.language.prompts import SYSTEM_BY_ID


def require_own(prompt_id: uuid.UUID) -> None:
    """See that a prompt is not the system's.

    Raises:
        ApiError: `read_only`.
    """
    if prompt_id in SYSTEM_BY_ID:
        raise ApiError(
            ErrorType.read_only,
            "This is one of the system's prompts, which nobody can change or delete; make one of "
            "your own with its text.",
        )


def _check(text: str, settings: LanguageSettings) -> None:
    if len(text) > settings.max_prompt_characters:
        raise PromptInvalid(
            f"The prompt has {len(text)} characters; this installation allows "
            f"{settings.max_prompt_characters}, since every call of a summary carries it."
        )
    prompts.check(text)


async def create(
    session: AsyncSession, user_id: uuid.UUID, wanted: PromptIn, settings: LanguageSettings
) -> PromptOut:
    """Make a prompt.

    Raises:
        PromptInvalid: it could not be used.
        NameTaken: the user has another one of this name.
        ApiError: `too_many_prompts`.
    """
    _check(wanted.prompt_text, settings)
    if await summary_prompts.count(session, user_id) >= settings.max_prompts:
        raise ApiError(
            ErrorType.too_many_prompts,
            f"You have {settings.max_prompts} prompts, the most that this installation allows.",
            max_prompts=settings.max_prompts,
        )
    row = await summary_prompts.add(session, user_id, wanted.model_dump())
    return PromptOut.of_own(row, await prompts.active_id(session, user_id))


async def change(
    session: AsyncSession,
    user_id: uuid.UUID,
    prompt_id: uuid.UUID,
    wanted: PromptChanges,
    settings: LanguageSettings,
) -> PromptOut:
    """Change a prompt of the user's own.

    Raises:
        NotFound: there is none that this user may see.
        PromptInvalid: it could not be used.
        NameTaken: the user has another one of this name.
    """
    if wanted.prompt_text is not None:
        # What is not there is said before what is wrong with its text.
        await summary_prompts.get(session, user_id, prompt_id)
        _check(wanted.prompt_text, settings)
    row = await summary_prompts.change(session, user_id, prompt_id, wanted.changes())
    return PromptOut.of_own(row, await prompts.active_id(session, user_id))
