"""Turns what was found into answers."""

from api.listing import CollectionName
from api.pagination import PageRequest
from api.search.schemas import (
    FacetCollection,
    FacetsOut,
    FacetValue,
    FoundFileOut,
    OccurrenceOut,
    QueryOut,
    SearchAnswer,
    StoreOut,
    SuggestionOut,
    SuggestionsOut,
)
from db.queries.search_facets import Facet, Facets
from pipelines.search.asking import part_of
from pipelines.search.found import Asking, Found, FoundFile, Mode, Occurrence, Source, StoreAnswer
from pipelines.search.suggesting import Suggested

DIGITS = 4
"""Of scores and cosines: nobody compares more of them."""
MILLISECOND = 3
"""Digits of seconds, as words of transcripts have them."""
WHY = {
    Asking.timed_out: "took too long",
    Asking.unavailable: "does not answer",
}


def search(found: Found, mode: Mode, paging: PageRequest) -> SearchAnswer:
    """The answer about a page of what was found."""
    return SearchAnswer(
        results=paging.of([_file(one) for one in found.files], found.total),
        total_occurrences=found.total_occurrences,
        capped=found.capped,
        facets=facets(found.facets),
        search_mode=mode,
        query=QueryOut.model_validate(found.query),
        stores=[_store(one) for one in found.answers],
        degraded=bool(found.degraded),
        degraded_reasons=[reason(one) for one in found.degraded],
        search_time_ms=_milliseconds(found.seconds),
    )


def _file(found: FoundFile) -> FoundFileOut:
    row = found.row
    return FoundFileOut(
        file_id=row.id,
        filename=row.filename,
        title=row.title,
        title_highlighted=found.title_marked,
        content_type=row.content_type,
        file_size=row.size_bytes,
        duration=row.duration,
        language=row.language,
        upload_time=row.created_at,
        completed_at=row.completed_at,
        speakers=found.speakers,
        tags=found.tags,
        collections=[CollectionName.model_validate(one) for one in found.collections],
        relevance_score=round(found.score, DIGITS),
        relevance_percent=round(100 * found.score),
        match_sources=found.sources,
        title_matched=found.title_matched,
        semantic_only=Source.keyword not in found.sources,
        similarity=_rounded(found.similarity),
        keyword_occurrences=found.keyword_occurrences,
        total_occurrences=found.total_occurrences,
        occurrences=[_occurrence(one) for one in found.occurrences],
    )


def _occurrence(found: Occurrence) -> OccurrenceOut:
    return OccurrenceOut(
        passage_id=found.id,
        passage_index=found.number,
        start=round(found.start, MILLISECOND),
        end=round(found.end, MILLISECOND),
        speakers=found.speakers,
        snippet=found.snippet,
        score=round(found.score, DIGITS),
        match_type=found.sources,
        similarity=_rounded(found.similarity),
    )


def _rounded(number: float | None) -> float | None:
    return None if number is None else round(number, DIGITS)


def _milliseconds(seconds: float) -> float:
    return round(1000 * seconds, 1)


def _store(answer: StoreAnswer) -> StoreOut:
    return StoreOut(
        source=answer.source,
        adapter=answer.adapter,
        status=answer.asking,
        seconds=answer.seconds,
        passages=answer.passages,
    )


def reason(answer: StoreAnswer) -> str:
    """Why something may be missing; hosts are for the log."""
    part = part_of(answer)
    return f"{part[0].upper()}{part[1:]} {WHY[answer.asking]}."


def facets(found: Facets) -> FacetsOut:
    """The answer about what files have."""
    return FacetsOut(
        files=found.files,
        speakers=_values(found.speakers),
        tags=_values(found.tags),
        collections=[
            FacetCollection(id=key, name=name, count=count)
            for key, name, count in found.collections
        ],
        file_types=_values(found.file_types),
        languages=_values(found.languages),
        earliest=found.earliest,
        latest=found.latest,
        min_duration=found.min_duration,
        max_duration=found.max_duration,
        min_file_size=found.min_file_size,
        max_file_size=found.max_file_size,
    )


def _values(facet: Facet) -> list[FacetValue]:
    return [FacetValue(value=value, count=count) for value, count in facet]


def suggestions(found: Suggested) -> SuggestionsOut:
    """The answer about what may be about to be typed."""
    return SuggestionsOut(
        suggestions=[
            SuggestionOut(type=one.kind, text=one.text, count=one.count, file_id=one.file_id)
            for one in found.suggestions
        ],
        degraded=found.answer.error is not None,
        search_time_ms=_milliseconds(found.seconds),
    )
