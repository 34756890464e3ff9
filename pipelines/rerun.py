"""A file's next task after one that is over: what stays of its options and of what is stored."""

import uuid
from collections.abc import Collection, Mapping
from enum import StrEnum
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from db.models import Lane, MediaFile, Task
from db.queries import media_files, stage_results
from pipelines import queue
from pipelines.stages.align import Align
from pipelines.stages.diarize import Diarize
from pipelines.stages.transcribe import Transcribe


class ReprocessStage(StrEnum):
    """What can be computed anew; the names are the seed's."""

    transcription = "transcription"
    rediarize = "rediarize"


CHECKPOINTS: Mapping[ReprocessStage, frozenset[str]] = {
    ReprocessStage.transcription: frozenset({Transcribe.name, "language", Align.name}),
    ReprocessStage.rediarize: frozenset({Diarize.name}),
}
"""Under which names the results are stored that are then forgotten."""

SPEAKERS = frozenset({"min_speakers", "max_speakers", "num_speakers"})


def merged(
    last: Mapping[str, Any], changes: Mapping[str, Any], stages: Collection[ReprocessStage]
) -> dict[str, Any]:
    """The options of the last task with changes; None is back to the installation's default."""
    options = dict(last)
    if SPEAKERS & changes.keys():
        # They make sense only together: an old exact number would win over new bounds.
        options = {name: value for name, value in options.items() if name not in SPEAKERS}
    if ReprocessStage.rediarize in stages:
        options.pop("diarize", None)
    return {name: value for name, value in {**options, **changes}.items() if value is not None}


async def submit_again(
    session: AsyncSession,
    file: MediaFile,
    last: Task | None,
    options: Mapping[str, Any],
    stages: Collection[ReprocessStage] = (),
    *,
    backfill_id: uuid.UUID | None = None,
) -> Task:
    """Queue a file anew. What is stored of these stages is forgotten, the rest is reused.

    In the lane of its last task, or for a backfill in the bulk lane.

    Raises:
        DuplicateFile: the file had come to nothing, and its bytes were uploaded again since.
    """
    forgotten = {name for stage in stages for name in CHECKPOINTS[stage]}
    async with media_files.unless_duplicate(session):
        await stage_results.drop(session, file.id, forgotten)
        return await queue.submit(
            session,
            user_id=file.user_id,
            media_file_id=file.id,
            lane=Lane.bulk if backfill_id else last.lane if last else Lane.interactive,
            options=options,
            audio_seconds=file.duration or 0.0,
            backfill_id=backfill_id,
        )
