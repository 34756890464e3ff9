"""Which words a text has, for the question whether a transcript contains some.

PostgreSQL's parsers take a run of Chinese or Japanese for one word and stem in one language at a
time; here a word is a run of letters and digits, case-folded, and a run of a script without spaces
counts as its pairs of characters.
"""

import re
import unicodedata
from collections.abc import Iterable

from sqlalchemy import ColumnElement, cast, func
from sqlalchemy.dialects.postgresql import ARRAY, TEXT, TSQUERY, TSVECTOR

MAX_LEXEME_CHARACTERS = 100
"""PostgreSQL takes 2046 bytes; longer runs are no words of a language."""

# Han, kana, Hangul syllables stay together by pairs; so do Thai, Lao, Khmer and Burmese.
UNSPACED_RANGES = (
    r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
    r"\U00020000-\U0003ffff"
)
UNSPACED = re.compile(f"[{UNSPACED_RANGES}]+")
WORD = re.compile(r"[^\W_]+")


def lexemes(texts: Iterable[str]) -> list[str]:
    """The different words of some texts, sorted."""
    return sorted({lexeme for text in texts for lexeme, _ in _split(text)})


def _split(text: str) -> Iterable[tuple[str, bool]]:
    """Words, each with whether a longer word that begins so should be found too."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    for run in UNSPACED.findall(folded):
        for position in range(len(run)):
            # The last character stands alone: it may be the beginning of a pair elsewhere.
            yield run[position : position + 2], position == len(run) - 1
    for word in WORD.findall(UNSPACED.sub(" ", folded)):
        yield word[:MAX_LEXEME_CHARACTERS], True


def stored(texts: Iterable[str]) -> ColumnElement[str]:
    """The value of `transcript.vocabulary` for these texts."""
    return func.array_to_tsvector(cast(lexemes(texts), ARRAY(TEXT)), type_=TSVECTOR)


def question(text: str) -> str | None:
    """A tsquery for all words of `text`, each also as the beginning of a longer one.

    None: it has no word.
    """
    wanted = dict.fromkeys(_split(text))
    if not wanted:
        return None
    return " & ".join(f"{_quoted(word)}{':*' if open_ended else ''}" for word, open_ended in wanted)


def _quoted(lexeme: str) -> str:
    # Letters and digits only: nothing in it can end the quotation.
    return f"'{lexeme}'"


def contains(vocabulary: ColumnElement[str], text: str) -> ColumnElement[bool] | None:
    """Whether a vocabulary has all words of `text`; None where it has no word."""
    wanted = question(text)
    return None if wanted is None else vocabulary.op("@@")(cast(wanted, TSQUERY))
