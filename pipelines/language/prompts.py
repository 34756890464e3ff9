"""Prompts of summaries: the system's, what a prompt may hold, and which one is used."""

import re
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from db.errors import NotFound
from db.models import ContentType, SummaryPrompt
from db.queries import summary_prompts, user_settings
from pipelines.errors import PromptInvalid

SECTION = "summaries"
"""The section of a user's settings that says which prompt is active."""
ACTIVE = "active_prompt_id"

REQUIRED = ("transcript", "speaker_data")
ALLOWED = (*REQUIRED, "title", "duration", "language")
VARIABLES: Mapping[str, str] = {
    "transcript": "What was said: the transcript, or a section of it, or notes of its sections",
    "speaker_data": "Who speaks, how long and how often",
    "title": "The recording's title",
    "duration": "The recording's length",
    "language": "The language in which the summary is written",
}
"""What may stand in braces, and what takes its place."""

# A doubled brace is a brace; what stands between single ones is a variable.
PIECE = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
SHOWN_CHARACTERS = 40


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a model is asked for a summary with; variables stand in braces."""

    id: uuid.UUID
    name: str
    text: str
    content_type: ContentType
    is_system: bool = False
    description: str = ""


def _system(content_type: ContentType, key: str, name: str, about: str, wanted: str) -> Prompt:
    """One of the system's prompts; `wanted` is all in which they differ."""
    text = f"{wanted}\n{ENDING}"
    return Prompt(uuid.UUID(key), name, text, content_type, is_system=True, description=about)


ENDING = """\
Keep names, numbers and dates exactly.

Title: {title}
Length: {duration}
Speakers: {speaker_data}

Transcript:
{transcript}"""

SYSTEM: Mapping[ContentType, Prompt] = {
    prompt.content_type: prompt
    for prompt in (
        _system(
            ContentType.general,
            "5a1f0b52-7c0e-4e57-9a3d-0f6f6a2c1b01",
            "General",
            "For any recording.",
            "Summarise this recording for a reader who was not there. Say the most important "
            "point first. Then name the topics, the decisions, and the tasks that somebody took "
            "on, with owner and date.",
        ),
        _system(
            ContentType.meeting,
            "5a1f0b52-7c0e-4e57-9a3d-0f6f6a2c1b02",
            "Meeting",
            "For meetings and calls: decisions and tasks before all.",
            "Summarise this meeting for somebody who missed it. Say its outcome first. Then give "
            "every decision, who made it and why; every task, with its owner and date; and what "
            "stayed open.",
        ),
        _system(
            ContentType.interview,
            "5a1f0b52-7c0e-4e57-9a3d-0f6f6a2c1b03",
            "Interview",
            "For interviews: who asks, who answers, and what the answers are.",
            "Summarise this interview. Say first what the answers show on the whole. Then give "
            "each main question with the answer to it. Keep apart who asks and who answers, and "
            "facts from opinions.",
        ),
        _system(
            ContentType.podcast,
            "5a1f0b52-7c0e-4e57-9a3d-0f6f6a2c1b04",
            "Podcast",
            "For podcasts: what the episode is about, topic by topic.",
            "Summarise this podcast episode for somebody who decides whether to listen. Say first "
            "what it is about and what one learns. Then give each topic in order, and what each "
            "speaker thinks of it.",
        ),
        _system(
            ContentType.documentary,
            "5a1f0b52-7c0e-4e57-9a3d-0f6f6a2c1b05",
            "Documentary",
            "For documentaries and lectures: what is taught, and what backs it.",
            "Summarise this documentary or lecture. Say first what it teaches. Then give its parts "
            "in order, with the facts, figures, places and dates that back them, and who says so.",
        ),
    )
}
"""The system's prompts, one for each kind of recording; nobody changes them."""

SYSTEM_BY_ID: Mapping[uuid.UUID, Prompt] = {prompt.id: prompt for prompt in SYSTEM.values()}


def _pieces(text: str) -> Iterator[tuple[re.Match[str], str | None]]:
    """All braces in a text, and the name in those that hold a variable."""
    for found in PIECE.finditer(text):
        yield found, found[1]


def _place(text: str, position: int) -> str:
    line = text.count("\n", 0, position) + 1
    column = position - text.rfind("\n", 0, position)
    return f"line {line}, character {column}"


