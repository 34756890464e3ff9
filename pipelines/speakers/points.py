"""Voiceprints as points of the vector store."""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum

import numpy as np

from db.queries.voiceprints import Voiceprint
from db.vectors.port import Point, Space, Values
from pipelines.spaces import voice_space
from serving.voiceprints import unit_rows

MEDIA_FILE = "media_file_id"
"""The field that says in which file a voice speaks."""


class Kind(StrEnum):
    """Whose voiceprint a point is."""

    speaker = "speaker"
    profile = "profile"


def of_kind(kind: Kind) -> Values:
    """The condition that finds points of a kind."""
    return {"kind": [kind]}


def units(voices: Iterable[Voiceprint]) -> list[Voiceprint]:
    """Voiceprints of length 1; what has no direction cannot be compared, and is left out."""
    found = []
    for voice in voices:
        rows, usable = unit_rows(np.array([voice.embedding], dtype=np.float64))
        if usable.all():
            found.append(Voiceprint(voice.id, voice.model, tuple(rows[0].tolist())))
    return found


def by_space(voices: Iterable[Voiceprint]) -> Mapping[Space, Sequence[Voiceprint]]:
    """Voiceprints that can be compared with each other, in their order."""
    spaces: dict[Space, list[Voiceprint]] = {}
    for voice in voices:
        spaces.setdefault(voice_space(voice.model, len(voice.embedding)), []).append(voice)
    return spaces


def of_speaker(voice: Voiceprint, user_id: uuid.UUID, file_id: uuid.UUID) -> Point:
    """The point of a voice of a file."""
    payload = {"kind": Kind.speaker, MEDIA_FILE: str(file_id)}
    return Point(voice.id, user_id, voice.embedding, payload)


def of_profile(voice: Voiceprint, user_id: uuid.UUID) -> Point:
    """The point of a profile."""
    return Point(voice.id, user_id, voice.embedding, {"kind": Kind.profile})
