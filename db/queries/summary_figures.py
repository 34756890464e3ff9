"""Figures about a user's summaries: what they say, when they were made, and by which models."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Date,
    Float,
    Integer,
    Select,
    String,
    and_,
    cast,
    column,
    func,
    or_,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession

from cluster.settings import LlmProvider
from db.models import Summary, Transcript
from db.queries.summaries import readable_by
from db.queries.summary_search import in_period, is_newest

MOST = 20
"""Speakers and topics that are told: those that occur most."""


@dataclass(frozen=True, slots=True)
class Totals:
    """All of them together."""

    summaries: int
    """The newest ones of files."""
    versions: int
    """With the older ones."""
    stale: int
    """Of the newest ones: their transcripts were changed since."""
    action_items: int
    prompt_tokens: int
    """These, and what follows, of all versions."""
    completion_tokens: int
    calls: int
    seconds: float


@dataclass(frozen=True, slots=True)
class SpeakerFigures:
    """Somebody whom summaries name."""

    speaker: str
    summaries: int
    mean_talk_time_percentage: float | None


@dataclass(frozen=True, slots=True)
class Day:
    """What was made of one day's summaries."""

    date: date
    summaries: int
    action_items: int


@dataclass(frozen=True, slots=True)
class TopicFigures:
    """A topic that summaries name."""

    topic: str
    summaries: int


@dataclass(frozen=True, slots=True)
class ModelFigures:
    """What a model did, older versions included."""

    provider: LlmProvider
    model: str
    summaries: int
    prompt_tokens: int
    completion_tokens: int
    calls: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Figures:
    """All figures of one user."""

    totals: Totals
    speakers: Sequence[SpeakerFigures]
    days: Sequence[Day]
    topics: Sequence[TopicFigures]
    models: Sequence[ModelFigures]


async def figures(
    session: AsyncSession,
    user_id: uuid.UUID,
    start: datetime | None = None,
    before: datetime | None = None,
) -> Figures:
    """Figures about a user's summaries that were made in a period."""
    made = and_(readable_by(user_id), *in_period(start, before))
    newest = and_(made, is_newest())
    total = (await session.execute(_totals(made))).one()
    return Figures(
        Totals(*total),
        [SpeakerFigures(*row) for row in await session.execute(_speakers(newest))],
        [Day(*row) for row in await session.execute(_days(newest))],
        [TopicFigures(*row) for row in await session.execute(_topics(newest))],
        [ModelFigures(*row) for row in await session.execute(_models(made))],
    )


def _sum(of: Any) -> Any:
    return func.coalesce(func.sum(of), 0)


def _spent() -> tuple[Any, ...]:
    return (
        _sum(Summary.prompt_tokens),
        _sum(Summary.completion_tokens),
        _sum(Summary.calls),
        _sum(Summary.seconds),
    )


def _totals(made: ColumnElement[bool]) -> Select[Any]:
    stale = or_(Transcript.version.is_(None), Transcript.version != Summary.transcript_version)
    newest = is_newest()
    return (
        select(
            func.count().filter(newest),
            func.count(),
            func.count().filter(newest, stale),
            func.coalesce(func.sum(Summary.action_items).filter(newest), 0),
            *_spent(),
        )
        .select_from(Summary)
        .outerjoin(Transcript, Transcript.media_file_id == Summary.media_file_id)
        .where(made)
    )


def _days(newest: ColumnElement[bool]) -> Select[date, int, int]:
    day = cast(func.timezone("UTC", Summary.created_at), Date).label("day")
    counted = select(day, func.count(), cast(_sum(Summary.action_items), Integer)).where(newest)
    return counted.group_by(day).order_by(day)


def _models(made: ColumnElement[bool]) -> Select[Any]:
    return (
        select(Summary.provider, Summary.model, func.count(), *_spent())
        .where(made)
        .group_by(Summary.provider, Summary.model)
        .order_by(func.count().desc(), Summary.provider, Summary.model)
    )


def _entries(key: str) -> Any:
    """The entries of a list in what summaries say."""
    values = func.jsonb_array_elements(Summary.content[key])
    return values.table_valued(column("value", JSONB), name="entry").lateral()


def _named(key: str, of: str, newest: ColumnElement[bool], *figures: Any) -> Select[Any]:
    """The most frequent names in a list, however they are written, with how many have them."""
    entry = _entries(key)
    name = func.btrim(entry.c.value[of].astext, type_=String)
    return (
        # Of different ways to write it, one: capitals first, whatever the database's language.
        select(
            func.min(name.collate("C")),
            func.count(func.distinct(Summary.id)),
            *(figure(entry) for figure in figures),
        )
        .select_from(Summary)
        .join(entry, true())
        .where(newest, func.jsonb_typeof(Summary.content[key]) == "array", name != "")
        .group_by(func.lower(name))
        .order_by(func.count(func.distinct(Summary.id)).desc(), func.lower(name))
        .limit(MOST)
    )


def _speakers(newest: ColumnElement[bool]) -> Select[Any]:
    def share(entry: Any) -> Any:
        said = entry.c.value["talk_time_percentage"]
        is_number = func.jsonb_typeof(said) == "number"
        return func.avg(cast(said.astext, Float)).filter(is_number)

    return _named("speakers_analysis", "speaker", newest, share)


def _topics(newest: ColumnElement[bool]) -> Select[Any]:
    return _named("major_topics", "topic", newest)
