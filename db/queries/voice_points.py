"""Which points of the vector store the rows call for: asked of all users' rows at once."""

import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ARRAY,
    CompoundSelect,
    Select,
    Text,
    Uuid,
    any_,
    bindparam,
    cast,
    func,
    literal,
    select,
    union_all,
)
from sqlalchemy.ext.asyncio import AsyncSession

from db.models import ProfileVoiceprint, Speaker, SpeakerProfile
from db.queries.voiceprints import compared


@dataclass(frozen=True, slots=True)
class Model:
    """Whose voiceprints are compared with each other."""

    name: str
    dimension: int


def files(prefix: str) -> Select[str, Mapping[str, Any]]:
    """Every file with voiceprints, as something to be noted: subjects and payloads."""
    return (
        select(
            literal(prefix) + cast(Speaker.media_file_id, Text),
            func.jsonb_build_object("user_id", Speaker.user_id),
        )
        .where(Speaker.embedding.is_not(None))
        .group_by(Speaker.media_file_id, Speaker.user_id)
    )


def profiles(prefix: str) -> Select[str, Mapping[str, Any]]:
    """Every profile, as something to be noted."""
    return select(
        literal(prefix) + cast(SpeakerProfile.id, Text),
        func.jsonb_build_object("user_id", SpeakerProfile.user_id),
    )


def _voiceprints(min_clean_seconds: float) -> CompoundSelect[uuid.UUID, str, int]:
    speakers = select(
        Speaker.id,
        Speaker.embedding_model.label("model"),
        func.cardinality(Speaker.embedding).label("dimension"),
    ).where(compared(min_clean_seconds))
    profiles = select(
        ProfileVoiceprint.profile_id,
        ProfileVoiceprint.embedding_model,
        func.cardinality(ProfileVoiceprint.embedding),
    )
    return union_all(speakers, profiles)


async def counted(session: AsyncSession, min_clean_seconds: float) -> Mapping[Model, int]:
    """How many voiceprints there are of each model."""
    every = _voiceprints(min_clean_seconds).subquery()
    rows = await session.execute(
        select(every.c.model, every.c.dimension, func.count()).group_by(
            every.c.model, every.c.dimension
        )
    )
    return {Model(model or "", dimension): count for model, dimension, count in rows}


async def called_for(
    session: AsyncSession, ids: Collection[uuid.UUID], min_clean_seconds: float
) -> Mapping[uuid.UUID, set[Model]]:
    """Of which models these speakers and profiles have voiceprints; none: they are left out."""
    every = _voiceprints(min_clean_seconds).subquery()
    wanted = bindparam(None, list(ids), type_=ARRAY(Uuid))
    rows = await session.execute(select(every).where(every.c.id == any_(wanted)))
    found: dict[uuid.UUID, set[Model]] = {}
    for key, model, dimension in rows:
        found.setdefault(key, set()).add(Model(model or "", dimension))
    return found
