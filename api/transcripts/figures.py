"""Finds a file's figures, or computes them: without a transaction while it counts."""

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from api.dependencies import Services
from api.readiness import not_ready
from api.transcripts.analytics_schemas import AnalyticsOut, SpeakerName
from db.engine import session_scope
from db.models import MediaFile
from db.queries import analytics, reading, transcripts
from db.queries.analytics import Counted
from pipelines.analytics import SCHEMA_VERSION, SpokenLine, figures
from serving.speech import SpeakerTurn


async def version(session: AsyncSession, file: MediaFile) -> int:
    """The transcript's version now.

    Raises:
        ApiError: there is no transcript yet.
    """
    head = await transcripts.head(session, file.user_id, file.id)
    if head is None:
        raise not_ready(file)
    return head.version


async def stored(session: AsyncSession, file: MediaFile) -> AnalyticsOut | None:
    """The figures of the transcript as it is now; None: they are to be computed.

    Raises:
        ApiError: there is no transcript yet.
    """
    now = await version(session, file)
    found = await analytics.stored(session, file.id, now, SCHEMA_VERSION)
    if found is None:
        return None
    return await _answer(session, file, now, found.created_at, found.figures)


async def computed(services: Services, file: MediaFile) -> AnalyticsOut:
    """The figures, counted now and stored.

    Raises:
        NotFound: the file or its transcript has gone meanwhile.
    """
    async with session_scope(services.sessions) as session:
        await reading.at_one_moment(session)
        counted = await analytics.counted(session, file.id)
    made = await asyncio.to_thread(_figures, counted)
    async with session_scope(services.sessions) as session:
        now = await analytics.store(session, file.id, counted.version, SCHEMA_VERSION, made)
        return await _answer(session, file, counted.version, now, made)


def _figures(counted: Counted) -> dict[str, Any]:
    turns = None if counted.turns is None else [SpeakerTurn(*turn) for turn in counted.turns]
    lines = [SpokenLine(*line) for line in counted.lines]
    return figures(lines, turns, counted.duration, counted.language)


async def _answer(
    session: AsyncSession,
    file: MediaFile,
    version: int,
    computed_at: datetime,
    made: Mapping[str, Any],
) -> AnalyticsOut:
    # Labels stay, names change: they are joined when somebody reads.
    speakers = await transcripts.speakers(session, file.id)
    return AnalyticsOut(
        file_id=file.id,
        transcript_version=version,
        schema_version=SCHEMA_VERSION,
        computed_at=computed_at,
        speakers=[SpeakerName.model_validate(speaker) for speaker in speakers],
        **made,
    )
