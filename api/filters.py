"""Query parameters that narrow and order a list of files, for every route that lists some."""

import uuid
from dataclasses import replace
from typing import Annotated, Literal

from fastapi import Depends, Query
from pydantic import AfterValidator, Field

from api.periods import DAY, Moment, end, require_order, start
from api.text import one_line
from db import vocabulary
from db.models import FileStatus
from db.narrowing import FileNarrowing
from db.queries.file_filters import FileFilters
from db.queries.file_lists import FileSort, Order

MAX_VALUES = 20
"""Of a parameter that may be repeated: each one more is a question more."""


def _has_word(text: str) -> str:
    if vocabulary.question(text) is None:
        raise ValueError("holds no letter or digit that could be looked for")
    return text


Words = Annotated[str, Field(min_length=1, max_length=200), one_line]
Name = Annotated[str, Field(min_length=1, max_length=255), one_line]
FileType = Annotated[
    str, Field(pattern=r"^(audio|video|[a-z]+/[\w.+-]+)$", max_length=100, examples=["audio"])
]
Said = Annotated[Words, AfterValidator(_has_word)]
Duration = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]
Size = Annotated[int, Field(ge=0, lt=2**62)]

SPEAKER = Query(
    max_length=MAX_VALUES, description="Name or label of a speaker; of several, a file has all"
)
WORDS = Query(description="Words that were said: a transcript has all of them, or longer ones")


def _measures(
    min_duration: Annotated[Duration | None, Query(description="Seconds")] = None,
    max_duration: Annotated[Duration | None, Query(description="Seconds")] = None,
    min_file_size: Annotated[Size | None, Query(description="Bytes")] = None,
    max_file_size: Annotated[Size | None, Query(description="Bytes")] = None,
    file_type: Annotated[
        list[FileType] | None,
        Query(max_length=MAX_VALUES, description="`audio`, `video` or a content type; one of them"),
    ] = None,
    language: Annotated[
        str | None, Query(pattern="^[a-z]{2,10}$", description="Spoken language: Whisper's code")
    ] = None,
) -> FileNarrowing:
    require_order(
        {
            ("min_duration", "max_duration"): (min_duration, max_duration),
            ("min_file_size", "max_file_size"): (min_file_size, max_file_size),
        }
    )
    return FileNarrowing(
        min_duration=min_duration,
        max_duration=max_duration,
        min_file_size=min_file_size,
        max_file_size=max_file_size,
        file_types=file_type or (),
        language=language,
    )


Measures = Annotated[FileNarrowing, Depends(_measures)]
"""What files are narrowed by that are known by themselves: lengths, sizes, types, languages."""


def _file_filters(
    measures: Measures,
    search: Annotated[
        Words | None, Query(description="A part of the file name or title, in any letter case")
    ] = None,
    tag: Annotated[
        list[Name] | None,
        Query(max_length=MAX_VALUES, description="Name of a tag; of several, a file has all"),
    ] = None,
    speaker: Annotated[list[Name] | None, SPEAKER] = None,
    from_date: Annotated[Moment | None, Query(description=f"Not before; {DAY}")] = None,
    to_date: Annotated[Moment | None, Query(description=f"Not after; {DAY}")] = None,
    status: Annotated[
        list[FileStatus] | None, Query(max_length=MAX_VALUES, description="One of these")
    ] = None,
    transcript_search: Annotated[Said | None, WORDS] = None,
) -> FileFilters:
    least = None if from_date is None else start(from_date)
    before = None if to_date is None else end(to_date)
    require_order({("from_date", "to_date"): (least, before)})
    about = replace(measures, tags=tag or (), from_date=least, before_date=before)
    return FileFilters(
        **about.narrowing,
        search=search,
        speakers=speaker or (),
        statuses=status or (),
        transcript_search=transcript_search,
    )


Narrowed = Annotated[FileFilters, Depends(_file_filters)]
"""What files a list shows, of those that its path names."""


def _anywhere(
    filters: Narrowed,
    collection_id: Annotated[
        uuid.UUID | None, Query(description="Only files of this collection of yours")
    ] = None,
) -> FileFilters:
    return replace(filters, collection_id=collection_id)


Filters = Annotated[FileFilters, Depends(_anywhere)]
"""What files a list shows."""


def _file_order(
    sort: Annotated[
        FileSort, Query(description="What is not known yet counts as the least")
    ] = FileSort.created_at,
    order: Annotated[Literal["asc", "desc"], Query(description="Upwards or downwards")] = "desc",
) -> Order:
    return Order(sort, order == "desc")


Ordering = Annotated[Order, Depends(_file_order)]
"""In what order a list shows files."""
