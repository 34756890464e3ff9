"""Subtitles: a transcript cut into cues that can be read while they are shown, as SRT or WebVTT.

Text is what the segments say; the words' times say when. Cues are cut at the ends of sentences,
else of clauses, else between words.
"""

import html
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from pipelines.documents import DOUBT_MARK, TranscriptDocument
from pipelines.wrapping import Token, Wrapped, columns, shortened, tokens, wrap
from serving.speech import Segment

MAX_SECONDS = 6.0
"""Longest time that a cue is shown: the seed's; Netflix' Timed Text Style Guide allows 7."""
MIN_SECONDS = 5 / 6
"""Shortest time, where no other cue follows before (the same guide)."""
MAX_RATE = 20.0
"""Columns to read in a second (the same guide, adult programmes), where no other cue is in the
way."""
LABEL_COLUMNS = 24
"""A longer name is shortened: something of the text must fit beside it."""

MAX_MS = round(MAX_SECONDS * 1000)
MIN_MS = round(MIN_SECONDS * 1000)


@dataclass(frozen=True, slots=True)
class Cue:
    """What is shown at once; `label` is the speaker's name where another one begins to speak."""

    start: float
    end: float
    speaker: str | None
    label: str
    doubtful: bool
    tokens: tuple[Token, ...]

    @property
    def text(self) -> str:
        """The words, on one line."""
        return Wrapped("", self.tokens).text

    @property
    def rate(self) -> float:
        """Columns per second."""
        return columns(self.text) / (self.end - self.start)

    def lines(self, *, labelled: bool) -> list[str]:
        """One or two lines, with the name in front if wanted."""
        return Wrapped(_prefix(self.label if labelled else "", self.doubtful), self.tokens).lines()


