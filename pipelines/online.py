"""Runs one recording through a plan."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pipelines.plan import OPTIONAL, Step
from pipelines.stages.base import Context, Recording, Stage, together
from serving.errors import SpeechError


async def run(recording: Recording, steps: Sequence[Step], context: Context) -> Recording:
    """The recording with what every stage added.

    Raises the error of the first stage that failed, its sisters cancelled; a failed optional stage
    only leaves a note.
    """
    for step in steps:
        for change in await together(_run(stage, recording, context) for stage in step):
            notes = recording.notes + tuple(change.get("notes", ()))
            recording = replace(recording, **{**change, "notes": notes})
    return recording


async def _run(stage: Stage, recording: Recording, context: Context) -> Mapping[str, Any]:
    try:
        return await stage.run(recording, context)
    except SpeechError as error:
        # What may pass is worth another attempt of the task; the checkpoints make it cheap.
        if stage.name not in OPTIONAL or (error.retryable and not context.last_attempt):
            raise
        return {"notes": (f"{stage.name} failed: {error.message}",)}
