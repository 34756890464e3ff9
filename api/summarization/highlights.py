"""Pieces of a text around words that were looked for, as HTML in which these are marked."""

from pipelines import marking

MOST = 3
"""Pieces of one text."""


def highlights(text: str, wanted: str) -> list[str]:
    """The first pieces of a text, a line each, that have one of the words; others are not marked.

    As searches find it: in any letter case, and also as the beginning of a longer word.
    """
    found: list[str] = []
    for line in text.splitlines():
        if spans := marking.spans_of(line, [wanted], begins=1):
            found.append(marking.snippet(line, spans))
        if len(found) == MOST:
            break
    return found