@dataclass(frozen=True, slots=True)
class _Piece:
    """A cue whose times are those of its words."""

    speaker: str | None
    doubtful: bool
    tokens: tuple[Token, ...]

    @property
    def start(self) -> int:
        return self.tokens[0].start

    @property
    def end(self) -> int:
        return self.tokens[-1].end

    @property
    def prefix(self) -> str:
        """What may stand in front: whether the speaker changes is known later."""
        return _prefix(_label(self.speaker), self.doubtful)

    @property
    def needed(self) -> int:
        """Milliseconds to read it."""
        read = columns(Wrapped("", self.tokens).text) * 1000 / MAX_RATE
        return min(MAX_MS, max(MIN_MS, -int(-read // 1)))


def cues(document: TranscriptDocument, *, speakers: bool = True) -> list[Cue]:
    """What is shown, in order and without overlaps; without `speakers` no names are noted."""
    pieces = [
        piece
        for segment in sorted(document.segments, key=lambda segment: (segment.start, segment.end))
        for piece in _pieces(segment, document.name(segment.speaker) if speakers else None)
    ]
    joined = _joined(sorted(pieces, key=lambda piece: piece.start))
    return list(_shown(joined, document.duration))


def srt(document: TranscriptDocument, *, speakers: bool = True) -> str:
    """SubRip: numbered cues, a speaker's name in front where another one begins to speak."""
    blocks = []
    for number, cue in enumerate(cues(document, speakers=speakers), 1):
        text = "\n".join(cue.lines(labelled=True)).replace("-->", "->")
        blocks.append(f"{number}\n{_interval(cue, ',')}\n{text}\n")
    return "\n".join(blocks)


def vtt(document: TranscriptDocument, *, speakers: bool = True) -> str:
    """WebVTT: cues with voice tags; text is escaped, so that it is never markup."""
    blocks = ["WEBVTT\n"]
    for cue in cues(document, speakers=speakers):
        voice = f"<v {html.escape(cue.speaker, quote=False)}>" if cue.speaker else ""
        text = html.escape("\n".join(cue.lines(labelled=False)), quote=False)
        blocks.append(f"{_interval(cue, '.')}\n{voice}{text}\n")
    return "\n".join(blocks)


def problems(document: TranscriptDocument, shown: Sequence[Cue]) -> Iterator[str]:
    """What is wrong with a transcript's times and text, and which cues cannot be read in time."""
    for number, segment in enumerate(document.segments, 1):
        where = f"Segment {number} at {clock(segment.start, '.')}"
        if not segment.text.strip():
            yield f"{where} has no text."
        if segment.end <= segment.start:
            yield f"{where} ends before it begins."
        if document.duration is not None and segment.end > document.duration + MIN_SECONDS:
            yield f"{where} ends after the recording."
    for number, cue in enumerate(shown, 1):
        where = f"Cue {number} at {clock(cue.start, '.')}"
        seconds = cue.end - cue.start
        if seconds < MIN_SECONDS - 0.001:
            yield f"{where} is shown for {seconds:.2f} s, less than {MIN_SECONDS:.2f} s."
        if cue.rate > MAX_RATE + 0.1:
            yield f"{where} has {cue.rate:.0f} characters per second, more than {MAX_RATE:.0f}."


def clock(seconds: float, separator: str) -> str:
    """`hh:mm:ss` and milliseconds, rounded as a whole: 59.9996 is 00:01:00.000."""
    milliseconds = max(0, round(seconds * 1000))
    whole, fraction = divmod(milliseconds, 1000)
    minutes, second = divmod(whole, 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours:02d}:{minute:02d}:{second:02d}{separator}{fraction:03d}"


def _interval(cue: Cue, separator: str) -> str:
    return f"{clock(cue.start, separator)} --> {clock(cue.end, separator)}"


def _label(name: str | None) -> str:
    return shortened(name, LABEL_COLUMNS) if name else ""


def _prefix(label: str, doubtful: bool) -> str:
    return f"{label}: " * bool(label) + f"{DOUBT_MARK} " * doubtful


def _pieces(segment: Segment, speaker: str | None) -> Iterator[_Piece]:
    name = " ".join(speaker.split()) if speaker else None
    whole = _Piece(name, segment.doubt is not None, ())
    for cut in wrap(tokens(segment), whole.prefix, MAX_MS):
        yield replace(whole, tokens=cut)


def _joined(pieces: Sequence[_Piece]) -> list[_Piece]:
    """Pieces that would be shown too shortly, put together with their neighbours."""
    joined: list[_Piece] = []
    starts = [piece.start for piece in pieces[1:]]
    for index, piece in enumerate(pieces):
        hurried = index < len(starts) and starts[index] - piece.start < piece.needed
        before = joined[-1] if joined else None
        if before and (hurried or piece.start - before.start < before.needed):
            both = _together(before, piece)
            if both:
                joined[-1] = both
                continue
        joined.append(piece)
    return joined


def _together(first: _Piece, second: _Piece) -> _Piece | None:
    """Both as one, if one person says them and they fit."""
    if (first.speaker, first.doubtful) != (second.speaker, second.doubtful):
        return None
    both = replace(first, tokens=first.tokens + second.tokens)
    fits = second.end - first.start <= MAX_MS and Wrapped(both.prefix, both.tokens).fits
    return both if fits else None


def _shown(pieces: Sequence[_Piece], duration: float | None) -> Iterator[Cue]:
    """Each piece from its first word until it is read, or the next one begins."""
    last = max(round(duration * 1000), len(pieces)) if duration else None
    starts = _starts(pieces, last)
    speaker: str | None = None
    for index, (piece, start) in enumerate(zip(pieces, starts, strict=True)):
        until = starts[index + 1] if index + 1 < len(starts) else last
        end = min(max(piece.end, start + piece.needed), start + MAX_MS)
        end = end if until is None else min(end, until)
        label = _label(piece.speaker) if piece.speaker != speaker else ""
        yield Cue(start / 1000, end / 1000, piece.speaker, label, piece.doubtful, piece.tokens)
        speaker = piece.speaker


def _starts(pieces: Sequence[_Piece], last: int | None) -> list[int]:
    """When each piece appears: with its first word, but not before the one before was seen.

    Where people speak at the same time, that is their order; at the recording's end a millisecond
    is kept for each.
    """
    starts: list[int] = []
    earliest = 0
    for left, piece in zip(range(len(pieces), 0, -1), pieces, strict=True):
        start = max(piece.start, earliest)
        if last is not None:
            start = min(start, last - left)
        starts.append(start)
        earliest = start + max(1, min(MIN_MS, piece.end - start))
    return starts
