"""Names as models write them, and the names that are meant."""

import re
from collections.abc import Sequence

from rapidfuzz import fuzz

SAME_NAME = 85
"""Likeness (0..100) of two spellings of one name."""
FIGURE = re.compile(r"\d+")


def same_name(first: str, second: str) -> bool:
    """Whether two names are one: spelled about alike, or one has all the words of the other.

    `SPEAKER_01` and `SPEAKER_02` are alike as well, and never the same.
    """
    mine, yours = first.casefold().split(), second.casefold().split()
    if not mine or not yours or FIGURE.findall(first) != FIGURE.findall(second):
        return False
    if set(mine) <= set(yours) or set(yours) <= set(mine):
        return True
    return fuzz.ratio(" ".join(mine), " ".join(yours)) >= SAME_NAME


def known(name: str, names: Sequence[str]) -> str | None:
    """The one of `names` that is meant; None: none is, or several might be."""
    exact = [one for one in names if one.casefold() == name.strip().casefold()]
    alike = exact or [one for one in names if same_name(name, one)]
    return alike[0] if len(set(alike)) == 1 else None
