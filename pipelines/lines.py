"""Lines of a transcript as rows and as notes of its history, and back."""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from db import models
from pipelines.editing import Line
from serving.speech import Doubt, Segment, Word

WordRow = list[float | str | None]


def word_rows(words: Iterable[Word]) -> list[WordRow]:
    """The value of `segment.words`."""
    return [
        [
            round(word.start, 3),
            round(word.end, 3),
            word.word,
            round(word.probability, 4),
            word.speaker,
        ]
        for word in words
    ]


def words_of(rows: Iterable[Sequence[Any]]) -> tuple[Word, ...]:
    """The words of such a value."""
    return tuple(Word(*row) for row in rows)


def segment_of(row: models.Segment, labels: Mapping[uuid.UUID, str]) -> Segment:
    """A row; `labels` are those of the file's speakers."""
    return Segment(
        start=row.start,
        end=row.end,
        text=row.text,
        words=words_of(row.words),
        avg_logprob=row.avg_logprob,
        no_speech_prob=row.no_speech_prob,
        compression_ratio=row.compression_ratio,
        temperature=row.temperature,
        speaker=labels.get(row.speaker_id) if row.speaker_id else None,
        doubt=Doubt(row.doubt) if row.doubt else None,
    )


def line_of(row: models.Segment, labels: Mapping[uuid.UUID, str]) -> Line:
    """A row, to be edited."""
    return Line(row.id, segment_of(row, labels), row.edited)


def values_of(line: Line, speaker_ids: Mapping[str, uuid.UUID]) -> dict[str, Any]:
    """The columns of a line, but for its place."""
    values = _facts(line)
    speaker = values.pop("speaker")
    # A speaker that is no more leaves a line of nobody, as the database does.
    return {**values, "id": line.id, "speaker_id": speaker_ids.get(speaker)}


def note_of(line: Line) -> dict[str, Any]:
    """A line as its history keeps it."""
    return {**_facts(line), "id": str(line.id)}


def noted_line(note: Mapping[str, Any]) -> Line:
    """The line that a note keeps."""
    facts = dict(note)
    line_id, edited = uuid.UUID(facts.pop("id")), facts.pop("edited")
    doubt = Doubt(facts["doubt"]) if facts["doubt"] else None
    segment = Segment(**{**facts, "words": words_of(facts["words"]), "doubt": doubt})
    return Line(line_id, segment, edited)


def _facts(line: Line) -> dict[str, Any]:
    facts = asdict(line.segment)
    return {**facts, "words": word_rows(line.segment.words), "edited": line.edited}
