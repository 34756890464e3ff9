"""Files in order, with their best places; texts of places that only the rows know."""

import uuid
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from db.queries.found_files import FoundRow, Place, SaidLine
from pipelines.search import grouping
from pipelines.search.found import RankedPassage, Sort, Source
from pipelines.search.grouping import Group, Known
from pipelines.search.passages import Line, cut, passage_id
from pipelines.search.query import Query
from pipelines.search.ranking import text_of

NOON = datetime(2030, 1, 31, 12, tzinfo=UTC)
FILES = [
    FoundRow(
        id=uuid.UUID(int=number),
        filename=f"{name}.wav",
        title=title,
        content_type="audio/wav",
        size_bytes=number,
        duration=duration,
        language="en",
        created_at=NOON + timedelta(hours=number),
        completed_at=None,
    )
    for number, (name, title, duration) in enumerate(
        [("c", None, 60.0), ("a", "Zebra", None), ("b", "<launch> & more", 30.0)]
    )
]
ROWS = {row.id: row for row in FILES}


def passage(file: FoundRow, number: int = 0, **more: Any) -> RankedPassage:
    found = RankedPassage(
        id=uuid.uuid5(file.id, str(number)),
        media_file_id=file.id,
        number=number,
        start=10.0 * number,
        end=10.0 * number + 9,
        keyword_rank=1,
        text="the launch date",
        marks=((4, 10),),
        score=0.5,
    )
    return replace(found, **more)


def names(groups: Sequence[Group]) -> str:
    return "".join(group.row.filename[0] for group in groups)


def test_files_come_in_the_order_of_their_best_places():
    first, second, third = FILES
    found = [passage(second), passage(first), passage(second, 1), passage(third)]
    gone = replace(first, id=uuid.uuid4())
    groups = grouping.by_file([passage(gone), *found], ROWS)
    assert names(groups) == "acb"
    assert [one.number for one in groups[0].passages] == [0, 1]


@pytest.mark.parametrize(
    ("sort", "downwards", "upwards"),
    [
        (Sort.relevance, "cab", "bac"),
        (Sort.upload_time, "bac", "cab"),
        (Sort.filename, "acb", "bca"),
        (Sort.duration, "cba", "abc"),
        (Sort.file_size, "bac", "cab"),
        # Not known of any of them: as they were found.
        (Sort.completed_at, "cab", "cab"),
    ],
)
def test_orders(sort: Sort, downwards: str, upwards: str):
    groups = grouping.by_file([passage(file) for file in FILES], ROWS)
    assert names(grouping.ordered(groups, sort, descending=True)) == downwards
    assert names(grouping.ordered(groups, sort, descending=False)) == upwards


def test_a_file_shows_its_ten_best_places_and_counts_all():
    file = FILES[2]
    found = [passage(file, number, score=1 - number / 100) for number in range(12)]
    found[3] = replace(found[3], keyword_rank=None, semantic_rank=1, similarity=0.7, text=None)
    found[11] = replace(found[11], title_matched=True)
    known = Known(said={found[3].id: [SaidLine(30.0, 39.0, "It starts <soon>, Ada", "Bob")]})
    [group] = grouping.by_file(found, ROWS)
    shown = grouping.shown(group, Query(words=("launch", "ada")), known)
    assert [one.number for one in shown.occurrences] == list(range(10))
    assert (shown.keyword_occurrences, shown.total_occurrences) == (11, 12)
    assert shown.sources == [Source.keyword, Source.semantic]
    assert (shown.score, shown.similarity) == (1.0, 0.7)
    assert shown.title_marked == "&lt;<mark>launch</mark>&gt; &amp; more"
    assert shown.occurrences[0].snippet == "the <mark>launch</mark> date"
    meant = shown.occurrences[3]
    assert meant.snippet == "It starts &lt;soon&gt;, <mark>Ada</mark>"
    assert (meant.speakers, meant.sources) == (("Bob",), (Source.semantic,))


def test_a_title_that_did_not_match_is_only_escaped():
    [group] = grouping.by_file([passage(FILES[2])], ROWS)
    shown = grouping.shown(group, Query(words=("launch",)), Known())
    assert shown.title_marked == "&lt;launch&gt; &amp; more"


SPOKEN = [
    ("Ada", "Well. We met on Monday to talk about the launch. It was late already!"),
    ("Ada", "So nothing was decided. "),
    ("Bob", "I see. And on Tuesday? Did anybody come on Tuesday at all, or was it only you again?"),
    ("", "Laughter."),
    ("Bob", "No."),
]


@pytest.mark.parametrize("words", [5, 8, 12, 20, 200])
def test_the_rows_tell_what_was_said_in_a_passage(words: int):
    speakers = {"Ada": uuid.uuid4(), "Bob": uuid.uuid4()}
    lines = [
        Line(7.123 * number, 7.123 * number + 6.5, text, speaker, speakers.get(speaker))
        for number, (speaker, text) in enumerate(SPOKEN)
    ]
    rows = [SaidLine(one.start, one.end, one.text, one.speaker or None) for one in lines]
    passages = cut(lines, words, words // 3)
    assert passages
    for one in passages:
        place = Place(passage_id(uuid.UUID(int=0), one), uuid.UUID(int=0), one.start, one.end)
        within = [row for row in rows if row.start < one.end and row.end > one.start]
        assert text_of(within, place) == one.text
