"""Turns a transcript's rows into an answer and into a document to export."""

from collections.abc import Sequence
from typing import Any

from api.files.schemas import SegmentOut, SpeakerOut, TranscriptOut, TurnOut, WordOut
from db.models import MediaFile, Segment
from db.queries.transcripts import StoredTranscript
from pipelines.exports import TranscriptDocument
from serving import speech


def _words(rows: Sequence[Any]) -> list[speech.Word]:
    return [speech.Word(*row) for row in rows]


def _turns(rows: Sequence[Any]) -> list[speech.SpeakerTurn]:
    return [speech.SpeakerTurn(*row) for row in rows]


def answer(file: MediaFile, stored: StoredTranscript) -> TranscriptOut:
    """The transcript as the API gives it."""
    transcript = stored.transcript
    labels = {speaker.id: speaker.label for speaker in stored.speakers}
    return TranscriptOut(
        file_id=file.id,
        language=transcript.language,
        language_probability=transcript.language_probability,
        task=transcript.task,
        word_timing=transcript.word_timing,
        diarization=transcript.diarization,
        notes=transcript.notes,
        models=transcript.models,
        speakers=[SpeakerOut.model_validate(speaker) for speaker in stored.speakers],
        segments=[
            _segment(row, labels.get(row.speaker_id) if row.speaker_id else None)
            for row in stored.segments
        ],
        turns=[_turn(turn) for turn in _turns(transcript.turns)],
        exclusive_turns=[_turn(turn) for turn in _turns(transcript.exclusive_turns)],
    )


def _turn(turn: speech.SpeakerTurn) -> TurnOut:
    return TurnOut(start=turn.start, end=turn.end, speaker=turn.speaker)


def _segment(row: Segment, speaker: str | None) -> SegmentOut:
    return SegmentOut(
        id=row.id,
        index=row.index,
        start=row.start,
        end=row.end,
        text=row.text,
        speaker=speaker,
        doubt=row.doubt,
        avg_logprob=row.avg_logprob,
        no_speech_prob=row.no_speech_prob,
        compression_ratio=row.compression_ratio,
        temperature=row.temperature,
        words=[
            WordOut(
                start=word.start,
                end=word.end,
                word=word.word,
                probability=word.probability,
                speaker=word.speaker,
            )
            for word in _words(row.words)
        ],
    )


def document(file: MediaFile, stored: StoredTranscript) -> TranscriptDocument:
    """The transcript as it is exported."""
    labels = {speaker.id: speaker.label for speaker in stored.speakers}
    return TranscriptDocument(
        title=file.title or file.filename,
        duration=file.duration,
        language=stored.transcript.language,
        segments=tuple(
            speech.Segment(
                start=row.start,
                end=row.end,
                text=row.text,
                words=tuple(_words(row.words)),
                avg_logprob=row.avg_logprob,
                no_speech_prob=row.no_speech_prob,
                compression_ratio=row.compression_ratio,
                temperature=row.temperature,
                speaker=labels.get(row.speaker_id) if row.speaker_id else None,
                doubt=speech.Doubt(row.doubt) if row.doubt else None,
            )
            for row in stored.segments
        ),
        turns=tuple(_turns(stored.transcript.turns)),
        speakers={
            speaker.label: speaker.display_name or speaker.label for speaker in stored.speakers
        },
        word_timing=stored.transcript.word_timing,
        notes=tuple(stored.transcript.notes),
    )
