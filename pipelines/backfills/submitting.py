"""The task of one file of a backfill: what each stage asks of the queue."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from cluster.settings import LanguageSettings
from db.errors import DuplicateFile
from db.models import Backfill, BackfillStage, Lane, MediaFile, Task, TaskKind
from db.queries import reembedding, tasks, transcripts
from pipelines import queue, rerun
from pipelines.backfills.orders import RECOMPUTED
from pipelines.errors import NotConfigured, TaskActive
from pipelines.language import tasks as language

BUSY_SECONDS = 5.0
"""When a file is looked at again that somebody else is working on."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file that is not to be done, and why."""

    error_type: str
    message: str


@dataclass(frozen=True, slots=True)
class Later:
    """It cannot be begun now."""

    seconds: float


Submitted = Task | Skipped | Later


@dataclass(frozen=True, slots=True)
class FileOf:
    """A file whose row is locked, and the backfill that wants it done."""

    session: AsyncSession
    backfill: Backfill
    file: MediaFile
    language: LanguageSettings


async def submit(of: FileOf) -> Submitted:
    """Queue the file's task, reserved; tells clients, so call it late in a transaction."""
    return await SUBMIT[of.backfill.stage](of)


async def _transcription(of: FileOf) -> Submitted:
    if await tasks.has_active(of.session, of.file.id):
        return Later(BUSY_SECONDS)
    last = await tasks.latest_of_file(of.session, of.file.id)
    # A recording that was taken in has its options, and keeps what is done of it.
    brought_in = of.backfill.stage is BackfillStage.bring_in
    stages = set() if brought_in else {RECOMPUTED[of.backfill.stage]}
    changes = {} if brought_in and last else of.backfill.options
    options = rerun.merged(last.options if last else {}, changes, stages)
    try:
        return await rerun.submit_again(
            of.session, of.file, last, options, stages, backfill_id=of.backfill.id
        )
    except DuplicateFile:
        return Skipped("duplicate_file", "The same recording was uploaded again since.")


async def _voiceprints(of: FileOf) -> Submitted:
    if await reembedding.waits(of.session, of.file.id):
        return Later(BUSY_SECONDS)
    return await _queued(of, TaskKind.voiceprints, of.file.duration or 0.0)


async def _alignment(of: FileOf) -> Submitted:
    if await tasks.has_active(of.session, of.file.id):
        return Later(BUSY_SECONDS)
    return await _queued(of, TaskKind.alignment, of.file.duration or 0.0)


async def _index(of: FileOf) -> Submitted:
    # Nothing of it is heard again.
    return await _queued(of, TaskKind.file_index, 0.0)


async def _queued(of: FileOf, kind: TaskKind, audio_seconds: float) -> Task:
    return await queue.submit(
        of.session,
        user_id=of.file.user_id,
        media_file_id=of.file.id,
        kind=kind,
        lane=Lane.bulk,
        audio_seconds=audio_seconds,
        backfill_id=of.backfill.id,
    )


async def _summary(of: FileOf) -> Submitted:
    session, file = of.session, of.file
    transcript = await transcripts.head(session, file.user_id, file.id)
    if transcript is None or not await transcripts.has_words(session, transcript.id):
        return Skipped("transcript_empty", "Nothing is said in it.")
    try:
        await language.require_model(session, file.user_id, of.language)
        return await language.submit(
            session,
            file,
            TaskKind.summarization,
            of.backfill.options,
            Lane.bulk,
            of.backfill.id,
        )
    except NotConfigured:
        return Skipped("not_configured", "Whose it is has no language model.")
    except TaskActive:
        return Later(BUSY_SECONDS)


SUBMIT: Mapping[BackfillStage, Callable[[FileOf], Awaitable[Submitted]]] = {
    BackfillStage.retranscribe: _transcription,
    BackfillStage.rediarize: _transcription,
    BackfillStage.reembed: _voiceprints,
    BackfillStage.realign: _alignment,
    BackfillStage.reindex: _index,
    BackfillStage.resummarize: _summary,
    # With its task (`importing`) at first; one that is here already is to be tried again.
    BackfillStage.bring_in: _transcription,
}
