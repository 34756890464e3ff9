"""Searches: both stores are asked at the same time, what they find is fused and shown by file."""

import time
import uuid
from collections.abc import Sequence

from db.engine import session_scope
from db.queries import file_labels, found_files, search_facets
from db.queries.found_files import Place
from db.queries.search_facets import Facets
from pipelines.search import grouping
from pipelines.search.found import (
    Asked,
    Found,
    FoundFile,
    Mode,
    NothingAsked,
    Occurrence,
    RankedPassage,
    Ranking,
    SearchStores,
    Sort,
    Source,
)
from pipelines.search.grouping import Group, Known
from pipelines.search.ranking import rank

__all__ = [
    "Asked",
    "Found",
    "FoundFile",
    "Mode",
    "NothingAsked",
    "Occurrence",
    "RankedPassage",
    "Ranking",
    "SearchStores",
    "Sort",
    "Source",
    "find",
    "rank",
]


async def find(asked: Asked, stores: SearchStores) -> Found:
    """A page of files, with the places in them that were found.

    Raises:
        StoreUnavailable, SpeechError: nothing that was asked answered.
        NothingAsked: there is nothing in the text that the mode could look for.
    """
    started = time.perf_counter()
    ranking = await rank(asked, stores)
    groups, facets = await _groups(asked, ranking, stores)
    ordered = grouping.ordered(groups, asked.sort, descending=asked.descending)
    page = ordered[asked.offset : asked.offset + asked.limit]
    known = await _known(asked.user_id, page, stores)
    return Found(
        files=[grouping.shown(group, ranking.query, known) for group in page],
        total=len(groups),
        total_occurrences=sum(len(group.passages) for group in groups),
        capped=ranking.capped,
        facets=facets,
        answers=ranking.answers,
        query=ranking.query,
        seconds=round(time.perf_counter() - started, 4),
    )


async def _groups(
    asked: Asked, ranking: Ranking, stores: SearchStores
) -> tuple[Sequence[Group], Facets]:
    """What was found by file, best first, and what these files have.

    A store may still have a passage of a file that is gone: only what the rows know is shown.
    """
    ids = {passage.media_file_id for passage in ranking.passages}
    if not ids:
        return [], Facets()
    async with session_scope(stores.sessions) as session:
        rows = await found_files.rows(session, asked.user_id, ids)
        facets = await search_facets.facets(session, asked.user_id, rows)
    return grouping.by_file(ranking.passages, rows), facets


async def _known(user_id: uuid.UUID, page: Sequence[Group], stores: SearchStores) -> Known:
    """What is shown of the files of a page besides what the stores told."""
    if not page:
        return Known()
    ids = [group.row.id for group in page]
    untold = [_place(passage) for group in page for passage in group.best if passage.text is None]
    async with session_scope(stores.sessions) as session:
        return Known(
            tags=await file_labels.tags(session, ids),
            collections=await file_labels.collections(session, ids),
            speakers=await found_files.speakers(session, user_id, ids),
            said=await found_files.said(session, user_id, untold) if untold else {},
        )


def _place(passage: RankedPassage) -> Place:
    return Place(passage.id, passage.media_file_id, passage.start, passage.end)
