"""Renders a transcript as txt, srt, vtt, json, rttm or ctm; pure functions over one document."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from enum import StrEnum

from pipelines import subtitles
from pipelines.documents import DOUBT_MARK, TranscriptDocument
from pipelines.subtitles import clock
from serving.speech import Segment


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
    ExportFormat.srt: subtitles.srt,
    ExportFormat.vtt: subtitles.vtt,
    ExportFormat.json: as_json,
    ExportFormat.rttm: rttm,
    ExportFormat.ctm: ctm,
}


def _ordered(segments: Iterable[Segment]) -> list[Segment]:
    return sorted(segments, key=lambda segment: (segment.start, segment.end))


def _marked(segment: Segment) -> str:
    text = _line(segment.text)
    return text if segment.doubt is None else f"{DOUBT_MARK} {text}"


def _line(text: str) -> str:
    """Text on one line."""
    return " ".join(text.split())


def _field(text: str) -> str:
    return "_".join(text.split())


def _joined(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)