def check(text: str) -> None:
    """See that a prompt can be used.

    Raises:
        PromptInvalid: it lacks a variable that it needs, or has braces around something else; the
            message says where, and what is allowed.
    """
    seen = set()
    for found, name in _pieces(text):
        if found[0] in {"{{", "}}"}:
            continue
        if name not in VARIABLES:
            shown = found[0][:SHOWN_CHARACTERS]
            raise PromptInvalid(
                f"{shown} at {_place(text, found.start())} is not a variable. Allowed are "
                f"{_listed(ALLOWED)}; write braces that are meant as such twice: {{{{ and }}}}."
            )
        seen.add(name)
    if missing := [name for name in REQUIRED if name not in seen]:
        raise PromptInvalid(
            f"The prompt lacks {_listed(missing)}: the model would not see what was said, or by "
            "whom. Put it where that belongs."
        )


def _listed(names: tuple[str, ...] | list[str]) -> str:
    return ", ".join(f"{{{name}}}" for name in names)


def rendered(prompt: Prompt, **variables: str) -> str:
    """The prompt's text with its variables filled in; those that are not given stay empty.

    Braces in the values mean nothing. Raises TypeError for a name that is no variable.
    """
    if unknown := variables.keys() - VARIABLES.keys():
        raise TypeError(f"no variables of prompts: {', '.join(sorted(unknown))}")

    def filled(found: re.Match[str]) -> str:
        return found[0][0] if found[1] is None else variables.get(found[1], "")

    return PIECE.sub(filled, prompt.text)


def of_row(row: SummaryPrompt) -> Prompt:
    """A user's own prompt."""
    return Prompt(row.id, row.name, row.prompt_text, row.content_type, description=row.description)


async def get(session: AsyncSession, user_id: uuid.UUID, prompt_id: uuid.UUID) -> Prompt:
    """A prompt of the system's, or one of the user's own.

    Raises:
        NotFound: there is none that this user may see.
    """
    if prompt_id in SYSTEM_BY_ID:
        return SYSTEM_BY_ID[prompt_id]
    return of_row(await summary_prompts.get(session, user_id, prompt_id))


class Origin(StrEnum):
    """Why a prompt is used where a request names none."""

    own = "own"
    """The user set it active."""
    system = "system"
    """Nothing was set."""
    fallback = "fallback"
    """What was set active is deleted."""


@dataclass(frozen=True, slots=True)
class Active:
    """The prompt that a user's summaries are made with, and why it is that one."""

    prompt: Prompt
    origin: Origin


async def active_id(session: AsyncSession, user_id: uuid.UUID) -> uuid.UUID | None:
    """The prompt that a user set active, which may be deleted since; None: none."""
    stored = (await user_settings.get(session, user_id, SECTION)).get(ACTIVE)
    return uuid.UUID(stored) if stored else None


async def active(
    session: AsyncSession, user_id: uuid.UUID, content_type: ContentType | None = None
) -> Active:
    """The prompt that is used where a request names none.

    It is the one that the user set active; where there is none, or it is deleted, the system's for
    this kind of recording, or for recordings in general.
    """
    usual = SYSTEM[content_type or ContentType.general]
    prompt_id = await active_id(session, user_id)
    if prompt_id is None:
        return Active(usual, Origin.system)
    try:
        return Active(await get(session, user_id, prompt_id), Origin.own)
    except NotFound:
        return Active(usual, Origin.fallback)


async def set_active(
    session: AsyncSession, user_id: uuid.UUID, prompt_id: uuid.UUID | None
) -> None:
    """Make a prompt the one that is used where a request names none; None: the system's again.

    Raises:
        NotFound: there is none that this user may see.
    """
    if prompt_id is not None:
        await get(session, user_id, prompt_id)
    value: dict[str, Any] = {ACTIVE: str(prompt_id) if prompt_id else None}
    await user_settings.merge(session, user_id, SECTION, value)


async def chosen(
    session: AsyncSession,
    user_id: uuid.UUID,
    prompt_id: uuid.UUID | None,
    content_type: ContentType | None,
) -> Prompt:
    """The prompt of a summary: the one that is asked for, else `active`'s.

    Raises:
        NotFound: the one that is asked for is not there, or somebody else's.
    """
    if prompt_id is not None:
        return await get(session, user_id, prompt_id)
    return (await active(session, user_id, content_type)).prompt
