"""Names of files and recordings that others chose: display text, never part of a path or key."""

import re
import unicodedata

MAX_CHARACTERS = 255
MAX_SUFFIX_CHARACTERS = 16
UNNAMED = "unnamed"

# Control characters, lone surrogates, line separators; and what turns the reading direction, which
# makes `exe.gpj` look like `jpg.exe`.
INVISIBLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def display_name(name: str) -> str:
    """A name that is safe to store and show: no path, no control characters, at most 255 long."""
    base = re.split(r"[/\\]", INVISIBLE.sub("", name))[-1]
    clean = unicodedata.normalize("NFC", base).strip()
    if not clean.strip(". "):
        return UNNAMED
    if len(clean) <= MAX_CHARACTERS:
        return clean
    stem, dot, suffix = clean.rpartition(".")
    if not dot or len(suffix) > MAX_SUFFIX_CHARACTERS:
        return clean[:MAX_CHARACTERS]
    return f"{stem[: MAX_CHARACTERS - len(suffix) - 1]}.{suffix}"
