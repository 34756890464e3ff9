"""Where vectors lie in the vector store: one space for each kind of thing and model."""

import hashlib
import re

from db.vectors.port import Space

VOICES = "voiceprints-"
PASSAGES = "passages-"
SLUG_CHARACTERS = 32
"""Of a model's identity in the name: for people. PostgreSQL cuts names at 63 bytes."""
DIGEST_CHARACTERS = 12


def voice_space(model: str, dimension: int) -> Space:
    """The space of a model's voiceprints, whose vectors have `dimension` numbers."""
    return _space(VOICES, model, dimension)


def passage_space(model: str, dimension: int) -> Space:
    """The space of a text model's passages, whose vectors have `dimension` numbers."""
    return _space(PASSAGES, model, dimension)


def is_voice_space(name: str) -> bool:
    """Whether a space is one of voiceprints: the store may hold others' too."""
    return _is_of(VOICES, name)


def is_passage_space(name: str) -> bool:
    """Whether a space is one of passages."""
    return _is_of(PASSAGES, name)


def _space(prefix: str, model: str, dimension: int) -> Space:
    # Two models, or two dimensions, never have one space, however alike their names are.
    slug = re.sub(r"[^a-z0-9]+", "-", model.lower())[:SLUG_CHARACTERS].strip("-")
    digest = hashlib.sha256(f"{dimension} {model}".encode()).hexdigest()[:DIGEST_CHARACTERS]
    return Space(f"{prefix}{slug}-{digest}" if slug else f"{prefix}{digest}", dimension)


def _is_of(prefix: str, name: str) -> bool:
    pattern = rf"{prefix}(?:[a-z0-9-]+-)?[0-9a-f]{{{DIGEST_CHARACTERS}}}"
    return re.fullmatch(pattern, name) is not None
