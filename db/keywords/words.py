"""The words of a text as they are compared: case and accents aside, each with its place.

A run of a script without spaces counts as its pairs of characters (`db.vocabulary`).
"""

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from db.vocabulary import MAX_LEXEME_CHARACTERS, UNSPACED_RANGES

# Accents, which are left out, and signs that belong to letters, for which Python's \w does not
# stand: of Latin, Cyrillic, Hebrew, Arabic, and of India's scripts.
ACCENTS = (
    r"\u0300-\u036f\u0483-\u0487\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7"
    r"\u0610-\u061a\u0640\u064b-\u065f\u0670\u06d6-\u06dc\u06df-\u06e8\u06ea-\u06ed"
)
SIGNS = r"\u0900-\u0963\u0966-\u0dff"
SYMBOLS = r"\u2600-\u27bf\U0001f000-\U0001faff"
"""Emoji and the like: each is a word."""

TOKEN = re.compile(
    rf"(?P<run>[{UNSPACED_RANGES}]+)"
    rf"|[^\W_{UNSPACED_RANGES}](?:[^\W_{UNSPACED_RANGES}]|[{ACCENTS}{SIGNS}])*"
    rf"|[{SYMBOLS}]"
)
ACCENT = re.compile(f"[{ACCENTS}]+")
# Letters that Unicode does not take apart into a plain one and an accent; the last is Turkish.
LETTERS = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ħ": "h", "æ": "ae", "œ": "oe", "þ": "th", "ð": "d"}
    | {"\u0131": "i"}
)
# What could end the quotation of a lexeme; no letter becomes it today.
UNQUOTABLE = str.maketrans("", "", "'\\\x00")


# What is more than letters with a word for each run of them.
UNPLAIN = re.compile(f"[{UNSPACED_RANGES}{ACCENTS}{SIGNS}{SYMBOLS}]")
PLAIN_WORD = re.compile(r"[^\W_]+")


class Token(NamedTuple):
    """A word, or a pair of characters of a run, at a place of a text."""

    word: str
    start: int
    """In characters of the text, as is `end`."""
    end: int
    is_pair: bool = False


@lru_cache(maxsize=100_000)
def folded(word: str) -> str:
    """A word as it is compared with others."""
    if word.isascii():
        return word.lower()[:MAX_LEXEME_CHARACTERS]
    apart = unicodedata.normalize("NFKD", word).casefold()
    plain = unicodedata.normalize("NFKC", ACCENT.sub("", apart)).translate(LETTERS)
    return plain.translate(UNQUOTABLE)[:MAX_LEXEME_CHARACTERS]


def tokens(text: str) -> Iterator[Token]:
    """The words in their order, one for each step.

    Of a run the last character stands alone: it may be the beginning of a pair elsewhere.
    """
    for match in TOKEN.finditer(text):
        start, end = match.span()
        if match["run"] is None:
            if word := folded(match[0]):
                yield Token(word, start, end)
            continue
        for place in range(start, end):
            last = min(place + 2, end)
            yield Token(folded(text[place:last]), place, last, is_pair=True)


class _Letters(dict[int, str]):
    """Each character as it is compared, filled as they are seen."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        self[code] = folded(character) if character.isalnum() else character
        return self[code]


LETTERS_AS_COMPARED = _Letters()


def spelled(text: str) -> str | None:
    """A text with its letters as they are compared, each in its place.

    None: it has a script without spaces, or letters that take more or less than one place.
    """
    if text.isascii():
        return text.lower()
    if UNPLAIN.search(text):
        return None
    letters = text.translate(LETTERS_AS_COMPARED)
    return letters if len(letters) == len(text) else None


def said(text: str) -> list[str]:
    """The words of a text in their order, as `tokens` has them."""
    letters = spelled(text)
    if letters is None:
        return [token.word for token in tokens(text)]
    return [word[:MAX_LEXEME_CHARACTERS] for word in PLAIN_WORD.findall(letters)]
