"""A recording in flight, what a stage is, and the one way to work through a recording's parts."""

import asyncio
import hashlib
import json
import random
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol, TypeVar

from db.errors import StoreUnavailable
from serving.audio import STEP_SECONDS
from serving.errors import LanguageUnsupported, ModelUnavailable, SpeechError, SpeechUnavailable
from serving.ports import Ports
from serving.speech import (
    LIVE,
    Diarization,
    LanguageGuess,
    MediaSource,
    Pcm,
    Preparation,
    Segment,
    SpeakerBounds,
    Task,
    Window,
    WindowText,
    Word,
    WordTiming,
)

Part = TypeVar("Part")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Options:
    """What the user asked for."""

    language: str = "auto"
    task: Task = "transcribe"
    speakers: SpeakerBounds = field(default_factory=SpeakerBounds)
    diarize: bool = True


@dataclass(frozen=True, slots=True)
class Recording:
    """What is known of a recording so far; each stage adds to it."""

    sha256: str
    source: MediaSource
    options: Options
    preparation: Preparation | None = None
    windows: tuple[Window, ...] = ()
    language: LanguageGuess | None = None
    texts: tuple[WindowText, ...] = ()
    words: tuple[tuple[Word, ...], ...] = ()
    """Per window; times from the start of the recording."""
    word_timing: WordTiming | None = None
    diarization: Diarization | None = None
    segments: tuple[Segment, ...] = ()
    notes: tuple[str, ...] = ()
    timings: Mapping[str, float] = field(default_factory=dict)
    """Stage to the seconds it took."""

    @property
    def duration(self) -> float:
        """Seconds of decoded audio."""
        return self.preparation.duration if self.preparation else 0.0


class Audio(Protocol):
    """The decoded audio of one recording, kept block by block until the task is done."""

    async def write(self, index: int, block: Pcm) -> None:
        """Keep a block."""
        ...

    async def complete(self, seconds: float) -> bool:
        """Whether all blocks of a recording this long are kept."""
        ...

    async def read(self, start: float, end: float) -> Pcm:
        """The samples between two times."""
        ...


class Checkpoints(Protocol):
    """Results of parts that are done, by stage and fingerprint."""

    async def load(self, stage: str, fingerprint: str) -> Mapping[int, bytes]:
        """Part number to stored result."""
        ...

    async def save(self, stage: str, fingerprint: str, part: int, data: bytes) -> None:
        """Keep the result of a part."""
        ...


class Progress(Protocol):
    """Where a stage tells how far it is."""

    def __call__(self, stage: str, done: float, total: float) -> None:
        """`done` of `total` audio seconds of this stage are done."""
        ...


class StagePace(Protocol):
    """How long stages take, and may take."""

    def note(self, stage: str, audio_seconds: float, seconds: float) -> None:
        """So much audio of a stage was worked through."""
        ...

    def deadline_seconds(self, stage: str, audio_seconds: float) -> float:
        """When a stage counts as stuck."""
        ...


@dataclass(frozen=True, slots=True)
class Models:
    """Names of the models that will answer: part of every fingerprint, shown in the transcript."""

    whisper: str
    diarization: str
    alignment: str
    beam_size: int
    embedding: str
    """Identity of voiceprints: those of different models cannot be compared."""
    segmentation_step_seconds: float = STEP_SECONDS
    """From one chunk of speaker segmentation to the next."""


@dataclass(frozen=True, slots=True)
class Context:
    """Everything a stage may use."""

    ports: Ports
    models: Models
    audio: Audio
    checkpoints: Checkpoints
    progress: Progress
    pace: StagePace
    slot: Callable[[str], AbstractAsyncContextManager[Any]]
    """A place among the parts of a stage that may be outstanding."""
    lane: str = LIVE
    """How urgent the task is: replicas take what is urgent first."""
    audio_seconds: float = 0.0
    """What the file's header says of its length."""
    last_attempt: bool = False
    retries: int = 3
    retry_seconds: float = 1.0


class Stage(Protocol):
    """One step of a plan."""

    name: str

    async def run(self, recording: Recording, context: Context) -> Mapping[str, Any]:
        """What this stage adds: fields of Recording to their new values."""
        ...


WHOLE = (LanguageUnsupported, ModelUnavailable, SpeechUnavailable)
"""Errors that say nothing about the part that met them: they end the stage."""


def fingerprint(*parts: Any) -> str:
    """A short name for the inputs of a stage: the same inputs, the same name."""
    text = json.dumps(parts, sort_keys=True, default=asdict)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


async def together(work: Iterable[Coroutine[Any, Any, Result]]) -> list[Result]:
    """All results in order; the first failure cancels the others and is raised as it is."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one) for one in work]
    except BaseExceptionGroup as errors:
        error: BaseException = errors
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        raise error from errors
    return [task.result() for task in tasks]


async def patiently(context: Context, work: Callable[[], Awaitable[Result]]) -> Result:
    """Ask again when an answer failed in a way that may pass (a replica died, a store is away).

    Ray Serve does not repeat a request whose replica died, so this does, with growing pauses and
    jitter.
    """
    for attempt in range(context.retries):
        try:
            return await work()
        except (SpeechError, StoreUnavailable) as error:
            if isinstance(error, SpeechError) and not error.retryable:
                raise
            pause = context.retry_seconds * 2**attempt
            await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - jitter
    return await work()


async def each_part(
    context: Context,
    stage: str,
    key: str,
    parts: Sequence[tuple[Part, float]],
    work: Callable[[Part], Awaitable[Result]],
    encode: Callable[[Result], bytes],
    decode: Callable[[bytes], Result],
    verdict: Callable[[Part, SpeechError], Result] | None = None,
) -> list[Result]:
    """Work through `parts` (each with its audio seconds), those that are stored excepted.

    Parts run concurrently, as many as there are slots; each is stored when it is done, so that a
    crash repeats only the parts in flight. Where a part fails for good, `verdict` says what stands
    in its place; without one, or when every part failed, the first failure ends the stage.
    """
    stored = dict(await patiently(context, lambda: context.checkpoints.load(stage, key)))
    total = sum(seconds for _, seconds in parts)
    done = sum(seconds for index, (_, seconds) in enumerate(parts) if index in stored)
    context.progress(stage, done, total)
    found, started = done, time.monotonic()
    results: dict[int, Result] = {
        index: decode(stored.pop(index)) for index in range(len(parts)) if index in stored
    }
    failed: list[SpeechError] = []

    async def one(index: int, part: Part, seconds: float) -> None:
        nonlocal done
        async with context.slot(stage):
            try:
                result = await patiently(context, lambda: work(part))
            except SpeechError as error:
                failed.append(error)
                if verdict is None or isinstance(error, WHOLE) or len(failed) == len(parts):
                    raise
                result = verdict(part, error)
        data = encode(result)
        await patiently(context, lambda: context.checkpoints.save(stage, key, index, data))
        results[index] = result
        done += seconds
        context.progress(stage, done, total)

    await together(
        one(index, part, seconds)
        for index, (part, seconds) in enumerate(parts)
        if index not in results
    )
    context.pace.note(stage, total - found, time.monotonic() - started)
    return [results[index] for index in range(len(parts))]
