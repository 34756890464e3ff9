"""A transcript in sections that fit: whole lines, in order, each line in exactly one."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from pipelines.language.reading import Line, halves, tail
from serving.errors import ContextExceeded

Count = Callable[[Sequence[str]], Awaitable[list[int]]]
"""Tokens of each text."""

OVERLAP = 0.1
"""Share of a section's room for the end of the one before, so that "I will do that" is
understood."""
BEFORE, BEFORE_END = "<already_noted>", "</already_noted>"
CONTENT, CONTENT_END = "<transcript>", "</transcript>"


@dataclass(frozen=True, slots=True)
class Section:
    """A stretch of a transcript."""

    lines: tuple[Line, ...]
    before: tuple[Line, ...] = ()
    """The end of what came before: it is shown, and not to be noted again."""

    @property
    def start(self) -> float:
        """Seconds from the recording's start."""
        return self.lines[0].start

    @property
    def end(self) -> float:
        """The same; lines may overlap, so the last need not end last."""
        return max(line.end for line in self.lines)

    @property
    def content(self) -> str:
        """The lines, as a model reads them."""
        return _joined(self.lines)

    @property
    def shown(self) -> str:
        """What a prompt holds: the lines, and marked as such what came before."""
        content = f"{CONTENT}\n{self.content}\n{CONTENT_END}"
        if not self.before:
            return content
        return f"{BEFORE}\n{_joined(self.before)}\n{BEFORE_END}\n{content}"

    def halved(self) -> "tuple[Section, Section]":
        """Two sections with the same lines between them; the only line of one is cut in two.

        Raises:
            ContextExceeded: it is a single character.
        """
        lines, middle = self.lines, _middle(self.lines)
        if len(lines) == 1:
            if len(lines[0].text) < 2:
                raise _too_small()
            lines, middle = halves(lines[0]), 1
        first, second = lines[:middle], lines[middle:]
        characters = round(OVERLAP * len(_joined(second)))
        return replace(self, lines=first), Section(second, tail(first, characters))


EMPTY = f"{BEFORE}\n{BEFORE_END}\n{CONTENT}\n{CONTENT_END}"
"""What surrounds the lines of a section."""


def _joined(lines: Sequence[Line]) -> str:
    return "\n".join(line.shown for line in lines)


def _middle(lines: Sequence[Line]) -> int:
    """Where the lines are cut so that both parts are about as long."""
    total, passed = sum(len(line.text) for line in lines), 0
    for number, line in enumerate(lines[:-1], 1):
        passed += len(line.text)
        if 2 * passed >= total:
            return number
    return len(lines) - 1


async def line_tokens(lines: Sequence[Line], count: Count) -> list[int]:
    """Tokens of each line, its end included."""
    return await count([f"{line.shown}\n" for line in lines])


async def cut(
    lines: Sequence[Line], tokens: Sequence[int], room: int, count: Count
) -> list[Section]:
    """As few sections as the room (in tokens) allows, all about as long.

    Args:
        lines: what is said; at least one.
        tokens: of each line, as `line_tokens` counts them.
        room: tokens of a section with what came before it.
        count: counts those of pieces of lines that are too long.

    Raises:
        ContextExceeded: not even single characters fit.
    """
    overlap = int(OVERLAP * room)
    pieces, tokens = await _fitting(list(lines), list(tokens), room - overlap, count)
    characters = sum(len(piece.shown) for piece in pieces)
    overlap_characters = int(overlap * characters / max(1, sum(tokens)))
    sections: list[Section] = []
    for start, end in packed(tokens, room - overlap):
        before = tail(sections[-1].lines, overlap_characters) if sections else ()
        sections.append(Section(tuple(pieces[start:end]), before))
    return sections


async def fitted(sections: Sequence[Section], fits: "Fits") -> list[Section]:
    """The same, with those made smaller that do not fit as they are really sent.

    Tokens of a text are not always the sum of its lines'. What came before goes first.
    """
    done: list[Section] = []
    waiting = list(sections)
    while waiting:
        verdicts = await fits(waiting)
        if all(verdicts):
            done += waiting
            break
        waiting = [
            part
            for section, fit in zip(waiting, verdicts, strict=True)
            for part in ((section,) if fit else smaller(section))
        ]
    return done


def smaller(section: Section) -> tuple[Section, ...]:
    """The section without what came before; where there is nothing of that, its halves."""
    return (replace(section, before=()),) if section.before else section.halved()


Fits = Callable[[Sequence[Section]], Awaitable[list[bool]]]
"""Whether the prompt of each section leaves room for its answer."""


async def _fitting(
    lines: list[Line], tokens: list[int], room: int, count: Count
) -> tuple[list[Line], list[int]]:
    """The lines and their tokens, those cut that have more than the room."""
    while long := {number for number, many in enumerate(tokens) if many > room}:
        if any(len(lines[number].text) < 2 for number in long):
            raise _too_small()
        cut_lines = {number: halves(lines[number]) for number in sorted(long)}
        counted = iter(
            await line_tokens([half for pair in cut_lines.values() for half in pair], count)
        )
        tokens = [
            many
            for number, known in enumerate(tokens)
            for many in ((next(counted), next(counted)) if number in long else (known,))
        ]
        lines = [
            piece
            for number, line in enumerate(lines)
            for piece in (cut_lines[number] if number in long else (line,))
        ]
    return lines, tokens


def packed(tokens: Sequence[int], room: int) -> list[tuple[int, int]]:
    """Ranges of items, none with more tokens than the room: as few as can be, and even.

    An item that alone has more than the room has a range of its own.
    """
    fewest = len(_greedy(tokens, room))
    low, high = 1, room
    while low < high:
        middle = (low + high) // 2
        if len(_greedy(tokens, middle)) <= fewest:
            high = middle
        else:
            low = middle + 1
    return _greedy(tokens, high)


def _greedy(tokens: Sequence[int], room: int) -> list[tuple[int, int]]:
    ranges: list[tuple[int, int]] = []
    start, used = 0, 0
    for number, many in enumerate(tokens):
        if number > start and used + many > room:
            ranges.append((start, number))
            start, used = number, 0
        used += many
    return [*ranges, (start, len(tokens))] if tokens else []


def _too_small() -> ContextExceeded:
    return ContextExceeded("The model's context has no room for even a character of a transcript.")
