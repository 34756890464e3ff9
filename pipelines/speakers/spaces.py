"""Where voiceprints lie in the vector store: one space for each embedding model."""

import hashlib
import re

from db.vectors.port import Space

PREFIX = "voiceprints-"
SLUG_CHARACTERS = 32
"""Of a model's identity in the name: for people. PostgreSQL cuts names at 63 bytes."""
DIGEST_CHARACTERS = 12
_VOICE_SPACE = re.compile(rf"{PREFIX}(?:[a-z0-9-]+-)?[0-9a-f]{{{DIGEST_CHARACTERS}}}")


def space_of(model: str, dimension: int) -> Space:
    """The space of a model's voiceprints, whose vectors have `dimension` numbers.

    Two models, or two dimensions, never have one space, however alike their names are.
    """
    slug = re.sub(r"[^a-z0-9]+", "-", model.lower())[:SLUG_CHARACTERS].strip("-")
    digest = hashlib.sha256(f"{dimension} {model}".encode()).hexdigest()[:DIGEST_CHARACTERS]
    return Space(f"{PREFIX}{slug}-{digest}" if slug else f"{PREFIX}{digest}", dimension)


def is_voice_space(name: str) -> bool:
    """Whether a space is one that `space_of` names: the store may hold others' too."""
    return _VOICE_SPACE.fullmatch(name) is not None
