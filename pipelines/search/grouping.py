"""Shows by file what was found: which files in which order, and of each its best places."""

import html
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from db.queries.file_labels import CollectionName
from db.queries.found_files import FoundRow, SaidLine
from pipelines import marking
from pipelines.search.found import (
    MOST_OCCURRENCES,
    FoundFile,
    Occurrence,
    RankedPassage,
    Sort,
    Source,
)
from pipelines.search.query import Query
from pipelines.search.ranking import text_of


@dataclass(frozen=True, slots=True)
class Group:
    """A file with its passages that were found, best first."""

    row: FoundRow
    passages: Sequence[RankedPassage]

    @property
    def best(self) -> Sequence[RankedPassage]:
        """Those that an answer shows."""
        return self.passages[:MOST_OCCURRENCES]


@dataclass(frozen=True, slots=True)
class Known:
    """What rows know of files, by their ids, and of passages."""

    tags: Mapping[uuid.UUID, Sequence[str]] = field(default_factory=dict)
    collections: Mapping[uuid.UUID, Sequence[CollectionName]] = field(default_factory=dict)
    speakers: Mapping[uuid.UUID, Sequence[str]] = field(default_factory=dict)
    said: Mapping[uuid.UUID, Sequence[SaidLine]] = field(default_factory=dict)


SORTED_BY: Mapping[Sort, Callable[[FoundRow], Any]] = {
    Sort.upload_time: lambda row: row.created_at,
    Sort.completed_at: lambda row: row.completed_at,
    Sort.filename: lambda row: row.called.casefold(),
    Sort.duration: lambda row: row.duration,
    Sort.file_size: lambda row: row.size_bytes,
}
"""What files are sorted by; relevance is the order in which they were found."""


def by_file(
    passages: Sequence[RankedPassage], rows: Mapping[uuid.UUID, FoundRow]
) -> Sequence[Group]:
    """The files that have a row, in the order of their best passages."""
    found: dict[uuid.UUID, list[RankedPassage]] = {}
    for passage in passages:
        if passage.media_file_id in rows:
            found.setdefault(passage.media_file_id, []).append(passage)
    return [Group(rows[file_id], each) for file_id, each in found.items()]


def ordered(groups: Sequence[Group], sort: Sort, *, descending: bool) -> Sequence[Group]:
    """The groups, which are best first, in another order; what is not known counts as the least."""
    if sort is Sort.relevance:
        return groups if descending else groups[::-1]
    value = SORTED_BY[sort]
    known = [group for group in groups if value(group.row) is not None]
    unknown = [group for group in groups if value(group.row) is None]
    known.sort(key=lambda group: value(group.row), reverse=descending)
    return [*known, *unknown] if descending else [*unknown, *known]


def shown(group: Group, query: Query, known: Known) -> FoundFile:
    """A file as an answer shows it."""
    row, passages = group.row, group.passages
    similar = [one.similarity for one in passages if one.similarity is not None]
    sources = {source for one in passages for source in one.sources}
    title_matched = any(one.title_matched for one in passages)
    return FoundFile(
        row=row,
        title_marked=_title(row.called, query) if title_matched else html.escape(row.called),
        title_matched=title_matched,
        speakers=known.speakers.get(row.id, ()),
        tags=known.tags.get(row.id, ()),
        collections=known.collections.get(row.id, ()),
        score=max(one.score for one in passages),
        sources=[source for source in Source if source in sources],
        similarity=max(similar, default=None),
        occurrences=[_occurrence(one, query, known) for one in group.best],
        keyword_occurrences=sum(Source.keyword in one.sources for one in passages),
        total_occurrences=len(passages),
    )


def _title(title: str, query: Query) -> str:
    return marking.marked(title, marking.spans_of(title, (*query.words, *query.phrases)))


def _occurrence(passage: RankedPassage, query: Query, known: Known) -> Occurrence:
    text, speakers, marks = passage.text, passage.speakers, passage.marks
    if text is None:
        lines = known.said.get(passage.id, ())
        text = text_of(lines, passage)
        speakers = tuple(dict.fromkeys(line.speaker for line in lines if line.speaker))
        marks = tuple(marking.spans_of(text, (*query.words, *query.phrases)))
    return Occurrence(
        id=passage.id,
        number=passage.number,
        start=passage.start,
        end=passage.end,
        speakers=speakers,
        snippet=marking.snippet(text, marks),
        score=passage.score,
        sources=passage.sources,
        similarity=passage.similarity,
    )
