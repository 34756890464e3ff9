"""A transcript as the lines that a model reads: `Name [MM:SS] text`."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from pipelines.language.base import Conversation, Utterance

LINE_SECONDS = 60.0
"""How much of a long speech one line holds: the next line shows a time again, so that a model can
say when something was said also where one person speaks for an hour."""

NAME_CHARACTERS = 80
"""Of a name, in front of a line: names may be 255 long, and every line repeats its."""

# Where a sentence ends: after Western marks at white space, after CJK marks anywhere.
SENTENCE_END = re.compile(r"(?<=[.!?…])\s+|(?<=[\u3002\uff01\uff1f])\s*")
WORD_END = re.compile(r"\s+")
TIME = re.compile(r"(?:(\d{1,3}):)?(\d{1,3}):(\d{2})(?!\d)")


Mark = tuple[int, float]
"""A place in a text, and when it is said."""


@dataclass(frozen=True, slots=True)
class Line:
    """What one speaker says in one go, or a piece of it."""

    speaker: str
    start: float
    end: float
    text: str
    marks: tuple[Mark, ...] = ()
    """When what stands further back in the text begins, as far as that is known."""

    @property
    def shown(self) -> str:
        """As a model reads it."""
        return f"{self.speaker[:NAME_CHARACTERS]} [{clock(self.start)}] {self.text}"

    def said_at(self, place: int) -> float:
        """When a place in the text is said: between moments that are known, by characters."""
        edges = [(0, self.start), *self.marks, (len(self.text), self.end)]
        after = next((edge for edge in edges if edge[0] > place), edges[-1])
        before = [edge for edge in edges if edge[0] <= place][-1]
        share = (place - before[0]) / max(1, after[0] - before[0])
        return before[1] + min(1.0, share) * (after[1] - before[1])

    def cut(self, at: int) -> "tuple[Line, Line]":
        """Two lines that have the text between them, without white space at the cut."""
        head, rest = self.text[:at].rstrip(), self.text[at:].lstrip()
        moved = len(self.text) - len(rest)
        begun = self.said_at(moved)
        return (
            replace(
                self,
                end=begun,
                text=head,
                marks=tuple(mark for mark in self.marks if mark[0] < len(head)),
            ),
            replace(
                self,
                start=begun,
                text=rest,
                marks=tuple((place - moved, when) for place, when in self.marks if place > moved),
            ),
        )

    def followed_by(self, other: "Line") -> "Line":
        """Both as one line."""
        mark = (len(self.text) + 1, other.start)
        end, text = max(self.end, other.end), f"{self.text} {other.text}"
        return replace(self, end=end, text=text, marks=(*self.marks, mark))


def clock(seconds: float) -> str:
    """`MM:SS`, and `H:MM:SS` from an hour on."""
    minutes, second = divmod(int(max(0.0, seconds)), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute:02d}:{second:02d}"


def moment(shown: str) -> float | None:
    """The seconds of the first time in a text, such as `[1:02:03]`; None where there is none."""
    found = TIME.search(shown)
    if found is None:
        return None
    hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return float(hours * 3600 + minutes * 60 + seconds)


def interval(start: float, end: float) -> str:
    """`[MM:SS] - [MM:SS]`."""
    return f"[{clock(start)}] - [{clock(end)}]"


def lines_of(conversation: Conversation) -> list[Line]:
    """What is said, in order; utterances of one speaker that follow each other are one line."""
    lines: list[Line] = []
    for line in _cleaned(conversation.utterances):
        last = lines[-1] if lines else None
        if last and last.speaker == line.speaker and line.end - last.start <= LINE_SECONDS:
            lines[-1] = last.followed_by(line)
        else:
            lines.append(line)
    return lines


def _cleaned(utterances: Iterable[Utterance]) -> Iterator[Line]:
    for utterance in utterances:
        if text := " ".join(utterance.text.split()):
            speaker = " ".join(utterance.speaker.split()) or "Unknown"
            yield Line(speaker, utterance.start, max(utterance.start, utterance.end), text)


def halves(line: Line) -> tuple[Line, Line]:
    """A line in two: between sentences, else between words, else between characters.

    The cut is the one nearest to the middle. Nothing is lost but white space at the cut.
    """
    length = len(line.text)
    if length < 2:
        raise ValueError("a line of one character has no halves")
    for boundary in (SENTENCE_END, WORD_END):
        places = [found.end() for found in boundary.finditer(line.text)]
        if inner := [at for at in places if 0 < at < length]:
            return line.cut(min(inner, key=lambda at: abs(2 * at - length)))
    return line.cut(length // 2)


def tail(lines: Iterable[Line], characters: int) -> tuple[Line, ...]:
    """The last lines that have at most so many characters; of a longer one its last sentences."""
    kept: list[Line] = []
    left = characters
    for line in reversed(list(lines)):
        if len(line.shown) > left:
            if not kept and (ending := _ending(line, left)):
                kept.append(ending)
            break
        kept.append(line)
        left -= len(line.shown)
    return tuple(reversed(kept))


def _ending(line: Line, characters: int) -> Line | None:
    """The most of a line's last sentences that fits; None where not even one does."""
    for found in SENTENCE_END.finditer(line.text):
        if 0 < found.end() < len(line.text):
            ending = line.cut(found.end())[1]
            if len(ending.shown) <= characters:
                return ending
    return None


def clipped(text: str, characters: int) -> str:
    """The first sentences that have at most so many characters; else words, else characters."""
    if len(text) <= characters:
        return text
    ends = [found.start() for found in SENTENCE_END.finditer(text)]
    fitting = [end for end in ends if 0 < end <= characters]
    if fitting:
        return text[: fitting[-1]]
    head = text[:characters]
    return (head[: head.rfind(" ")] if " " in head else head).rstrip()
