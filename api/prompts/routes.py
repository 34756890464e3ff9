"""Routes of prompts of summaries: /api/prompts."""

import uuid
from typing import Annotated

from fastapi import APIRouter, Query

from api.dependencies import App, CurrentUser, Session
from api.envelope import EnvelopeRoute
from api.errors import ErrorType
from api.openapi import SIGNED_IN, SIGNED_IN_TYPES, errors, owned_errors
from api.pagination import Page, Paging
from api.prompts import listing, writing
from api.prompts.schemas import (
    ActiveChoice,
    ActivePrompt,
    PromptChanges,
    PromptIn,
    PromptOut,
    PromptsOfType,
)
from db.models import ContentType
from db.queries import summary_prompts
from pipelines.language import prompts

router = APIRouter(prefix="/api/prompts", tags=["prompts"], route_class=EnvelopeRoute)


@router.get(
    "",
    summary="List prompts",
    response_description="Prompts",
    responses=errors(*SIGNED_IN_TYPES, ErrorType.validation_error),
)
async def list_prompts(
    session: Session,
    user: CurrentUser,
    paging: Paging,
    content_type: Annotated[
        ContentType | None, Query(description="Those for this kind of recordings; unset: all")
    ] = None,
    include_system: Annotated[bool, Query(description="Whether the system's are listed")] = True,
    include_own: Annotated[bool, Query(description="Whether yours are listed")] = True,
) -> Page[PromptOut]:
    """The system's prompts, then yours by name."""
    wanted = listing.Wanted(content_type, include_system, include_own)
    return await listing.page(session, user.id, wanted, paging)


@router.get(
    "/by-content-type/{content_type}",
    summary="Prompts for a kind of recordings",
    response_description="Prompts",
    responses=errors(*SIGNED_IN_TYPES, ErrorType.validation_error),
)
async def prompts_of_type(
    session: Session, user: CurrentUser, content_type: ContentType
) -> PromptsOfType:
    """The system's prompt for it and yours, and which one you set active."""
    return await listing.of_type(session, user.id, content_type)


@router.get(
    "/active/current",
    summary="The active prompt",
    response_description="Active prompt",
    responses=SIGNED_IN,
)
async def active_prompt(session: Session, user: CurrentUser) -> ActivePrompt:
    """What your summaries are made with where a request names no prompt, and why."""
    return await listing.active(session, user.id)


@router.post(
    "/active/set",
    summary="Set the active prompt",
    response_description="Active prompt set",
    responses=owned_errors(),
)
async def set_active_prompt(
    session: Session, user: CurrentUser, choice: ActiveChoice
) -> ActivePrompt:
    """Uses one of your prompts, or of the system's, for all summaries that name none."""
    await prompts.set_active(session, user.id, choice.prompt_id)
    return await listing.active(session, user.id)


@router.post(
    "",
    status_code=201,
    summary="Make a prompt",
    response_description="Prompt made",
    responses=errors(
        *SIGNED_IN_TYPES,
        ErrorType.validation_error,
        ErrorType.prompt_invalid,
        ErrorType.name_taken,
        ErrorType.too_many_prompts,
    ),
)
async def create_prompt(
    services: App, session: Session, user: CurrentUser, wanted: PromptIn
) -> PromptOut:
    """A prompt of your own: it is used when a summary names it, or when it is the active one."""
    return await writing.create(session, user.id, wanted, services.language)


@router.get(
    "/{prompt_id}", summary="One prompt", response_description="Prompt", responses=owned_errors()
)
async def get_prompt(session: Session, user: CurrentUser, prompt_id: uuid.UUID) -> PromptOut:
    """One of yours, or of the system's."""
    return await listing.one(session, user.id, prompt_id)


@router.put(
    "/{prompt_id}",
    summary="Change a prompt",
    response_description="Prompt changed",
    responses=owned_errors(ErrorType.read_only, ErrorType.prompt_invalid, ErrorType.name_taken),
)
async def change_prompt(
    services: App, session: Session, user: CurrentUser, prompt_id: uuid.UUID, wanted: PromptChanges
) -> PromptOut:
    """Changes what is sent; summaries that were made with it stay.

    The system's cannot be changed: make one of your own with its text.
    """
    writing.require_own(prompt_id)
    return await writing.change(session, user.id, prompt_id, wanted, services.language)


@router.delete(
    "/{prompt_id}",
    status_code=204,
    summary="Delete a prompt",
    responses=owned_errors(ErrorType.read_only),
)
async def delete_prompt(session: Session, user: CurrentUser, prompt_id: uuid.UUID) -> None:
    """Deletes it; summaries that were made with it stay.

    Where it was the active one, the system's is used from now on, and `GET …/active/current` says
    so.
    """
    writing.require_own(prompt_id)
    await summary_prompts.remove(session, user.id, prompt_id)
