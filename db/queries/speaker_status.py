"""Whether it may be known who a voice is, in SQL: as `pipelines.speakers.suggestions` says it."""

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Float,
    SQLColumnExpression,
    and_,
    case,
    func,
    literal,
    or_,
    select,
)
from sqlalchemy.orm import InstrumentedAttribute, aliased

from db.models import (
    CannotLink,
    NameSource,
    ProfileMatch,
    ProfileRejection,
    Speaker,
    SpeakerMatch,
    SpeakerPrediction,
    SpeakerProfile,
)
from db.queries import speaker_rulings

LABEL = r"^SPEAKER_\d+$"
"""What the diarizer calls somebody: no name."""


Other = aliased(Speaker)
Peer = aliased(Speaker)


@dataclass(frozen=True, slots=True)
class Thresholds:
    """From which cosine on two voices may be one person's."""

    by_model: Mapping[str, float]
    otherwise: float
    """For a model that is not listed."""

    def of(self, model: InstrumentedAttribute[str | None]) -> ColumnElement[float]:
        """The threshold of a row's model."""
        if not self.by_model:
            return literal(self.otherwise, Float)
        return case(dict(self.by_model), value=model, else_=self.otherwise)


def is_suggested(thresholds: Thresholds) -> ColumnElement[bool]:
    """Whether a speaker has a name, or there is somebody it may be."""
    return or_(
        Speaker.display_name.is_not(None),
        _like_a_profile(thresholds),
        _like_a_voice(thresholds),
        _predicted(),
    )


def _predicted() -> ColumnElement[bool]:
    """Whether a language model takes the speaker for somebody who was not ruled out."""
    return (
        select(SpeakerPrediction.id)
        .outerjoin(
            SpeakerProfile,
            and_(
                SpeakerProfile.user_id == SpeakerPrediction.user_id,
                func.lower(SpeakerProfile.name) == func.lower(SpeakerPrediction.name),
            ),
        )
        .where(
            SpeakerPrediction.speaker_id == Speaker.id,
            SpeakerPrediction.name.op("!~*")(LABEL),
            or_(SpeakerProfile.id.is_(None), ~is_not(SpeakerProfile.id)),
            ~_is_not_called(SpeakerPrediction.name),
        )
        .correlate(Speaker)
        .exists()
    )


def _like_a_profile(thresholds: Thresholds) -> ColumnElement[bool]:
    return (
        select(ProfileMatch.profile_id)
        .join(SpeakerProfile, SpeakerProfile.id == ProfileMatch.profile_id)
        .where(
            ProfileMatch.speaker_id == Speaker.id,
            ProfileMatch.similarity >= thresholds.of(Speaker.embedding_model),
            Speaker.embedding_model.is_not(None),
            SpeakerProfile.name.op("!~*")(LABEL),
            ~is_not(SpeakerProfile.id),
        )
        .correlate(Speaker)
        .exists()
    )


def _like_a_voice(thresholds: Thresholds) -> ColumnElement[bool]:
    return or_(*(_like_voices(thresholds, *sides) for sides in sides(SpeakerMatch)))


def _like_voices(
    thresholds: Thresholds,
    mine: InstrumentedAttribute[uuid.UUID],
    theirs: InstrumentedAttribute[uuid.UUID],
) -> ColumnElement[bool]:
    return (
        select(mine)
        .join(Other, Other.id == theirs)
        .where(
            mine == Speaker.id,
            SpeakerMatch.similarity >= thresholds.of(Speaker.embedding_model),
            Other.embedding_model == Speaker.embedding_model,
            Other.display_name.op("!~*")(LABEL),
            Other.name_source.is_distinct_from(NameSource.voice),
            ~speaker_rulings.apart(Speaker.id, Other.id),
            case(
                (Other.profile_id.is_not(None), ~is_not(Other.profile_id)),
                else_=~_is_not_called(Other.display_name),
            ),
        )
        .correlate(Speaker)
        .exists()
    )


def is_not(profile_id: SQLColumnExpression[Any]) -> ColumnElement[bool]:
    """Whether a person said that the speaker is not this profile's, or not one of its voices."""
    return or_(
        speaker_rulings.rejected(Speaker.id, profile_id), _apart_from(Peer.profile_id == profile_id)
    )


def _is_not_called(name: SQLColumnExpression[Any]) -> ColumnElement[bool]:
    """The same of a name that has no profile."""
    rejected = (
        select(ProfileRejection.profile_id)
        .join(SpeakerProfile, SpeakerProfile.id == ProfileRejection.profile_id)
        .where(
            ProfileRejection.speaker_id == Speaker.id,
            func.lower(SpeakerProfile.name) == func.lower(name),
        )
        .correlate(Speaker, Other, SpeakerPrediction)
        .exists()
    )
    return or_(rejected, _apart_from(func.lower(Peer.display_name) == func.lower(name)))


def _apart_from(condition: ColumnElement[bool]) -> ColumnElement[bool]:
    """Whether the speaker was told apart from a verified voice of which this holds."""
    return or_(
        *(
            select(mine)
            .join(Peer, Peer.id == theirs)
            .where(mine == Speaker.id, Peer.verified, condition)
            .correlate_except(CannotLink, Peer)
            .exists()
            for mine, theirs in sides(CannotLink)
        )
    )


def sides(
    pairs: type[SpeakerMatch] | type[CannotLink],
) -> Iterator[tuple[InstrumentedAttribute[uuid.UUID], InstrumentedAttribute[uuid.UUID]]]:
    """A pair is stored once, and asked from either side."""
    yield pairs.first_id, pairs.second_id
    yield pairs.second_id, pairs.first_id
