"""Asks for a language model's work on a file, for whatever route: what is refused, and the task."""

import uuid
from collections.abc import Mapping
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from api.dependencies import Services
from api.errors import ApiError, ErrorType
from api.readiness import not_ready
from db.models import Lane, MediaFile, Task, TaskKind, Transcript
from db.queries import media_files, summaries, topic_suggestions, transcripts
from pipelines.language import prompts, tasks

REFUSALS = (
    ErrorType.not_configured,
    ErrorType.transcript_not_ready,
    ErrorType.transcript_empty,
    ErrorType.conflict,
)
"""What a route that asks for such work may refuse with."""


async def ready(
    services: Services, session: AsyncSession, user_id: uuid.UUID, file_id: uuid.UUID
) -> tuple[MediaFile, Transcript]:
    """A file that a language model can work on, locked, and the head of its transcript.

    Raises:
        NotFound: there is none that this user may see.
        NotConfigured: the user has no language model.
        ApiError: there is no transcript yet, or nothing is said in it.
    """
    file = await media_files.get(session, user_id, file_id, lock=True)
    await tasks.require_model(session, user_id, services.language)
    transcript = await transcripts.head(session, user_id, file_id)
    if transcript is None:
        raise not_ready(file)
    if not await transcripts.has_words(session, transcript.id):
        raise ApiError(
            ErrorType.transcript_empty,
            "Nothing is said in this recording, as far as its transcript knows.",
        )
    return file, transcript


async def summarize(
    services: Services,
    session: AsyncSession,
    user_id: uuid.UUID,
    file_id: uuid.UUID,
    options: Mapping[str, Any] | None = None,
    *,
    force: bool = False,
) -> Task:
    """Queue a summary, unless the file has one of its transcript as it is and `force` is not set.

    Raises:
        NotFound: there is no such file, or no such prompt.
        NotConfigured, TaskActive: the user has no language model; one is being made.
        ApiError: there is no transcript yet, it is empty, or there is nothing to do.
    """
    file, transcript = await ready(services, session, user_id, file_id)
    asked = dict(options or {})
    if prompt_id := asked.get("prompt_id"):
        await prompts.get(session, user_id, uuid.UUID(prompt_id))
    if not force:
        latest = await summaries.latest(session, user_id, file_id)
        if latest is not None and latest.transcript_version == transcript.version:
            raise ApiError(
                ErrorType.conflict,
                f"Summary {latest.version} is of the transcript as it is now: send "
                "`force_regenerate` to have another one made.",
                summary_version=latest.version,
            )
    return await tasks.submit(session, file, TaskKind.summarization, asked)


async def extract_topics(
    services: Services,
    session: AsyncSession,
    user_id: uuid.UUID,
    file_id: uuid.UUID,
    *,
    force: bool = False,
    lane: Lane = Lane.interactive,
) -> Task:
    """Queue a topic extraction, as `summarize` does.

    Raises:
        NotFound, NotConfigured, TaskActive, ApiError: as `summarize`.
    """
    file, transcript = await ready(services, session, user_id, file_id)
    found = None if force else await topic_suggestions.find(session, user_id, file_id)
    if found is not None and found.transcript_version == transcript.version:
        raise ApiError(
            ErrorType.conflict,
            f"There are suggestions for the transcript as it is now, {found.state}: send "
            "`force_regenerate` to have others made.",
            suggestion_state=found.state,
        )
    return await tasks.submit(session, file, TaskKind.topic_extraction, {}, lane)


async def identify_speakers(
    services: Services, session: AsyncSession, user_id: uuid.UUID, file_id: uuid.UUID
) -> Task:
    """Queue a speaker identification.

    Raises:
        NotFound, NotConfigured, TaskActive, ApiError: as `summarize`; nobody is left to be named.
    """
    file, _ = await ready(services, session, user_id, file_id)
    speakers = await transcripts.speakers(session, file_id)
    if all(speaker.display_name is not None for speaker in speakers):
        raise ApiError(
            ErrorType.conflict,
            "Everybody who speaks in this file has a name; take one away to have it found."
            if speakers
            else "Nobody looked for speakers in this file, or none were found.",
        )
    return await tasks.submit(session, file, TaskKind.speaker_identification, {})
