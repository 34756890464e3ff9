"""Reads what somebody typed: words, `"phrases"` and `speaker:name`."""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

# Quotation marks that people's keyboards and word processors make of the plain one.
QUOTES = str.maketrans(dict.fromkeys("\u201c\u201d\u201e\u201f\u00ab\u00bb\uff02", '"'))
# A mark without its other half is nothing.
PIECE = re.compile(
    r'(?<!\S)speaker:(?:"(?P<named>[^"]*)"|(?P<name>[^\s"]+))|"(?P<phrase>[^"]*)"|(?P<word>[^\s"]+)',
    re.IGNORECASE,
)
MOST_SPEAKERS = 20
"""As many as the parameter of that name takes: each one more is a question more."""


@dataclass(frozen=True, slots=True)
class Query:
    """What is looked for."""

    words: tuple[str, ...] = ()
    """In their order, without punctuation around them."""
    phrases: tuple[str, ...] = ()
    speakers: tuple[str, ...] = ()
    """Names or labels, of which one speaks."""
    meaning: str = ""
    """All words in the order in which they were typed: what is looked for by meaning."""
    left_out: tuple[str, ...] = ()
    """What came after so many words."""

    @property
    def is_empty(self) -> bool:
        """Whether it asks for nothing."""
        return not (self.words or self.phrases or self.speakers)


def parse(text: str, most_words: int) -> Query:
    """The query in a text: as many words as `most_words`, those of phrases included.

    Anything may be in the text. Nothing in it is an operator but quotation marks and `speaker:` at
    the beginning of a word; a word is what has more than punctuation.
    """
    kinds: dict[str, list[str]] = {"word": [], "phrase": [], "speaker": [], "left_out": []}
    meant: list[str] = []
    full = False
    for kind, typed, found in _pieces(text):
        if kind == "speaker":
            left_out = len(kinds[kind]) >= MOST_SPEAKERS
        else:
            # What comes after the first one too many is left out too, however short.
            left_out = full = full or _number([*meant, typed]) > most_words
        kinds["left_out" if left_out else kind].append(found)
        if kind != "speaker" and not left_out:
            meant.append(typed)
    return Query(
        words=tuple(kinds["word"]),
        phrases=tuple(kinds["phrase"]),
        speakers=tuple(kinds["speaker"]),
        meaning=" ".join(meant),
        left_out=tuple(kinds["left_out"]),
    )


def _number(texts: list[str]) -> int:
    return sum(len(text.split()) for text in texts)


def _pieces(text: str) -> Iterator[tuple[str, str, str]]:
    """Kind, text as typed, and what is looked for; what is only punctuation is left out."""
    for match in PIECE.finditer(text.translate(QUOTES)):
        kind, typed = str(match.lastgroup), match[match.lastgroup or 0]
        kind = {"named": "speaker", "name": "speaker"}.get(kind, kind)
        found = " ".join(typed.split()) if kind == "speaker" else _bare(typed)
        if found:
            yield kind, " ".join(typed.split()), found


def _bare(text: str) -> str:
    """Without the punctuation and blanks around each of its words."""
    return " ".join(filter(None, (_without_edges(word) for word in text.split())))


def _without_edges(word: str) -> str:
    start, end = 0, len(word)
    while start < end and _is_punctuation(word[start]):
        start += 1
    while end > start and _is_punctuation(word[end - 1]):
        end -= 1
    return word[start:end]


def _is_punctuation(character: str) -> bool:
    # Symbols stay: emoji are some, and currencies.
    return unicodedata.category(character)[0] in "PCZ"
