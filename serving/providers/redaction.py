"""Takes keys out of what providers say: some repeat the key that they refuse, whole or in part."""

import re

WINDOW = 6
"""So many characters of a key in a row give it away."""
WORD = re.compile(r"""[^\s"'`<>(){}\[\],;]+""")
LIKE_A_KEY = re.compile(r"(?i)\bbearer\s+\S+|\b(?:sk|pk|rk|gsk|hf|xai|pplx)[-_][\w*.…-]{6,}")
IN_PLACE = "[key]"
READ_CHARACTERS = 4000
"""Of a provider's text; nobody reads more."""
SHOWN_CHARACTERS = 300


def redacted(text: str, key: str | None) -> str:
    """The text without the key, parts of it and what looks like one; on one line, and not long."""
    words = " ".join(text[:READ_CHARACTERS].split())
    if key:
        pieces = _pieces(key.casefold())
        words = words.replace(key, IN_PLACE)
        words = WORD.sub(lambda word: _without(word.group(), pieces), words)
    shown = LIKE_A_KEY.sub(IN_PLACE, words)
    return shown if len(shown) <= SHOWN_CHARACTERS else shown[:SHOWN_CHARACTERS] + "…"


def _pieces(key: str) -> set[str]:
    size = min(WINDOW, len(key))
    return {key[start : start + size] for start in range(len(key) - size + 1)}


def _without(word: str, pieces: set[str]) -> str:
    folded = word.casefold()
    size = len(next(iter(pieces)))
    if size < WINDOW:
        # Such a key is part of many words; only the word that it is gives it away.
        return IN_PLACE if folded in pieces else word
    found = any(folded[start : start + size] in pieces for start in range(len(folded) - size + 1))
    return IN_PLACE if found else word
