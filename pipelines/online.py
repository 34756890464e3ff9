"""Runs one recording through a plan."""

import asyncio
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from cluster.telemetry import tracing
from pipelines.plan import OPTIONAL, Step, Track
from pipelines.stages.base import Context, Recording, Stage, together
from serving import busy
from serving.errors import DeadlineExceeded, SpeechError


async def run(
    recording: Recording,
    steps: Sequence[Step],
    context: Context,
    optional: Collection[str] = OPTIONAL,
) -> Recording:
    """The recording with what every stage added.

    Raises the error of the first stage that failed, its sisters cancelled; a failed optional stage
    only leaves a note.
    """
    for step in steps:
        work = (_follow(track, recording, context, optional) for track in step)
        for changes in await together(work):
            for change in changes:
                recording = _changed(recording, change)
    return recording


async def _follow(
    track: Track, recording: Recording, context: Context, optional: Collection[str]
) -> list[Mapping[str, Any]]:
    """What the stages of a track add, each of which sees what those before it added."""
    changes = []
    for stage in track if isinstance(track, tuple) else (track,):
        changes.append(await _run(stage, recording, context, optional))
        recording = _changed(recording, changes[-1])
    return changes


def _changed(recording: Recording, change: Mapping[str, Any]) -> Recording:
    notes = recording.notes + tuple(change.get("notes", ()))
    timings = {**recording.timings, **change.get("timings", {})}
    return replace(recording, **{**change, "notes": notes, "timings": timings})


async def _run(
    stage: Stage, recording: Recording, context: Context, optional: Collection[str]
) -> Mapping[str, Any]:
    try:
        return await _timed(stage, recording, context)
    except SpeechError as error:
        # What may pass is worth another attempt of the task; the checkpoints make it cheap.
        if stage.name not in optional or (error.retryable and not context.last_attempt):
            raise
        return {"notes": (f"{stage.name} failed: {error.message}",)}


async def _timed(stage: Stage, recording: Recording, context: Context) -> Mapping[str, Any]:
    """A stage within its deadline, and the seconds it took."""
    started = time.monotonic()
    limit = context.pace.deadline_seconds(stage.name, recording.duration or context.audio_seconds)
    try:
        async with asyncio.timeout(limit) as deadline:
            with busy.stage(stage.name), tracing.span(stage.name):
                change = await stage.run(recording, context)
    except TimeoutError as error:
        if not deadline.expired():
            raise
        raise DeadlineExceeded(f"{stage.name} had not ended after {limit:.0f} s.") from error
    return {**change, "timings": {stage.name: round(time.monotonic() - started, 3)}}
