"""Turns what was found in summaries, and figures about them, into answers."""

from api.summarization.highlights import highlights
from api.summarization.search_schemas import (
    ActionItemsDay,
    ProviderUsage,
    SpeakerFiguresOut,
    SummaryAnalytics,
    SummaryHit,
    SummaryStatistics,
    SummaryTotals,
    TopicFiguresOut,
)
from db.queries.summary_figures import Figures, Totals
from db.queries.summary_search import Found


def hit(found: Found, words: str | None) -> SummaryHit:
    """The answer about a summary that was found by these words."""
    row = found.summary
    return SummaryHit(
        file_id=row.media_file_id,
        filename=found.filename,
        title=found.title,
        version=row.version,
        is_stale=row.transcript_version != found.transcript_version,
        bluf=row.content["bluf"],
        highlights=highlights(row.text, words) if words else [],
        action_items=row.action_items,
        provider=row.provider,
        model=row.model,
        language=row.language,
        created_at=row.created_at,
    )


def analytics(found: Figures) -> SummaryAnalytics:
    """The answer about these figures."""
    return SummaryAnalytics(
        totals=SummaryTotals(
            total_summaries=found.totals.summaries,
            total_versions=found.totals.versions,
            stale_summaries=found.totals.stale,
            total_action_items=found.totals.action_items,
        ),
        speaker_stats=[SpeakerFiguresOut.model_validate(one) for one in found.speakers],
        action_items_trend=[ActionItemsDay.model_validate(one) for one in found.days],
        common_topics=[
            TopicFiguresOut(topic=one.topic, count=one.summaries) for one in found.topics
        ],
        summary_statistics=_statistics(found.totals),
        provider_usage=[ProviderUsage.model_validate(one) for one in found.models],
    )


def _statistics(totals: Totals) -> SummaryStatistics:
    mean = totals.seconds / totals.versions if totals.versions else None
    return SummaryStatistics(
        prompt_tokens=totals.prompt_tokens,
        completion_tokens=totals.completion_tokens,
        calls=totals.calls,
        seconds=totals.seconds,
        mean_seconds=None if mean is None else round(mean, 3),
    )
