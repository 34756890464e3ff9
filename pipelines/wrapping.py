"""Cuts text into lines and cues: what is a unit, how wide it is, where it may be cut."""

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, pairwise

from serving.speech import Segment

MAX_COLUMNS = 42
"""Of a line: Netflix' Timed Text Style Guide and the seed. A wide (East Asian) character takes two,
which makes 21 of them."""
MAX_LINES = 2
SMALL_KANA = "ぁぃぅぇぉっゃゅょァィゥェォッャュョ"
PAUSE_MS = 500
"""Silence that separates like a comma."""

ENDS_SENTENCE = tuple(".!?…。！？｡؟।۔")  # noqa: RUF001 - other scripts' full stops
ENDS_CLAUSE = tuple(",;:–—、，；：､،؛")  # noqa: RUF001 - and commas
CLOSERS = "\"'”’»)]}）」』】》〉］｝〕"  # noqa: RUF001 - and brackets
LEANS_BACK = frozenset(("%", "ー", "々", "・", *ENDS_SENTENCE, *ENDS_CLAUSE, *CLOSERS, *SMALL_KANA))
"""Must not begin a line (JIS X 4051, in short)."""
ZERO_WIDTH_JOINER = "\u200d"


@dataclass(frozen=True, slots=True)
class Token:
    """Text that stays on one line, with its milliseconds. `glued`: no space in front."""

    text: str
    start: int
    end: int
    glued: bool
    width: int

    @property
    def rank(self) -> int:
        """How well a cut after it reads: 2 a sentence ends, 1 a clause, 0 neither."""
        text = self.text.rstrip(CLOSERS) or self.text
        return 2 if text.endswith(ENDS_SENTENCE) else int(text.endswith(ENDS_CLAUSE))


def columns(text: str) -> int:
    """How wide a text is: 0 for marks and invisible characters, 2 for wide ones, else 1."""
    return len(text) if text.isascii() else sum(map(_columns, text))


def _columns(character: str) -> int:
    if unicodedata.category(character) in {"Mn", "Me", "Cf"}:
        return 0
    return 2 if unicodedata.east_asian_width(character) in {"W", "F"} else 1


def shortened(text: str, width: int) -> str:
    """The text, cut to a width and marked so."""
    if columns(text) <= width:
        return text
    return f"{next(_cut(list(_characters(text)), width - 1)).rstrip()}…"


def tokens(segment: Segment) -> list[Token]:
    """A segment's text in units, timed by its words where these spell the text.

    Otherwise (no words, or an edited text) the segment's time is shared out by characters.
    """
    chunks = segment.text.split()
    times = _times(segment, "".join(chunks))
    made: list[Token] = []
    position, latest = 0, 0
    for chunk in chunks:
        for count, unit in enumerate(_units(chunk)):
            start = max(latest, times[position][0])
            position += len(unit)
            latest = max(start, times[position - 1][1])
            made.append(Token(unit, start, latest, count > 0, columns(unit)))
    return made


def _times(segment: Segment, flat: str) -> list[tuple[int, int]]:
    """Start and end of each character; `flat` is the text without spaces."""
    spoken = [("".join(word.word.split()), word.start, word.end) for word in segment.words]
    if "".join(text for text, _, _ in spoken) != flat:
        spoken = [(flat, segment.start, segment.end)]
    return [time for text, start, end in spoken for time in _shared(start, end, len(text))]


def _shared(start: float, end: float, count: int) -> Iterator[tuple[int, int]]:
    step = max(0.0, end - start) / max(1, count)
    moments = [max(0, round(1000 * (start + step * index))) for index in range(count + 1)]
    return pairwise(moments)


def _units(chunk: str) -> Iterator[str]:
    """A word; characters of scripts without spaces, one by one; what is too wide, in pieces."""
    if chunk.isascii() and len(chunk) <= MAX_COLUMNS:
        yield chunk
        return
    word: list[str] = []
    for character in _characters(chunk):
        if word and _breaks(word[-1], character):
            yield from _cut(word, MAX_COLUMNS)
            word = []
        word.append(character)
    yield from _cut(word, MAX_COLUMNS)


def _characters(text: str) -> Iterator[str]:
    """What a reader takes for one character: a letter with its marks, a joined emoji."""
    whole = ""
    for character in text:
        joins = whole.endswith(ZERO_WIDTH_JOINER) or _attaches(character)
        if whole and not joins:
            yield whole
            whole = ""
        whole += character
    if whole:
        yield whole


def _attaches(character: str) -> bool:
    skin_tone = "\U0001f3fb" <= character <= "\U0001f3ff"
    return skin_tone or unicodedata.category(character) in {"Mn", "Mc", "Me", "Cf"}


