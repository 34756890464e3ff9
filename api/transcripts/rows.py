"""Turns a transcript's rows into answers."""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from api.transcripts.schemas import SegmentOut, SpeakerOut, TranscriptOut, TurnOut, WordOut
from db.models import Segment, Speaker
from db.queries.transcripts import StoredTranscript
from pipelines.lines import words_of

Labels = Mapping[uuid.UUID, str]


def labels_of(speakers: Iterable[Speaker]) -> Labels:
    """The labels of speakers by their ids."""
    return {speaker.id: speaker.label for speaker in speakers}


def speaker_answers(speakers: Iterable[Speaker]) -> list[SpeakerOut]:
    """Speakers as the API gives them."""
    return [SpeakerOut.model_validate(speaker) for speaker in speakers]


def answer(stored: StoredTranscript) -> TranscriptOut:
    """The transcript as the API gives it."""
    transcript = stored.transcript
    labels = labels_of(stored.speakers)
    return TranscriptOut(
        file_id=transcript.media_file_id,
        version=transcript.version,
        language=transcript.language,
        language_probability=transcript.language_probability,
        task=transcript.task,
        word_timing=transcript.word_timing,
        diarization=transcript.diarization,
        notes=transcript.notes,
        models=transcript.models,
        speakers=speaker_answers(stored.speakers),
        segments=[segment_answer(row, labels) for row in stored.segments],
        turns=_turns(transcript.turns),
        exclusive_turns=_turns(transcript.exclusive_turns),
    )


def segment_answer(row: Segment, labels: Labels) -> SegmentOut:
    """A segment as the API gives it."""
    return SegmentOut(
        id=row.id,
        index=row.index,
        start=row.start,
        end=row.end,
        text=row.text,
        speaker=labels.get(row.speaker_id) if row.speaker_id else None,
        doubt=row.doubt,
        edited=row.edited,
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
            for word in words_of(row.words)
        ],
    )


def _turns(rows: Sequence[Any]) -> list[TurnOut]:
    return [TurnOut(start=start, end=end, speaker=speaker) for start, end, speaker in rows]
