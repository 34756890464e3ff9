"""A transcript as one value: what exports and subtitles are made of."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from db.models import MediaFile
from db.queries.transcripts import StoredTranscript
from pipelines.lines import segment_of
from pipelines.stages.attribute import MAX_PAUSE_SECONDS
from serving.speech import Segment, SpeakerTurn

DOUBT_MARK = "[?]"
"""In front of text that may not be what was said."""


@dataclass(frozen=True, slots=True)
class TranscriptDocument:
    """All that is exported of a transcript. `speakers` maps labels to names for people."""

    title: str
    duration: float | None
    language: str | None
    segments: tuple[Segment, ...]
    turns: tuple[SpeakerTurn, ...] = ()
    speakers: Mapping[str, str] = field(default_factory=dict)
    word_timing: str | None = None
    notes: tuple[str, ...] = ()

    def name(self, label: str | None) -> str | None:
        """How a speaker is called: the given name, else the label."""
        return None if label is None else self.speakers.get(label) or label

    @property
    def file_id(self) -> str:
        """The title as RTTM and CTM want it: one field without spaces."""
        return re.sub(r"\s+", "_", self.title.strip()) or "untitled"


def of_rows(file: MediaFile, stored: StoredTranscript) -> TranscriptDocument:
    """The document of a file's rows."""
    labels = {speaker.id: speaker.label for speaker in stored.speakers}
    transcript = stored.transcript
    segments = tuple(segment_of(row, labels) for row in stored.segments)
    heard = tuple(SpeakerTurn(*row) for row in transcript.turns)
    return TranscriptDocument(
        title=file.title or file.filename,
        duration=file.duration,
        language=transcript.language,
        segments=segments,
        turns=tuple(spoken_turns(segments)) if transcript.reassigned else heard,
        speakers={
            speaker.label: speaker.display_name or speaker.label for speaker in stored.speakers
        },
        word_timing=transcript.word_timing,
        notes=tuple(transcript.notes),
    )


def spoken_turns(segments: Iterable[Segment]) -> Iterator[SpeakerTurn]:
    """Turns that agree with the segments, once people have said who speaks: without overlaps."""
    turn: SpeakerTurn | None = None
    for start, end, speaker in _spoken(segments):
        if turn and turn.speaker == speaker and start - turn.end <= MAX_PAUSE_SECONDS:
            turn = replace(turn, end=max(turn.end, end))
            continue
        if turn:
            yield turn
        turn = SpeakerTurn(start, end, speaker) if speaker else None
    if turn:
        yield turn


def _spoken(segments: Iterable[Segment]) -> Iterator[tuple[float, float, str | None]]:
    for segment in segments:
        if segment.words:
            yield from ((word.start, word.end, word.speaker) for word in segment.words)
        else:
            yield segment.start, segment.end, segment.speaker