def _breaks(before: str, after: str) -> bool:
    """Whether a line may end between two characters of a word."""
    opens = unicodedata.category(before[0]) in {"Ps", "Pi"}
    if opens or after[0] in LEANS_BACK:
        return False
    return _stands_alone(before[0]) or _stands_alone(after[0])


def _stands_alone(character: str) -> bool:
    # Korean puts spaces between its words.
    korean = "\u1100" <= character <= "\u11ff" or "\uac00" <= character <= "\ud7a3"
    return unicodedata.east_asian_width(character) in {"W", "F"} and not korean


def _cut(characters: Sequence[str], width: int) -> Iterator[str]:
    piece, used = "", 0
    for character in characters:
        taken = columns(character)
        if piece and used + taken > width:
            yield piece
            piece, used = "", 0
        piece += character
        used += taken
    if piece:
        yield piece


@dataclass(frozen=True)
class Wrapped:
    """Tokens on lines, behind a prefix (a name, a mark) that ends with a space or is empty."""

    prefix: str
    tokens: Sequence[Token]

    @property
    def text(self) -> str:
        """The tokens on one line, without the prefix."""
        return _text(self.tokens)

    @property
    def fits(self) -> bool:
        """Whether no more than MAX_LINES are needed."""
        return _furthest(self.tokens, 0, columns(self.prefix)) == len(self.tokens)

    @cached_property
    def _first_lines(self) -> list[tuple[int, int]]:
        """How many tokens the first of two lines can hold, with its width; nothing: a prefix."""
        widths = accumulate(
            (token.width + (i > 0 and not token.glued) for i, token in enumerate(self.tokens)),
            initial=columns(self.prefix),
        )
        first = 0 if self.prefix else 1
        return [(count, width) for count, width in enumerate(widths) if count >= first]

    def lines(self) -> list[str]:
        """One line, or two: cut where it reads best, then where they are most alike."""
        total = self._first_lines[-1][1]
        if total <= MAX_COLUMNS:
            return [self.prefix + self.text]
        possible = [
            (count, width)
            for count, width in self._first_lines[:-1]
            if width <= MAX_COLUMNS and columns(_text(self.tokens[count:])) <= MAX_COLUMNS
        ]
        count, _ = max(possible, key=lambda cut: (self._rank(cut[0]), -abs(total - 2 * cut[1])))
        return [(self.prefix + _text(self.tokens[:count])).rstrip(), _text(self.tokens[count:])]

    def _rank(self, count: int) -> int:
        return self.tokens[count - 1].rank if count else -1


def _text(tokens: Sequence[Token]) -> str:
    spaced = (token.text if token.glued else f" {token.text}" for token in tokens)
    return "".join(spaced).lstrip(" ")


def wrap(tokens: Sequence[Token], prefix: str, max_ms: int) -> Iterator[tuple[Token, ...]]:
    """Tokens in groups that fit on MAX_LINES behind the prefix, none longer than `max_ms`.

    A single token may last longer.
    """
    indent = columns(prefix)
    room = MAX_LINES * MAX_COLUMNS - indent
    filled = list(accumulate((token.width + (not token.glued) for token in tokens), initial=0))
    first = 0
    while first < len(tokens):
        end = _furthest(tokens, first, indent, max_ms)
        if end < len(tokens):
            seconds = (tokens[-1].end - tokens[first].start) / max_ms
            groups = max(2.0, (filled[-1] - filled[first]) / room, seconds)
            target = (filled[-1] - filled[first]) / groups

            def reads(cut: int, first: int = first, target: float = target) -> tuple[int, float]:
                width = filled[cut] - filled[first]
                return _quality(tokens, cut) if 2 * width >= target else -1, -abs(width - target)

            end = max(range(first + 1, end + 1), key=reads)
        yield tuple(tokens[first:end])
        first = end


def _quality(tokens: Sequence[Token], cut: int) -> int:
    """How well a cut in front of a token reads."""
    pause = tokens[cut].start - tokens[cut - 1].end >= PAUSE_MS
    return max(tokens[cut - 1].rank, int(pause))


def _furthest(tokens: Sequence[Token], first: int, indent: int, max_ms: int | None = None) -> int:
    """Behind the last token that fits on the lines of one cue; at least one does."""
    line, column = 1, indent
    for index in range(first, len(tokens)):
        token = tokens[index]
        if max_ms is not None and index > first and token.end - tokens[first].start > max_ms:
            return index
        space = index > first and not token.glued
        if column + space + token.width > MAX_COLUMNS:
            line, column = line + 1, token.width
        else:
            column += space + token.width
        if line > MAX_LINES:
            return index
    return len(tokens)
