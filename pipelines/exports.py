"""Renders a transcript as txt, srt, vtt, json, rttm or ctm; pure functions over one document."""

import html
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum

from serving.speech import Segment, SpeakerTurn, Word

CUE_CHARACTERS = 84
"""Two lines of 42: what a viewer can read at once."""

CUE_SECONDS = 7.0
DOUBT_MARK = "[?]"


class ExportFormat(StrEnum):
    """The formats; each is also the file name's suffix."""

    txt = "txt"
    srt = "srt"
    vtt = "vtt"
    json = "json"
    rttm = "rttm"
    ctm = "ctm"


MEDIA_TYPES: Mapping[ExportFormat, str] = {
    ExportFormat.txt: "text/plain; charset=utf-8",
    ExportFormat.srt: "application/x-subrip; charset=utf-8",
    ExportFormat.vtt: "text/vtt; charset=utf-8",
    ExportFormat.json: "application/json",
    ExportFormat.rttm: "text/plain; charset=utf-8",
    ExportFormat.ctm: "text/plain; charset=utf-8",
}


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


def render(document: TranscriptDocument, export_format: ExportFormat) -> str:
    """The document in a format."""
    return RENDERERS[export_format](document)


def txt(document: TranscriptDocument) -> str:
    """A line per segment: time, speaker, text."""
    lines = []
    for segment in _ordered(document.segments):
        moment = clock(segment.start, ".")[:-4]
        name = document.name(segment.speaker)
        lines.append(
            f"[{moment}] {_line(name)}: {_marked(segment)}"
            if name
            else f"[{moment}] {_marked(segment)}"
        )
    return _joined(lines)


def srt(document: TranscriptDocument) -> str:
    """SubRip: numbered cues, the speaker's name in front."""
    blocks = []
    for number, cue in enumerate(cues(document), 1):
        name = document.name(cue.speaker)
        text = _marked(cue).replace("-->", "->")
        prefix = f"{_line(name)}: " if name else ""
        blocks.append(f"{number}\n{_interval(cue, ',')}\n{prefix}{text}\n")
    return "\n".join(blocks)


def vtt(document: TranscriptDocument) -> str:
    """WebVTT: cues with voice tags; text is escaped, so that it is never markup."""
    blocks = ["WEBVTT\n"]
    for cue in cues(document):
        name = document.name(cue.speaker)
        voice = f"<v {html.escape(_line(name), quote=False)}>" if name else ""
        text = html.escape(_marked(cue), quote=False)
        blocks.append(f"{_interval(cue, '.')}\n{voice}{text}\n")
    return "\n".join(blocks)


def as_json(document: TranscriptDocument) -> str:
    """Everything: segments with words and speakers, turns, notes."""
    return json.dumps(asdict(document), ensure_ascii=False, indent=2) + "\n"


def rttm(document: TranscriptDocument) -> str:
    """NIST RTTM: a line per speaker turn; turns may overlap."""
    return _joined(
        f"SPEAKER {document.file_id} 1 {start:.3f} {max(0.0, turn.end - start):.3f} "
        f"<NA> <NA> {_field(turn.speaker)} <NA> <NA>"
        for turn in sorted(document.turns, key=lambda turn: (turn.start, turn.end))
        for start in [max(0.0, turn.start)]
    )


def ctm(document: TranscriptDocument) -> str:
    """NIST CTM: a line per word with its probability; segments without word times are left out."""
    words = sorted(
        (word for segment in document.segments for word in segment.words),
        key=lambda word: (word.start, word.end),
    )
    return _joined(
        f"{document.file_id} 1 {start:.3f} {max(0.0, word.end - start):.3f} "
        f"{_field(word.word)} {word.probability:.3f}"
        for word in words
        if word.word.strip()
        for start in [max(0.0, word.start)]
    )


RENDERERS: Mapping[ExportFormat, Callable[[TranscriptDocument], str]] = {
    ExportFormat.txt: txt,
    ExportFormat.srt: srt,
    ExportFormat.vtt: vtt,
    ExportFormat.json: as_json,
    ExportFormat.rttm: rttm,
    ExportFormat.ctm: ctm,
}


def clock(seconds: float, separator: str) -> str:
    """`hh:mm:ss` and milliseconds, rounded as a whole: 59.9996 is 00:01:00.000."""
    milliseconds = max(0, round(seconds * 1000))
    whole, fraction = divmod(milliseconds, 1000)
    minutes, second = divmod(whole, 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours:02d}:{minute:02d}:{second:02d}{separator}{fraction:03d}"


def cues(document: TranscriptDocument) -> list[Segment]:
    """What is shown at once, in order: segments, long ones cut between words."""
    pieces = (
        piece for segment in document.segments if segment.text.strip() for piece in _pieces(segment)
    )
    return _ordered(pieces)


def _pieces(segment: Segment) -> Iterator[Segment]:
    words = [word for word in segment.words if word.word.strip()]
    fits = len(segment.text) <= CUE_CHARACTERS and segment.end - segment.start <= CUE_SECONDS
    if fits or not words:
        yield segment
        return
    taken: list[Word] = []
    for word in words:
        if taken and (
            len(_text([*taken, word])) > CUE_CHARACTERS or word.end - taken[0].start > CUE_SECONDS
        ):
            yield _cue(segment, taken)
            taken = []
        taken.append(word)
    yield _cue(segment, taken)


def _cue(segment: Segment, words: Sequence[Word]) -> Segment:
    return replace(
        segment,
        start=words[0].start,
        end=words[-1].end,
        text=_text(words),
        words=tuple(words),
    )


def _text(words: Sequence[Word]) -> str:
    return " ".join(word.word.strip() for word in words)


def _ordered(segments: Iterable[Segment]) -> list[Segment]:
    return sorted(segments, key=lambda segment: (segment.start, segment.end))


def _interval(cue: Segment, separator: str) -> str:
    # Players drop cues that last no time at all.
    end = max(cue.end, max(0.0, cue.start) + 0.001)
    return f"{clock(cue.start, separator)} --> {clock(end, separator)}"


def _marked(segment: Segment) -> str:
    text = _line(segment.text)
    return text if segment.doubt is None else f"{DOUBT_MARK} {text}"


def _line(text: str) -> str:
    """Text on one line: a blank line would end a cue."""
    return " ".join(text.split())


def _field(text: str) -> str:
    return "_".join(text.split())


def _joined(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)
