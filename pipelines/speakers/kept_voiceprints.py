"""Stored results of stages that hold voiceprints: what of them goes when one is forgotten."""

import uuid

from sqlalchemy.ext.asyncio import AsyncSession

from db.queries import stage_results
from pipelines.stages.diarize import Diarize
from pipelines.stages.embed import Embed

VOICEPRINTS = frozenset({Diarize.name, Embed.name})
"""Stages whose stored results hold voiceprints."""


async def drop_forgotten(session: AsyncSession, file_id: uuid.UUID) -> None:
    """Drop them where somebody's voiceprint of the file was forgotten: they may hold it.

    For the end of a task, which may have stored them after the voiceprint was forgotten.
    """
    await stage_results.drop_forgotten(session, file_id, VOICEPRINTS)
