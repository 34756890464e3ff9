"""Pieces of a text around words that were looked for, as HTML in which these are marked."""

import html
import re
from collections.abc import Iterator

from db.vocabulary import UNSPACED, WORD

MOST = 3
"""Pieces of one text."""
AROUND = 60
"""Characters before and behind what was found, rather less: a piece begins and ends at a word."""
ELLIPSIS = "…"


def highlights(text: str, wanted: str) -> list[str]:
    """The first pieces of a text, a line each, that have one of the words; others are not marked.

    As searches find it: in any letter case, and also as the beginning of a longer word.
    """
    pattern = _pattern(wanted)
    found: list[str] = []
    for line in text.splitlines():
        if match := pattern.search(line):
            found.append(_piece(line, match, pattern))
        if len(found) == MOST:
            break
    return found


def _pattern(wanted: str) -> re.Pattern[str]:
    choices = [re.escape(run) for run in UNSPACED.findall(wanted)]
    choices += [
        # To its end, if it is longer.
        rf"(?<![^\W_]){re.escape(word)}[^\W_]*"
        for word in WORD.findall(UNSPACED.sub(" ", wanted))
    ]
    return re.compile("|".join(choices), re.IGNORECASE)


def _piece(line: str, first: re.Match[str], pattern: re.Pattern[str]) -> str:
    start = _word_from(line, max(0, first.start() - AROUND))
    end = _word_until(line, min(len(line), first.end() + AROUND))
    piece = "".join(_marked(line[start:end], pattern))
    before = ELLIPSIS if start else ""
    return f"{before}{piece}{ELLIPSIS if end < len(line) else ''}"


def _word_from(line: str, at: int) -> int:
    """The beginning of a word, not before `at`, if there is one nearby."""
    blank = line.find(" ", at, at + AROUND // 2)
    return at if at == 0 or blank < 0 else blank + 1


def _word_until(line: str, at: int) -> int:
    blank = line.rfind(" ", at - AROUND // 2, at)
    return at if at == len(line) or blank < 0 else blank


def _marked(piece: str, pattern: re.Pattern[str]) -> Iterator[str]:
    at = 0
    for match in pattern.finditer(piece):
        yield html.escape(piece[at : match.start()])
        yield f"<mark>{html.escape(match[0])}</mark>"
        at = match.end()
    yield html.escape(piece[at:])
