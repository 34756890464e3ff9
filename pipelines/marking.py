"""What of a text is shown of a hit: a piece around what matched, as HTML with `<mark>`."""

import html
import re
import unicodedata
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from functools import cache

from db.keywords.port import Span
from db.vocabulary import UNSPACED, WORD

WIDTH = 240
"""Characters of a piece, about: three lines of a list."""
BEFORE = 60
"""Of these, before what matched first."""
NEAR = 30
"""So far a piece is shortened to end between words."""
ELLIPSIS = "…"
MIN_LETTERS = 3
"""Shorter words begin too many others to be marked in them."""


def spans_of(text: str, wanted: Iterable[str], *, begins: int = MIN_LETTERS) -> list[Span]:
    """Where a text has one of these words, or a longer one that begins so.

    Letter case and accents aside. What a store marks knows more: stems and typing errors. Words of
    fewer letters than `begins` are marked only where they stand alone.
    """
    found = (choice for each in wanted for choice in _choices(folded(each), begins))
    choices = list(dict.fromkeys(found))
    if not choices:
        return []
    # The longest first: of two that begin at the same place, it marks more.
    pattern = re.compile("|".join(sorted(choices, key=len, reverse=True)))
    return [match.span() for match in pattern.finditer(folded(text))]


def _choices(word: str, begins: int) -> Iterable[str]:
    yield from (re.escape(run) for run in UNSPACED.findall(word))
    for part in WORD.findall(UNSPACED.sub(" ", word)):
        rest = r"[^\W_]*" if len(part) >= begins else r"(?![^\W_])"
        yield rf"(?<![^\W_]){re.escape(part)}{rest}"


def folded(text: str) -> str:
    """The text without letter case and accents, each character where it was."""
    return "".join(map(_folded_character, text))


@cache
def _folded_character(character: str) -> str:
    base, *marks = list(unicodedata.normalize("NFKD", character))
    # Kana with a voice mark are other kana; syllables of Hangul are no letter with accents.
    if UNSPACED.match(character) or not all(map(unicodedata.combining, marks)):
        return character
    lower = base.casefold()
    return lower if len(lower) == 1 else base


def holds(text: str, phrase: str) -> bool:
    """Whether a text has the words of a phrase one after the other, whatever stands between."""
    wanted = _words_of(phrase)
    if UNSPACED.search(phrase):
        return wanted in _words_of(text)
    return f" {wanted} " in f" {_words_of(text)} "


def _words_of(text: str) -> str:
    return " ".join(WORD.findall(folded(text)))


def marked(text: str, spans: Iterable[Span]) -> str:
    """The text as HTML, with these spans of it in `<mark>`; blanks become one each."""
    parts: list[str] = []
    at = 0
    for start, end in spans:
        if start < at or end > len(text):
            continue  # overlaps what is marked already
        parts += (_escaped(text[at:start]), f"<mark>{_escaped(text[start:end])}</mark>")
        at = end
    return "".join([*parts, _escaped(text[at:])])


def _escaped(text: str) -> str:
    return html.escape(re.sub(r"\s+", " ", text))


def snippet(text: str, spans: Sequence[Span]) -> str:
    """A piece of the text with as much as possible of what matched; without spans its beginning."""
    first = _densest(spans)
    start = _from_word(text, max(0, first - BEFORE) if spans else 0)
    end = _until_word(text, min(len(text), start + WIDTH))
    inside = [
        (max(begins, start) - start, min(ends, end) - start)
        for begins, ends in spans
        if begins < end and ends > start
    ]
    before, behind = ELLIPSIS if start else "", ELLIPSIS if end < len(text) else ""
    return f"{before}{marked(text[start:end], inside)}{behind}"


def _densest(spans: Sequence[Span]) -> int:
    """Where a piece's worth of text begins that has the most spans; the first such place."""
    starts = [start for start, _ in spans]
    room = WIDTH - BEFORE
    best = max(
        range(len(spans)),
        key=lambda at: bisect_left(starts, starts[at] + room) - at,
        default=0,
    )
    return starts[best] if starts else 0


def _from_word(text: str, at: int) -> int:
    """The beginning of a word, not before `at`, if there is one nearby."""
    blank = re.search(r"\s", text[at : at + NEAR]) if at else None
    return at + blank.end() if blank else at


def _until_word(text: str, at: int) -> int:
    """The end of a word, not after `at`, if there is one nearby."""
    if at == len(text):
        return at
    near = text[max(0, at - NEAR) : at + 1]
    blanks = [match.start() for match in re.finditer(r"\s", near)]
    return max(0, at - NEAR) + blanks[-1] if blanks else at
