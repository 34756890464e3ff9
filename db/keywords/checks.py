"""What a keyword store refuses before its server is asked: names of indexes, and passages."""

import re
from collections.abc import Sequence

from db.keywords.port import PassageDocument

NAME = re.compile(r"[a-z0-9_-]{1,63}")
"""What is safe in a URL and in SQL."""


def index_name(name: str) -> str:
    """The name, if an index can have it."""
    if not NAME.fullmatch(name):
        raise ValueError(
            f"{name[:80]!r} is no name of an index: 1 to 63 characters of a-z, 0-9, _ and -"
        )
    return name


def passages(documents: Sequence[PassageDocument]) -> None:
    """Refuse passages that not every store can keep."""
    for one in documents:
        texts = (one.text, one.file.title, *one.speakers, *one.file.tags)
        if any("\x00" in text for text in texts):
            raise ValueError(f"the passage {one.id} holds a NUL character")
