"""Recording to rows: the only place where speech becomes tables."""

import uuid

import numpy as np
from sqlalchemy import delete, update
from sqlalchemy.ext.asyncio import AsyncSession

from cluster.settings import LanguageSettings
from db import vocabulary
from db.models import MediaFile, Segment, Speaker, Transcript
from db.queries import edits
from db.queries.edits import EditAction
from pipelines import queue, task_state, usage
from pipelines.language import enrichment
from pipelines.lines import word_rows
from pipelines.queue import Claim
from pipelines.search import notes as search_notes
from pipelines.speakers import handover, notes
from pipelines.speakers.notes import About
from pipelines.stages.base import Models, Recording
from serving.speech import SpeakerTurn
from serving.voiceprints import unit_rows

NO_SPEECH = "No speech was found in this recording."


async def publish(
    session: AsyncSession,
    held: Claim,
    recording: Recording,
    models: Models,
    thumbnail_key: str | None,
    language: LanguageSettings,
) -> None:
    """Replace the file's transcript and complete the task, in this one transaction.

    What language models do with a transcript by themselves is queued in it too.

    Raises:
        FenceLost: another runner has the task, or it was cancelled meanwhile; nothing is stored.
        IllegalTransition: it is being cancelled.
    """
    # The row is locked by the step at the end: heartbeats must not wait for these inserts.
    task = await queue.held_task(session, held, lock=False)
    step = task_state.on_success(task)
    if task.media_file_id is None:
        raise ValueError(f"task {task.id} has no file to publish to")
    file_id = task.media_file_id
    left = await handover.take(session, task.user_id, file_id)
    version = await _make_room(session, file_id, task.user_id)
    transcript = _transcript(recording, models, file_id, version)
    speakers = {row.label: row for row in _speakers(recording, task.user_id, file_id)}
    session.add_all([transcript, *speakers.values()])
    await session.flush()
    session.add_all(_segments(recording, transcript.id, speakers))
    if left is not None:
        await handover.give(session, task.user_id, left, recording.diarization, speakers)
    if left is not None or speakers:
        await notes.note(session, About.file, file_id, task.user_id)
    usage.current().audio_seconds = recording.duration
    await queue.complete(session, task, step, timings=dict(recording.timings))
    # After the task, as everybody locks them.
    await session.execute(
        update(MediaFile)
        .where(MediaFile.id == file_id)
        .values(
            duration=recording.duration,
            language=transcript.language,
            waveform=list(recording.preparation.peaks) if recording.preparation else None,
            media_metadata=dict(recording.preparation.metadata) if recording.preparation else {},
            thumbnail_key=thumbnail_key,
        )
        .execution_options(synchronize_session=False)
    )
    await search_notes.note_files(session, task.user_id, [file_id], spoken=True)
    if any(segment.text.strip() for segment in recording.segments):
        await enrichment.after(session, task, language)


async def _make_room(session: AsyncSession, file_id: uuid.UUID, user_id: uuid.UUID) -> int:
    """Remove the old transcript, with what was edited in it; says the new one's version.

    Whoever edits the old one is waited for.
    """
    replaced: int | None = await session.scalar(
        delete(Transcript)
        .where(Transcript.media_file_id == file_id)
        .returning(Transcript.version)
        .execution_options(synchronize_session=False)
    )
    await session.execute(delete(Speaker).where(Speaker.media_file_id == file_id))
    version = (replaced or 0) + 1
    if replaced is not None:
        before, after = {"version": replaced}, {"version": version}
        edits.note(session, file_id, user_id, version, EditAction.reprocessed, before, after)
    return version


def _transcript(
    recording: Recording, models: Models, file_id: uuid.UUID, version: int
) -> Transcript:
    preparation = recording.preparation
    cut = preparation.metadata.get("DecodingWarning") if preparation else None
    notes = [*recording.notes, *([str(cut)] if cut else [])]
    if not recording.segments:
        notes.append(NO_SPEECH)
    diarization = recording.diarization
    return Transcript(
        media_file_id=file_id,
        version=version,
        language=recording.language.language if recording.language else None,
        language_probability=recording.language.probability if recording.language else None,
        task=recording.options.task,
        word_timing=recording.word_timing,
        diarization=_diarization_state(recording),
        notes=notes,
        models={
            "whisper": models.whisper,
            "diarization": models.diarization,
            "alignment": models.alignment,
            "speaker_embedding": diarization.embedding_model if diarization else None,
        },
        turns=[_turn(turn) for turn in diarization.turns] if diarization else [],
        exclusive_turns=[_turn(t) for t in diarization.exclusive_turns] if diarization else [],
        vocabulary=vocabulary.stored(segment.text for segment in recording.segments),
    )


def _diarization_state(recording: Recording) -> str:
    if not recording.options.diarize:
        return "off"
    return "failed" if recording.diarization is None else "done"


def _speakers(recording: Recording, user_id: uuid.UUID, file_id: uuid.UUID) -> list[Speaker]:
    diarization = recording.diarization
    if diarization is None:
        return []
    seconds = dict.fromkeys(diarization.speakers, 0.0)
    for turn in diarization.turns:
        seconds[turn.speaker] += turn.end - turn.start
    return [
        Speaker(
            user_id=user_id,
            media_file_id=file_id,
            label=label,
            speech_seconds=total,
            clean_seconds=diarization.clean_seconds.get(label, 0.0),
            embedding=_unit(diarization.embeddings.get(label)),
            embedding_model=diarization.embedding_model,
        )
        for label, total in seconds.items()
    ]


def _unit(embedding: tuple[float, ...] | None) -> list[float] | None:
    """A voiceprint as it is kept; None also where it has no direction."""
    if embedding is None:
        return None
    [unit], [usable] = unit_rows(np.array([embedding]))
    return unit.tolist() if usable else None


def _segments(
    recording: Recording, transcript_id: uuid.UUID, speakers: dict[str, Speaker]
) -> list[Segment]:
    return [
        Segment(
            transcript_id=transcript_id,
            index=index,
            start=segment.start,
            end=segment.end,
            text=segment.text,
            speaker_id=speakers[segment.speaker].id if segment.speaker else None,
            words=word_rows(segment.words),
            avg_logprob=segment.avg_logprob,
            no_speech_prob=segment.no_speech_prob,
            compression_ratio=segment.compression_ratio,
            temperature=segment.temperature,
            doubt=segment.doubt,
        )
        for index, segment in enumerate(recording.segments)
    ]


def _turn(turn: SpeakerTurn) -> list[float | str]:
    return [round(turn.start, 3), round(turn.end, 3), turn.speaker]
