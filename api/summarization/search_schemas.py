"""Bodies and answers of searches in summaries, and figures about them."""

import uuid
from collections.abc import Sequence
from datetime import date, datetime
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from api.periods import Moment, end, start
from api.schemas import EXAMPLE_ID, EXAMPLE_MOMENT, documented
from api.text import one_line
from cluster.settings import LlmProvider
from db import vocabulary

MAX_SPEAKERS = 20
"""Each one more is a question more."""


def _has_word(text: str) -> str:
    if vocabulary.question(text) is None:
        raise ValueError("holds no letter or digit that could be looked for")
    return text


Words = Annotated[str, Field(min_length=1, max_length=200), one_line, AfterValidator(_has_word)]
SpeakerName = Annotated[str, Field(min_length=1, max_length=255), one_line]


class SummarySearch(BaseModel):
    """Which summaries are looked for; what is left out narrows nothing."""

    query: Words | None = None
    """Words: a summary has all of them, or longer ones that begin so."""
    speakers: Annotated[list[SpeakerName], Field(max_length=MAX_SPEAKERS)] = []
    """Names or labels of speakers; of several, a file has all."""
    date_from: Moment | None = None
    """Made not before this day or moment; without an offset it is UTC's."""
    date_to: Moment | None = None
    """Made not after it; a day is the whole of it."""
    has_pending_actions: bool | None = None
    """Only those with things to do, or only those without."""

    model_config = ConfigDict(
        **{
            **documented({"query": "launch date", "speakers": ["Ada"], "date_from": "2030-01-01"}),
            "extra": "forbid",
        }
    )

    @property
    def period(self) -> tuple[datetime | None, datetime | None]:
        """From when, until before when."""
        return (
            start(self.date_from) if self.date_from else None,
            end(self.date_to) if self.date_to else None,
        )

    @model_validator(mode="after")
    def period_in_order(self) -> Self:
        """Refuse a period that nothing lies in."""
        least, before = self.period
        if least is not None and before is not None and least >= before:
            raise ValueError("date_from lies above date_to: nothing could be found")
        return self


EXAMPLE_HIT: dict[str, Any] = {
    "file_id": EXAMPLE_ID,
    "filename": "board.m4a",
    "title": None,
    "version": 2,
    "is_stale": False,
    "bluf": "The launch moves by two weeks; Ada tells marketing today.",
    "highlights": ["The <mark>launch</mark> moves by two weeks"],
    "action_items": 1,
    "provider": "local",
    "model": "Qwen/Qwen2.5-7B-Instruct",
    "language": "en",
    "created_at": EXAMPLE_MOMENT,
}


class SummaryHit(BaseModel):
    """A summary that was found."""

    file_id: uuid.UUID
    """The file's id."""
    filename: str
    """Its name."""
    title: str | None
    """What people call it; null: it goes by its file name."""
    version: int
    """Of the summary; older ones are not looked at."""
    is_stale: bool
    """Whether the transcript was changed since it was made."""
    bluf: str
    """Its bottom line."""
    highlights: Sequence[str]
    """HTML: pieces of what it says with the words that were found in `<mark>`; all else is
    escaped. Empty without a `query`."""
    action_items: int
    """How many things are to be done."""
    provider: LlmProvider
    """Whose language model made it."""
    model: str
    """Which."""
    language: str
    """In which it is written, as a code."""
    created_at: datetime
    """When it was made."""

    model_config = documented(EXAMPLE_HIT)


EXAMPLE_TOTALS: dict[str, Any] = {
    "total_summaries": 40,
    "total_versions": 52,
    "stale_summaries": 3,
    "total_action_items": 71,
}
EXAMPLE_SPENT: dict[str, Any] = {
    "prompt_tokens": 410_000,
    "completion_tokens": 61_000,
    "calls": 130,
    "seconds": 480.5,
    "mean_seconds": 9.2,
}


class SummaryTotals(BaseModel):
    """How many there are."""

    total_summaries: Annotated[int, Field(description="Files that have one")]
    total_versions: Annotated[int, Field(description="With the older ones of the same files")]
    stale_summaries: Annotated[
        int, Field(description="Of the newest ones: their transcripts were changed since")
    ]
    total_action_items: Annotated[int, Field(description="Things to do in the newest ones")]

    model_config = documented(EXAMPLE_TOTALS)


class SpeakerFiguresOut(BaseModel):
    """Somebody whom summaries name."""

    speaker: str
    """As summaries call them."""
    summaries: int
    """How many name them."""
    mean_talk_time_percentage: float | None
    """Their share of the talk in these, on average; null: not known."""

    model_config = documented(
        {"speaker": "Ada", "summaries": 12, "mean_talk_time_percentage": 43.1}
    )


class ActionItemsDay(BaseModel):
    """What came of one day's summaries."""

    date: date
    """The day, by UTC."""
    summaries: int
    """Made on it, the newest ones of their files."""
    action_items: int
    """Things to do in them."""

    model_config = documented({"date": "2030-01-31", "summaries": 4, "action_items": 9})


class TopicFiguresOut(BaseModel):
    """A topic that summaries name."""

    topic: str
    """What it is called."""
    count: int
    """How many summaries name it."""

    model_config = documented({"topic": "Launch date", "count": 6})


class SummaryStatistics(BaseModel):
    """What all versions took."""

    prompt_tokens: int
    """What models read."""
    completion_tokens: int
    """What they wrote."""
    calls: int
    """How often they were asked."""
    seconds: float
    """How long they took."""
    mean_seconds: float | None
    """For one summary; null: there is none."""

    model_config = documented(EXAMPLE_SPENT)


class ProviderUsage(BaseModel):
    """What a model did, older versions included."""

    provider: LlmProvider
    """Whose it is."""
    model: str
    """Which."""
    summaries: int
    """How many it made."""
    prompt_tokens: int
    """What it read."""
    completion_tokens: int
    """What it wrote."""
    calls: int
    """How often it was asked."""
    seconds: float
    """How long it took."""

    model_config = documented(
        {
            "provider": "local",
            "model": "Qwen/Qwen2.5-7B-Instruct",
            "summaries": 52,
            "prompt_tokens": 410_000,
            "completion_tokens": 61_000,
            "calls": 130,
            "seconds": 480.5,
        }
    )


class SummaryAnalytics(BaseModel):
    """Figures about one's summaries."""

    totals: SummaryTotals
    """How many summaries, and things to do in them."""
    speaker_stats: Sequence[SpeakerFiguresOut]
    """Who is named most: twenty at most."""
    action_items_trend: Sequence[ActionItemsDay]
    """Day by day, days without a summary left out."""
    common_topics: Sequence[TopicFiguresOut]
    """What is talked about most: twenty at most."""
    summary_statistics: SummaryStatistics
    """What they took."""
    provider_usage: Sequence[ProviderUsage]
    """By model, the most used first."""

    model_config = documented(
        {
            "totals": EXAMPLE_TOTALS,
            "speaker_stats": [
                {"speaker": "Ada", "summaries": 12, "mean_talk_time_percentage": 43.1}
            ],
            "action_items_trend": [{"date": "2030-01-31", "summaries": 4, "action_items": 9}],
            "common_topics": [{"topic": "Launch date", "count": 6}],
            "summary_statistics": EXAMPLE_SPENT,
            "provider_usage": [],
        }
    )
